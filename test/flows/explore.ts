// Every schedule of one stage: it is run once to count its effects, then once for each fault at each of them, and each must come to a good end.
import type { Redis } from 'ioredis';
import { faultsAt, interfere, named, type Fault, type Interference } from '../schedule/faults.ts';
import { toRest } from '../schedule/run.ts';
import { violations } from '../schedule/violations.ts';
import { walk } from '../schedule/walk.ts';
import { scheduleWorld } from '../schedule/world.ts';
import type { StageCase } from './stage-cases.ts';

export interface Explored {
  readonly schedules: number;
  /** What went wrong, each with the schedule's name. */
  readonly failures: readonly string[];
}

/** One schedule, from the stage's beginning to rest, and on to the job's end. */
export async function schedule(
  redis: Redis,
  stage: StageCase,
  fault: Fault,
): Promise<{ readonly told: Interference; readonly problems: readonly string[] }> {
  await using world = await scheduleWorld(redis, stage.apps === undefined ? {} : { apps: stage.apps });
  const told = interfere(stage.subject, fault);
  try {
    await stage.arrange(world);
    stage.begin(world);
    await toRest(world, told);
    const atRest = await violations(world);
    await walk(world);
    const { status } = await world.job();
    const end = stage.end ?? 'done';
    const missed = status === end ? [] : [`1 the end: ${status} instead of ${end}`];
    return { told, problems: [...atRest, ...missed, ...(await violations(world))] };
  } catch (error) {
    return { told, problems: [`1 ${error instanceof Error ? error.message : String(error)}`] };
  }
}

export async function explore(redis: Redis, stage: StageCase): Promise<Explored> {
  const undisturbed = await schedule(redis, stage, { kind: 'none' });
  const failures = undisturbed.problems.map((problem) => `undisturbed: ${problem}`);
  const { effects } = undisturbed.told;
  if (effects.length < 5) failures.push(`only ${effects.length} effects were seen`);
  let schedules = 1;

  async function one(fault: Fault): Promise<Interference> {
    const { told, problems } = await schedule(redis, stage, fault);
    if (!told.struck) return told;
    schedules += 1;
    const turn = 'at' in fault ? effects[fault.at] : undefined;
    for (const problem of new Set(problems)) failures.push(`${named(fault, turn)}: ${problem}`);
    return told;
  }

  for (const effect of effects) {
    let others = 0;
    for (const fault of faultsAt(effect)) {
      const told = await one(fault);
      if (fault.kind === 'sleep') others = told.others;
    }
    for (let back = 0; back < others; back++) await one({ kind: 'switch', at: effect.index, back });
  }
  return { schedules, failures };
}
