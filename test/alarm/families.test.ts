// The alarm in whole worker families: whichever of them runs delivers, and the job shows who was told.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRelay } from '../../shared/queue/enqueue.ts';
import { openQueues } from '../../shared/queue/queues.ts';
import { workerFamilies } from '../../shared/redis/system-store.ts';
import { buildWorld, CREDENTIAL, ENV, until, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { openLeak } from './alarm-world.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const patient = { alarmSendMs: 4_000, alarmLeaseMs: 5_000, slackMs: 4_000 };
const alerts = (world: World) => world.slack.messages.filter(({ channel }) => channel === 'C0ALERT');

test.each(workerFamilies)(
  'with %s alone left the alarm is told, and the job has the receipts',
  async (family) => {
    await using world = await buildWorld(redis.url, { families: [family], times: patient });
    const { jobId } = await openLeak(world.redis, world.store, { credential: CREDENTIAL, env: ENV });
    const delivered = {
      status: 'delivered',
      attempts: 1,
      up_to_date: true,
      error: null,
      latency_ms: expect.any(Number),
    };
    const alarm = await until(async () => {
      const { alarm: shown } = (await world.job(jobId)) as {
        alarm?: { channels?: Record<string, { status: string }> };
      };
      const both = [shown?.channels?.['slack'], shown?.channels?.['dm']];
      return both.every((one) => one?.status === 'delivered') ? shown : null;
    });
    expect(alarm).toMatchObject({ episode: 1, channels: { slack: delivered, dm: delivered } });
    // The job has stood there since 1970, so that somebody hears of that, too.
    expect(alerts(world).filter((one) => one.text?.startsWith('SEV1') === true)).toHaveLength(1);
    expect(alerts(world)[0]?.text).toContain(jobId);
    expect((await world.api('GET', '/metrics')).text).toContain('velvet_alarm_seconds');
  },
);

test('with all of them running it is told once, also where its order comes by the queue', async () => {
  await using world = await buildWorld(redis.url, { times: { ...patient, alarmPollMs: 60_000 } });
  const { jobId } = await openLeak(world.redis, world.store, { credential: CREDENTIAL, env: ENV });
  const queues = openQueues(world.redis, () => undefined);
  const task = { effect: 'page_leak', credential: CREDENTIAL, env: ENV, jobId, version: 1, kick: 0 } as const;
  const relay = createRelay(queues, world.store, () => undefined);
  await relay.addRows([task]);
  await until(() => alerts(world)[0] ?? null);
  await until(async () => ((await relay.alive([task])).size === 0 ? true : null));
  await Promise.all(Object.values(queues).map((queue) => queue.close()));
  // The job has stood there since 1970, so that somebody hears of that, too.
  expect(alerts(world).filter((one) => one.text?.startsWith('SEV1') === true)).toHaveLength(1);
});

test('a job without a leak shows no alarm', async () => {
  await using world = await buildWorld(redis.url, { families: [] });
  const jobId = await world.create();
  expect(await world.job(jobId)).not.toHaveProperty('alarm');
});
