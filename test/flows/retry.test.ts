// What an operator may ask for again, and what is refused because nothing would come of it.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { tally, type Row } from '../../shared/rotation/rows.ts';
import { buildWorld, CREDENTIAL, ENV, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { started } from './started.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const idOf = (app: string) => `heroku-config-${app}`;

test('a consumer that was skipped by mistake is taken up again by retry', async () => {
  const { world, jobId } = await started(redis.url, {
    apps: [{ name: 'frozen-app', kind: 'never_restarts', answersChallenge: false }],
  });
  await using _ = world;
  await world.reaches(jobId, 'validate_failed');
  const skipped = await world.stage(jobId, {
    action: 'skip_consumer',
    consumer_id: idOf('frozen-app'),
    reason: 'by mistake',
  });
  expect([skipped.status, skipped.body.allowed_actions]).toEqual([202, ['retry', 'abort']]);
  const frozen = world.apps[0];
  if (frozen === undefined) throw new Error('no app');
  frozen.kind = 'normal';
  frozen.restart();
  await world.stage(jobId, { action: 'retry' });
  await world.reaches(jobId, 'validated');
});

test('retrying a later wave alone is refused while an earlier one has a failed row: nothing would ever close it', async () => {
  const { world, jobId } = await started(redis.url, {
    apps: [
      { name: 'first-app', wave: 1 },
      { name: 'second-app', wave: 2 },
    ],
  });
  await using _ = world;
  await world.reaches(jobId, 'validated');
  const parked = await parkedIn(world, 'distribute_partial', {
    'first-app': 'failed',
    'second-app': 'skipped',
  });
  const refused = await world.stage(parked, { action: 'retry', consumer_ids: [idOf('second-app')] });
  expect([refused.status, refused.body.code]).toEqual([409, 'nothing_to_retry']);
  expect(refused.body.detail).toContain('earlier wave');
  const both = { action: 'retry', consumer_ids: [idOf('first-app'), idOf('second-app')] };
  expect((await world.stage(parked, both)).status).toBe(202);
});

/** Puts the world's one job where no API can: parked, with its rows as named. */
async function parkedIn(
  world: World,
  status: string,
  rows: Readonly<Record<string, string>>,
): Promise<string> {
  const [job] = await world.store.list(CREDENTIAL, ENV, 1);
  if (job === undefined) throw new Error('no job');
  const keys = credentialKeys(CREDENTIAL, ENV);
  const all = await world.store.rows(job);
  const after = all.map((row) => ({
    ...row,
    distribute_status: rows[row.pinned.consumer_id.replace(idOf(''), '')] as Row['distribute_status'],
  }));
  for (const row of after) await world.redis.hset(keys.rows(job.jobId), row.consumer_id, JSON.stringify(row));
  const counts = Object.entries(tally(after, 'distribute')).map(([key, count]) => [
    `t_${key}`,
    String(count),
  ]);
  await world.redis.hset(keys.job(job.jobId), { ...Object.fromEntries(counts), status, phase: 'distribute' });
  return job.jobId;
}

test('a row that was skipped or confirmed by mistake can be named at the gate, and is asked itself', async () => {
  const { world, jobId } = await started(redis.url, {
    apps: [{ name: 'good-app' }, { name: 'frozen-app', kind: 'never_restarts', answersChallenge: false }],
  });
  await using _ = world;
  await world.reaches(jobId, 'validate_partial');
  await world.stage(jobId, {
    action: 'skip_consumer',
    consumer_id: idOf('frozen-app'),
    reason: 'by mistake',
  });
  await world.reaches(jobId, 'validated');
  expect((await world.stage(jobId, { action: 'retry', consumer_ids: [idOf('frozen-app')] })).status).toBe(
    202,
  );
  const parked = await world.reaches(jobId, 'validate_partial');
  expect(parked.consumers.find((row) => row['consumer_id'] === idOf('frozen-app'))).toMatchObject({
    validate_status: 'failed',
  });
});

test('rows that are named where a retry is about the whole job are refused, not ignored', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await world.create();
  world.heroku.script({
    on: 'GET /oauth/authorizations',
    times: 1,
    do: { status: 403, body: { id: 'forbidden' } },
  });
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verify_failed');
  const refused = await world.stage(jobId, { action: 'retry', consumer_ids: ['nonsense'] });
  expect([refused.status, refused.body.code]).toEqual([400, 'invalid_request']);
  expect(refused.body.detail).toContain('consumer_ids');
});
