// Several processes and one alarm: one of them tells it; where that one dies, freezes or fails, another does.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { VelvetError } from '../../shared/lib/errors.ts';
import { systemKeys } from '../../shared/redis/keys.ts';
import { until } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { alarmWorld, row } from './alarm-world.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

test('processes that live side by side tell nothing twice', async () => {
  await using world = await alarmWorld(server.url);
  const all = Array.from({ length: 4 }, () => world.process());
  for (let n = 0; n < 5; n += 1) {
    await world.leak({ credential: `HK_${n}` });
    await Promise.all(all.map((own) => own.round()));
  }
  const direct = world.slack.messages.filter(({ user }) => user !== null);
  expect([world.slack.messages.length - direct.length, direct.length]).toEqual([5, 5]);
  expect(world.smtp.mails).toHaveLength(5);
  expect(world.pagerDuty.events).toHaveLength(5);
});

test('a holder that died between the sending and the receipt: another one tells it again, and says so', async () => {
  await using world = await alarmWorld(server.url);
  const ref = await world.leak();
  const dying = world.process({ only: ['slack'] });
  const [channel] = dying.channels;
  if (channel === undefined) throw new Error('no channel');
  const { promise: forever } = Promise.withResolvers<never>();
  const never = new AbortController().signal;
  const frozen = { ...channel, send: async (...of: Parameters<typeof channel.send>) => (await channel.send(...of), forever) }; // prettier-ignore
  void dying.pager.deliver(frozen, 0, never);
  await until(() => world.slack.messages[0] ?? null);
  expect(await world.receipt(ref, 'slack')).toMatchObject({
    status: 'trying',
    begun: true,
    attempts: 1,
    rev: 0,
  });

  const other = world.process({ only: ['slack'] });
  await other.round();
  // Not while the lease of the first one lasts.
  expect(world.slack.messages).toHaveLength(1);
  await world.redis.del(systemKeys.duty('alarm.slack'));
  await other.round();
  expect(world.slack.messages[1]?.text).toContain('Repeat (it may have reached you already)');
  expect(await world.receipt(ref, 'slack')).toMatchObject({ status: 'delivered', repeat: true, attempts: 2 });
});

test('a holder that froze and wakes up too late neither sends nor writes over what another has done', async () => {
  await using world = await alarmWorld(server.url);
  const ref = await world.leak();
  const sleeping = world.process({ only: ['slack'], times: { alarmLeaseMs: 40, alarmSendMs: 40 } });
  const [channel] = sleeping.channels;
  if (channel === undefined) throw new Error('no channel');
  const { promise: woken, resolve: wake } = Promise.withResolvers<void>();
  const asleep = Promise.withResolvers<void>();
  const send: typeof channel.send = async (...of) => {
    asleep.resolve();
    await woken;
    return channel.send(...of);
  };
  const late = sleeping.pager.deliver({ ...channel, send }, 0, new AbortController().signal);
  await asleep.promise;
  const other = world.process({ only: ['slack'] });
  await until(async () => {
    await other.round();
    return world.slack.messages[0] ?? null;
  });
  const receipt = await world.receipt(ref, 'slack');
  wake();
  await late;
  expect(world.slack.messages).toHaveLength(1);
  expect(await world.receipt(ref, 'slack')).toEqual(receipt);
  expect((await world.events(ref)).map(({ event }) => event)).toEqual(['alarm_delivered']);
  // Nor is the channel said to fail, or held back, for what became of the late one.
  expect((await world.alarms.outcomes()).slack).toMatchObject({ status: 'delivered' });
});

test('a late failure of a holder that was overtaken neither marks the channel nor holds it back', async () => {
  await using world = await alarmWorld(server.url);
  await world.leak();
  const sleeping = world.process({ only: ['slack'], times: { alarmLeaseMs: 40, alarmBackoffMs: 60_000, alarmBackoffMaxMs: 60_000 } }); // prettier-ignore
  const [channel] = sleeping.channels;
  if (channel === undefined) throw new Error('no channel');
  const { promise: woken, resolve: wake } = Promise.withResolvers<void>();
  const asleep = Promise.withResolvers<void>();
  const send: typeof channel.send = async () => {
    asleep.resolve();
    await woken;
    throw new VelvetError('vendor_no_answer', 'Slack did not answer in time');
  };
  const late = sleeping.pager.deliver({ ...channel, send }, 0, new AbortController().signal);
  await asleep.promise;
  const other = world.process({ only: ['slack'] });
  await until(async () => {
    await other.round();
    return world.slack.messages[0] ?? null;
  });
  wake();
  await late;
  expect((await world.alarms.outcomes()).slack).toMatchObject({ status: 'delivered' });
  expect(await world.alarms.pausedMs('slack')).toBeLessThan(1_000);
});

test('a stand-in leaves an alarm to the notifier for its time, and tells it then', async () => {
  await using world = await alarmWorld(server.url);
  await world.leak();
  const standIn = world.process({ only: ['slack'] });
  await standIn.deliver('slack', 60_000);
  expect(world.slack.messages).toEqual([]);
  await until(async () => {
    await standIn.deliver('slack', 50);
    return world.slack.messages[0] ?? null;
  });
});

test('an episode that nobody was told of is named with the next one', async () => {
  await using world = await alarmWorld(server.url);
  const ref = await world.leak();
  const own = world.process({ only: ['slack', 'mail'] });
  await own.deliver('slack');
  await world.change(ref, [row('console-prod', 'failed', 'accepting')], true);
  await own.round();
  expect(world.slack.messages[1]?.text).toContain('Episode 2.');
  expect(world.smtp.mails[0]?.text).toContain('Episode 2; nobody was told of 1 here.');
});

test('a record that is lost, or not understood, keeps neither its own alarm nor another from being told', async () => {
  await using world = await alarmWorld(server.url);
  const [lost, broken] = [
    await world.leak({ credential: 'HK_LOST' }),
    await world.leak({ credential: 'HK_BROKEN' }),
  ];
  await world.leak({ credential: 'HK_WHOLE' });
  const { credentialKeys } = await import('../../shared/redis/keys.ts');
  await world.redis.del(credentialKeys('HK_LOST', 'prod').job(lost.jobId));
  await world.redis.hset(credentialKeys('HK_BROKEN', 'prod').job(broken.jobId), 'status', 'nonsense');
  await world.process({ only: ['slack'] }).round();
  const text = world.slack.messages.map((message) => message.text).join('\n');
  expect(text.split('The record of the job cannot be read').length).toBe(3);
  expect(text).toContain('`HK_WHOLE`');
});
