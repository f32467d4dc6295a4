// POST …/stage on a job that does not hold its credential any more: a refusal that says who holds it and what to do, never a fault.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { buildWorld, CREDENTIAL, ENV, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { place, refused, setRow } from './asking.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
const idle = (): Promise<World> => buildWorld(redis.url, { families: [] });
const { claim } = credentialKeys(CREDENTIAL, ENV);
const consumer = 'heroku-config-raxx-api-prod';

/** Parked with one failed row, so that an action on the job and one on a row are both open. */
async function parked(world: World): Promise<string> {
  const jobId = await world.create();
  await setRow(world, jobId, consumer, { distribute_status: 'succeeded', validate_status: 'failed' });
  await place(world, jobId, 'validate_partial', {
    phase: 'validate',
    t_total: '2',
    t_pending: '0',
    t_ok: '1',
    t_proven: '1',
    t_failed: '1',
  });
  return jobId;
}

const actions = [
  { action: 'abort' },
  { action: 'skip_consumer', consumer_id: consumer, reason: 'gone' },
] as const;

test.each(actions)('409 $action: freed by somebody else, it says how to go on', async (body) => {
  await using world = await idle();
  const jobId = await parked(world);
  await world.redis.del(claim);
  await refused(world, () => world.stage(jobId, body), {
    http: 409,
    code: 'action_not_allowed',
    detail:
      /^This job does not hold HK_PLATFORM_FULL any more, so nothing was changed\. Nobody holds it: create a new rotation/,
    extra: { job_status: 'validate_partial', allowed_actions: [] },
  });
  expect(world.log.join('\n')).not.toContain('level=error');
});

test.each(actions)('409 $action: another job has it by now, which is named', async (body) => {
  await using world = await idle();
  const jobId = await parked(world);
  const other = await world.create();
  await world.redis.set(claim, other);
  await refused(world, () => world.stage(jobId, body), {
    http: 409,
    code: 'claimed',
    detail: new RegExp(`^This job does not hold .* active rotation already in progress: job ${other}\\.`),
    extra: { active_job_id: other, job_status: 'validate_partial', allowed_actions: [] },
  });
});
