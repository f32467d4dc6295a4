// One seed from its beginning to its end. Law: the same seed tells the same story, decision by decision.
import type { Mixes } from './mixes.ts';
import { tellEmergency } from './emergency.ts';
import { bringHome, onceMore } from './homecoming.ts';
import { keptSeeds } from './kept-seeds.ts';
import { problemsAtRest, secretProblems } from './checks.ts';
import { disturbOne, killAll, wakeOne } from './faults.ts';
import { meddle } from './hand.ts';
import { move, sweepOnce, type Odds } from './move.ts';
import { act, listen, openAnother } from './operator.ts';
import { createRandom, type Random } from './random.ts';
import { told, type Story } from './story.ts';
import { timersOf } from './timers.ts';

export interface Told {
  readonly seed: number;
  readonly problems: readonly string[];
  readonly trail: () => readonly string[];
  readonly decisions: number;
  readonly rests: number;
  readonly jobs: number;
}

/** Looking for leaked values through everything that Redis holds takes as long as the rest of a seed. */
const LEAKS_EACH = 50;

export async function tellSeed(mixes: Mixes, seed: number): Promise<Told> {
  const random = createRandom(seed);
  const ears = { tokens: new Map<string, string>(), cuts: [], ended: new Set<string>() };
  await using world = await mixes.begin(random, ears);
  const story: Story = {
    seed,
    world,
    random,
    trail: [],
    jobs: [world.ref.jobId],
    ...peopleOf(random),
    explained: new Map(),
    settled: new Set(),
    ...ears,
    busy: new Map(),
    heard: [],
    calm: { sweptAt: 0, moved: true, silent: 0 },
    outage: { until: 0, how: 'fail' },
    unseen: true,
    rests: 0,
    decisions: 0,
  };
  const restore = timersOf(world);
  const problems: string[] = [];
  try {
    const weather = weatherOf(random);
    problems.push(...(await storm(story, weather)));
    const emergency = hasEmergency(seed);
    if (problems.length === 0)
      problems.push(...(emergency ? await tellEmergency(story, weather) : await bringHome(story)));
    if (problems.length === 0 && !emergency && story.jobs.length < 4 && random.chance(0.3))
      problems.push(...(await onceMore(story)));
    if (seed % LEAKS_EACH === 0) problems.push(...(await secretProblems(story)));
  } catch (error) {
    problems.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  } finally {
    restore();
  }
  const { trail, decisions, rests, jobs } = story;
  return {
    seed,
    problems: [...new Set(problems)],
    trail: () => told(trail),
    decisions,
    rests,
    jobs: jobs.length,
  };
}

/** By a chance of its own, so that the others tell what they told before there were emergencies; so do those that once showed something. */
const hasEmergency = (seed: number): boolean =>
  createRandom(seed ^ 0x5e_71).chance(0.3) && !keptSeeds.some((kept) => kept.seed === seed);

function peopleOf(random: Random): Pick<Story, 'workers' | 'sweepers'> {
  const some = (family: string) =>
    Array.from({ length: random.between(2, 3) }, (_, index) => `${family}-${index + 1}`);
  return {
    workers: { stage: some('stage'), distribute: some('distribute'), healthcheck: some('healthcheck') },
    sweepers: random.chance(0.5) ? ['sweeper-1'] : ['sweeper-1', 'sweeper-2'],
  };
}

/** How wild a seed is: from nothing but people to a bad day. */
interface Weather extends Odds {
  readonly decisions: number;
  readonly person: number;
  readonly process: number;
  readonly blackout: number;
  readonly hand: number;
  readonly sweep: number;
  /** For each decision, of somebody who sleeps. */
  readonly waking: number;
}

function weatherOf(random: Random): Weather {
  const wild = random.pick([0, 0.3, 1, 1, 2]);
  return {
    decisions: random.between(80, 600),
    fault: 0.013 * wild,
    lag: 0.004 * wild,
    person: random.pick([0.001, 0.004, 0.01]),
    process: 0.002 * wild,
    blackout: 0.0004 * wild,
    hand: random.pick([0, 0, 0, 0.06]),
    sweep: 0.003,
    waking: 0.02,
  };
}

async function storm(story: Story, weather: Weather): Promise<readonly string[]> {
  const { random } = story;
  while (story.decisions < weather.decisions) {
    listen(story);
    const luck = random.next();
    if (luck < weather.person) await act(story, { atRest: false });
    else if (luck < weather.person + weather.process) disturbOne(story);
    else if (luck < weather.person + weather.process + weather.blackout) killAll(story);
    else if (luck > 1 - weather.sweep) await sweepOnce(story);
    else if (luck > 1 - weather.sweep - weather.waking) wakeOne(story);
    if ((await move(story, weather)) === 'moved') continue;
    listen(story);
    const found = await problemsAtRest(story);
    if (found.length > 0) return found;
    if (random.chance(weather.hand)) await meddle(story);
    else if (story.jobs.length < 3 && random.chance(0.03)) await openAnother(story);
    else await act(story, { atRest: true });
  }
  return [];
}
