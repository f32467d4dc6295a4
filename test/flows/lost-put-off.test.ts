// A stopped job that had to wait for the credential: another rotation ends in between, and what is the current value then is not its to replace.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Redis } from 'ioredis';
import { createClaims } from '../../shared/redis/claim.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { operatorActions } from '../../shared/rotation/machine.ts';
import type { JobRef } from '../../shared/rotation/effects.ts';
import { openResiduals } from '../../shared/rotation/residuals.ts';
import { slots } from '../../workers/vault/contract.ts';
import { afterTheLoss } from '../schedule/loss.ts';
import { saveRedis } from '../schedule/ground.ts';
import { CREDENTIAL, ENV, KEY } from '../schedule/outside.ts';
import { toRest } from '../schedule/run.ts';
import { scheduleWorld, type ScheduleWorld } from '../schedule/world.ts';
import { scheduleRedis } from './schedule-redis.ts';

let server: Awaited<ReturnType<typeof scheduleRedis>>;
let redis: Redis;
beforeAll(async () => {
  server = await scheduleRedis();
  redis = server.redis;
});
afterAll(() => server[Symbol.asyncDispose]());

const otherOf = (world: ScheduleWorld): JobRef => ({ ...world.ref, jobId: 'job-2' });
const current = async (world: ScheduleWorld) =>
  (await world.vault.read(slots.current(CREDENTIAL)))?.reveal() ?? '';

async function asks(world: ScheduleWorld, body: Parameters<ScheduleWorld['operate']>[0], ref?: JobRef) {
  world.operate(body, 'ada', ref === undefined ? {} : { ref });
  await toRest(world);
}

const minting = (dead: boolean) =>
  dead
    ? ({ action: 'proceed_mint', acknowledge_dead: true, confirm: CREDENTIAL } as const)
    : ({ action: 'proceed_mint' } as const);

/** In the record the other rotation verified and holds the credential; in what is lost it was stopped, and the first one minted. */
async function putOff(world: ScheduleWorld, dead: boolean): Promise<JobRef> {
  const other = otherOf(world);
  if (dead) world.outside.revokeByHand(world.outside.first.id);
  await world.openJob(other.jobId, false);
  await asks(world, { action: 'verify' }, other);
  const back = await saveRedis(redis);
  await asks(world, { action: 'abort' }, other);
  await asks(world, { action: 'verify' });
  await asks(world, minting(dead));
  expect((await world.job()).status).toBe('validated');
  await back();
  await afterTheLoss(world, false);
  await toRest(world);
  expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'waiting' });
  return other;
}

test.each([true, false])(
  'whoever is on its value is named, and the current value stays (old dead: %s)',
  async (dead) => {
    await using world = await scheduleWorld(redis);
    const other = await putOff(world, dead);
    const [console, worker] = world.outside.apps;
    const passed = worker?.config[KEY] ?? '';
    await asks(world, minting(dead), other);
    // Its owner rolls the app back right after its last proof.
    const sweeper = world.process('sweeper');
    world.sleep(sweeper);
    await asks(world, { action: 'proceed_revoke', ticket_id: 'ROT-1' }, other);
    expect((await world.job(other)).status).toBe('done');
    Object.assign(worker?.config ?? {}, { [KEY]: passed });
    world.wake(sweeper);
    world.sweep();
    await toRest(world);

    const named = await world.job();
    expect(named).toMatchObject({ cleanup: 'needs_person', superseded: true, promoted: false });
    expect(openResiduals(named.residuals).map(({ kind, who }) => [kind, who])).toEqual([
      ['stale_consumer', worker?.name],
    ]);
    expect(openResiduals(named.residuals)[0]?.what_to_do).toContain(
      world.vault.ref(slots.current(CREDENTIAL)),
    );
    expect(operatorActions(named)).toEqual(['resolve_residual']);
    expect(await current(world)).toBe(console?.config[KEY]);
    expect(world.outside.heroku.isLive(passed)).toBe(true);
    expect(await world.vault.list(slots.pending(CREDENTIAL, named.mintedFence ?? ''))).toHaveLength(1);

    const resolving = {
      action: 'resolve_residual',
      kind: 'stale_consumer',
      who: worker?.name ?? '',
    } as const;
    await asks(world, resolving);
    expect(world.answers.at(-1)).toMatchObject({
      code: 'still_on_new',
      detail: expect.stringContaining(
        `Write the current one there (${world.vault.ref(slots.current(CREDENTIAL))}`,
      ),
    });
    Object.assign(worker?.config ?? {}, { [KEY]: await current(world) });
    await toRest(world);
    await world.time.moveTo(world.time.now() + 60_000);
    await asks(world, resolving);
    expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'done' });
    expect(world.outside.heroku.isLive(passed)).toBe(false);
    expect(world.outside.heroku.isLive(await current(world))).toBe(true);
    expect(await world.vault.list(CREDENTIAL)).toEqual([slots.current(CREDENTIAL), slots.handle(CREDENTIAL)]);
    expect(await world.store.claimant(world.ref)).toBeNull();
  },
);

test.each(['done', 'promoted'])(
  'nothing is minted over the value of one that was %s in what was lost',
  async (how) => {
    await using world = await scheduleWorld(redis);
    world.outside.revokeByHand(world.outside.first.id);
    const other = otherOf(world);
    await world.openJob(other.jobId, false);
    await asks(world, { action: 'verify' }, other);
    const back = await saveRedis(redis);
    await asks(world, { action: 'abort' }, other);
    await asks(world, { action: 'verify' });
    await asks(world, minting(true));
    let struck = how === 'done';
    world.operate({ action: 'proceed_revoke', ticket_id: 'ROT-1' });
    await toRest(world, {
      async turn({ effect }) {
        if (struck || effect.door !== 'vault' || !effect.name.includes('remove')) return false;
        struck = true;
        await back();
        await afterTheLoss(world, false);
        return true;
      },
    });
    expect(struck).toBe(true);
    if (how === 'done') {
      await back();
      await afterTheLoss(world, false);
      await toRest(world);
    }
    const inUse = await current(world);
    await asks(world, minting(true), other);
    expect(await world.job(other)).toMatchObject({
      status: 'mint_failed',
      error: { code: 'invariant_broken' },
    });
    await asks(world, { action: 'abort' }, other);
    expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'done', promoted: true });
    expect(await current(world)).toBe(inUse);
    expect(world.outside.apps.map((app) => app.config[KEY])).toEqual([inUse, inUse]);
    expect(world.outside.heroku.isLive(inUse)).toBe(true);
    expect(await world.store.claimant(world.ref)).toBeNull();
  },
);

test('behind an adoption that died it says what to do, and goes on once that was done', async () => {
  await using world = await scheduleWorld(redis);
  await putOff(world, false);
  const claims = createClaims(redis, world.time, world.times.leaseMs);
  // Begun between the end of the other one and the sweeper's next round.
  await redis.set(credentialKeys(CREDENTIAL, ENV).claim, 'adopt.dead');
  world.redisLostData();
  await world.time.moveTo(world.time.now() + 2 * world.times.leaseMs);
  world.sweep();
  await toRest(world);
  const told = await world.job();
  expect(told).toMatchObject({ cleanup: 'waiting', error: { code: 'data_lost' } });
  expect(told.error?.detail).toContain(`npx velvet adopt ${CREDENTIAL}`);
  await world.time.moveTo(world.time.now() + 2 * world.times.leaseMs);
  world.sweep();
  await toRest(world);
  expect((await world.job()).version).toBe(told.version);

  await claims.beginAdoption(CREDENTIAL, ENV, 'adopt.again');
  await claims.endAdoption({ credential: CREDENTIAL, env: ENV }, 'adopt.again', null, []);
  world.redisLostData();
  world.sweep();
  await toRest(world);
  expect(await world.job()).toMatchObject({ cleanup: 'needs_person' });
});
