// Redis lost data: one new epoch, a signed note in the chain, no number given twice, and a verdict that never silently becomes `intact` again.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSeal } from '../../shared/audit/seal.ts';
import type { LostEvents } from '../../workers/audit/epochs.ts';
import { until } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { arranged, goesOn, idsOf, keys, lastSeal, ref } from './cutting.ts';
import { ENV, keep, ONE, put, trailWorld, TWO } from './trail-world.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

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
  const { earlier, epoch } = await arranged(world);
  await put(world.redis, ONE, earlier);
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
  const { earlier } = await arranged(world);
  await put(world.redis, ONE, earlier);
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
  const { earlier } = await arranged(world);
  await put(world.redis, ONE, earlier);
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
  const { earlier } = await arranged(world);
  await put(world.redis, ONE, earlier);
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
  const { earlier } = await arranged(world);
  await put(world.redis, ONE, earlier);
  const stage = world.stage();
  await stage.audit.openEpochIfShorter();
  await goesOn(world, stage);
  await put(world.redis, ONE, earlier);
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

test('an earlier state that was sealed on while the vault was away: found once it is back, and the anchor moves again', async () => {
  await using world = await trailWorld(server.url);
  const { earlier, epoch } = await arranged(world);
  await put(world.redis, ONE, earlier);
  world.vaultDown(true);
  const stage = world.stage();
  await world.write(ONE, 2);
  // Nobody here can know better: what began on the earlier state is sealed, further than the vault knows.
  for (const seals of [2, 3]) {
    await world.write(ONE, 2);
    await until(async () => {
      await stage.seal();
      return (await world.redis.llen(keys.seals)) === seals ? true : null;
    });
  }
  expect(await stage.audit.openEpochIfShorter()).toEqual([]);

  world.vaultDown(false);
  expect((await stage.audit.openEpochIfShorter()).map(({ lost }) => lost)).toEqual([
    { from_seq: 4, to_seq: 5 },
  ]);
  expect(await world.system.epoch()).not.toBe(epoch);
  await goesOn(world, stage);
  const { sealed_to } = await stage.verdict();
  expect(await stage.verdict()).toMatchObject({
    verdict: 'shorter_than_anchor',
    anchored_to: sealed_to,
    losses: [{ from_seq: 4, to_seq: 5 }],
  });
  expect(await stage.audit.openEpochIfShorter()).toEqual([]);
});

test('many processes that see the same loss agree on one epoch and one note', async () => {
  await using world = await trailWorld(server.url);
  const { earlier, epoch } = await arranged(world);
  for (let round = 0; round < 10; round++) {
    const before = round === 0 ? epoch : await world.system.epoch();
    await put(world.redis, ONE, earlier);
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
