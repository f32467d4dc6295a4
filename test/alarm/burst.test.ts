// Many leaks at once, against Slack's own limits: merged, each named on its channel, in messages that Slack shows whole.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { ALERT, alarmWorld, row } from './alarm-world.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

/** Slack's second, in a fiftieth. */
const SECOND = 20;

test('200 leaks in one burst: every one is named on both channels, merged, within as many messages as Slack takes in 30 s', async () => {
  await using world = await alarmWorld(server.url, { slack: { messageEveryMs: SECOND, burst: 1 } });
  const jobs = Array.from({ length: 200 }, (_, n) => ({
    credential: `HK_SERVICE_${String(n).padStart(3, '0')}`,
    leaking: { [`heroku-config-service-${n}-prod`]: 'accepting' as const },
  }));
  const refs = [];
  for (const job of jobs) refs.push(await world.leak(job));
  // Another process beside it: they share the pace.
  const both = [0, 1].map(() =>
    world.process({ only: ['slack', 'mail'], times: { alarmPaceMs: SECOND + 5 } }),
  );
  await Promise.all(both.map((own) => own.round()));
  while (
    (await world.receipt(refs.at(-1) ?? { credential: '', env: '', jobId: '' }, 'slack'))?.status !==
    'delivered'
  )
    await Promise.all(both.map((own) => own.round()));

  const alerts = world.slack.messages.filter(({ channel }) => channel === ALERT);
  const all = alerts.map(({ text }) => text ?? '').join('\n');
  for (const { credential, leaking } of jobs) {
    expect(all.split(`\`${credential}\``).length).toBe(2);
    expect(all.split(Object.keys(leaking)[0] ?? '').length).toBe(2);
  }
  expect(Math.max(...alerts.map(({ text }) => text?.length ?? 0))).toBeLessThanOrEqual(3_900);
  expect(alerts.length).toBeLessThanOrEqual(25);
  // Oldest first.
  const raisedAt = new Map(
    (await world.alarms.raised()).map(({ ref, raised }) => [ref.credential, raised.raised_at]),
  );
  const order = [...all.matchAll(/`(HK_SERVICE_\d+)`/g)].map(([, name]) => raisedAt.get(name ?? '') ?? 0);
  expect(order).toEqual(order.toSorted((a, b) => a - b));
  expect(world.smtp.mails.map(({ subject }) => subject)).toEqual([
    expect.stringMatching(/^SEV1 leak: HK_SERVICE_\d+ and 199 more \(prod\)$/),
  ]);
  for (const { credential } of jobs) expect(world.smtp.mails[0]?.text).toContain(credential);
});

test('one job with 200 leaking consumers goes on in further messages, none of them only counted', async () => {
  await using world = await alarmWorld(server.url);
  const names = Array.from({ length: 200 }, (_, n) => `heroku-config-a-rather-long-service-name-${n}-prod`);
  const ref = await world.leak({
    leaking: Object.fromEntries(names.map((name) => [name, 'erroring' as const])),
  });
  await world.process({ only: ['slack', 'mail'] }).round();
  const texts = world.slack.messages.map(({ text }) => text ?? '');
  const said = texts.flatMap((text) => [...text.matchAll(/^• (\S+): erroring/gm)].map(([, name]) => name));
  expect(said).toHaveLength(names.length);
  expect(new Set(said)).toEqual(new Set(names));
  expect(texts.length).toBeGreaterThan(2);
  expect(texts.slice(1).every((text) => text.includes('Continued:'))).toBe(true);
  expect(texts.every((text) => text.length <= 3_900)).toBe(true);
  expect(texts.slice(0, -1).every((text) => text.includes('More of them follow'))).toBe(true);
  expect(texts.join('')).not.toContain('Update');
  expect(await world.receipt(ref, 'slack')).toMatchObject({ status: 'delivered', named: true });
  expect(world.smtp.mails).toHaveLength(1);
});

test('a first message goes before an update, a leak before a drill', async () => {
  await using world = await alarmWorld(server.url);
  const old = await world.leak({ credential: 'HK_OLD' });
  const own = world.process({ only: ['webhook'] });
  await own.round();
  const drill = await world.alarms.drill('drill-1', Date.now(), null);
  await world.change(old, [row('console-prod', 'failed', 'erroring')]);
  const fresh = await world.leak({ credential: 'HK_NEW' });
  await own.round();
  expect(world.pagerDuty.events.map(({ dedup_key }) => dedup_key)).toEqual([
    `${old.jobId}.1`,
    `${fresh.jobId}.1`,
    `${old.jobId}.1`,
    `${drill.jobId}.1`,
  ]);
});
