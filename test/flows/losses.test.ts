// Redis loses its last writes, at every effect of a rotation: after the world was looked at nothing is orphaned, doubled or locked out.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Redis } from 'ioredis';
import type { StageBody } from '../../api/stage-bodies.ts';
import { homeFromLoss, losing, type Loss } from '../schedule/loss.ts';
import { standing, toRest } from '../schedule/run.ts';
import { violations } from '../schedule/violations.ts';
import { walk } from '../schedule/walk.ts';
import { scheduleWorld, type Moment } from '../schedule/world.ts';
import { scheduleRedis } from './schedule-redis.ts';

let server: Awaited<ReturnType<typeof scheduleRedis>>;
let redis: Redis;
beforeAll(async () => {
  server = await scheduleRedis();
  redis = server.redis;
});
afterAll(() => server[Symbol.asyncDispose]());

interface Way {
  readonly name: string;
  /** Where it begins. */
  readonly from: 'init' | 'verified' | 'validated';
  /** What an operator does there; without it the rotation simply goes on. */
  readonly first?: StageBody;
  /** Nothing of this way is stopped, however much was lost of it. */
  readonly endsDone?: true;
  /** Every how-manieth effect is a place to lose the record at. */
  readonly every: number;
}

const ways: readonly Way[] = [
  { name: 'a rotation', from: 'verified', endsDone: true, every: 7 },
  { name: 'a rotation from its first step', from: 'init', every: 9 },
  { name: 'a restore', from: 'validated', first: { action: 'abort', restore: true }, every: 3 },
  { name: 'an abort', from: 'validated', first: { action: 'abort' }, every: 2 },
];

/** How much is lost: one effect, a few, about as much as two seconds hold, and what a replica that was cut off may lack. */
const lengths = [1, 3, 8, 20, 60, 150, 230];

async function run(
  moment: Moment,
  way: Way,
  loss: Loss,
): Promise<{ found: readonly string[]; effects: number; wentOn?: boolean }> {
  await using world = await moment.resume();
  const director = losing(loss);
  try {
    if (way.first !== undefined) {
      world.operate(way.first);
      await toRest(world, director);
    }
    const there = await walk(world, 'done', director).then(
      () => true,
      () => false,
    );
    await toRest(world);
    // Where a restore was lost, consumers are on the old value and will not be proven: a person goes back.
    if (!there) world.operate({ action: 'abort', restore: true });
    await toRest(world);
    await homeFromLoss(world);
    const { status } = await world.job();
    // A mint that somebody holds is gone on with, and then to the end.
    const wentOn = world.log.some((line) => line.includes('a lost mint is gone on with'));
    const mustBeDone = way.endsDone === true || (wentOn && way.first === undefined);
    const stopped = mustBeDone && status !== 'done' ? [`it ended ${status}`] : [];
    const found = [...stopped, ...(await violations(world))];
    const { effects } = director;
    return { found: found.length === 0 ? [] : [...found, await standing(world)], effects, wentOn };
  } catch (error) {
    return { found: [error instanceof Error ? error.message : 'unknown'], effects: director.effects };
  }
}

const cases = ways.flatMap((way) => [true, false].map((survivors) => ({ way, survivors, name: way.name })));

test.each(cases)(
  '$name whose record lost its end is held against the world before anything is written (survivors: $survivors)',
  async ({ way, survivors }) => {
    const first = await scheduleWorld(redis);
    await walk(first, way.from);
    await using moment = await first.save();
    const { effects } = await run(moment, way, { at: Infinity, lost: 0, survivors });
    const bad: string[] = [];
    let [schedules, lostMints] = [0, 0];
    for (let at = 1; at < effects; at += way.every) {
      for (const lost of lengths.filter((length) => length <= at)) {
        schedules += 1;
        const { found, wentOn = false } = await run(moment, way, { at, lost, survivors });
        if (wentOn) lostMints += 1;
        if (found.length > 0) bad.push(`at ${at}, ${lost} lost: ${found.join('; ')}`);
      }
    }
    console.log(
      `Redis data lost in ${way.name}: ${schedules} schedules over ${effects} effects, ${lostMints} lost mints gone on with`,
    );
    expect(bad.slice(0, 3)).toEqual([]);
    // Before the mint was recorded there is one to be found, after it none.
    expect(lostMints > 0).toBe(way.first === undefined);
  },
  600_000,
);
