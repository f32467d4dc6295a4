// What counts as proof, and what never may: consumers whose answers are true, and some whose appearance lies.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildWorld, CREDENTIAL, ENV } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { started } from './started.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const ticket = { ticket_id: 'ROT-2026-HK_PLATFORM_FULL' };

const row = (view: { consumers: readonly Record<string, unknown>[] }, app: string) =>
  view.consumers.find((one) => one['consumer_id'] === `heroku-config-${app}`) ?? {};

test('a consumer that answers no challenge is proven by its dynos and a success that began healthcheck_after seconds later', async () => {
  const { world, jobId } = await started(redis.url, {
    apps: [{ name: 'quiet-app', answersChallenge: false }],
    healthcheckAfter: 1,
  });
  await using _ = world;
  const gate = await world.reaches(jobId, 'validated');
  expect(row(gate, 'quiet-app')).toMatchObject({
    proof: 'read_back',
    holds: 'new',
    validate_status: 'succeeded',
  });
  // The success that counts was asked for a second after every dyno was first seen on the new release.
  const [stored] = await world.store.rows({ credential: CREDENTIAL, env: ENV, jobId });
  const probed = (row(gate, 'quiet-app')['probe'] as { at: string }).at;
  expect(Date.parse(probed) - (stored?.effective_at ?? 0)).toBeGreaterThanOrEqual(1_000);
});

test('one that never restarts and answers 200 on the old value is not validated: its dynos show the older release', async () => {
  const { world, jobId } = await started(redis.url, {
    apps: [{ name: 'good-app' }, { name: 'frozen-app', kind: 'never_restarts', answersChallenge: false }],
  });
  await using _ = world;
  const parked = await world.reaches(jobId, 'validate_partial');
  expect(row(parked, 'good-app')).toMatchObject({ proof: 'possession' });
  expect(row(parked, 'frozen-app')).toMatchObject({
    validate_status: 'failed',
    proof: null,
    error: { code: 'consumer_not_restarted' },
    probe: { http_status: 200 },
  });
  expect(parked.allowed_actions).not.toContain('proceed_revoke');
  expect(world.heroku.isLive(world.firstToken)).toBe(true);

  // The remedy that the row names: restart it, retry the row.
  const frozen = world.apps[1];
  if (frozen === undefined) throw new Error('no app');
  frozen.kind = 'normal';
  frozen.restart();
  await world.stage(jobId, { action: 'retry', consumer_ids: ['heroku-config-frozen-app'] });
  expect(row(await world.reaches(jobId, 'validated'), 'frozen-app')).toMatchObject({ proof: 'read_back' });
});

test('one whose dynos look new but which still runs on the old value is disproven by its answer to the challenge', async () => {
  const { world, jobId } = await started(redis.url, {
    apps: [{ name: 'liar-app', kind: 'never_restarts_looks_new', answersChallenge: true }],
  });
  await using _ = world;
  const parked = await world.reaches(jobId, 'validate_failed');
  expect(row(parked, 'liar-app')).toMatchObject({
    validate_status: 'failed',
    holds: 'old',
    proof: null,
    error: { code: 'consumer_on_old_value' },
  });

  // A confirmation says so before it accepts.
  const refused = await world.stage(jobId, {
    action: 'confirm_consumer',
    consumer_id: 'heroku-config-liar-app',
    note: 'looks fine to me',
  });
  expect([refused.status, refused.body.code]).toEqual([422, 'not_acknowledged']);
  expect(refused.body.detail).toContain('the old value');
  const accepted = await world.stage(jobId, {
    action: 'confirm_consumer',
    consumer_id: 'heroku-config-liar-app',
    note: 'restarted by hand',
    acknowledge_disproof: true,
  });
  expect([accepted.status, accepted.body.status]).toEqual([202, 'validated']);
});

test('a row that demands possession is not satisfied by a read-back', async () => {
  const { world, jobId } = await started(redis.url, {
    apps: [{ name: 'quiet-app', answersChallenge: false, extra: { proof: 'possession' } }],
  });
  await using _ = world;
  const parked = await world.reaches(jobId, 'validate_failed');
  expect(row(parked, 'quiet-app')).toMatchObject({ error: { code: 'consumer_not_proven' }, proof: null });
});

test('a row without an endpoint waits for a person; a note settles it, and the gate shows by whom', async () => {
  const { world, jobId } = await started(redis.url, {
    apps: [{ name: 'good-app' }, { name: 'mute-app', endpoint: false }],
  });
  await using _ = world;
  await expect
    .poll(async () => (await world.job(jobId))['waiting_since'], { timeout: 10_000 })
    .not.toBeNull();
  const waiting = await world.job(jobId);
  expect(waiting.status).toBe('validating');
  expect(row(waiting, 'mute-app')).toMatchObject({ validate_status: 'manual_required' });
  expect(waiting.allowed_actions).toEqual(expect.arrayContaining(['confirm_consumer', 'skip_consumer']));

  const gate = await world.stage(jobId, {
    action: 'confirm_consumer',
    consumer_id: 'heroku-config-mute-app',
    note: 'logged in and looked',
  });
  expect(gate.body.status).toBe('validated');
  expect(row(await world.job(jobId), 'mute-app')).toMatchObject({
    proof: 'by_hand',
    confirmed_by: 'ada',
    note: 'logged in and looked',
  });
  await world.stage(jobId, { action: 'proceed_revoke', ...ticket });
  await world.reaches(jobId, 'done');
});

test('all rows skipped prove nothing: the job does not reach the gate', async () => {
  const { world, jobId } = await started(redis.url, { apps: [{ name: 'mute-app', endpoint: false }] });
  await using _ = world;
  await expect
    .poll(async () => (await world.job(jobId)).allowed_actions, { timeout: 10_000 })
    .toContain('skip_consumer');
  const skipped = await world.stage(jobId, {
    action: 'skip_consumer',
    consumer_id: 'heroku-config-mute-app',
    reason: 'the app is gone',
  });
  expect(skipped.body.status).toBe('validate_failed');
});

test('a proof that is lost between the gate and the revoke puts the job back, and nothing is revoked', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await world.toValidated();
  // Somebody puts the old value back behind Velvet's back.
  world.apps[0]?.patchConfig({ HEROKU_API_KEY: world.firstToken });
  world.heroku.hurry();
  await world.stage(jobId, { action: 'proceed_revoke', ...ticket });
  const parked = await world.reaches(jobId, 'validate_partial');
  expect(row(parked, 'raxx-console-prod')).toMatchObject({
    validate_status: 'failed',
    holds: 'old',
    error: { code: 'consumer_on_old_value' },
  });
  expect(row(parked, 'raxx-api-prod')).toMatchObject({ validate_status: 'succeeded', proof: 'possession' });
  expect(world.heroku.isLive(world.firstToken)).toBe(true);
  expect((await world.vault.read('HK_PLATFORM_FULL'))?.reveal()).toBe(world.firstToken);
});

test('at the gate every proof can be asked for again', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await world.toValidated();
  const before = await world.job(jobId);
  expect((await world.stage(jobId, { action: 'retry' })).status).toBe(202);
  const after = await world.reaches(jobId, 'validated');
  expect(Date.parse(String(row(after, 'raxx-api-prod')['proven_at']))).toBeGreaterThanOrEqual(
    Date.parse(String(row(before, 'raxx-api-prod')['proven_at'])),
  );
  expect(after.version).toBeGreaterThan(before.version);
});
