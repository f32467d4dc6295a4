// What is old enough leaves, whole segments as signed records; the stub that stays verifies, and nothing of an open job goes.
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openExport } from '../../shared/audit/export.ts';
import { openSeal } from '../../shared/audit/seal.ts';
import { keyring, signingKey } from '../../shared/audit/signing-key.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { structural } from './forgery.ts';
import { ENV, keep, ONE, ownKey, put, trailWorld, type Stage, type TrailWorld } from './trail-world.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const DAY_MS = 86_400_000;
const keys = credentialKeys(ONE, ENV);
const sealsOf = async (world: TrailWorld) =>
  (await world.redis.lrangeBuffer(keys.seals, 0, -1)).map((seal) => openSeal(seal)?.seal);
const idsOf = async (world: TrailWorld) =>
  (await world.redis.xrange(keys.events, '-', '+')).map(([id]) => id);

/** Segments of 2, 3 and 4 events, a hundred days apart, each of a job of its own; the last is of today. */
async function arranged(world: TrailWorld, stage: Stage): Promise<void> {
  for (const events of [2, 3, 4]) {
    if (events > 2) world.clock.move(100 * DAY_MS);
    await world.write(ONE, events, `job-${events}`);
    await stage.settle();
  }
}

/** The records in the log, each put together from its lines. */
function records(log: readonly string[]): readonly string[] {
  const whole = new Map<string, string>();
  for (const line of log.filter((one) => one.includes('"audit segment left"'))) {
    const digest = /digest=(\S+)/.exec(line)?.[1] ?? '';
    whole.set(digest, (whole.get(digest) ?? '') + (/record="?([A-Za-z0-9+/=]+)/.exec(line)?.[1] ?? ''));
  }
  return [...whole.values()];
}

test('nothing leaves before its time', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage({ keepDays: 201 });
  await arranged(world, stage);
  const before = await keep(world.redis, ONE);
  await stage.retire();
  expect(await keep(world.redis, ONE)).toEqual(before);
  expect(records(world.log)).toEqual([]);
});

test('old segments leave as signed records, one stub stays, and the rest verifies', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage({ keepDays: 99 });
  await arranged(world, stage);
  const events = await world.redis.xrangeBuffer(keys.events, '-', '5');
  await stage.retire();

  expect(await idsOf(world)).toEqual(['6-0', '7-0', '8-0', '9-0']);
  expect((await sealsOf(world)).map((seal) => [seal?.kind, seal?.n, seal?.from_seq, seal?.to_seq])).toEqual([
    ['stub', 2, 1, 5],
    ['segment', 3, 6, 9],
  ]);
  expect(await stage.verdict()).toMatchObject({
    verdict: 'intact',
    sealed_to: 9,
    anchored_to: 9,
    finding: null,
  });
  const left = records(world.log).map((record) => openExport(record, keyring(ownKey, [])));
  expect(left.map((one) => [one?.seal.from_seq, one?.seal.to_seq])).toEqual([
    [1, 2],
    [3, 5],
  ]);
  expect(left.flatMap((one) => one?.entries ?? [])).toEqual(
    events.map(([id, fields]) => ({ id: id.toString(), fields })),
  );
});

test('a record in which one byte was changed, or which a stranger signed, is not believed', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage({ keepDays: 99 });
  await arranged(world, stage);
  await stage.retire();
  const [record = ''] = records(world.log);
  const text = gunzipSync(Buffer.from(record, 'base64')).toString();
  const changed = text.replace(/"cm93","(.)/, (_, first: string) => `"cm93","${first === 'e' ? 'f' : 'e'}`);
  expect(changed).not.toBe(text);
  expect(openExport(record, keyring(ownKey, []))).not.toBeNull();
  expect(openExport(gzipSync(changed).toString('base64'), keyring(ownKey, []))).toBeNull();
  expect(openExport(record, keyring(signingKey(Buffer.alloc(32, 1)), []))).toBeNull();
});

test('a second round joins the stub; the newest seal always stays', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage({ keepDays: 99 });
  await arranged(world, stage);
  await stage.retire();
  world.clock.move(1_000 * DAY_MS);
  await stage.retire();
  expect((await sealsOf(world)).map((seal) => seal?.kind)).toEqual(['stub', 'segment']);
  await world.write(ONE, 1, 'job-9');
  await stage.settle();
  await stage.retire();
  expect((await sealsOf(world)).map((seal) => [seal?.kind, seal?.n, seal?.to_seq, seal?.count])).toEqual([
    ['stub', 3, 9, 9],
    ['segment', 4, 10, 1],
  ]);
  await stage.retire();
  expect(await stage.verdict()).toMatchObject({ verdict: 'intact', sealed_to: 10 });
  await using later = world.stage();
  expect(await later.audit.openEpochIfShorter()).toEqual([]);
  expect(records(world.log)).toHaveLength(3);
});

test('a segment with an event of an open job stays, and everything after it', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage({ keepDays: 1 });
  await arranged(world, stage);
  world.clock.move(10 * DAY_MS);
  await world.redis.sadd(keys.open, 'job-3');
  await stage.retire();
  expect((await idsOf(world))[0]).toBe('3-0');
  expect(await stage.verdict()).toMatchObject({ verdict: 'intact' });

  await world.redis.srem(keys.open, 'job-3');
  await stage.retire();
  expect((await idsOf(world))[0]).toBe('6-0');
});

test('what is altered does not leave: it is evidence', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage({ keepDays: 99 });
  await arranged(world, stage);
  const kept = await keep(world.redis, ONE);
  const altered = {
    ...kept,
    events: kept.events.with(7, [kept.events[7]?.[0] ?? '', [Buffer.from('row'), Buffer.from('{}')]]),
  };
  await put(world.redis, ONE, altered);
  await stage.retire();
  expect(await keep(world.redis, ONE)).toEqual(altered);
  expect(world.log.some((line) => line.includes('audit segments stay'))).toBe(true);
});

test('a loss that was noted leaves with its segment, and is told of from the stub', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage({ keepDays: 99 });
  await world.write(ONE, 2);
  await stage.settle();
  const then = await keep(world.redis, ONE);
  await world.write(ONE, 2);
  await stage.settle();
  await put(world.redis, ONE, then);
  await stage.audit.openEpochIfShorter();
  await stage.settle();
  expect(await stage.verdict()).toMatchObject({ verdict: 'shorter_than_anchor' });
  world.clock.move(100 * DAY_MS);
  await world.write(ONE, 2);
  await stage.settle();
  await stage.retire();
  // Everything that is kept is as it was sealed, and what is known of the rest is still said.
  expect(await stage.verdict()).toMatchObject({ verdict: 'intact', losses: [{ from_seq: 3, to_seq: 4 }] });
  expect((await sealsOf(world))[0]).toMatchObject({ kind: 'stub', past: [{ from_seq: 3, to_seq: 4 }] });
});

test('processes that retire at once do it once', async () => {
  await using world = await trailWorld(server.url);
  const stages = [
    world.stage({ keepDays: 99 }),
    world.stage({ keepDays: 99 }),
    world.stage({ keepDays: 99 }),
  ];
  await arranged(world, stages[0] as Stage);
  await Promise.all(stages.map((stage) => stage.retire()));
  expect((await sealsOf(world)).map((seal) => seal?.kind)).toEqual(['stub', 'segment']);
  expect(await stages[1]?.verdict()).toMatchObject({ verdict: 'intact' });
});

test('a trail with a stub is as well protected as one without', async () => {
  await using world = await trailWorld(server.url);
  const stage = world.stage({ keepDays: 99 });
  await arranged(world, stage);
  const before = await keep(world.redis, ONE);
  await stage.retire();
  const now = await keep(world.redis, ONE);
  const found: string[] = [];
  const tried = [
    ...structural(now),
    { says: 'the stub deleted', kept: { ...now, seals: now.seals.slice(1) } },
    {
      says: 'an event put in below the stub',
      kept: { ...now, events: [...before.events.slice(4, 5), ...now.events] },
    },
    { says: 'the seals of before, without their events', kept: { ...now, seals: before.seals } },
    { says: 'the events of before, without their seals', kept: { ...now, events: before.events } },
  ];
  for (const { says, kept } of tried) {
    await put(world.redis, ONE, kept);
    if ((await stage.verdict()).verdict === 'intact') found.push(says);
  }
  expect(tried.length).toBeGreaterThan(30);
  expect(found).toEqual([]);
});
