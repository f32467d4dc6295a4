// One decision about what happens next: whose turn, which task, which sweep, how much time. Law: at random, but nothing of it by itself a fault.
import { kindOf } from '../../shared/rotation/job.ts';
import { standing } from '../schedule/run.ts';
import type { Turn } from '../schedule/turns.ts';
import type { Entry } from '../schedule/queue.ts';
import { metByOutage, strike } from './faults.ts';
import { focusOf, refTo, tell, type Story } from './story.ts';

/** How many rounds of the sweeper a job may stay automatic with nothing due. */
const SILENT_ROUNDS_MAX = 40;
/** More than any story needs from one rest to the next without faults. */
const DECISIONS_MAX = 30_000;

export interface Odds {
  /** Of a fault, for each effect. */
  readonly fault: number;
  /** That time passes although somebody could go on. */
  readonly lag: number;
}

export const undisturbed: Odds = { fault: 0, lag: 0 };

/** Rest: nobody can go on, nothing is due, and no job waits for anything of ours. */
export async function move(story: Story, odds: Odds): Promise<'moved' | 'rest'> {
  const { world, random } = story;
  story.decisions += 1;
  const ready = world.ready();
  const due = world.time.nextDue();
  if (odds.lag > 0 && due !== null && ready.length > 0 && random.chance(odds.lag)) {
    await passTo(story, due);
    return 'moved';
  }
  const waiting = startable(story);
  if (ready.length > 0 && (waiting.length === 0 || random.chance(0.85))) {
    await serve(story, random.pick(ready), odds);
    return 'moved';
  }
  if (waiting.length > 0) {
    await startOne(story, random.pick(waiting));
    return 'moved';
  }
  return (await pass(story)) ? 'moved' : 'rest';
}

async function serve(story: Story, turn: Turn, odds: Odds): Promise<void> {
  const { strand, effect } = turn;
  if (effect.change) {
    story.calm.moved = true;
    story.unseen = true;
  }
  tell(
    story,
    `${strand.process.name} ${strand.what} ${strand.id}.${turn.index}: ${effect.door} ${effect.name}`,
  );
  // One effect in ten is the vendor's; as much goes wrong there as everywhere else together.
  const often = effect.door === 'http' ? 6 : 1;
  if (odds.fault > 0 && story.random.chance(odds.fault * often)) {
    story.calm.moved = true;
    story.unseen = true;
    await strike(story, turn);
  } else if (!(await metByOutage(story, turn))) await story.world.turns.serve(turn);
}

function startable(story: Story): readonly Entry[] {
  if (story.world.redisDown) return [];
  return story.world.queue.waiting().filter((entry) => idle(story, entry).length > 0);
}

function idle({ world, workers }: Story, { queue }: Entry) {
  return (workers[queue] ?? []).map((name) => world.process(name)).filter((one) => one.state === 'up');
}

async function startOne(story: Story, entry: Entry): Promise<void> {
  const on = story.random.pick(idle(story, entry));
  story.calm.silent = 0;
  const strand = story.world.start(entry, on);
  tell(story, `${on.name} takes ${entry.id} as ${strand.id}`);
  await story.world.turns.settle();
}

async function passTo(story: Story, ms: number): Promise<void> {
  const { time, turns } = story.world;
  tell(story, `-- ${ms - time.now()} ms`);
  await time.moveTo(ms);
  story.calm.moved = true;
  await turns.settle();
}

export async function sweepOnce(story: Story): Promise<void> {
  const { world, random, sweepers } = story;
  story.calm.sweptAt = world.time.now();
  const on = world.process(random.pick(sweepers));
  if (on.state !== 'up') return;
  tell(story, `${on.name} sweeps`);
  world.turns.begin(on, 'sweep', () => on.sweep());
  await world.turns.settle();
}

/** Lets a sweeper look, or time pass. False: nothing is due, and no job waits for anything of ours. */
async function pass(story: Story): Promise<boolean> {
  const { world, calm } = story;
  const { time, times } = world;
  const due = time.nextDue();
  if (world.redisDown) {
    await passTo(story, due ?? time.now());
    return true;
  }
  const nextSweep = Math.max(time.now(), calm.sweptAt + times.sweepMs);
  if (calm.moved && (due === null || nextSweep < due)) {
    calm.moved = false;
    await time.moveTo(nextSweep);
    await sweepOnce(story);
    return true;
  }
  if (due !== null) {
    calm.silent = 0;
    await passTo(story, due);
    return true;
  }
  if (!(await automatic(story))) return false;
  if (++calm.silent > SILENT_ROUNDS_MAX) throw new Error(`1 silent: ${await standing(await focused(story))}`);
  await time.moveTo(time.now() + times.sweepMs);
  await sweepOnce(story);
  return true;
}

async function automatic(story: Story): Promise<boolean> {
  const left = await story.world.store.outbox(refTo('').credential, refTo('').env);
  return left.length > 0 || kindOf(await focusOf(story)) === 'automatic';
}

async function focused(story: Story): Promise<Story['world']> {
  const job = await focusOf(story);
  return { ...story.world, job: async () => job };
}

/** Without faults until rest. Throws where it does not come. */
export async function settleDown(story: Story): Promise<void> {
  story.calm.silent = 0;
  for (let n = 0; n < DECISIONS_MAX; n++) if ((await move(story, undisturbed)) === 'rest') return;
  throw new Error(`1 no rest after ${DECISIONS_MAX} decisions: ${await standing(await focused(story))}`);
}
