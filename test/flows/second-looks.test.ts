// What must be looked at again: proofs that grew old, destinations that were written since, tokens that an authority does not see.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openQueues } from '../../shared/queue/queues.ts';
import { buildWorld, CREDENTIAL, ENV, until } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { started } from './started.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const ticket = { ticket_id: 'ROT-2026-HK_PLATFORM_FULL' };
const refOf = (jobId: string) => ({ credential: CREDENTIAL, env: ENV, jobId });
const idOf = (app: string) => `heroku-config-${app}`;

test('while a row is being proven once more nobody can say that the proofs stand', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await world.toValidated();
  await world.stop('healthcheck');
  await world.stage(jobId, { action: 'proceed_revoke', ...ticket });
  const job = await until(async () => {
    const now = await world.store.load(refOf(jobId));
    return now !== null && now.tally.open > 0 ? now : null;
  });
  const late = { kind: 'attempt', fence: null, statusVersion: job.statusVersion } as const;
  await expect(world.deps.transitions.apply(refOf(jobId), 'proofs_stand', late)).rejects.toMatchObject({
    code: 'rows_open',
  });
  world.start('healthcheck');
  await world.reaches(jobId, 'done');
});

test('a retry of a revoke that had promoted nothing proves every consumer again', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await world.toValidated();
  world.heroku.script({
    on: 'GET /oauth/authorizations',
    times: Infinity,
    do: { status: 401, body: { id: 'unauthorized' } },
  });
  await world.stage(jobId, { action: 'proceed_revoke', ...ticket });
  expect((await world.reaches(jobId, 'revoke_failed')).error?.code).toBe('authority_invalid');
  // Meanwhile somebody rolls a consumer back; then the authority is mended.
  world.apps[0]?.patchConfig({ HEROKU_API_KEY: world.firstToken });
  world.heroku.hurry();
  world.heroku.clearFaults();
  await world.stage(jobId, { action: 'retry' });
  const parked = await world.reaches(jobId, 'validate_partial');
  expect(parked.consumers.filter((row) => row['holds'] === 'old')).toHaveLength(1);
  expect(world.heroku.isLive(world.firstToken)).toBe(true);
});

test('a cleanup is not done while the token that it minted lives and the authority does not see it', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  world.heroku.script({ on: 'POST /oauth/authorizations', times: 1, do: { delay_ms: 150 } });
  const queues = openQueues(world.redis, () => undefined);
  await world.stage(jobId, { action: 'proceed_mint' });
  await until(
    () => world.heroku.requests.find((request) => request.route === 'POST /oauth/authorizations') ?? null,
  );
  await queues.stage.pause();
  await world.reaches(jobId, 'minted');
  // An authority of another account: the list comes back without the token.
  world.heroku.script({ on: 'GET /oauth/authorizations', times: Infinity, do: { status: 200, body: [] } });
  world.heroku.script({
    on: 'GET /oauth/authorizations/:id',
    times: Infinity,
    do: { status: 404, body: { id: 'not_found' } },
  });
  await world.stage(jobId, { action: 'abort' });
  await queues.stage.resume();
  const waiting = await until(async () => {
    const view = await world.job(jobId);
    return view.error === null ? null : view;
  });
  expect([waiting.cleanup, waiting.error?.code]).toEqual(['pending', 'authority_invalid']);
  expect(waiting.error?.detail).toContain('tried again by itself');
  expect(await world.vault.list(`${CREDENTIAL}__PENDING`)).toHaveLength(1);
  world.heroku.clearFaults();
  await until(async () => ((await world.job(jobId)).cleanup === 'done' ? true : null));
  expect(world.heroku.live()).toHaveLength(2);
});

test('an abort before the mint needs no authority, and frees the credential although it is dead', async () => {
  await using world = await buildWorld(redis.url);
  world.heroku.script({
    on: 'GET /oauth/authorizations',
    times: Infinity,
    do: { status: 401, body: { id: 'unauthorized' } },
  });
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  expect((await world.reaches(jobId, 'verify_failed')).error?.code).toBe('authority_invalid');
  await world.stage(jobId, { action: 'abort' });
  await until(async () => ((await world.job(jobId)).cleanup === 'done' ? true : null));
  expect(await world.store.claimant(refOf(jobId))).toBeNull();
});

test('a destination that was written since starts its healthcheck_after anew', async () => {
  const { world, jobId } = await started(redis.url, {
    apps: [{ name: 'quiet-app', answersChallenge: false }],
    healthcheckAfter: 1,
    times: { proveForMs: 4_000, proveAgainForMs: 4_000 },
  });
  await using _ = world;
  await world.reaches(jobId, 'validated');
  const [before] = await world.store.rows(refOf(jobId));
  const value = world.apps[0]?.config['HEROKU_API_KEY'] ?? '';
  world.apps[0]?.patchConfig({ HEROKU_API_KEY: world.firstToken });
  world.heroku.hurry();
  await world.stage(jobId, { action: 'proceed_revoke', ...ticket });
  await world.reaches(jobId, 'validate_failed');
  world.apps[0]?.patchConfig({ HEROKU_API_KEY: value });
  world.heroku.hurry();
  await world.stage(jobId, { action: 'retry' });
  await world.reaches(jobId, 'validated');
  const [after] = await world.store.rows(refOf(jobId));
  expect(after?.effective_version).not.toBe(before?.effective_version);
  expect((after?.proven_at ?? 0) - (after?.effective_at ?? 0)).toBeGreaterThanOrEqual(1_000);
});

test('a few bad moments among many answers fail no row', async () => {
  await using world = await buildWorld(redis.url, {
    apps: [{ name: 'slow-app' }],
    times: { settleForMs: 5_000 },
    releaseMs: 400,
  });
  for (const skip of [2, 4, 6, 8])
    world.heroku.script({
      on: 'GET /apps/:app/releases',
      times: 1,
      skip,
      do: { status: 503, body: { id: 'unavailable' } },
    });
  await world.toValidated();
});

test('a vendor that asks for a pause of nothing is not called without a pause', async () => {
  await using world = await buildWorld(redis.url, { times: { retryBackoffMs: 100 } });
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  world.heroku.script({
    on: 'POST /oauth/authorizations',
    times: Infinity,
    do: { rate_limited: { retry_after_s: 0 } },
  });
  await world.stage(jobId, { action: 'proceed_mint' });
  const mints = () =>
    world.heroku.requests.filter((request) => request.route === 'POST /oauth/authorizations');
  await until(() => (mints().length >= 4 ? true : null));
  const [first, ...rest] = mints().map((request) => request.at);
  expect((rest[2] ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(3 * 95);
  world.heroku.clearFaults();
  await world.reaches(jobId, 'validated');
});

test('a family that was away for longer than a proof may take is no fault of the consumer', async () => {
  await using world = await buildWorld(redis.url, { times: { proveForMs: 300 } });
  await world.stop('healthcheck');
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'proceed_mint' });
  await world.reaches(jobId, 'validating');
  const openedAt = Date.now();
  await until(() => (Date.now() - openedAt > 600 ? true : null));
  world.start('healthcheck');
  await world.reaches(jobId, 'validated');
});

test('who follows sees the rows go back when they are to be proven once more', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await world.toValidated();
  await world.stage(jobId, { action: 'proceed_revoke', ...ticket });
  await world.reaches(jobId, 'done');
  const events = await world.feed.read(CREDENTIAL, ENV, 0, 1_000);
  const of = events
    .filter((event) => event.consumer_id === idOf('raxx-api-prod'))
    .map((event) => (event.detail['row'] as { validate_status: string }).validate_status);
  expect(of.slice(-4)).toEqual(['succeeded', 'pending', 'in_progress', 'succeeded']);
});

test('a distribute family that was away for longer than a write may take is no fault of the write', async () => {
  await using world = await buildWorld(redis.url, {
    apps: [{ name: 'slow-app' }],
    times: { settleForMs: 300 },
    releaseMs: 120,
  });
  await world.stop('distribute');
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'proceed_mint' });
  await world.reaches(jobId, 'distributing');
  const openedAt = Date.now();
  await until(() => (Date.now() - openedAt > 600 ? true : null));
  world.start('distribute');
  await world.reaches(jobId, 'validated');
});

test('a consumer that first answers another success is still read back', async () => {
  await using world = await buildWorld(redis.url, {
    apps: [{ name: 'booting-app', answersChallenge: false }],
  });
  world.consumers[0]?.script({ on: 'GET /healthz/heroku', times: 2, do: { status: 204, body: '' } });
  const jobId = await world.toValidated();
  expect((await world.job(jobId)).consumers[0]).toMatchObject({ proof: 'read_back' });
});

test('a revocation by hand is believed although the authority is dead, once the old value itself is refused', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await world.toValidated();
  world.heroku.script({
    on: 'GET /oauth/authorizations',
    times: Infinity,
    do: { status: 401, body: { id: 'unauthorized' } },
  });
  world.heroku.script({
    on: 'GET /oauth/authorizations/:id',
    times: Infinity,
    do: { status: 401, body: { id: 'unauthorized' } },
  });
  await world.stage(jobId, { action: 'proceed_revoke', ...ticket });
  const failed = await world.reaches(jobId, 'revoke_failed');
  await world.stage(jobId, { action: 'mark_revoked' });
  await until(async () => ((await world.job(jobId)).error?.code === 'revoke_pending' ? true : null));
  world.account.revoke(String(failed.old_auth_id));
  await world.stage(jobId, { action: 'mark_revoked' });
  await world.reaches(jobId, 'done');
});
