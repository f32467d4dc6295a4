// Recovery: a worker process is killed in the middle of a step, and another one of its family completes it. Real processes, the product's own times.
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../shared/lib/clock.ts';
import type { WorkerFamily } from '../../shared/redis/system-store.ts';
import { times } from '../../shared/times.ts';
import { buildWorld, CREDENTIAL, ENV, until, type World } from '../../test/harness.ts';
import { createCrew, type Crew } from '../cli/processes.ts';
import { envOf } from './fleet.ts';
import { median, rounded, type Report } from './measure.ts';
import { openPlace, type Place } from './place.ts';

/** Where a process is caught: the vendor holds its answer. */
interface Point {
  readonly family: WorkerFamily;
  readonly on: string;
  /** The event that says that the step was completed. */
  readonly completedBy: string;
  /** Whether what was in flight may change something: then nothing is repeated before it can no longer be applied. */
  readonly changing: boolean;
}

// oxfmt-ignore
const points: readonly Point[] = [
  { family: 'stage',      on: 'GET /account',                     completedBy: 'verify_succeeded', changing: false },
  { family: 'stage',      on: 'POST /oauth/authorizations',       completedBy: 'mint_succeeded',   changing: true },
  { family: 'distribute', on: 'GET /apps/:app/releases',          completedBy: 'row_written',      changing: false },
  { family: 'distribute', on: 'PATCH /apps/:app/config-vars',     completedBy: 'row_written',      changing: true },
];

const ROUNDS = 3;
const root = fileURLToPath(new URL('../..', import.meta.url));
/** Longer than the other process needs to start, shorter than a call may take. */
const HELD_MS = 8_000;
const COMPLETED_MS = 180_000;

export async function recovery(_: Place, report: Report): Promise<void> {
  // Most of it is waiting, so that the points wait together.
  const measured = await Promise.all(points.map(async (point) => ({ point, seconds: await rounds(point) })));
  for (const changing of [false, true]) {
    const seconds = measured.filter(({ point }) => point.changing === changing).flatMap((one) => one.seconds);
    const what = changing ? 'a changing call in flight' : 'no changing call in flight';
    const figure = { bench: 'recovery', unit: 's' };
    report({ ...figure, metric: `${what}, median`, value: rounded(median(seconds), 1) });
    report({ ...figure, metric: `${what}, max`, value: rounded(Math.max(...seconds), 1) });
  }
}

async function rounds(point: Point): Promise<readonly number[]> {
  const seconds = [];
  for (let round = 0; round < ROUNDS; round++) seconds.push(await killed(point));
  return seconds;
}

async function killed(point: Point): Promise<number> {
  await using place = await openPlace(() => undefined);
  const world = await buildWorld(place.redisUrl, { times, families: [], apps: [{ name: 'bench-app' }] });
  const lines: string[] = [];
  const crew = createCrew({
    cwd: root,
    onLine: (name, line) => lines.push(`${name} ${line}`),
    onEvent: () => undefined,
  });
  const start = (name: string, family: WorkerFamily) =>
    crew.start({
      name,
      command: [process.execPath, 'workers/main.ts', family],
      env: envOf(family, world.environment),
      againAfterMs: () => null,
    });
  try {
    start('stage', 'stage');
    if (point.family !== 'stage') start(point.family, point.family);
    return await caught(world, crew, point, () => start('other', point.family));
  } catch (error) {
    throw new Error(lines.slice(-20).join('\n'), { cause: error });
  } finally {
    await crew.stop(0);
    await world[Symbol.asyncDispose]();
  }
}

/** Seconds from SIGKILL to the event that completes the step. */
async function caught(world: World, crew: Crew, point: Point, startOther: () => void): Promise<number> {
  const fault = () => world.heroku.script({ on: point.on, do: { delay_ms: HELD_MS } });
  // The workers look at their authorities before anything is asked of them.
  await until(
    () => world.heroku.requests.some(({ route }) => route === 'GET /oauth/authorizations') || null,
    30_000,
  );
  const jobId = await world.create();
  let held = point.completedBy === 'verify_succeeded' ? fault() : null;
  await world.stage(jobId, { action: 'verify' });
  if (held === null) {
    await world.reaches(jobId, 'verified', 30_000);
    held = fault();
    await world.stage(jobId, { action: 'proceed_mint' });
  }
  const scripted = held;
  await until(() => scripted.fired > 0 || null, 60_000);
  startOther();
  const pid = crew.pids().get(point.family);
  if (pid === undefined) throw new Error(`${point.family} does not run`);
  process.kill(pid, 'SIGKILL');
  const killedAt = systemClock.now();
  const completed = await until(async () => {
    const events = await world.feed.read(CREDENTIAL, ENV, 0, 1_000);
    return events.find(({ event, at }) => event === point.completedBy && Date.parse(at) >= killedAt) ?? null;
  }, COMPLETED_MS);
  return (Date.parse(completed.at) - killedAt) / 1_000;
}
