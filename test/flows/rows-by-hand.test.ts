// A place without an API: its row waits for a person, in the write and in the proof, and nobody claims to have looked there.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CREDENTIAL, buildWorld, until, type JobView, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { byHandRow, cleanedUp, INSTRUCTIONS, PLACE, rowOf, waitsForAPerson } from './by-hand-world.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const more = { subscribers: [byHandRow] };
const app = { name: 'raxx-console-prod' };
const confirm = { action: 'confirm_consumer', consumer_id: PLACE, note: 'pasted it there' };
const skip = { action: 'skip_consumer', consumer_id: PLACE, reason: 'the place is empty' };

/** The credential is one that Velvet mints: what a person writes does not hang on who made it. */
async function toDistributing(
  apps = [app],
  arrange: (world: World) => void = () => undefined,
): Promise<{ readonly world: World; readonly jobId: string }> {
  const world = await buildWorld(redis.url, { apps, more });
  arrange(world);
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'proceed_mint' });
  await waitsForAPerson(world, jobId, 'distributing');
  return { world, jobId };
}

const left = (job: JobView) =>
  (
    job['residual'] as readonly {
      kind: string;
      who: string;
      resolved_at: string | null;
      what_to_do: string;
    }[]
  ).filter(({ resolved_at }) => resolved_at === null);
const liveIds = (world: World) => world.heroku.live().map(({ id }) => id);

test('opens as manual_required with what to write where, and waits for confirm_consumer or skip_consumer', async () => {
  const { world, jobId } = await toDistributing();
  await using _ = world;
  const job = await world.job(jobId);
  expect(job.allowed_actions).toEqual(['confirm_consumer', 'skip_consumer', 'abort']);
  expect(job['stuck']).toBe(false);
  expect(rowOf(job, PLACE)).toMatchObject({
    update_method: 'OPERATOR_MANUAL',
    distribute_status: 'manual_required',
    instructions: INSTRUCTIONS,
    holds: 'unknown',
    attempts: 0,
  });
  const noteless = await world.stage(jobId, { action: 'confirm_consumer', consumer_id: PLACE });
  expect([noteless.status, noteless.body.code]).toEqual([400, 'invalid_request']);

  await world.stage(jobId, confirm);
  const proving = await waitsForAPerson(world, jobId, 'validating');
  expect(rowOf(proving, PLACE)).toMatchObject({ distribute_status: 'succeeded', holds: 'new' });
  await world.stage(jobId, confirm);
  await world.reaches(jobId, 'validated');
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
  await world.reaches(jobId, 'done');
});

test('its wave holds back the next one until a person has written', async () => {
  const { world, jobId } = await toDistributing([{ ...app, wave: 2 } as typeof app]);
  await using _ = world;
  expect(world.apps[0]?.config['HEROKU_API_KEY']).toBe(world.firstToken);
  await world.stage(jobId, confirm);
  await waitsForAPerson(world, jobId, 'validating');
  expect(world.apps[0]?.config['HEROKU_API_KEY']).not.toBe(world.firstToken);
});

/** Its neighbour cannot be written, once. */
function besideAFailedOne() {
  const gone = { status: 404, body: { id: 'not_found', message: 'no such app' } };
  return toDistributing(
    [app],
    (world) => void world.heroku.script({ on: 'PATCH /apps/:app/config-vars', do: gone }),
  );
}

test('skipped, it stays out of the proof and of the revoke', async () => {
  const { world, jobId } = await toDistributing();
  await using _ = world;
  await world.stage(jobId, skip);
  const gate = await world.reaches(jobId, 'validated');
  expect(rowOf(gate, PLACE)).toMatchObject({ distribute_status: 'skipped', validate_status: 'skipped' });
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
  await world.reaches(jobId, 'done');
});

test('a failed row beside it is retried alone, and what a person confirmed stands', async () => {
  const { world, jobId } = await besideAFailedOne();
  await using _ = world;
  await world.stage(jobId, confirm);
  await world.reaches(jobId, 'distribute_partial');
  await world.stage(jobId, { action: 'retry' });
  const proving = await waitsForAPerson(world, jobId, 'validating');
  expect(rowOf(proving, PLACE)).toMatchObject({ distribute_status: 'succeeded', holds: 'new' });
});

test('skipped by mistake, it waits for a person again after a retry that names it', async () => {
  const { world, jobId } = await besideAFailedOne();
  await using _ = world;
  await world.stage(jobId, skip);
  const parked = await world.reaches(jobId, ['distribute_partial', 'distribute_failed']);
  await world.stage(jobId, {
    action: 'retry',
    consumer_ids: parked.consumers.map((row) => row['consumer_id']),
  });
  const again = await waitsForAPerson(world, jobId, 'distributing');
  expect(rowOf(again, PLACE)).toMatchObject({ distribute_status: 'manual_required', note: null });
  await world.stage(jobId, confirm);
  await waitsForAPerson(world, jobId, 'validating');
});

test('an abort names it although nobody confirmed it: a person may have written; a restore does not reach it', async () => {
  const { world, jobId } = await toDistributing();
  await using _ = world;
  await world.stage(jobId, { action: 'abort' });
  const stopped = await cleanedUp(world, jobId, 'needs_person');
  const own = left(stopped).find(({ who }) => who === PLACE);
  expect(own).toMatchObject({ kind: 'may_hold_dead_token' });
  expect(own?.what_to_do).toContain('a person writes there');

  // Whoever is on the new value by Velvet's own hand goes back by it; this one does not.
  await world.stage(jobId, { action: 'restore' });
  const restored = await until(async () => {
    const job = await world.job(jobId);
    return job.cleanup === 'needs_person' && left(job).length === 1 && left(job)[0]?.kind === 'stale_consumer'
      ? job
      : null;
  });
  const one = left(restored)[0];
  expect(one?.who).toBe(PLACE);
  for (const part of ['Velvet cannot write there', `${CREDENTIAL}__PREVIOUS_${jobId}`, INSTRUCTIONS])
    expect(one?.what_to_do).toContain(part);
  expect(world.apps[0]?.config['HEROKU_API_KEY']).toBe(world.firstToken);
  expect(liveIds(world)).toContain(restored.new_auth_id);

  await world.stage(jobId, {
    action: 'resolve_residual',
    kind: 'stale_consumer',
    who: PLACE,
    note: 'put back',
  });
  const over = await cleanedUp(world, jobId, 'done');
  expect(liveIds(world)).not.toContain(over.new_auth_id);
  expect(await world.vault.list(`${CREDENTIAL}__`)).toEqual([]);
});

test('abort with restore names it at once', async () => {
  const { world, jobId } = await toDistributing();
  await using _ = world;
  await world.stage(jobId, confirm);
  await waitsForAPerson(world, jobId, 'validating');
  await world.stage(jobId, { action: 'abort', restore: true });
  const stopped = await cleanedUp(world, jobId, 'needs_person');
  expect(left(stopped).map(({ kind, who }) => [kind, who])).toEqual([['stale_consumer', PLACE]]);
});
