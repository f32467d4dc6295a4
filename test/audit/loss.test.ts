// Redis lost data: one new epoch, a signed note in the chain, no number given twice, and a verdict that never silently becomes `intact` again.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSeal } from '../../shared/audit/seal.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';
import type { LostEvents } from '../../workers/audit/epochs.ts';
import { until } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import {
  ENV,
  keep,
  ONE,
  put,
  trailWorld,
  TWO,
  type Kept,
  type Stage,
  type TrailWorld,
} from './trail-world.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const keys = credentialKeys(ONE, ENV);
const ref = { credential: ONE, env: ENV };
const idsOf = async (world: TrailWorld) =>
  (await world.redis.xrange(keys.events, '-', '+')).map(([id]) => id);
const lastSeal = async (world: TrailWorld) =>
  openSeal((await world.redis.lindexBuffer(keys.seals, -1)) as Buffer)?.seal;

/** Two trails; ONE has five events sealed and anchored, of which `then` knows three. */
async function arranged(world: TrailWorld): Promise<{ readonly then: Kept; readonly epoch: string }> {
  await using before = world.stage();
  await world.write(TWO, 1);
  await world.write(ONE, 3);
  await before.settle();
  const then = await keep(world.redis, ONE);
  await world.write(ONE, 2);
  await before.settle();
  return { then, epoch: (await world.system.epoch()) ?? '' };
}

/** Somebody writes on, and the trail is sealed and anchored again. */
async function goesOn(world: TrailWorld, stage: Stage, events = 2): Promise<void> {
  await world.write(ONE, events);
  await stage.settle();
}

test('a start on a trail that was not cut opens no epoch and says nothing', async () => {
  await using world = await trailWorld(server.url);
  const { epoch } = await arranged(world);
  const stage = world.stage();
  expect(await stage.audit.openEpochIfShorter()).toEqual([]);
  expect(await world.system.epoch()).toBe(epoch);
  expect(await stage.verdict()).toMatchObject({ verdict: 'intact', losses: [] });
});

test('an earlier state: found at the next start, noted once, told to whoever reconciles', async () => {
  await using world = await trailWorld(server.url);
  const { then, epoch } = await arranged(world);
  await put(world.redis, ONE, then);
  const told: (readonly LostEvents[])[] = [];
  const stage = world.stage({ onLoss: async (lost) => void told.push(lost) });
  expect(await stage.verdict()).toMatchObject({
    verdict: 'shorter_than_anchor',
    sealed_to: 3,
    anchored_to: 5,
    losses: [],
  });
  expect(await stage.verdict(TWO)).toMatchObject({ verdict: 'intact' });

  const lost = await stage.audit.openEpochIfShorter();
  const opened = (await world.system.epoch()) ?? '';
  expect(opened).not.toBe(epoch);
  expect(lost).toEqual([{ ...ref, epoch: opened, lost: { from_seq: 4, to_seq: 5 } }]);
  expect(told).toEqual([lost]);
  expect(await lastSeal(world)).toMatchObject({
    kind: 'loss',
    from_seq: 4,
    to_seq: 6,
    losses: 1,
    lost: { from_seq: 4, to_seq: 5, epoch: opened },
  });

  expect(await stage.audit.openEpochIfShorter()).toEqual([]);
  expect(await world.system.epoch()).toBe(opened);
});

test('after it no number comes again: the next event is beyond all that were ever given, and says what happened', async () => {
  await using world = await trailWorld(server.url);
  const { then } = await arranged(world);
  await put(world.redis, ONE, then);
  const stage = world.stage();
  await stage.audit.openEpochIfShorter();
  await goesOn(world, stage);
  expect(await idsOf(world)).toEqual(['1-0', '2-0', '3-0', '7-0', '8-0', '9-0']);
  const row = JSON.parse((await world.redis.xrange(keys.events, '7-0', '7-0'))[0]?.[1][1] ?? '{}') as object;
  expect(row).toMatchObject({
    event: 'events_lost',
    job_id: null,
    operator_id: 'system',
    detail: { from_seq: 4, to_seq: 5 },
  });
});

test('a noted loss stays in the verdict, with its numbers and its time, also for a process that starts later', async () => {
  await using world = await trailWorld(server.url);
  const { then } = await arranged(world);
  await put(world.redis, ONE, then);
  const stage = world.stage();
  const [lost] = await stage.audit.openEpochIfShorter();
  await goesOn(world, stage);
  await using later = world.stage();
  for (const one of [stage, later]) {
    const report = await one.verdict();
    expect(report).toMatchObject({
      verdict: 'shorter_than_anchor',
      sealed_to: 9,
      unsealed: 0,
      anchored_to: 9,
    });
    expect(report.losses).toEqual([
      { at: expect.any(String) as string, epoch: lost?.epoch, from_seq: 4, to_seq: 5 },
    ]);
    expect(report.finding).toMatch(
      /^Lost: events 4 to 5, noted and signed at .*\. All else is as it was sealed\.$/,
    );
    expect(await one.audit.openEpochIfShorter()).toEqual([]);
  }
});

test('an empty Redis while anchors exist: every trail is noted, in one new epoch', async () => {
  await using world = await trailWorld(server.url);
  const { epoch } = await arranged(world);
  await world.redis.flushall();
  // Of a credential that the manifest has forgotten the vault alone knows.
  const stage = world.stage({ credentials: () => Promise.resolve([]) });
  const lost = await stage.audit.openEpochIfShorter();
  const opened = await world.system.epoch();
  expect(opened).not.toBe(epoch);
  expect(lost.toSorted((a, b) => a.credential.localeCompare(b.credential))).toEqual([
    { ...ref, epoch: opened, lost: { from_seq: 1, to_seq: 5 } },
    { credential: TWO, env: ENV, epoch: opened, lost: { from_seq: 1, to_seq: 1 } },
  ]);
  await goesOn(world, stage);
  expect(await idsOf(world)).toEqual(['7-0', '8-0', '9-0']);
  expect(await stage.verdict()).toMatchObject({
    verdict: 'shorter_than_anchor',
    sealed_to: 9,
    anchored_to: 9,
    losses: [{ from_seq: 1, to_seq: 5 }],
  });
});

test('a loss after a loss: both are told, though the second took the note of the first', async () => {
  await using world = await trailWorld(server.url);
  await arranged(world);
  await world.redis.flushall();
  const stage = world.stage();
  await stage.audit.openEpochIfShorter();
  await goesOn(world, stage);
  await world.redis.flushall();
  await using later = world.stage();
  expect((await later.audit.openEpochIfShorter()).map(({ lost }) => lost)).toContainEqual({
    from_seq: 1,
    to_seq: 9,
  });
  await goesOn(world, later);
  const report = await later.verdict();
  expect(report.losses.map(({ from_seq, to_seq }) => [from_seq, to_seq])).toEqual([
    [1, 5],
    [1, 9],
  ]);
  expect(report).toMatchObject({ verdict: 'shorter_than_anchor', anchored_to: report.sealed_to });
});

test('a roll-back to a state that is younger than a noted loss is a new loss', async () => {
  await using world = await trailWorld(server.url);
  const { then } = await arranged(world);
  await put(world.redis, ONE, then);
  const stage = world.stage();
  await stage.audit.openEpochIfShorter();
  await goesOn(world, stage);
  const young = await keep(world.redis, ONE);
  await goesOn(world, stage);
  await put(world.redis, ONE, young);
  await using later = world.stage();
  expect(await later.verdict()).toMatchObject({
    verdict: 'shorter_than_anchor',
    losses: [{ to_seq: 5 }],
    sealed_to: 9,
    anchored_to: 11,
  });
  expect((await later.audit.openEpochIfShorter()).map(({ lost }) => lost)).toEqual([
    { from_seq: 10, to_seq: 11 },
  ]);
});

test('even the state right before the note: taking the note back is found, and noted again', async () => {
  await using world = await trailWorld(server.url);
  const { then } = await arranged(world);
  await put(world.redis, ONE, then);
  const stage = world.stage();
  await stage.audit.openEpochIfShorter();
  await goesOn(world, stage);
  await put(world.redis, ONE, then);
  await using later = world.stage();
  expect(await later.verdict()).toMatchObject({
    verdict: 'shorter_than_anchor',
    sealed_to: 3,
    anchored_to: 9,
  });
  expect((await later.audit.openEpochIfShorter()).map(({ lost }) => lost)).toEqual([
    { from_seq: 4, to_seq: 9 },
  ]);
});

test('many processes that see the same loss agree on one epoch and one note', async () => {
  await using world = await trailWorld(server.url);
  const { then, epoch } = await arranged(world);
  for (let round = 0; round < 10; round++) {
    const before = round === 0 ? epoch : await world.system.epoch();
    await put(world.redis, ONE, then);
    const stages = Array.from({ length: 4 }, () => world.stage());
    const lost = await Promise.all(stages.map((stage) => stage.audit.openEpochIfShorter()));
    expect(lost.flat()).toHaveLength(1);
    expect(await world.system.epoch()).toBe(lost.flat()[0]?.epoch);
    expect(await world.system.epoch()).not.toBe(before);
    for (const stage of stages) expect(await stage.audit.openEpochIfShorter()).toEqual([]);
    const seals = (await world.store.whole(ref)).seals.map((seal) => openSeal(seal)?.seal);
    expect(seals.filter((seal) => seal?.kind === 'loss')).toHaveLength(1);
    for (const stage of stages) await goesOn(world, stage, 1);
    await Promise.all(stages.map((stage) => stage[Symbol.asyncDispose]()));
  }
});

test('a process that goes on running sees the loss itself, the vault being away too', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage();
  await world.write(ONE, 3);
  await stage.settle();
  const then = await keep(world.redis, ONE);
  world.vaultDown(true);
  await world.write(ONE, 2);
  await until(async () => {
    await stage.seal();
    return (await world.redis.llen(keys.seals)) === 2 ? true : null;
  });
  // What lies beyond the anchor is known to the process that sealed it.
  await put(world.redis, ONE, then);
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

test('the tail that no seal covered yet: a process that heard of it misses it', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage();
  await world.write(ONE, 3);
  await stage.settle();
  const then = await keep(world.redis, ONE);
  const epoch = await world.system.epoch();
  await world.write(ONE, 2);
  await until(async () => ((await world.redis.get(keys.seq)) === '5' ? true : null));
  // Pub/sub is answered in order on one connection, so whoever has heard of a later event has heard of these.
  await world.write(TWO, 1);
  await until(async () => {
    await stage.seal();
    return (await world.redis.llen(credentialKeys(TWO, ENV).seals)) > 0 ? true : null;
  });
  await put(world.redis, ONE, then);
  const lost = await stage.audit.openEpochIfShorter();
  expect(lost.map((one) => one.lost)).toEqual([{ from_seq: 4, to_seq: 5 }]);
  expect(await world.system.epoch()).not.toBe(epoch);
});

test('nothing is sealed on a trail that was put back before the loss is noted', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage();
  await world.write(ONE, 3);
  await stage.settle();
  const then = await keep(world.redis, ONE);
  await world.write(ONE, 2);
  await stage.settle();
  await put(world.redis, ONE, then);
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
