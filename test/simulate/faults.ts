// What may befall one effect, or a process, in a simulation; each with how often, and with times of its own.
import type { Turn } from '../schedule/turns.ts';
import type { Spoiled } from '../schedule/network.ts';
import { explain, held, tell, type Story } from './story.ts';

type Strike = (story: Story, turn: Turn) => Promise<void>;

interface FaultKind {
  readonly name: string;
  readonly weight: number;
  readonly fits: (turn: Turn) => boolean;
  readonly strike: Strike;
}

const overNet = ({ effect }: Turn) => effect.door === 'http' || effect.door === 'vault';
const overRedis = ({ effect }: Turn) => effect.door === 'redis' || effect.door === 'queue';
const changes = ({ effect }: Turn) => effect.change;
const always = () => true;

/** Short ones, ones about as long as a lease, and ones that outlast everything. */
export const spanMs = ({ random }: Story): number =>
  random.pick([
    random.between(1, 3_000),
    random.between(3_000, 20_000),
    random.between(14_000, 50_000),
    random.between(50_000, 700_000),
  ]);

const html = { 'content-type': 'text/html' };
const json = (id: string) => JSON.stringify({ id, message: 'As the seed has it.' });

function spoiledBy({ random }: Story, turn: Turn): Spoiled {
  const how = random.between(0, 5);
  if (how <= 1)
    return { status: 500, body: json('internal_server_error'), applied: turn.effect.change && how === 0 };
  if (how === 2)
    return { status: 429, headers: { 'retry-after': String(random.between(1, 90)) }, applied: false };
  if (how === 3) return { status: 429, headers: { 'retry-after': '3600' }, applied: false };
  if (how === 4) return { status: 403, body: json('forbidden'), applied: false };
  return { status: 403, headers: html, body: '<!doctype html><title>Blocked</title>', applied: false };
}

// oxfmt-ignore
const faultKinds: readonly FaultKind[] = [
  { name: 'die before',      weight: 10, fits: always,    strike: async ({ world }, { strand }) => world.kill(strand.process) },
  { name: 'die after',       weight: 10, fits: always,    strike: async ({ world }, turn) => { await world.turns.serve(turn, 'cut'); world.kill(turn.strand.process); } },
  { name: 'sleep',           weight: 14, fits: always,    strike: async (story, { strand }) => asleep(story, strand.process) },
  { name: 'fail',            weight: 8,  fits: always,    strike: async ({ world }, turn) => world.turns.serve(turn, 'fail') },
  { name: 'lose the answer', weight: 14, fits: changes,   strike: async ({ world }, turn) => world.turns.serve(turn, 'lose') },
  { name: 'send again',      weight: 8,  fits: (turn) => overRedis(turn) && changes(turn), strike: async ({ world }, turn) => world.turns.serve(turn, 'resend') },
  { name: 'send again later', weight: 8, fits: (turn) => overRedis(turn) && changes(turn), strike: async (story, turn) => { await story.world.turns.serve(turn, 'cut'); asleep(story, turn.strand.process); } },
  { name: 'apply late',      weight: 14, fits: (turn) => overNet(turn) && changes(turn), strike: async ({ world, random }, turn) => world.turns.serve(turn, { lateMs: random.between(1, 29_999) }) },
  { name: 'spoil',           weight: 20, fits: ({ effect }) => effect.door === 'http', strike: spoil },
  { name: 'Redis gone',      weight: 4,  fits: overRedis, strike: async (story) => story.world.dropRedis(spanMs(story)) },
  { name: 'vendor away',     weight: 10, fits: ({ effect }) => effect.door === 'http', strike: async (story) => goAway(story) },
  { name: 'all die',         weight: 2,  fits: always,    strike: async (story) => killAll(story) },
];

export async function strike(story: Story, turn: Turn): Promise<void> {
  const fitting = faultKinds.filter((one) => one.fits(turn));
  let left = story.random.between(
    1,
    fitting.reduce((sum, one) => sum + one.weight, 0),
  );
  const fault = fitting.find((one) => (left -= one.weight) <= 0) ?? fitting[0];
  if (fault === undefined) return;
  tell(story, `  !! ${fault.name}`);
  await fault.strike(story, turn);
  await story.world.turns.settle();
}

async function spoil(story: Story, turn: Turn): Promise<void> {
  const how = spoiledBy(story, turn);
  // Where nobody can look a person is taken at their word, and these people do not always say the truth.
  if (turn.strand.what === 'resolve_residual')
    for (const app of story.world.outside.apps) explain(story, app.name, held(app));
  tell(story, `     ${how.status} ${how.headers?.['retry-after'] ?? ''}${how.applied ? ' applied' : ''}`);
  story.world.outside.network.spoil(how);
  await story.world.turns.serve(turn);
}

/** Longer than all the attempts of a step take, so that it is parked; or as short as a hiccup. */
function goAway(story: Story): void {
  const { world, random } = story;
  const ms = random.pick([random.between(500, 5_000), random.between(5_000, 90_000)]);
  tell(story, `     for ${ms}`);
  story.outage = { until: world.time.now() + ms, how: random.pick(['fail', 'spoil']) };
}

/** Whether the vendor's absence met this effect. */
export async function metByOutage(story: Story, turn: Turn): Promise<boolean> {
  const { world, random, outage } = story;
  if (turn.effect.door !== 'http' || world.time.now() >= outage.until || random.chance(0.15)) return false;
  if (outage.how === 'fail') {
    tell(story, '  !! away');
    await world.turns.serve(turn, 'fail');
  } else await spoil(story, turn);
  return true;
}

function asleep(story: Story, process: Turn['strand']['process']): void {
  const { world } = story;
  const ms = spanMs(story);
  tell(story, `     ${process.name} sleeps for ${ms}`);
  world.sleep(process);
  world.time.at(world.time.now() + ms, () => world.wake(process));
}

export const namesOf = ({ workers, sweepers }: Story): readonly string[] => [
  ...Object.values(workers).flat(),
  ...sweepers,
];

/** Everything at once, the web process too: a deploy, or the lights going out. */
export function killAll(story: Story): void {
  const { world } = story;
  for (const name of [...namesOf(story), 'operator ada', 'operator bob', 'operator eve'])
    world.kill(world.process(name));
}

/** One that sleeps goes on, most often in the middle of what its successor does. */
export function wakeOne(story: Story): void {
  const { world, random } = story;
  const asleep = namesOf(story).filter((name) => world.process(name).state === 'asleep');
  if (asleep.length === 0) return;
  const name = random.pick(asleep);
  tell(story, `!! ${name} wakes`);
  world.wake(world.process(name));
}

/** One process, wherever it is. */
export function disturbOne(story: Story): void {
  const { world, random } = story;
  const process = world.process(random.pick(namesOf(story)));
  if (process.state !== 'up') return;
  if (random.chance(0.5)) {
    tell(story, `!! ${process.name} dies`);
    world.kill(process);
  } else asleep(story, process);
}
