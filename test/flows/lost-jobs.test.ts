// A job that Redis knows nothing of any more, its creation included: the vault names it, and a stage worker brings it back to be taken back.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLog } from '../../shared/lib/log.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { credentialKeys, systemKeys } from '../../shared/redis/keys.ts';
import { workerFamilies } from '../../shared/redis/system-store.ts';
import { bringBack, type BringBackDeps } from '../../workers/stages/bring-back.ts';
import { slots } from '../../workers/vault/contract.ts';
import { buildWorld, CREDENTIAL, ENV, setUpCall, until, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const ref = { credential: CREDENTIAL, env: ENV };

async function restarted(world: World, meanwhile: () => Promise<void>): Promise<void> {
  for (const family of workerFamilies) await world.stop(family);
  await meanwhile();
  await Promise.all(workerFamilies.map((family) => world.start(family).ready));
}

/** Not even that the credential ever had a job is left. */
async function loseAll({ redis: connection }: World): Promise<void> {
  const own = await connection.keys(`velvet:{${CREDENTIAL}.${ENV}}:*`);
  await connection.del(...own);
  await connection.srem(systemKeys.credentials, `${CREDENTIAL} ${ENV}`);
}

const broughtBack = (world: World) => world.log.filter((line) => line.includes('is brought back'));

test('a job of which nothing is left comes back under its id, stopped, and is taken back', async () => {
  await using world = await buildWorld(redis.url, { times: { leaseMs: 1_000, lateMs: 300 } });
  const jobId = await world.toValidated();
  const minted = String((await world.job(jobId)).new_auth_id);
  await restarted(world, () => loseAll(world));
  const parked = await until(async () => {
    const job = await world.store.load({ ...ref, jobId });
    return job?.cleanup === 'needs_person' ? job : null;
  }, 15_000);
  expect(parked).toMatchObject({ status: 'aborted', newAuthId: minted, createdBy: 'system' });
  const events = await world.feed.read(CREDENTIAL, ENV, 0, 100);
  const own = events.filter((event) => event.job_id === jobId && event.consumer_id === undefined);
  expect(own.slice(0, 2).map(({ event }) => event)).toEqual(['created', 'loss_found']);
  expect(own[0]?.detail['reason']).toContain('data_lost');
  expect(await world.redis.get(credentialKeys(CREDENTIAL, ENV).claim)).toBe(jobId);

  await world.stage(jobId, { action: 'restore' });
  await until(async () => ((await world.job(jobId)).cleanup === 'done' ? true : null), 15_000);
  expect(world.apps.map((app) => app.env()['HEROKU_API_KEY'])).toEqual(
    world.apps.map(() => world.firstToken),
  );
  expect(world.heroku.live().map(({ id }) => id)).not.toContain(minted);
  expect(await world.vault.list(`${CREDENTIAL}__P`)).toEqual([]);
  expect(broughtBack(world)).toHaveLength(1);
});

test('what is open or ended is known, whatever lies in the vault', async () => {
  await using world = await buildWorld(redis.url);
  const log = createLog({ env: ENV, family: 'stage', write: (line) => world.log.push(line) });
  const looksAgain = () => bringBack({ ...world, ...world.deps } as unknown as BringBackDeps, ref, { log });
  const jobId = await world.toValidated();
  const kept = slots.previous(CREDENTIAL, jobId);
  expect(await world.vault.list(kept)).toEqual([kept]);
  expect(await looksAgain()).toEqual([]);
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-2026-HK' });
  await world.reaches(jobId, 'done');
  // As if its last step had died before it emptied it.
  await world.vault.write(setUpCall(), kept, new Secret(world.firstToken));
  expect(await looksAgain()).toEqual([]);
  expect(broughtBack(world)).toEqual([]);
});

test('one that the manifest no longer knows is named, with what to do', async () => {
  const lines: string[] = [];
  const gone = 'c0ffee00-3c52-4b0a-9e57-0a6c5d1e2f31';
  const deps = {
    vault: {
      list: () => Promise.resolve([slots.previous(CREDENTIAL, gone)]),
      ref: (slot: string) => `file:/velvet/${ENV}/${slot}`,
    },
    store: { load: () => Promise.resolve(null) },
    manifest: { version: 2, credentials: [], subscribers: [] },
    clock: { now: () => 0 },
  } as unknown as BringBackDeps;
  const log = createLog({ env: ENV, family: 'stage', write: (line) => lines.push(line) });
  expect(await bringBack(deps, ref, { log })).toEqual([]);
  expect(lines.join()).toMatch(new RegExp(`cannot be brought back.*job_id=${gone}.*velvet:${gone}:`));
});

test('what is no job of this product is left alone, and holds up nothing', async () => {
  await using world = await buildWorld(redis.url);
  const lines: string[] = [];
  const log = createLog({ env: ENV, family: 'stage', write: (line) => lines.push(line) });
  const slot = slots.previous(CREDENTIAL, 'by-hand');
  await world.vault.write(setUpCall(), slot, new Secret(world.firstToken));
  const deps = { ...world, ...world.deps } as unknown as BringBackDeps;
  expect(await bringBack(deps, ref, { log })).toEqual([]);
  expect(lines.join()).toContain(slot);
  expect(await world.store.list(CREDENTIAL, ENV, 10)).toEqual([]);
});

test('a lost job whose credential left the manifest is named by the look that every stage worker takes', async () => {
  await using world = await buildWorld(redis.url);
  const gone = 'c0ffee00-3c52-4b0a-9e57-0a6c5d1e2f31';
  await restarted(world, () =>
    world.vault.write(setUpCall(), slots.previous('PM_SERVER_MAIL', gone), new Secret(world.firstToken)),
  );
  const named = await until(async () => {
    return world.log.find((line) => line.includes('cannot be brought back') && line.includes(gone)) ?? null;
  });
  expect(named).toContain('PM_SERVER_MAIL');
});
