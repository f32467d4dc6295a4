// What each channel is told of a leak, to whom, and what is kept of it.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { ALERT, alarmWorld, OPERATOR, row } from './alarm-world.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

test('all channels name the job, the credential and every leaking consumer, with what it may be and where to look', async () => {
  await using world = await alarmWorld(server.url);
  const ref = await world.leak({
    leaking: { 'console-prod': 'accepting', 'api-prod': 'forbidden', 'worker-prod': 'unreachable' },
    settling: ['jobs-prod'],
  });
  await world.process().round();

  const [alert] = world.slack.messages.filter(({ channel }) => channel === ALERT);
  const [direct] = world.slack.messages.filter(({ user }) => user === OPERATOR);
  const [mail] = world.smtp.mails;
  const [event] = world.pagerDuty.events;
  const texts = [
    alert?.text,
    direct?.text,
    mail?.text,
    (event?.payload?.['custom_details'] as { readonly text: string } | undefined)?.text,
  ];
  for (const text of texts) {
    for (const part of [
      ref.jobId,
      'HK_PLATFORM_FULL',
      '(prod)',
      'SEV1 leak',
      `https://velvet.example.com/tokens/HK_PLATFORM_FULL/rotations/${ref.jobId}`,
    ])
      expect(text).toContain(part);
    expect(text).toContain('• console-prod: accepting (HTTP 200)');
    expect(text).toContain('• api-prod: forbidden (HTTP 403)');
    expect(text).toContain('• worker-prod: unreachable');
    expect(text).toContain('Still settling: jobs-prod.');
    expect(text).toContain('accepting: it still answers well.');
    expect(text).not.toContain('erroring:');
    expect(text).not.toMatch(/Repeat|Update|DRILL|undefined/);
  }
  expect(mail).toMatchObject({ to: ['ops@example.com'], subject: 'SEV1 leak: HK_PLATFORM_FULL (prod)' });
  expect(mail?.messageId).toBe(`<alarm.${ref.jobId}.1.1@example.com>`);
  expect(mail?.raw).toContain('X-Priority: 1 (Highest)');
  expect(event).toMatchObject({
    event_action: 'trigger',
    dedup_key: `${ref.jobId}.1`,
    payload: { severity: 'critical' },
  });

  for (const channel of ['slack', 'dm', 'mail', 'webhook'] as const)
    expect(await world.receipt(ref, channel)).toMatchObject({ status: 'delivered', rev: 1, episode: 1, attempts: 1, begun: false, repeat: false }); // prettier-ignore
  const told = (await world.events(ref)).map(
    ({ event: name, detail }) => `${name} ${String(detail['channel'])}`,
  );
  expect(told).toHaveLength(4);
  expect(new Set(told)).toEqual(
    new Set(['dm', 'mail', 'slack', 'webhook'].map((name) => `alarm_delivered ${name}`)),
  );
});

test('what was told is not told again; a change is an update, and names what is new alone', async () => {
  await using world = await alarmWorld(server.url);
  const ref = await world.leak({
    leaking: { 'console-prod': 'accepting' },
    settling: ['api-prod', 'late-prod'],
  });
  const own = world.process({ only: ['slack', 'mail', 'webhook'] });
  await own.round();
  await own.round();
  expect([world.slack.messages.length, world.smtp.mails.length, world.pagerDuty.events.length]).toEqual([
    1, 1, 1,
  ]);

  await world.change(ref, [
    row('api-prod', 'failed', 'erroring'),
    row('late-prod', 'succeeded', 'locked_out'),
  ]);
  await own.round();
  const text = world.slack.messages[1]?.text ?? '';
  expect(text).toContain('SEV1 leak, update');
  expect(text).toContain('• api-prod: erroring (HTTP 500)');
  expect(text).not.toContain('• console-prod');
  expect(text).toContain('Locked out: 1.');
  expect(world.smtp.mails[1]?.subject).toBe('SEV1 leak, update: HK_PLATFORM_FULL (prod)');
  expect(world.pagerDuty.events.map(({ dedup_key }) => dedup_key)).toEqual([
    `${ref.jobId}.1`,
    `${ref.jobId}.1`,
  ]);

  await world.change(ref, [row('console-prod', 'succeeded', 'locked_out')]);
  await own.round();
  expect(world.slack.messages[2]?.text).toContain('• console-prod: locked_out now');
});

test('a new episode is told in full, as a first message', async () => {
  await using world = await alarmWorld(server.url);
  const ref = await world.leak();
  const own = world.process({ only: ['slack'] });
  await own.round();
  await world.change(ref, [row('console-prod', 'failed', 'accepting')], true);
  await own.round();
  const text = world.slack.messages[1]?.text ?? '';
  expect(text).toContain('• console-prod: accepting');
  expect(text).toContain('Episode 2.');
  expect(text).not.toContain('Update');
});

test('an alarm leaves once its job is over and every channel has its last word; one that nobody heard of is told all the same', async () => {
  await using world = await alarmWorld(server.url);
  const ref = await world.leak();
  await world.alarms.declare('notifier', { channels: ['slack', 'mail'], publicUrl: null }, Date.now());
  const own = world.process({ only: ['slack', 'mail'] });
  await own.deliver('slack');
  await world.change(ref, [row('console-prod', 'succeeded', 'locked_out')]);
  await world.end(ref);
  await own.pager.settle();
  expect(await world.alarms.raised()).toHaveLength(1);

  await own.round();
  expect(world.slack.messages[1]?.text).toContain('SEV1 leak is over');
  expect(world.smtp.mails[0]?.text).toContain('it leaked, and is over: the job is rev_done.');
  await own.pager.settle();
  expect(await world.alarms.raised()).toEqual([]);
  // The receipts stay with the job.
  expect((await world.alarms.of(ref))?.receipts.mail).toMatchObject({ status: 'delivered' });
});

test('names are escaped for Slack, and stand as they are in a mail', async () => {
  await using world = await alarmWorld(server.url);
  await world.leak({ leaking: { '<!channel>': 'accepting' } });
  await world.process({ only: ['slack', 'mail'] }).round();
  expect(world.slack.messages[0]?.text).toContain('&lt;!channel&gt;');
  expect(world.slack.messages[0]?.text).not.toContain('<!channel>');
  expect(world.smtp.mails[0]?.text).toContain('<!channel>');
});

test("whom Slack does not know is told in the operators' channel; where there is nobody, the direct message is not needed", async () => {
  await using world = await alarmWorld(server.url);
  await world.leak({ person: 'U0GONE' });
  await world.leak({ person: null });
  const own = world.process({ only: ['dm'] });
  await own.round();
  expect(world.slack.messages.map(({ channel }) => channel)).toEqual(['C0OPS', 'C0OPS']);

  const alone = await world.leak({ person: null });
  const channels = own.channels.map((channel) => ({ ...channel, audience: () => null }));
  expect(channels).toHaveLength(1);
  await world.alarms.declare('notifier', { channels: ['dm'], publicUrl: null }, Date.now());
  const quiet = world.process({
    only: ['dm'],
    env: { slack: { ...(await slackEnv()), operatorChannel: ALERT } },
  });
  await quiet.round();
  expect(await world.receipt(alone, 'dm')).toMatchObject({ status: 'not_needed', rev: 1 });
  expect(world.slack.messages).toHaveLength(2);

  async function slackEnv() {
    const { Secret } = await import('../../shared/lib/secret.ts');
    return {
      token: new Secret('xoxb-alarm-token'),
      apiUrl: world.slack.apiUrl,
      operatorChannel: '',
      alertChannel: ALERT,
    };
  }
});

test('the webhook ends the incident that it began when the leak is over', async () => {
  await using world = await alarmWorld(server.url);
  const ref = await world.leak();
  const own = world.process({ only: ['webhook'] });
  await own.round();
  expect([...world.pagerDuty.open]).toEqual([`${ref.jobId}.1`]);
  await world.end(ref);
  await world.change(ref, []);
  await own.round();
  expect([...world.pagerDuty.open]).toEqual([]);
});
