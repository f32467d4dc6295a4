// The two-person gate after a loss: that nobody knows who let a token be minted is not that another person did.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Redis } from 'ioredis';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { afterTheLoss } from '../schedule/loss.ts';
import { saveRedis } from '../schedule/ground.ts';
import { CREDENTIAL, ENV } from '../schedule/outside.ts';
import { toRest } from '../schedule/run.ts';
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

async function twoPersonWorld(): Promise<ScheduleWorld> {
  const world = await scheduleWorld(redis);
  await redis.hset(credentialKeys(CREDENTIAL, ENV).job(world.ref.jobId), 'two_person', '1');
  world.redisLostData();
  return world;
}

async function asks(world: ScheduleWorld, body: Parameters<ScheduleWorld['operate']>[0], who = 'ada') {
  world.operate(body, who);
  await toRest(world);
}

async function lostWhile(world: ScheduleWorld, does: () => Promise<unknown>): Promise<void> {
  const back = await saveRedis(redis);
  await does();
  await back();
  await afterTheLoss(world, false);
  await toRest(world);
}

const mintsOverDead = { action: 'proceed_mint', acknowledge_dead: true, confirm: CREDENTIAL } as const;

test('a mint that two losses hid is not gone on with', async () => {
  await using world = await twoPersonWorld();
  await walk(world, 'verified');
  const back = await saveRedis(redis);
  let struck = false;
  world.operate({ action: 'proceed_mint' }, 'ada');
  await toRest(world, {
    async turn({ effect }) {
      if (struck || !effect.name.startsWith('PATCH')) return false;
      struck = true;
      await back();
      await afterTheLoss(world, false);
      return true;
    },
  });
  expect(await world.job()).toMatchObject({ status: 'verified', mintedBy: null, mintBegun: true });
  await lostWhile(world, () => asks(world, { action: 'proceed_mint' }));
  expect(await world.job()).toMatchObject({ status: 'aborted', mintedBy: null });
  expect(world.outside.heroku.isLive(world.outside.first.token)).toBe(true);
});

test('nor one after a restart that lost nothing', async () => {
  await using world = await twoPersonWorld();
  world.outside.revokeByHand(world.outside.first.id);
  await asks(world, { action: 'verify' });
  await lostWhile(world, () => Promise.resolve());
  await lostWhile(world, () => asks(world, mintsOverDead));
  expect(await world.job()).toMatchObject({ status: 'aborted', mintedBy: null });
});

test('one whose person is on record is, and that person may not let the old token go', async () => {
  await using world = await twoPersonWorld();
  await walk(world, 'verified');
  let back = await saveRedis(redis);
  let [struck, minting] = [false, false];
  world.operate({ action: 'proceed_mint' }, 'ada');
  await toRest(world, {
    async turn({ effect }) {
      if (!minting && effect.name.startsWith('POST')) {
        minting = true;
        back = await saveRedis(redis);
      }
      if (struck || !effect.name.startsWith('PATCH')) return false;
      struck = true;
      // The write is on its way to the app when everybody dies.
      await world.turns.settle();
      const app = world.outside.apps[0];
      const [slot = ''] = await world.vault.list(`${CREDENTIAL}__PENDING_`);
      Object.assign(app?.config ?? {}, { HEROKU_API_KEY: (await world.vault.read(slot))?.reveal() });
      await back();
      await afterTheLoss(world, false);
      return true;
    },
  });
  expect(await world.job()).toMatchObject({ status: 'validated', mintedBy: 'ada' });
  await asks(world, { action: 'proceed_revoke', ticket_id: 'ROT-1' }, 'ada');
  expect(world.answers.at(-1)).toMatchObject({ code: 'two_persons_required' });
  await asks(world, { action: 'proceed_revoke', ticket_id: 'ROT-1' }, 'otto');
  expect((await world.job()).status).toBe('done');
});

test.each(['ada', 'otto'])(
  'a stopped job does not go forward on one word, whoever gives it; back it may (%s)',
  async (who) => {
    await using world = await twoPersonWorld();
    await walk(world, 'verified');
    await lostWhile(world, () => walk(world, 'validated'));
    expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'needs_person', mintedBy: null });
    await asks(world, { action: 'mark_revoked' }, who);
    expect(world.answers.at(-1)).toMatchObject({
      code: 'two_persons_required',
      detail: expect.stringMatching(/^Redis lost the record of who .*; open now: .*restore/),
    });
    await asks(world, { action: 'restore' }, who);
    expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'done' });
    expect(await violations(world)).toEqual([]);
  },
);
