// The drill: on request and once a day, on the way of a leak and marked as none; and what health says of a channel that failed.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Secret } from '../../shared/lib/secret.ts';
import { createAlarmStore } from '../../shared/redis/alarm-store.ts';
import { createSealStore } from '../../shared/redis/seal-store.ts';
import { systemKeys } from '../../shared/redis/keys.ts';
import { dailyDrill } from '../../workers/alarm.ts';
import { buildWorld, ENV, quickTimes, until } from '../harness.ts';
import { alarmWaits } from '../../workers/notify/post.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { alarmWorld } from './alarm-world.ts';
import { redisDump } from '../../bin/demo/secrets.ts';
import { startPagerDuty } from '../sim/pager-duty.ts';
import { startSmtp } from '../sim/smtp.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const patient = { alarmSendMs: 4_000, alarmLeaseMs: 5_000, slackMs: 4_000 };

test('POST /alarm/test: every channel takes it, marked DRILL, and the answer has their receipts; no secret is left anywhere', async () => {
  await using smtp = await startSmtp({ login: { user: 'velvet', password: 'smtp-password-1' } });
  await using pagerDuty = await startPagerDuty('routing-key-0123456789abcdef');
  const mail = {
    host: smtp.host,
    port: smtp.port,
    tls: 'none',
    auth: { user: new Secret('velvet'), password: new Secret('smtp-password-1') },
    from: 'velvet@example.com',
    to: ['ops@example.com'],
  } as const;
  await using world = await buildWorld(server.url, {
    times: patient,
    alarm: { mail, webhook: { url: new Secret(pagerDuty.enqueueUrl) } },
  });
  await until(async () =>
    (await world.deps.alarms.declared(Date.now())).channels.length === 4 ? true : null,
  );
  const answer = await world.api('POST', '/alarm/test', {});
  expect(answer.status).toBe(202);
  const took = {
    status: 'delivered',
    attempts: 1,
    up_to_date: true,
    error: null,
    rejected: [],
    repeat: false,
  };
  expect(answer.body['channels']).toMatchObject({ slack: took, dm: took, mail: took, webhook: took });
  expect(world.slack.messages.map(({ channel }) => channel).toSorted()).toEqual(['C0ALERT', world.slack.dm('U0OPERATOR')].toSorted()); // prettier-ignore
  for (const text of [
    ...world.slack.messages.map((message) => message.text ?? ''),
    smtp.mails[0]?.text ?? '',
    smtp.mails[0]?.subject ?? '',
  ])
    expect(text).toContain('DRILL');
  expect(world.slack.messages[0]?.text).not.toMatch(/SEV1|http/);
  expect(pagerDuty.events[0]?.payload?.severity).toBe('info');
  await until(async () => ((await world.deps.alarms.raised()).length === 0 ? true : null));

  const everything = `${(await redisDump(server.url)).toString('latin1')}\n${world.log.join('\n')}\n${answer.text}`;
  expect(everything).toContain(String(answer.body['drill_id']));
  for (const secret of ['xoxb-test', 'smtp-password-1', 'routing-key-0123456789abcdef'])
    expect(everything).not.toContain(secret);
});

test('a channel that failed is named by its receipt, and by the health until it works again', async () => {
  await using world = await buildWorld(server.url, { times: { ...patient, alarmDrillWaitMs: 300 } });
  await until(async () =>
    (await world.deps.alarms.declared(Date.now())).channels.length === 2 ? true : null,
  );
  world.slack.script({ on: 'POST /api/chat.postMessage', times: Number.POSITIVE_INFINITY, do: { status: 200, body: { ok: false, error: 'invalid_auth' } } }); // prettier-ignore
  const answer = await world.api('POST', '/alarm/test', {});
  expect(answer.status).toBe(202);
  expect(answer.body['channels']).toMatchObject({
    slack: { status: 'failed', error: { code: 'vendor_rejected' } },
  });
  const health = async () => (await world.api('GET', '/healthz', undefined, { token: null })).body;
  expect(await health()).toMatchObject({
    status: 'ok',
    warnings: { 'alarm.slack': expect.stringContaining('vendor_rejected') },
  });
  world.slack.clearFaults();
  await until(async () => ((await health())['warnings'] === undefined ? true : null));
});

test('without a channel it is refused, and says what to set; a body that says something is refused, too', async () => {
  await using world = await buildWorld(server.url, { families: [] });
  const answer = await world.api('POST', '/alarm/test', {});
  expect([answer.status, answer.body.code]).toEqual([503, 'degraded']);
  expect(answer.body.detail).toContain('SL_BOT_NOTIFY');
  expect((await world.api('POST', '/alarm/test', { channel: 'mail' })).body.code).toBe('invalid_request');
});

test('once a day from whichever stage process comes first, and not again after a restart', async () => {
  await using world = await buildWorld(server.url, { families: [] });
  await world.redis.del(systemKeys.duty('alarm-drill'));
  const alarms = createAlarmStore(world.redis, ENV, world.store);
  const seals = createSealStore(world.redis);
  const own = () =>
    dailyDrill({ alarms, hold: (...of) => seals.hold(...of), now: () => Date.now(), times: { ...quickTimes, alarmDrillMs: 86_400_000 } }); // prettier-ignore
  const stopping = new AbortController().signal;
  await own().does(stopping);
  expect(await alarms.raised()).toEqual([]);

  await alarms.declare('notifier', { channels: ['slack'], publicUrl: null }, Date.now());
  await Promise.all([own().does(stopping), own().does(stopping)]);
  await own().does(stopping);
  expect((await alarms.raised()).map(({ raised }) => raised.kind)).toEqual(['drill']);
  expect(await world.redis.pttl(systemKeys.duty('alarm-drill'))).toBeGreaterThan(86_000_000);
});

test('other notices to the alert channel step aside while a leak waits for Slack', async () => {
  await using world = await alarmWorld(server.url);
  const at = {
    alarms: world.alarms,
    slack: { client: { post: () => Promise.resolve('') }, operatorChannel: '', alertChannel: '' },
  };
  expect(await alarmWaits(at, 'slack')).toBe(false);
  await world.leak();
  expect(await alarmWaits(at, 'slack')).toBe(true);
  expect(await alarmWaits({ ...at, slack: null }, 'slack')).toBe(false);
  expect(await alarmWaits(at, 'dm')).toBe(true);
  await world.process({ only: ['slack'] }).round();
  expect([await alarmWaits(at, 'slack'), await alarmWaits(at, 'dm')]).toEqual([false, true]);
});

test('they do not wait for an alarm that their channel refuses, which may be tried for a day', async () => {
  await using world = await alarmWorld(server.url);
  const at = {
    alarms: world.alarms,
    slack: { client: { post: () => Promise.resolve('') }, operatorChannel: '', alertChannel: '' },
  };
  await world.leak();
  world.slack.script({ on: 'POST /api/chat.postMessage', times: 9, do: { status: 500, body: {} } });
  expect(await alarmWaits(at, 'dm')).toBe(true);
  await world.process({ only: ['dm'] }).round();
  expect(await alarmWaits(at, 'dm')).toBe(false);
});
