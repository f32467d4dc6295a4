// Redis loses its last writes, at every effect of a rotation: after the world was looked at nothing is orphaned, doubled or locked out.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Redis } from 'ioredis';
import type { StageBody } from '../../api/stage-bodies.ts';
import { afterTheLoss, homeFromLoss, losing, type Loss } from '../schedule/loss.ts';
import { standing, toRest } from '../schedule/run.ts';
import { violations } from '../schedule/violations.ts';
import { walk } from '../schedule/walk.ts';
import { scheduleWorld, type Moment, type ScheduleWorld } from '../schedule/world.ts';
import { slots } from '../../workers/vault/contract.ts';
import { CREDENTIAL, KEY } from '../schedule/outside.ts';
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
  /** What an operator does at the first rest after the loss. */
  readonly afterwards?: StageBody;
  /** Nothing of this way is stopped, however much was lost of it. */
  readonly endsDone?: true;
  /** A person mints: a lost mint has no handle to go on with, so what somebody holds of it is stopped and named. */
  readonly byHand?: true;
  /** Every how-manieth effect is a place to lose the record at. */
  readonly every: number;
}

const ways: readonly Way[] = [
  { name: 'a rotation', from: 'verified', endsDone: true, every: 7 },
  { name: 'a rotation from its first step', from: 'init', endsDone: true, every: 9 },
  { name: 'a rotation that is aborted then', from: 'verified', afterwards: { action: 'abort' }, every: 5 },
  { name: 'a rotation by hand', from: 'verified', byHand: true, every: 17 },
  { name: 'a restore', from: 'validated', first: { action: 'abort', restore: true }, every: 3 },
  { name: 'an abort', from: 'validated', first: { action: 'abort' }, every: 2 },
];

/** How much is lost: one effect, a few, about as much as two seconds hold, and what a replica that was cut off may lack. */
const lengths = [1, 3, 8, 20, 60, 150, 230];

interface Ran {
  readonly found: readonly string[];
  readonly effects: number;
  readonly wentOn?: boolean;
  readonly broughtBack?: boolean;
}

async function run(moment: Moment, way: Way, loss: Loss): Promise<Ran> {
  await using world = await moment.resume();
  const director = losing(loss);
  try {
    if (way.first !== undefined) {
      world.operate(way.first);
      await toRest(world, director);
    }
    const there = await walk(
      world,
      'done',
      director,
      () => way.afterwards !== undefined && director.struck,
    ).then(
      () => true,
      () => false,
    );
    await toRest(world);
    if (way.afterwards !== undefined) {
      world.operate(way.afterwards);
      await toRest(world);
      // Past the promotion it is refused, and there is only the way forward.
      if ((await world.job()).status !== 'aborted') await walk(world);
    }
    // Where a restore was lost, consumers are on the old value and will not be proven: a person goes back.
    if (!there) world.operate({ action: 'abort', restore: true });
    await toRest(world);
    await homeFromLoss(world);
    const { status } = await world.job();
    // A mint that somebody holds is gone on with, and then to the end.
    const wentOn = world.log.some((line) => line.includes('a lost mint is gone on with'));
    const mustBeDone = way.endsDone === true;
    const stopped = mustBeDone && status !== 'done' ? [`it ended ${status}`] : [];
    const found = [...stopped, ...(await violations(world))];
    const { effects } = director;
    return { found: found.length === 0 ? [] : [...found, await standing(world)], effects, wentOn };
  } catch (error) {
    return { found: [error instanceof Error ? error.message : 'unknown'], effects: director.effects };
  }
}

const cases = ways.flatMap((way) => [true, false].map((survivors) => ({ way, survivors, name: way.name })));

/** No job is left of which anything could be said: then nothing may be left of it outside. */
async function ofNoJob(world: ScheduleWorld): Promise<readonly string[]> {
  const { heroku, bootstrap, apps } = world.outside;
  const current = (await world.vault.read(slots.current(CREDENTIAL)))?.reveal() ?? '';
  const slotsLeft = (await world.vault.list(CREDENTIAL)).filter(
    (slot) => slot !== slots.current(CREDENTIAL) && slot !== slots.handle(CREDENTIAL),
  );
  const known = [bootstrap.token, current];
  const unknown = world.outside.account
    .authorizations()
    .filter(({ id, token }) => heroku.live().some((one) => one.id === id) && !known.includes(token));
  const off = apps.filter((app) => app.env()[KEY] !== current || app.config[KEY] !== current);
  return [
    ...(heroku.isLive(current) ? [] : ['3 vault: the current value is dead']),
    ...slotsLeft.map((slot) => `3 vault: left over: ${slot}`),
    ...unknown.map(({ id }) => `2 handles: ${id} is live and unknown`),
    ...off.map((app) => `4 consumers: ${app.name} is not on the current value`),
  ];
}

async function runToNothing(moment: Moment, loss: Loss): Promise<Ran> {
  await using world = await moment.resume();
  const director = losing(loss);
  try {
    // Where the job is gone nobody can be asked how it stands.
    await walk(world, 'done', director).catch(() => undefined);
    await toRest(world).catch(() => undefined);
    // A process that lived through it may have kept a value after the look: the next look finds it.
    if ((await world.store.load(world.ref)) === null) await afterTheLoss(world, loss.survivors);
    const broughtBack = (await world.store.load(world.ref)) !== null;
    if (!broughtBack) return { found: await ofNoJob(world), effects: director.effects };
    await toRest(world);
    await homeFromLoss(world);
    const found = [...(await violations(world))];
    const { status, cleanup } = await world.job();
    if (status !== 'done' && cleanup !== 'done') found.push(`it ended ${status} ${cleanup}`);
    if (found.length > 0) found.push(await standing(world));
    return { found, effects: director.effects, broughtBack };
  } catch (error) {
    return { found: [error instanceof Error ? error.message : 'unknown'], effects: director.effects };
  }
}

test.each([true, false])(
  'a job of which Redis lost everything, its creation too, is brought back and taken back (survivors: %s)',
  async (survivors) => {
    const first = await scheduleWorld(redis);
    await using moment = await first.save();
    const { effects } = await runToNothing(moment, { at: Infinity, lost: 0, survivors });
    const bad: string[] = [];
    let [schedules, back] = [0, 0];
    for (let at = 1; at < effects; at += 2) {
      schedules += 1;
      const { found, broughtBack } = await runToNothing(moment, { at, lost: 'everything', survivors });
      if (broughtBack === true) back += 1;
      if (found.length > 0) bad.push(`at ${at}: ${found.join('; ')}`);
    }
    console.log(`everything lost: ${schedules} schedules over ${effects} effects, ${back} brought back`);
    expect(bad.slice(0, 3)).toEqual([]);
    expect(back).toBeGreaterThan(schedules / 2);
  },
  600_000,
);

test.each(cases)(
  '$name whose record lost its end is held against the world before anything is written (survivors: $survivors)',
  async ({ way, survivors }) => {
    const first = await scheduleWorld(redis, { byHand: way.byHand ?? false });
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
    expect(lostMints > 0).toBe(way.first === undefined && way.byHand !== true);
  },
  600_000,
);
