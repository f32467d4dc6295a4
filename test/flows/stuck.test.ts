// Stuck: shown at once or when it has lasted, said once for each status, and never of what waits for a person by design.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stuckOf } from '../../shared/rotation/notices.ts';
import { newRow } from '../../shared/rotation/rows.ts';
import { jobOf, tallyOf } from '../core/job-of.ts';
import { buildWorld, until, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { alerts } from './dry-run.ts';
import { started } from './started.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const idOf = (app: string) => `heroku-config-${app}`;
const stuckAfterMs = 400;
const times = { stuckAfterMs };
const sweeps = async (ms: number) => {
  const since = Date.now();
  await until(() => (Date.now() - since > ms ? true : null));
};
const said = (world: World, jobId: string) =>
  alerts(world).filter((text) => text.startsWith('Stuck') && text.includes(jobId));

test('a failed status is stuck at once, and said when it has lasted: once, and again when it is reached again', async () => {
  await using world = await buildWorld(redis.url, { times, apps: [{ name: 'good-app' }] });
  world.heroku.script({
    on: 'POST /oauth/authorizations',
    times: Infinity,
    do: { status: 422, body: { id: 'invalid_params' } },
  });
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'proceed_mint' });
  const view = await world.reaches(jobId, 'mint_failed');
  expect(view).toMatchObject({ stuck: true, stuck_reason: expect.stringContaining('parked in mint_failed') });
  expect(said(world, jobId)).toEqual([]);
  await until(() => said(world, jobId)[0] ?? null);
  await sweeps(3 * stuckAfterMs);
  expect(said(world, jobId)).toHaveLength(1);
  expect(said(world, jobId)[0]).toContain('parked in mint_failed');

  await world.stage(jobId, { action: 'retry' });
  await until(() => said(world, jobId)[1] ?? null);
  world.heroku.clearFaults();
  await world.stage(jobId, { action: 'retry' });
  await world.reaches(jobId, 'validated');
  await sweeps(3 * stuckAfterMs);
  expect(said(world, jobId)).toHaveLength(2);
  expect(await world.job(jobId)).toMatchObject({ stuck: false, waiting_since: expect.any(String) });
});

test('what waits for a person at a gate, or at rows that only a person can judge, is not stuck', async () => {
  const { world, jobId } = await started(redis.url, {
    times,
    apps: [{ name: 'good-app' }, { name: 'mute-app', endpoint: false }],
  });
  await using _ = world;
  await world.reaches(jobId, 'validating');
  await until(async () => ((await world.job(jobId))['waiting_since'] === null ? null : true));
  await sweeps(3 * stuckAfterMs);
  expect(await world.job(jobId)).toMatchObject({ status: 'validating', stuck: false, stuck_reason: null });
  await world.stage(jobId, { action: 'confirm_consumer', consumer_id: idOf('mute-app'), note: 'looked' });
  await world.reaches(jobId, 'validated');
  await sweeps(3 * stuckAfterMs);
  expect((await world.job(jobId))['stuck']).toBe(false);
  expect(alerts(world)).toEqual([]);
});

test('a job whose workers are away is stuck once nothing has moved, and goes on when they are back', async () => {
  await using world = await buildWorld(redis.url, {
    times,
    apps: [{ name: 'good-app' }],
    families: ['stage', 'healthcheck', 'notifier'],
  });
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'proceed_mint' });
  await until(() => said(world, jobId)[0] ?? null);
  expect(said(world, jobId)[0]).toContain('nothing has moved in distributing');
  expect((await world.job(jobId))['stuck']).toBe(true);
  await sweeps(3 * stuckAfterMs);
  expect(said(world, jobId)).toHaveLength(1);
  await world.start('distribute').ready;
  await world.reaches(jobId, 'validated');
  expect((await world.job(jobId))['stuck']).toBe(false);
});

test('an aborted job with a residual is stuck until that is dealt with, and said once', async () => {
  const { world, jobId } = await started(redis.url, { times, apps: [{ name: 'good-app' }] });
  await using _ = world;
  await world.reaches(jobId, 'validated');
  await world.stage(jobId, { action: 'abort' });
  await until(async () => ((await world.job(jobId)).cleanup === 'needs_person' ? true : null));
  expect(await world.job(jobId)).toMatchObject({
    stuck: true,
    stuck_reason: expect.stringContaining('old_token_live'),
  });
  await until(() => said(world, jobId)[0] ?? null);
  // The first try finds the token live, and the job waits once more.
  await world.stage(jobId, { action: 'mark_revoked' });
  await until(async () => ((await world.job(jobId)).cleanup === 'needs_person' ? true : null));
  await sweeps(3 * stuckAfterMs);
  expect(said(world, jobId)).toHaveLength(1);
  await world.stage(jobId, { action: 'restore' });
  await until(async () => ((await world.job(jobId)).cleanup === 'done' ? true : null));
  expect((await world.job(jobId))['stuck']).toBe(false);
});

const MINUTE = 60_000;
const row = newRow(
  {
    consumer_id: 'one',
    update_method: 'HEROKU_CONFIG_PATCH',
    wave: 1,
    healthcheck_endpoint: null,
    healthcheck_success_status: 200,
    healthcheck_after: 0,
  },
  0,
);

test.each([
  ['an automatic status for four minutes', jobOf({ status: 'minting' }), 4, [], false],
  ['an automatic status for five', jobOf({ status: 'minting' }), 5, [], true],
  [
    'one of whose rows moved since',
    jobOf({ status: 'distributing' }),
    9,
    [{ ...row, updated_at: 5 * MINUTE }],
    false,
  ],
  [
    'one of whose rows its vendor paces',
    jobOf({ status: 'distributing' }),
    9,
    [{ ...row, paced_until: 8 * MINUTE }],
    false,
  ],
  ['minting that awaits a value', jobOf({ status: 'minting', awaiting: 'operator_value' }), 600, [], false],
  ['a gate', jobOf({ status: 'validated' }), 6_000, [], false],
  [
    'rows that are all manual_required',
    jobOf({ status: 'validating', phase: 'validate', tally: tallyOf('ok', 'manual') }),
    600,
    [],
    false,
  ],
  ['a failed status, at once', jobOf({ status: 'revoke_failed' }), 0, [], true],
  ['a test that found something', jobOf({ status: 'verify_failed', flowType: 'testing' }), 600, [], false],
  ['what is done', jobOf({ status: 'done' }), 6_000, [], false],
] as const)('%s', (_, job, minutes, rows, stuck) => {
  const still = { ...job, updatedAt: 0, statusSince: 0 };
  expect(stuckOf(still, rows, minutes * MINUTE, 5 * MINUTE) !== null).toBe(stuck);
});
