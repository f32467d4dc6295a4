// Moves a world until nothing moves by itself: turns first, then tasks, then the clock. A director may interfere with each decision.
import { kindOf } from '../../shared/rotation/job.ts';
import type { Strand, Turn } from './turns.ts';
import type { ScheduleWorld } from './world.ts';

/** What interferes. Each may act on the world itself; `true` means that it did, and that everything is to be looked at anew. */
export interface Director {
  /** Before anything is decided. */
  before?(world: ScheduleWorld): Promise<boolean>;
  /** Before a turn is served in the ordinary way. */
  turn?(turn: Turn, world: ScheduleWorld): Promise<boolean>;
  /** When nothing is left to do, not even after time has passed. */
  rest?(world: ScheduleWorld): Promise<boolean>;
}

/** More than any honest schedule takes; a world that does not come to rest is a finding. */
const DECISIONS_MAX = 20_000;
/** A job that stays automatic without anything being due: the sweeper has had this many rounds to rescue it. */
const SILENT_ROUNDS_MAX = 40;

/** Workers, sweeper and clock go on until the job waits for a person or is over, nothing is queued and nobody runs. Throws where that never comes. */
export async function toRest(world: ScheduleWorld, director: Director = {}): Promise<void> {
  const calm: Calm = { sweptAt: 0, moved: true, silent: 0, sweep: null };
  await world.turns.settle();
  for (let n = 0; n < DECISIONS_MAX; n++) {
    if ((await director.before?.(world)) === true) continue;
    const turn = world.ready()[0];
    if (turn !== undefined) {
      // A sweep that only looks moves nothing.
      if (turn.effect.change) calm.moved = true;
      if ((await director.turn?.(turn, world)) === true) continue;
      await world.turns.serve(turn);
      continue;
    }
    if (await startOne(world)) continue;
    if (await pass(world, calm)) continue;
    if ((await director.rest?.(world)) === true) {
      calm.moved = true;
      continue;
    }
    return;
  }
  throw new Error(`no rest after ${DECISIONS_MAX} decisions: ${await standing(world)}`);
}

interface Calm {
  sweptAt: number;
  /** Whether anything was changed since the last sweep. */
  moved: boolean;
  silent: number;
  sweep: Strand | null;
}

/** One task at a time: the first worker that is awake and free takes the oldest one. */
async function startOne(world: ScheduleWorld): Promise<boolean> {
  if (world.redisDown) return false;
  const [entry] = world.queue.waiting();
  if (entry === undefined) return false;
  const on = workers.map((name) => world.process(name)).find((one) => one.state === 'up');
  if (on === undefined) return false;
  world.start(entry, on);
  await world.turns.settle();
  return true;
}

export const workers: readonly string[] = ['A', 'B', 'C'];

/** Lets the sweeper look, or time pass. False: nothing is due, and the job waits for nobody of ours. */
async function pass(world: ScheduleWorld, calm: Calm): Promise<boolean> {
  const { time, times } = world;
  const due = time.nextDue();
  if (world.redisDown) {
    await time.moveTo(due ?? time.now());
    return true;
  }
  const nextSweep = Math.max(time.now(), calm.sweptAt + times.sweepMs);
  if (calm.moved && (due === null || nextSweep < due)) {
    calm.moved = false;
    await time.moveTo(nextSweep);
    await look(world, calm);
    return true;
  }
  if (due !== null) {
    calm.moved = true;
    calm.silent = 0;
    await time.moveTo(due);
    return true;
  }
  if (!(await automatic(world))) return false;
  if (++calm.silent > SILENT_ROUNDS_MAX) throw new Error(`silent: ${await standing(world)}`);
  await time.moveTo(time.now() + times.sweepMs);
  await look(world, calm);
  return true;
}

async function look(world: ScheduleWorld, calm: Calm): Promise<void> {
  calm.sweptAt = world.time.now();
  if (world.process('sweeper').state !== 'up') return;
  world.sweep();
  await world.turns.settle();
}

async function automatic(world: ScheduleWorld): Promise<boolean> {
  const left = await world.store.outbox(world.ref.credential, world.ref.env);
  return left.length > 0 || kindOf(await world.job()) === 'automatic' || (await otherIsAutomatic(world));
}

/** An emergency and the rotation that it stops stand side by side. */
async function otherIsAutomatic(world: ScheduleWorld): Promise<boolean> {
  const { credential, env } = world.ref;
  const open = await world.store.openJobs(credential, env);
  return open.some((job) => kindOf(job) === 'automatic');
}

/** Where the job stands, for the message of a schedule that went wrong. */
export async function standing(world: ScheduleWorld): Promise<string> {
  const { status, cleanup, step, error, tally } = await world.job();
  const open = world.queue.entries.filter((one) => ['waiting', 'active', 'delayed'].includes(one.state));
  const tasks = open.map((one) => `${one.id} ${one.state}`);
  return JSON.stringify({ status, cleanup, step, error, tally, tasks, log: world.log.slice(-12) }, null, 1);
}
