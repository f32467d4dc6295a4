// Abort while nobody holds the new value: whatever was minted is gone, the slots are empty, the credential is free for the next job.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openQueues } from '../../shared/queue/queues.ts';
import { buildWorld, CREDENTIAL, ENV, until, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

async function cleaned(world: World, jobId: string) {
  const view = await until(async () => {
    const job = await world.job(jobId);
    return job.status === 'aborted' && job.cleanup === 'done' ? job : null;
  });
  expect(await world.store.claimant({ credential: CREDENTIAL, env: ENV })).toBeNull();
  expect(await world.vault.list(CREDENTIAL)).toEqual([CREDENTIAL]);
  expect(world.heroku.isLive(world.firstToken)).toBe(true);
  expect(world.heroku.live()).toHaveLength(2);
  return view;
}

/** How to bring a job to each status from which nobody holds the new value. */
const ways: Readonly<Record<string, (world: World) => Promise<string>>> = {
  async init(world) {
    return world.create();
  },
  async verifying(world) {
    const jobId = await world.create();
    world.heroku.script({ on: 'GET /account', times: 1, do: { delay_ms: 200 } });
    await world.stage(jobId, { action: 'verify' });
    return jobId;
  },
  async verify_failed(world) {
    const jobId = await world.create();
    world.heroku.script({
      on: 'GET /oauth/authorizations',
      times: 1,
      do: { status: 403, body: { id: 'forbidden' } },
    });
    await world.stage(jobId, { action: 'verify' });
    await world.reaches(jobId, 'verify_failed');
    return jobId;
  },
  async verified(world) {
    const jobId = await world.create();
    await world.stage(jobId, { action: 'verify' });
    await world.reaches(jobId, 'verified');
    return jobId;
  },
  async minting(world) {
    const jobId = await ways['verified']?.(world);
    world.heroku.script({ on: 'POST /oauth/authorizations', times: 1, do: { delay_ms: 200 } });
    await world.stage(String(jobId), { action: 'proceed_mint' });
    await until(
      () => world.heroku.requests.find((request) => request.route === 'POST /oauth/authorizations') ?? null,
    );
    return String(jobId);
  },
  async mint_failed(world) {
    const jobId = await ways['verified']?.(world);
    world.heroku.script({
      on: 'POST /oauth/authorizations',
      times: 1,
      do: { status: 422, body: { id: 'invalid_params' } },
    });
    await world.stage(String(jobId), { action: 'proceed_mint' });
    await world.reaches(String(jobId), 'mint_failed');
    return String(jobId);
  },
};

test.each(Object.keys(ways))('from %s', async (status) => {
  await using world = await buildWorld(redis.url);
  const jobId = String(await ways[status]?.(world));
  const answer = await world.stage(jobId, { action: 'abort', ticket_id: 'ROT-2026-STOP' });
  expect([answer.status, answer.body.status]).toEqual([202, 'aborted']);
  await cleaned(world, jobId);
  const next = await world.create();
  await world.stage(next, { action: 'verify' });
  await world.reaches(next, 'verified');
});

test('from minted: the new token is revoked and its slots deleted, though the fan-out was already ordered', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = String(await ways['minting']?.(world));
  // The stage queue rests, so that the job rests at minted.
  const queues = openQueues(world.redis, () => undefined);
  await queues.stage.pause();
  await world.reaches(jobId, 'minted');
  expect(world.heroku.live()).toHaveLength(3);
  const answer = await world.stage(jobId, { action: 'abort' });
  expect([answer.status, answer.body.status]).toEqual([202, 'aborted']);
  await queues.stage.resume();
  await cleaned(world, jobId);
  expect(world.apps.map((app) => app.releases.length)).toEqual([1, 1]);
});

test('a cleanup that the vendor refuses keeps the claim, says why, and ends by itself when the vendor answers again', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = String(await ways['mint_failed']?.(world));
  world.heroku.script({
    on: 'GET /oauth/authorizations',
    times: 1_000,
    do: { status: 503, body: { id: 'service_unavailable' } },
  });
  await world.stage(jobId, { action: 'abort' });
  await until(async () => ((await world.job(jobId)).error?.code === 'vendor_unavailable' ? true : null));
  expect((await world.job(jobId)).cleanup).toBe('pending');
  const second = await world.create();
  const refused = await world.stage(second, { action: 'verify' });
  expect([refused.status, refused.body.code]).toEqual([409, 'claimed']);
  expect(refused.body.detail).toContain(jobId);
  world.heroku.clearFaults();
  await cleaned(world, jobId);
});

test('a mint whose answer comes after the abort leaves no token behind', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = String(await ways['verified']?.(world));
  world.heroku.script({ on: 'POST /oauth/authorizations', times: 1, do: { applies_late_ms: 60 } });
  await world.stage(jobId, { action: 'proceed_mint' });
  await until(
    () => world.heroku.requests.find((request) => request.route === 'POST /oauth/authorizations') ?? null,
  );
  await world.stage(jobId, { action: 'abort' });
  await cleaned(world, jobId);
});
