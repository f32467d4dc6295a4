// Every schedule of one stage: it is run once to count its effects, then once for each fault at each of them, and each must come to a good end.
import type { Redis } from 'ioredis';
import { isOver } from '../../shared/rotation/job.ts';
import type { Status } from '../../shared/rotation/statuses.ts';
import { faultsAt, interfere, preemptsAt, named, type Fault, type Interference } from '../schedule/faults.ts';
import { likeness } from '../schedule/likeness.ts';
import { toRest } from '../schedule/run.ts';
import type { Turn } from '../schedule/turns.ts';
import { violations } from '../schedule/violations.ts';
import { walk } from '../schedule/walk.ts';
import { scheduleWorld, type Moment, type ScheduleWorld } from '../schedule/world.ts';
import type { StageCase } from './stage-cases.ts';

export interface Explored {
  readonly schedules: number;
  /** What went wrong, each with the schedule's name. */
  readonly failures: readonly string[];
}

/** Where a stage begins, and from which kinds of rest the job is known to come to its end. */
export interface Prepared extends AsyncDisposable {
  readonly moment: Moment;
  readonly walked: Set<string>;
}

export async function prepare(redis: Redis, stage: StageCase): Promise<Prepared> {
  const { apps, byHand = false, flow, asked } = stage;
  const world = await scheduleWorld(redis, {
    byHand,
    ...(apps === undefined ? {} : { apps }),
    ...(flow === undefined ? {} : { flow }),
    ...(asked === undefined ? {} : { asked }),
  });
  await stage.arrange(world);
  const moment = await world.save();
  return { moment, walked: new Set(), [Symbol.asyncDispose]: () => moment[Symbol.asyncDispose]() };
}

/** One schedule: from the stage's beginning to rest, and from there to the job's end. */
export async function schedule(
  { moment, walked }: Prepared,
  stage: StageCase,
  fault: Fault,
): Promise<{ readonly told: Interference; readonly problems: readonly string[] }> {
  await using world = await moment.resume();
  const told = interfere(stage.subject, fault);
  try {
    stage.begin(world);
    await toRest(world, told);
    const atRest = [...(await violations(world)), ...untold(world, stage, fault)];
    const like = await likeness(world);
    const atEnd = walked.has(like) ? [] : await end(world, wanted(stage, fault));
    if (atRest.length + atEnd.length === 0) walked.add(like);
    return { told, problems: [...atRest, ...atEnd] };
  } catch (error) {
    return { told, problems: [`1 ${error instanceof Error ? error.message : String(error)}`] };
  }
}

/** An abort that came too late, or that this release does not take there, changes nothing. */
function wanted(stage: StageCase, { kind }: Fault): readonly Status[] {
  const usual = stage.end ?? ['done'];
  // Whether the rotation or the emergency came first, each of them has its end.
  if (stage.part === 'preempt') return usual;
  // Nothing went wrong, so nothing of what may come of that is good enough.
  if (kind === 'none') return usual.slice(0, 1);
  return kind.includes('abort') ? ['aborted', ...usual] : usual;
}

/** What only takes time, or is sent twice by the client, is no refusal to whoever asked. */
function untold(world: ScheduleWorld, stage: StageCase, { kind }: Fault): readonly string[] {
  const harmless = ['none', 'sleep', 'Redis gone', 'send again', 'send again later'];
  if (stage.asks !== true || !harmless.includes(kind)) return [];
  return world.answers.filter((answer) => answer !== 'done').map((answer) => `7 told: ${String(answer)}`);
}

async function end(world: ScheduleWorld, wanted: readonly Status[]): Promise<readonly string[]> {
  await walk(world);
  const { status } = await world.job();
  const there = wanted.includes(status) && isOver(await world.job());
  const missed = there ? [] : [`1 the end: ${status} instead of ${wanted.join(' or ')}, or not over`];
  return [...missed, ...(await violations(world))];
}

export interface Exploring {
  /** Only schedules whose name begins so. */
  readonly only?: string;
  /** Whether one failure is enough. */
  readonly untilFailure?: boolean;
}

/** An emergency is not aborted, and what it may stop is stopped by it. */
function faultsOf({ part }: StageCase, effect: Turn): readonly Fault[] {
  if (part === 'preempt') return preemptsAt(effect);
  return faultsAt(effect).filter(({ kind }) => part !== 'emergency' || !kind.includes('abort'));
}

export async function explore(
  redis: Redis,
  stage: StageCase,
  { only = '', untilFailure = false }: Exploring = {},
): Promise<Explored> {
  await using prepared = await prepare(redis, stage);
  const undisturbed = await schedule(prepared, stage, { kind: 'none' });
  const failures = undisturbed.problems.map((problem) => `undisturbed: ${problem}`);
  const { effects } = undisturbed.told;
  if (effects.length < 5) failures.push(`only ${effects.length} effects were seen`);
  let schedules = 1;

  async function one(fault: Fault): Promise<Interference | null> {
    if (untilFailure && failures.length > 0) return null;
    const { told, problems } = await schedule(prepared, stage, fault);
    if (!told.struck) return told;
    schedules += 1;
    const turn = 'at' in fault ? effects[fault.at] : undefined;
    for (const problem of new Set(problems)) failures.push(`${named(fault, turn)}: ${problem}`);
    return told;
  }

  for (const effect of effects) {
    let others = 0;
    for (const fault of faultsOf(stage, effect)) {
      const wantsSwitches = fault.kind === 'sleep' && 'switch'.startsWith(only);
      if (!fault.kind.startsWith(only) && !wantsSwitches) continue;
      const told = await one(fault);
      if (fault.kind === 'sleep') others = told?.others ?? 0;
    }
    if (stage.switches === false || !'switch'.startsWith(only)) continue;
    for (let back = 0; back < others; back++) await one({ kind: 'switch', at: effect.index, back });
  }
  return { schedules, failures };
}
