import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import { createLog } from '../../shared/lib/log.ts';
import { createClaims } from '../../shared/redis/claim.ts';
import { underLease, type StageDeps } from '../../workers/stages/deps.ts';
import { buildWorld, CREDENTIAL, ENV, quickTimes } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

test('an attempt that must let go begins no further change, and leaves no lease for its successor to wait out', async () => {
  await using world = await buildWorld(server.url);
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  const claims = createClaims(world.redis, systemClock, quickTimes.leaseMs);
  const job = await world.store.load({ credential: CREDENTIAL, env: ENV, jobId });
  if (job === null) throw new Error('the job is gone');
  const { fence } = await claims.beginStep(job, quickTimes.lateMs);
  const letGo = AbortSignal.abort(new Error('lock lost'));
  const context = {
    signal: letGo,
    fence,
    log: createLog({ env: ENV, family: 'stage', write: () => undefined }),
  };
  let changes = 0;

  const change = underLease({ claims } as StageDeps, job, context, async () => {
    changes += 1;
  });

  await expect(change).rejects.toThrow('lock lost');
  expect(changes).toBe(0);
  const { quietAfter } = await claims.beginStep(job, quickTimes.lateMs);
  expect(quietAfter).toBeLessThanOrEqual(systemClock.now());
});
