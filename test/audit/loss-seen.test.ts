// What a running stage process notices by itself, and a trail that somebody damaged: sealing goes on, and nothing is glossed over.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSeal } from '../../shared/audit/seal.ts';
import { until } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { arranged, goesOn, keys, lastSeal, ref } from './cutting.ts';
import { keep, ONE, put, trailWorld } from './trail-world.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

test('a process that goes on running sees the loss itself, the vault being away too', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage();
  await world.write(ONE, 3);
  await stage.settle();
  const earlier = await keep(world.redis, ONE);
  world.vaultDown(true);
  await world.write(ONE, 2);
  await until(async () => {
    await stage.seal();
    return (await world.redis.llen(keys.seals)) === 2 ? true : null;
  });
  // What lies beyond the anchor is known to the process that sealed it.
  await put(world.redis, ONE, earlier);
  expect((await stage.audit.openEpochIfShorter()).map(({ lost }) => lost)).toEqual([
    { from_seq: 4, to_seq: 5 },
  ]);
  world.vaultDown(false);
  await goesOn(world, stage);
  expect(await stage.verdict()).toMatchObject({
    verdict: 'shorter_than_anchor',
    anchored_to: 9,
    losses: [{ from_seq: 4, to_seq: 5 }],
  });
});

test('the tail that no seal covered yet: a process that has read it misses it', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage();
  await world.write(ONE, 3);
  await stage.settle();
  const earlier = await keep(world.redis, ONE);
  const epoch = await world.system.epoch();
  await world.write(ONE, 2);
  expect(await stage.audit.openEpochIfShorter()).toEqual([]);
  await put(world.redis, ONE, earlier);
  const lost = await stage.audit.openEpochIfShorter();
  expect(lost.map((one) => one.lost)).toEqual([{ from_seq: 4, to_seq: 5 }]);
  expect(await world.system.epoch()).not.toBe(epoch);
});

test('what another Velvet says on the same server, in another database, is no evidence of anything', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage();
  await world.write(ONE, 3);
  await stage.settle();
  const epoch = await world.system.epoch();
  for (let seq = 1; seq < 100; seq++) await world.redis.publish(keys.wake, String(seq));
  await world.write(ONE, 1);
  await stage.settle();
  expect(await stage.audit.openEpochIfShorter()).toEqual([]);
  expect([await world.system.epoch(), await stage.verdict()]).toMatchObject([
    epoch,
    { verdict: 'intact', sealed_to: 4, losses: [] },
  ]);
});

test('nothing is sealed on a trail that was put back before the loss is noted', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage();
  await world.write(ONE, 3);
  await stage.settle();
  const earlier = await keep(world.redis, ONE);
  await world.write(ONE, 2);
  await stage.settle();
  await put(world.redis, ONE, earlier);
  await world.write(ONE, 1);
  await until(async () => {
    await stage.seal();
    return (await lastSeal(world))?.to_seq === 7 ? true : null;
  });
  const seals = (await world.store.whole(ref)).seals.map((seal) => openSeal(seal)?.seal);
  expect(seals.map((seal) => [seal?.kind, seal?.from_seq, seal?.to_seq])).toEqual([
    ['segment', 1, 3],
    ['segment', 4, 4],
    ['loss', 5, 6],
    ['segment', 7, 7],
  ]);
});

test('a stream cut below its seals is altered for ever, and sealing goes on behind it', async () => {
  await using world = await trailWorld(server.url);
  await arranged(world);
  const now = await keep(world.redis, ONE);
  await put(world.redis, ONE, { ...now, events: now.events.slice(0, 2), seq: '2' });
  const stage = world.stage();
  expect((await stage.audit.openEpochIfShorter()).map(({ lost }) => lost)).toEqual([
    { from_seq: 3, to_seq: 5 },
  ]);
  await goesOn(world, stage);
  expect(await stage.verdict()).toMatchObject({ verdict: 'altered', unsealed: 0, sealed_to: 9 });
});

test('a last seal that cannot be read stops nobody: it is found, and the next one is chained to its bytes', async () => {
  await using world = await trailWorld(server.url);
  await arranged(world);
  await world.redis.lset(keys.seals, -1, 'rubbish');
  const stage = world.stage();
  expect((await stage.audit.openEpochIfShorter()).map(({ lost }) => lost)).toEqual([
    { from_seq: 6, to_seq: 5 },
  ]);
  await world.write(ONE, 2);
  await until(async () => {
    await stage.seal();
    const seal = await lastSeal(world);
    return seal?.kind === 'segment' && seal.to_seq === 9 ? true : null;
  });
  // Only what is chained to the beginning is vouched for.
  expect(await stage.verdict()).toMatchObject({ verdict: 'altered', sealed_to: 3 });
});
