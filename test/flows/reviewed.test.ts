// Sequences that a hostile reader found: each would have cut consumers off, or kept a credential for ever.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemKeys, credentialKeys } from '../../shared/redis/keys.ts';
import { buildWorld, CREDENTIAL, ENV, until, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const KEY = 'HEROKU_API_KEY';
const apps = [{ name: 'a-prod' }, { name: 'b-prod' }] as const;
const idOf = (app: string) => `heroku-config-${app}`;
const held = (world: World, index: number) => String(world.apps[index]?.env()[KEY]);

async function toMinting(world: World): Promise<string> {
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'proceed_mint' });
  return jobId;
}

const cleaned = (world: World, jobId: string, cleanup: string) =>
  until(async () => {
    const job = await world.job(jobId);
    return job.cleanup === cleanup ? job : null;
  });

test('a consumer that was written by hand and confirmed counts as holding the new value: an abort leaves it its token', async () => {
  await using world = await buildWorld(redis.url, { apps });
  world.heroku.script({
    on: 'PATCH /apps/:app/config-vars',
    times: Infinity,
    do: { status: 403, body: { id: 'forbidden' } },
  });
  const jobId = await toMinting(world);
  const parked = await world.reaches(jobId, 'distribute_failed');
  world.heroku.clearFaults();
  const minted = world.account.authorizations().find((one) => one.id === parked.new_auth_id)?.token ?? '';
  world.apps[1]?.patchConfig({ [KEY]: minted });
  await until(() => (held(world, 1) === minted ? true : null));
  await world.stage(jobId, { action: 'confirm_consumer', consumer_id: idOf('b-prod'), note: 'by hand' });
  await world.stage(jobId, { action: 'abort' });
  const job = await cleaned(world, jobId, 'needs_person');
  expect(job['residual']).toMatchObject([{ kind: 'stale_consumer', who: idOf('b-prod') }]);
  expect(world.heroku.isLive(minted)).toBe(true);
  await world.stage(jobId, { action: 'restore' });
  await cleaned(world, jobId, 'done');
  expect(held(world, 1)).toBe(world.firstToken);
});

test('an abort that restores to a token that has died names who is where, and mark_revoked goes forward', async () => {
  await using world = await buildWorld(redis.url, { apps });
  const jobId = await world.toValidated();
  world.account.revoke(String((await world.job(jobId)).old_auth_id));
  await world.stage(jobId, { action: 'abort', restore: true });
  const job = await cleaned(world, jobId, 'needs_person');
  expect(job.error?.code).toBe('current_token_invalid');
  expect(job['stuck']).toBe(true);
  expect(job.allowed_actions).toContain('mark_revoked');
  await world.stage(jobId, { action: 'mark_revoked' });
  await cleaned(world, jobId, 'done');
  expect((await world.vault.read(CREDENTIAL))?.reveal()).toBe(held(world, 0));
  expect(world.heroku.isLive(held(world, 0))).toBe(true);
});

test('processes that still run on the new value keep it, whatever their place holds now', async () => {
  await using world = await buildWorld(redis.url, { apps, times: { settleForMs: 300 } });
  world.heroku.script({
    on: 'PATCH /apps/:app/config-vars',
    where: (request) => request.path.includes('/b-prod/'),
    times: Infinity,
    do: { status: 403, body: { id: 'forbidden' } },
  });
  const jobId = await toMinting(world);
  await world.reaches(jobId, 'distribute_partial');
  world.heroku.clearFaults();
  const minted = held(world, 0);
  const app = world.apps[0];
  if (app === undefined) throw new Error('no app');
  app.kind = 'never_restarts';
  app.patchConfig({ [KEY]: 'HRKU-somebody-elses' });
  await world.stage(jobId, { action: 'abort' });
  const job = await cleaned(world, jobId, 'needs_person');
  expect(job['residual']).toMatchObject([{ kind: 'stale_consumer', who: idOf('a-prod') }]);
  expect(held(world, 0)).toBe(minted);
  expect(world.heroku.isLive(minted)).toBe(true);
});

test('a Redis that restarted under open rows is looked at without a task that could: the rotation goes on', async () => {
  await using world = await buildWorld(redis.url, {
    apps: [{ name: 'a-prod' }, { name: 'slow', kind: 'never_restarts' }],
  });
  const jobId = await toMinting(world);
  await world.reaches(jobId, 'validating');
  await until(async () =>
    (await world.job(jobId)).consumers.some((row) => row['validate_status'] === 'succeeded') ? true : null,
  );
  // As if another server had taken over: what was last reconciled was somebody else's record.
  const keys = credentialKeys(CREDENTIAL, ENV);
  await world.redis.set(keys.server, 'another');
  for (const family of ['distribute', 'healthcheck', 'stage'] as const) {
    await world.stop(family);
    await world.start(family).ready;
  }
  await until(async () => ((await world.redis.get(keys.server)) === 'another' ? null : true));
  await world.reaches(jobId, 'validate_partial', 20_000);
  expect(await world.redis.exists(systemKeys.credentials)).toBe(1);
});
