// Who is told of a job, where, and how often.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRelay } from '../../shared/queue/enqueue.ts';
import { openQueues } from '../../shared/queue/queues.ts';
import { buildWorld, CREDENTIAL, ENV, until, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const ready = (world: World) =>
  world.slack.messages.filter(({ text }) => text?.startsWith('Ready to mint') === true);
async function verifiedBy(world: World, token?: string): Promise<string> {
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' }, token);
  await world.reaches(jobId, 'verified');
  return jobId;
}

test("the operator who moved the job last is told in person; one without a Slack id in the operators' channel", async () => {
  await using world = await buildWorld(redis.url, { apps: [{ name: 'good-app' }] });
  const first = await verifiedBy(world);
  const message = await until(() => ready(world)[0] ?? null);
  expect(message.channel).toBe(world.slack.dm('U0OPERATOR'));
  await world.stage(first, { action: 'abort' });
  await until(async () => ((await world.job(first)).cleanup === 'done' ? true : null));

  const { token } = await world.system.createToken({
    name: 'ci',
    owner: 'otto',
    scopes: ['rotate'],
    credentials: null,
    slack_user_id: null,
    created_at: 0,
    expires_at: Date.now() + 3_600_000,
  });
  await verifiedBy(world, token);
  expect((await until(() => ready(world)[1] ?? null)).channel).toBe('C0OPS');
});

test("somebody whom Slack does not know is told in the operators' channel", async () => {
  await using world = await buildWorld(redis.url, { apps: [{ name: 'good-app' }] });
  const token = await world.token(['rotate'], { owner: 'gone', slackUserId: 'U0WHOLEFT' });
  await verifiedBy(world, token);
  expect((await until(() => ready(world)[0] ?? null)).channel).toBe('C0OPS');
});

test('a message that was accepted is not posted again, however often its task is run', async () => {
  await using world = await buildWorld(redis.url, { apps: [{ name: 'good-app' }] });
  const jobId = await verifiedBy(world);
  await until(() => ready(world)[0] ?? null);
  const queues = openQueues(world.redis, () => undefined);
  const relay = createRelay(queues, world.store, () => undefined);
  const job = await world.store.load({ credential: CREDENTIAL, env: ENV, jobId });
  const task = {
    effect: 'notify',
    credential: CREDENTIAL,
    env: ENV,
    jobId,
    version: job?.statusVersion ?? 0,
  } as const;
  const again = [7, 8, 9].map((kick) => ({ ...task, kick }));
  await relay.addRows(again);
  await until(async () => ((await relay.alive(again)).size === 0 ? true : null));
  expect(ready(world)).toHaveLength(1);
  await Promise.all(Object.values(queues).map((queue) => queue.close()));
});
