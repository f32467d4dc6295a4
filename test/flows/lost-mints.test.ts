// A mint whose record Redis lost while consumers already run on it: where nothing has to be guessed the job goes on with it, else it is stopped.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Redis } from 'ioredis';
import { credentialKeys } from '../../shared/redis/keys.ts';
import type { JobRef } from '../../shared/rotation/effects.ts';
import { publicJob } from '../../shared/rotation/view.ts';
import { slots } from '../../workers/vault/contract.ts';
import { afterTheLoss, homeFromLoss } from '../schedule/loss.ts';
import { saveRedis } from '../schedule/ground.ts';
import { CREDENTIAL, ENV, KEY } from '../schedule/outside.ts';
import { toRest, type Director } from '../schedule/run.ts';
import { violations } from '../schedule/violations.ts';
import { walk } from '../schedule/walk.ts';
import { scheduleWorld, type ScheduleWorld } from '../schedule/world.ts';
import { scheduleRedis } from './schedule-redis.ts';

let server: Awaited<ReturnType<typeof scheduleRedis>>;
let redis: Redis;
beforeAll(async () => {
  server = await scheduleRedis();
  redis = server.redis;
});
afterAll(() => server[Symbol.asyncDispose]());

/** All that is done meanwhile is lost: the record stands where it stood, the world does not. */
async function lostWhile(world: ScheduleWorld, does: () => Promise<unknown>): Promise<void> {
  const back = await saveRedis(redis);
  await does();
  await back();
  await afterTheLoss(world, false);
  await toRest(world);
}

const eventsOf = async (world: ScheduleWorld) => {
  const entries = await redis.xrange(credentialKeys(CREDENTIAL, ENV).events, '-', '+');
  return entries
    .map(([, fields]) => JSON.parse(fields[1] ?? '{}') as { event: string; job_id: string; detail: unknown })
    .filter((one) => one.job_id === world.ref.jobId);
};

test.each(['init', 'verified'] as const)(
  'from %s it goes on to the next gate, and the revoke is asked for there',
  async (from) => {
    await using world = await scheduleWorld(redis);
    await walk(world, from);
    await lostWhile(world, () => walk(world, 'validated'));
    const job = await world.job();
    expect([job.status, job.currentState, job.oldAuthId]).toEqual([
      'validated',
      'alive',
      world.outside.first.id,
    ]);
    expect(world.outside.heroku.isLive(world.outside.first.token)).toBe(true);
    const found = (await eventsOf(world)).filter(({ event }) => event === 'mint_found');
    expect(found).toMatchObject([
      { detail: { new_auth_id: job.newAuthId, old_auth_id: job.oldAuthId, promoted: false } },
    ]);
    expect(await violations(world)).toEqual([]);
    await walk(world, 'done');
    expect((await world.job()).status).toBe('done');
    expect(await violations(world)).toEqual([]);
  },
);

test('where the current token was dead there is still nothing to go back to, and nothing is asked to be revoked', async () => {
  await using world = await scheduleWorld(redis);
  world.outside.revokeByHand(world.outside.first.id);
  await walk(world, 'init');
  await lostWhile(world, async () => {
    world.operate({ action: 'verify' });
    await toRest(world);
    world.operate({ action: 'proceed_mint', acknowledge_dead: true, confirm: CREDENTIAL });
    await toRest(world);
    expect((await world.job()).status).toBe('validated');
  });
  expect(await world.job()).toMatchObject({ status: 'validated', currentState: 'dead' });
  await walk(world, 'done');
  expect((await world.job()).status).toBe('done');
  expect(await violations(world)).toEqual([]);
});

test('one that was promoted and revoked for goes to its end, also where its slots are empty already', async () => {
  await using world = await scheduleWorld(redis);
  await walk(world, 'verified');
  await lostWhile(world, () => walk(world, 'done'));
  expect(await world.job()).toMatchObject({ status: 'validated', promoting: true });
  await walk(world, 'done');
  expect((await world.job()).status).toBe('done');
  expect(await violations(world)).toEqual([]);
});

test('it is stopped where another person must let the old token go, and nobody knows who let the new one be minted', async () => {
  await using world = await scheduleWorld(redis);
  await redis.hset(credentialKeys(CREDENTIAL, ENV).job(world.ref.jobId), 'two_person', '1');
  await walk(world, 'verified');
  await lostWhile(world, () => walk(world, 'validated'));
  expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'needs_person' });
  await homeFromLoss(world);
  expect(await violations(world)).toEqual([]);
});

test('it is stopped where the vendor shows more than one token of the job', async () => {
  await using world = await scheduleWorld(redis);
  await walk(world, 'verified');
  await lostWhile(world, async () => {
    await walk(world, 'validated');
    world.outside.account.authorize({
      description: `velvet:${world.ref.jobId}:1-elsewhere`,
      scope: ['global'],
    });
  });
  expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'needs_person' });
  await homeFromLoss(world);
  expect(await violations(world)).toEqual([]);
});

/** A second rotation holds the credential in the record. In what was lost it had ended, and the first one had minted. */
async function behindAnother(world: ScheduleWorld): Promise<JobRef> {
  const other: JobRef = { ...world.ref, jobId: 'job-2' };
  await world.openJob(other.jobId, false);
  world.operate({ action: 'verify' }, 'ada', { ref: other });
  await toRest(world);
  await lostWhile(world, async () => {
    world.operate({ action: 'abort' }, 'ada', { ref: other });
    await toRest(world);
    await walk(world, 'validated');
    expect((await world.job()).status).toBe('validated');
  });
  return other;
}

test('behind another rotation it waits until that one is done, and is then taken back', async () => {
  await using world = await scheduleWorld(redis);
  const other = await behindAnother(world);
  const stopped = await world.job();
  expect([stopped.status, stopped.cleanup, stopped.error?.code]).toEqual(['aborted', 'waiting', 'data_lost']);
  expect(publicJob(stopped)['cleanup']).toBe('pending');
  expect((await world.job(other)).status).toBe('verified');
  for (const body of [
    { action: 'proceed_mint' },
    { action: 'proceed_revoke', ticket_id: 'ROT-1' },
  ] as const) {
    const kept = await world.vault.list(slots.pending(CREDENTIAL, stopped.mintedFence ?? 'none'));
    expect(kept).toHaveLength(1);
    world.operate(body, 'ada', { ref: other });
    await toRest(world);
  }
  expect((await world.job(other)).status).toBe('done');
  expect(await world.job()).toMatchObject({
    status: 'aborted',
    cleanup: 'done',
    newAuthId: stopped.newAuthId,
  });
  const live = world.outside.heroku.live().map(({ id }) => id);
  expect(live).toEqual([world.outside.bootstrap.id, (await world.job(other)).newAuthId]);
  expect(await world.vault.list(CREDENTIAL)).toEqual([slots.current(CREDENTIAL), slots.handle(CREDENTIAL)]);
  expect(await world.store.claimant(world.ref)).toBeNull();
});

test('behind another rotation that is aborted its value is kept, for consumers run on it', async () => {
  await using world = await scheduleWorld(redis);
  const other = await behindAnother(world);
  world.operate({ action: 'abort' }, 'ada', { ref: other });
  await toRest(world);
  expect(await world.job(other)).toMatchObject({ status: 'aborted', cleanup: 'done' });
  expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'needs_person' });
  expect(await violations(world)).toEqual([]);
  await homeFromLoss(world);
  expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'done' });
  expect(await violations(world)).toEqual([]);
});

test('a second loss while it waits changes nothing of that', async () => {
  await using world = await scheduleWorld(redis);
  await behindAnother(world);
  await lostWhile(world, () => Promise.resolve());
  expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'waiting' });
});

test.each([{ action: 'abort' }, { action: 'proceed_mint' }] as const)(
  'a write that lands after the look is seen before anything is revoked ($action)',
  async (body) => {
    await using world = await scheduleWorld(redis);
    await walk(world, 'verified');
    const back = await saveRedis(redis);
    let struck = false;
    let diedInUse = false;
    const director: Director = {
      async turn({ effect }) {
        const app = world.outside.apps.find((one) => effect.name.includes(one.name));
        if (struck || !effect.name.startsWith('PATCH') || app === undefined) return false;
        struck = true;
        await back();
        await afterTheLoss(world, true);
        return true;
      },
      before() {
        const { heroku, apps } = world.outside;
        diedInUse ||= apps.some((app) => !heroku.isLive(app.config[KEY] ?? ''));
        return Promise.resolve(false);
      },
    };
    world.operate({ action: 'proceed_mint' });
    await toRest(world, director);
    expect(struck).toBe(true);
    world.operate(body);
    await toRest(world, director);
    await homeFromLoss(world);
    expect(diedInUse).toBe(false);
    expect(await violations(world)).toEqual([]);
  },
);
