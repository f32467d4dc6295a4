// Sealing on a real Redis: everything is sealed, many sealers never fork, a quiet trail costs nothing, and a vault that is away holds nothing up.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSeal } from '../../shared/audit/seal.ts';
import { createSealer, SEGMENT_EVENTS_MAX } from '../../shared/audit/sealer.ts';
import { createLog } from '../../shared/lib/log.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { createSealStore } from '../../shared/redis/seal-store.ts';
import { until } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { ENV, ONE, ownKey, trailWorld, TWO, type TrailWorld } from './trail-world.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const ref = { credential: ONE, env: ENV };

function newSealer(world: TrailWorld, log: string[] = []) {
  const redis = world.redis.duplicate();
  const sealer = createSealer({
    store: createSealStore(redis),
    key: ownKey,
    clock: world.clock,
    log: createLog({ env: ENV, family: 'stage', write: (line) => log.push(line) }),
    epoch: () => Promise.resolve('e1'),
  });
  return { sealer, redis };
}

async function sealsOf(world: TrailWorld) {
  const { seals } = await world.store.whole(ref);
  return seals.map((bytes) => openSeal(bytes)?.seal);
}

test('what is heard of is sealed, logged and anchored, and reads as intact', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage();
  await stage.audit.ready;
  await stage.seal();
  await world.write(ONE, 3);
  await world.write(TWO, 2);
  await until(async () => {
    await stage.seal();
    return (await world.redis.llen(credentialKeys(TWO, ENV).seals)) > 0 ? true : null;
  });
  await stage.anchor();

  expect(await stage.verdict()).toEqual({
    credential: ONE,
    env: ENV,
    sealed_to: 3,
    unsealed: 0,
    anchored_to: 3,
    verdict: 'intact',
    losses: [],
    finding: null,
  });
  expect(await stage.verdict(TWO)).toMatchObject({ sealed_to: 2, anchored_to: 2, verdict: 'intact' });
  const lines = world.log.filter((line) => line.includes('audit sealed'));
  const { seals } = await world.store.whole(ref);
  for (const seal of seals) {
    const text = JSON.stringify(seal.toString());
    expect(lines.some((line) => line.includes(text))).toBe(true);
  }
});

test('a trail in which nothing happens costs no command at all', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage();
  await world.write(ONE, 3);
  await stage.settle();
  const commands = async () =>
    Number(/total_commands_processed:(\d+)/.exec(await world.redis.info('stats'))?.[1]);
  const before = await commands();
  for (let n = 0; n < 50; n++) {
    await stage.seal();
    await stage.anchor();
  }
  // The one is this question itself.
  expect((await commands()) - before).toBe(1);
});

test('sealing reads each event once, whatever the length of the trail', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage();
  await world.write(ONE, 200);
  await stage.settle();
  await world.redis.config('RESETSTAT');
  await world.write(ONE, 1);
  await until(async () => {
    await stage.seal();
    return (await sealsOf(world)).at(-1)?.to_seq === 201 ? true : null;
  });
  expect(/cmdstat_xrange:calls=(\d+)/.exec(await world.redis.info('commandstats'))?.[1]).toBe('1');
});

test('a long tail is sealed in segments of bounded size', async () => {
  await using world = await trailWorld(server.url);
  const keys = credentialKeys(ONE, ENV);
  const many = world.redis.pipeline();
  const last = SEGMENT_EVENTS_MAX * 2 + 7;
  for (let n = 1; n <= last; n++) many.xadd(keys.events, `${n}-0`, 'row', '{}');
  await many.set(keys.seq, last).exec();
  const stage = world.stage();
  await stage.settle();
  expect((await sealsOf(world)).map((seal) => seal?.count)).toEqual([
    SEGMENT_EVENTS_MAX,
    SEGMENT_EVENTS_MAX,
    7,
  ]);
  expect(await stage.verdict()).toMatchObject({ verdict: 'intact', sealed_to: last });
});

test('sealers that race never fork, and none of them waits for ever', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage();
  const sealers = Array.from({ length: 4 }, () => newSealer(world));
  for (let round = 0; round < 60; round++) {
    const writing = world.write(ONE, 3);
    await Promise.all([writing, ...sealers.map(({ sealer }) => sealer.seal(ref))]);
    await Promise.all(sealers.map(({ sealer }) => sealer.seal(ref)));
  }
  for (const { redis } of sealers) redis.disconnect();
  const seals = await sealsOf(world);
  expect(seals.map((seal) => seal?.n)).toEqual(seals.map((_, n) => n + 1));
  expect(seals.reduce((sum, seal) => sum + (seal?.count ?? 0), 0)).toBe(180);
  expect(await stage.verdict()).toMatchObject({ verdict: 'intact', sealed_to: 180, unsealed: 0 });
});

test('two processes with all their duties at once end in one chain and one anchor', async () => {
  await using world = await trailWorld(server.url);
  const stages = [world.stage(), world.stage(), world.stage()];
  for (let round = 0; round < 15; round++) {
    await world.write(ONE, 2);
    await Promise.all(
      stages.flatMap((stage) => [stage.seal(), stage.anchor(), stage.audit.openEpochIfShorter()]),
    );
  }
  for (const stage of stages) await stage.settle();
  for (const stage of stages)
    expect(await stage.verdict()).toMatchObject({
      verdict: 'intact',
      sealed_to: 30,
      anchored_to: 30,
      losses: [],
    });
});

test('with the vault away seals go on into the log, and are anchored when it is back', async () => {
  await using world = await trailWorld(server.url);
  world.vaultDown(true);
  const stage = world.stage();
  await world.write(ONE, 4);
  await stage.audit.openEpochIfShorter();
  await stage.seal();
  await stage.anchor();
  await stage.anchor();

  expect((await sealsOf(world)).map((seal) => seal?.to_seq)).toEqual([4]);
  expect(world.log.filter((line) => line.includes('audit sealed'))).toHaveLength(1);
  expect(world.log.filter((line) => line.includes('audit anchors do not move'))).toHaveLength(1);
  await expect(stage.verdict()).rejects.toMatchObject({ code: 'vault_unavailable' });

  world.vaultDown(false);
  expect(await stage.verdict()).toMatchObject({ verdict: 'intact', sealed_to: 4, anchored_to: 0 });
  await stage.anchor();
  expect(await stage.verdict()).toMatchObject({ verdict: 'intact', sealed_to: 4, anchored_to: 4 });
});

test('what no seal covers yet is reported', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage();
  await world.write(ONE, 2);
  await stage.settle();
  await world.write(ONE, 3);
  expect(await stage.verdict()).toMatchObject({
    verdict: 'intact',
    sealed_to: 2,
    unsealed: 3,
    anchored_to: 2,
  });
});

test('a key that was replaced: earlier seals stay good, because the vault has pinned its public key', async () => {
  await using world = await trailWorld(server.url);
  const before = world.stage();
  await world.write(ONE, 2);
  await before.settle();
  const after = world.stage({ signingSeed: Buffer.alloc(32, 22) });
  await world.write(ONE, 2);
  await after.settle();
  expect(await after.verdict()).toMatchObject({ verdict: 'intact', sealed_to: 4, anchored_to: 4 });
  // And the earlier process, which may run a little longer, knows the new one from the vault.
  expect(await before.verdict()).toMatchObject({ verdict: 'intact' });
});
