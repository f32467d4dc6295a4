// Values in pending slots that no record and no list explains: whoever runs on one keeps it, and the vault keeps its last copy.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Redis } from 'ioredis';
import type { JobRef } from '../../shared/rotation/effects.ts';
import { openResiduals } from '../../shared/rotation/residuals.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { slots } from '../../workers/vault/contract.ts';
import { setUpCall } from '../harness.ts';
import { afterTheLoss, homeFromLoss } from '../schedule/loss.ts';
import { saveRedis } from '../schedule/ground.ts';
import { CREDENTIAL, KEY } from '../schedule/outside.ts';
import { toRest, workers } from '../schedule/run.ts';
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

const pending = (world: ScheduleWorld) => world.vault.list(slots.pendingPrefix(CREDENTIAL));
const named = async (world: ScheduleWorld) =>
  openResiduals((await world.job()).residuals).map(({ kind, who }) => `${kind} ${who}`);
const everyAppLives = (world: ScheduleWorld) =>
  world.outside.apps.every((app) => world.outside.heroku.isLive(app.config[KEY] ?? ''));

async function asks(world: ScheduleWorld, body: Parameters<ScheduleWorld['operate']>[0], ref?: JobRef) {
  world.operate(body, 'ada', ref === undefined ? {} : { ref });
  await toRest(world);
}

/** Nothing of before goes on. */
async function lose(world: ScheduleWorld, back: () => Promise<unknown>): Promise<void> {
  await back();
  for (const name of [...workers, 'sweeper']) world.kill(world.process(name));
  for (const entry of world.queue.entries) Object.assign(entry, { state: 'completed' });
  world.redisLostData();
}

test.each(['the end', 'everything'])(
  'an authority of another account lists no token of the job: with %s lost, who runs on it is named all the same',
  async (what) => {
    await using world = await scheduleWorld(redis);
    await walk(world, 'verified');
    const back = what === 'everything' ? () => redis.flushdb() : await saveRedis(redis);
    await walk(world, 'validated');
    const right = world.outside.bootstrap;
    const elsewhere = world.outside.heroku.createAccount();
    world.outside.bootstrap = elsewhere.authorize({ description: 'elsewhere', scope: ['global'] });
    await lose(world, back);
    await afterTheLoss(world, false);
    await toRest(world);
    expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'needs_person', newAuthId: null });
    // Nor does it see their settings.
    expect(await named(world)).toEqual(world.outside.apps.map(({ name }) => `may_hold_dead_token ${name}`));
    expect(await pending(world)).toHaveLength(1);
    expect(everyAppLives(world)).toBe(true);

    world.outside.bootstrap = right;
    for (const name of [...workers, 'sweeper', 'operator ada']) world.kill(world.process(name));
    await asks(world, { action: 'restore' });
    expect(await world.job()).toMatchObject({ cleanup: 'done' });
    expect(await world.vault.list(slots.pendingPrefix(CREDENTIAL))).toEqual([]);
    expect(world.outside.heroku.live().map(({ description }) => description)).not.toContainEqual(
      expect.stringContaining('velvet:'),
    );
    expect(everyAppLives(world)).toBe(true);
  },
);

/** The current token was dead, so no slot names the job; of its record nothing is left. */
async function nameless(world: ScheduleWorld): Promise<void> {
  const gone: JobRef = { ...world.ref, jobId: 'job-2' };
  await world.openJob(gone.jobId, false);
  world.outside.revokeByHand(world.outside.first.id);
  await asks(world, { action: 'verify' }, gone);
  await asks(world, { action: 'proceed_mint', acknowledge_dead: true, confirm: CREDENTIAL }, gone);
  expect((await world.job(gone)).status).toBe('validated');
  await lose(world, () => redis.flushdb());
  await world.openJob(world.ref.jobId, false);
  await afterTheLoss(world, false);
  await asks(world, { action: 'verify' });
}

test('the value of a rotation of which nothing is left is not emptied by the next one that is aborted', async () => {
  await using world = await scheduleWorld(redis);
  await nameless(world);
  await asks(world, { action: 'abort' });
  expect(await named(world)).toEqual(world.outside.apps.map(({ name }) => `stale_consumer ${name}`));
  const [slot = ''] = await pending(world);
  expect((await world.vault.read(slot))?.reveal()).toBe(world.outside.apps[0]?.config[KEY]);

  // Its owner knows of a good value; the one that nobody holds any more is named until its token is ended.
  const good = world.outside.account.authorize({ description: 'made by hand', scope: ['global'] });
  for (const app of world.outside.apps) Object.assign(app.config, { [KEY]: good.token });
  await world.time.moveTo(world.time.now() + 60_000);
  for (const { name: who } of world.outside.apps)
    await asks(world, { action: 'resolve_residual', kind: 'stale_consumer', who });
  expect(await named(world)).toEqual([`orphan_token ${slot}`]);
  const left = world.outside.heroku.live().find(({ description }) => description?.includes('velvet:job-2'));
  world.outside.revokeByHand(left?.id ?? '');
  await asks(world, { action: 'resolve_residual', kind: 'orphan_token', who: slot });
  expect(await world.job()).toMatchObject({ cleanup: 'done' });
  expect(await pending(world)).toEqual([]);
});

test('nor by the next one that mints and comes to its end', async () => {
  await using world = await scheduleWorld(redis);
  await nameless(world);
  const [slot = ''] = await pending(world);
  await asks(world, { action: 'proceed_mint', acknowledge_dead: true, confirm: CREDENTIAL });
  await asks(world, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
  expect((await world.job()).status).toBe('done');
  expect(await pending(world)).toEqual([slot]);
  expect(everyAppLives(world)).toBe(true);
});

test('a token whose value is nowhere may be what a consumer holds that holds nothing known', async () => {
  await using world = await scheduleWorld(redis);
  await walk(world, 'verified');
  const back = await saveRedis(redis);
  await walk(world, 'validated');
  const minted = (await world.job()).newAuthId;
  await lose(world, back);
  for (const slot of await pending(world)) await world.vault.remove(setUpCall(), slot);
  await afterTheLoss(world, false);
  await toRest(world);
  expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'needs_person', newAuthId: minted });
  expect(await named(world)).toEqual(world.outside.apps.map(({ name }) => `stale_consumer ${name}`));
  expect(everyAppLives(world)).toBe(true);
  await homeFromLoss(world);
  expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'done' });
  expect(await violations(world)).toEqual([]);
});

test('of two tokens of the job neither is ended that a consumer holds', async () => {
  await using world = await scheduleWorld(redis);
  await walk(world, 'verified');
  const back = await saveRedis(redis);
  await walk(world, 'validated');
  const other = world.outside.account.authorize({
    description: `velvet:${world.ref.jobId}:1-elsewhere`,
    scope: ['global'],
  });
  await world.vault.write(setUpCall(), slots.pending(CREDENTIAL, '1-elsewhere'), new Secret(other.token));
  const [, worker] = world.outside.apps;
  Object.assign(worker?.config ?? {}, { [KEY]: other.token });
  await lose(world, back);
  await afterTheLoss(world, false);
  await toRest(world);
  expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'needs_person' });
  expect(await named(world)).toEqual(
    expect.arrayContaining(world.outside.apps.map(({ name }) => `stale_consumer ${name}`)),
  );
  expect(everyAppLives(world)).toBe(true);
  expect(await pending(world)).toHaveLength(2);
});
