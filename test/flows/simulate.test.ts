// Random stories from fixed seeds: whatever fails, dies, sleeps or is done by hand, every rest keeps the invariants and every job has an end.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { keptSeeds } from '../simulate/kept-seeds.ts';
import { createMixes, type Mixes } from '../simulate/mixes.ts';
import { tellSeed } from '../simulate/seed.ts';
import { scheduleRedis, type ScheduleRedis } from './schedule-redis.ts';

/** About half a minute of them; `npm run simulate` tells as many as there is time for. */
const FRESH = 250;
const ALL_MS = 600_000;

let server: ScheduleRedis;
let mixes: Mixes;
beforeAll(async () => {
  server = await scheduleRedis({ durable: false });
  mixes = createMixes(server.redis);
});
afterAll(async () => {
  await mixes[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

test('a seed tells the same story twice, decision by decision', async () => {
  for (const seed of [2, 7, 13, 21]) {
    const first = await tellSeed(mixes, seed);
    expect(first.decisions).toBeGreaterThan(50);
    const again = createMixes(server.redis);
    expect((await tellSeed(again, seed)).trail()).toEqual(first.trail());
    await again[Symbol.asyncDispose]();
  }
}, 60_000);

test.each(keptSeeds)('seed $seed, which once showed that $showed', async ({ seed }) => {
  expect((await tellSeed(mixes, seed)).problems).toEqual([]);
});

test(
  `${FRESH} stories come to a good end`,
  async () => {
    const failures: string[] = [];
    let [rests, jobs] = [0, 0];
    for (let seed = 1; seed <= FRESH; seed++) {
      const told = await tellSeed(mixes, seed);
      rests += told.rests;
      jobs += told.jobs;
      failures.push(...told.problems.map((problem) => `seed ${seed}: ${problem}`));
    }
    console.log(`${FRESH} seeds, ${jobs} rotations, ${rests} looks at rest`);
    expect(failures).toEqual([]);
    // A simulation in which hardly anything happens would hold, too.
    expect(rests).toBeGreaterThan(FRESH * 4);
  },
  ALL_MS,
);
