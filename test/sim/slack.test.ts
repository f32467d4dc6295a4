// The Slack simulator answers the real SDK as Slack does, refusals and rate limits included.
import {
  LogLevel,
  WebClient,
  WebAPIPlatformError,
  WebAPIRateLimitedError,
  WebAPIRequestError,
} from '@slack/web-api';
import { expect, test } from 'vitest';
import { ask } from './ask.ts';
import { slackLimits, startSlack } from './slack.ts';

const TOKEN = 'xoxb-1-test';
const start = (more = {}) => startSlack({ token: TOKEN, users: ['U1', 'U2'], channels: ['C1'], ...more });
const client = (slackApiUrl: string, token = TOKEN) =>
  new WebClient(token, {
    slackApiUrl,
    timeout: 500,
    rejectRateLimitedCalls: true,
    retryConfig: { retries: 0 },
    logLevel: LogLevel.ERROR,
  });
// By the method's name: the linter takes `chat.postMessage(…)` for the browser's.
const post = (web: WebClient, message: Record<string, unknown>) => web.apiCall('chat.postMessage', message);

test('the SDK opens a direct message and posts into it; the message is kept', async () => {
  await using slack = await start();
  const web = client(slack.apiUrl);
  const { channel } = await web.conversations.open({ users: 'U1' });
  const posted = await post(web, {
    channel: channel?.id ?? '',
    text: 'hello',
    blocks: [{ type: 'divider' }],
  });

  expect(channel?.id).toBe(slack.dm('U1'));
  expect(slack.dm('U1')).not.toBe(slack.dm('U2'));
  expect(slack.messages).toMatchObject([
    { channel: slack.dm('U1'), user: 'U1', text: 'hello', blocks: [{ type: 'divider' }] },
  ]);
  expect(posted).toMatchObject({ ok: true, ts: slack.messages[0]?.ts });
  expect((await web.auth.test()).team_id).toBe('T0VELVET');
});

test('what it refuses, it refuses with 200 and ok: false', async () => {
  await using slack = await start();
  const send = async (body: unknown, authorization: string | null = `Bearer ${TOKEN}`) =>
    ask(slack.url, 'POST /api/chat.postMessage', {
      body,
      headers: authorization === null ? {} : { authorization },
    });

  expect(await send({ channel: 'C1', text: 'x' })).toMatchObject({
    status: 200,
    body: { ok: true, channel: 'C1' },
  });
  expect(await send({ channel: 'C1', text: 'x' }, null)).toMatchObject({
    status: 200,
    body: { ok: false, error: 'not_authed' },
  });
  expect((await send({ channel: 'C1', text: 'x' }, 'Bearer no')).body).toEqual({
    ok: false,
    error: 'invalid_auth',
  });
  expect((await send({ channel: 'C9', text: 'x' })).body).toEqual({
    ok: false,
    error: 'channel_not_found',
  });
  expect((await send({ channel: 'C1' })).body).toEqual({ ok: false, error: 'no_text' });
  expect((await send('{"channel')).body).toEqual({ ok: false, error: 'invalid_json' });
  await expect(client(slack.apiUrl).conversations.open({ users: 'U9' })).rejects.toBeInstanceOf(
    WebAPIPlatformError,
  );
  slack.revokeToken();
  expect((await send({ channel: 'C1', text: 'x' })).body).toEqual({ ok: false, error: 'token_revoked' });
  expect(slack.messages).toHaveLength(1);
});

test('a second message within the limit is 429 with Retry-After, per channel', async () => {
  await using slack = await start({ messageEveryMs: 60_000 });
  const web = client(slack.apiUrl);
  await post(web, { channel: 'C1', text: 'one' });
  await expect(post(web, { channel: 'C1', text: 'two' })).rejects.toBeInstanceOf(WebAPIRateLimitedError);
  await post(web, { channel: slack.dm('U1'), text: 'three' });
  expect(slack.messages.map(({ text }) => text)).toEqual(['one', 'three']);
});

test('its faults: a rate limit names its seconds, a lost answer has posted', async () => {
  await using slack = await start();
  const web = client(slack.apiUrl);
  const on = 'POST /api/chat.postMessage';
  slack.script({ on, do: { rate_limited: { retry_after_s: 3 } } });
  slack.script({ on, do: 'hang_after' });
  await expect(post(web, { channel: 'C1', text: 'one' })).rejects.toMatchObject({
    retryAfter: 3,
  });
  await expect(post(web, { channel: 'C1', text: 'two' })).rejects.toBeInstanceOf(WebAPIRequestError);
  expect(slack.messages.map(({ text }) => text)).toEqual(['two']);
});

test("Slack's own limits: a few at once, then one a second and channel; several hundred a minute in the workspace", async () => {
  await using slack = await start({ ...slackLimits, messageEveryMs: 60_000, workspacePerMinute: 4 });
  const web = client(slack.apiUrl);
  for (const text of ['one', 'two', 'three']) await post(web, { channel: 'C1', text });
  await expect(post(web, { channel: 'C1', text: 'four' })).rejects.toBeInstanceOf(WebAPIRateLimitedError);
  await post(web, { channel: slack.dm('U1'), text: 'five' });
  await expect(post(web, { channel: slack.dm('U2'), text: 'six' })).rejects.toBeInstanceOf(
    WebAPIRateLimitedError,
  );
});
