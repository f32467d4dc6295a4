// How long a killed step takes to be completed: one kill in the middle of one step, measured from SIGKILL, in a fleet of its own.
import { appendFileSync, readFileSync } from 'node:fs';
import { pause } from '../../bin/demo/client.ts';
import { until } from '../harness.ts';
import { endedWell, movedOn, type Pace } from './ends.ts';
import { openFleet, type Fleet } from './fleet.ts';
import { points, type Point, type PointName, type Trap } from './points.ts';
import { rotate, type Rotation } from './rotation.ts';

/**
 * again: the killed process is started again after 2 s, as a process manager does · standby: another one of its family was started
 * before it dies. Not before it is caught, since then the other one could be.
 */
export type Successor = 'again' | 'standby';

/**
 * What was in flight at the kill. nothing: nothing that changes anything · repeatable: a write of a known value, which is looked at
 * and repeated at once · unrepeatable: a change that nobody may repeat before its lease and the vendor's delay are over (law 5).
 */
export type InFlight = 'nothing' | 'repeatable' | 'unrepeatable';

export interface Recovery {
  readonly point: PointName;
  readonly successor: Successor;
  readonly inFlight: InFlight;
  /** From the last SIGKILL to the end of the step. */
  readonly seconds: number;
}

export interface KillOptions {
  readonly successor: Successor;
  readonly kills: number;
}

const AGAIN_MS = 2_000;
/** A standby is up after a second; on a busy machine it is still on its way when the held answer would come. */
const CAUGHT_MS = 3_500;
const COMPLETED_MS = 120_000;

/** Kills whoever is caught at the point, as often as asked, and measures from the last kill. The rotation goes on. */
export async function killAt(
  fleet: Fleet,
  rotation: Rotation,
  { name, trap, successor, kills }: KillOptions & { readonly name: PointName; readonly trap: Trap },
): Promise<Recovery> {
  const { family, doing, changing }: Point = points[name];
  let killedAt = 0;
  for (let kill = 1; kill <= kills; kill += 1) {
    await Promise.race([trap.sprung(), rotation.done]);
    const [victim, standby] = [fleet.oldest(family), successor === 'standby'];
    const coming = standby ? fleet.start(family) : null;
    if (coming !== null) await Promise.race([coming, pause(CAUGHT_MS)]);
    killedAt = victim.signal('SIGKILL');
    fleet.note({ what: `SIGKILL ${kill}/${kills} of ${victim.name}, ${doing}`, at: killedAt, changing });
    await victim.gone;
    await coming;
    if (standby) continue;
    await pause(AGAIN_MS);
    await fleet.start(family);
  }
  const completed = await until(
    () => trap.completed(rotation, killedAt),
    COMPLETED_MS,
    () => `the end of ${doing}\n${fleet.tail(30)}`,
  );
  const inFlight = changing ? (family === 'stage' ? 'unrepeatable' : 'repeatable') : 'nothing';
  return { point: name, successor, inFlight, seconds: (completed - killedAt) / 1000 };
}

/** A whole rotation with kills at one point; everything that must hold at its end is asserted. */
export async function measureRecovery(
  name: PointName,
  { successor, kills }: KillOptions,
): Promise<{ readonly recovery: Recovery; readonly pace: Pace }> {
  await using fleet = await openFleet();
  const [credential] = fleet.outside.credentials;
  if (credential === undefined) throw new Error('a fleet has a credential');
  const trap: Trap = points[name].set(fleet, credential, kills);
  const rotation = await rotate(fleet, credential, { before: trap.before ?? {} });
  const recovery = await killAt(fleet, rotation, { name, trap, successor, kills });
  await rotation.done;
  await trap.settled?.();
  await endedWell(fleet, rotation);
  return { recovery, pace: await movedOn(fleet, rotation) };
}

export interface Spread {
  readonly count: number;
  readonly median: number;
  readonly max: number;
}

/** Median and maximum of those with this in flight; null where there was none. */
export function spreadOf(recoveries: readonly Recovery[], inFlight: InFlight): Spread | null {
  const seconds = recoveries.filter((one) => one.inFlight === inFlight).map((one) => one.seconds);
  const sorted = seconds.toSorted((a, b) => a - b);
  const [median, max] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)];
  return median === undefined || max === undefined ? null : { count: sorted.length, median, max };
}

/** One file for all test files of a run; without it a run keeps nothing. */
const reportFile = process.env['FLEET_REPORT'];

/** Prints what a scenario saw, and keeps its recovery for the end of the suite. */
export function report(scenario: string, pace: Pace, recovery: Recovery | null = null): void {
  const wait = pace.waitSeconds === 0 ? '' : `, of which waited by law 5: ${pace.waitSeconds.toFixed(1)} s`;
  const step = recovery === null ? '' : `; step completed after ${recovery.seconds.toFixed(1)} s`;
  console.log(`fleet: ${scenario}: ${pace.fault} → ${pace.gate} after ${pace.secondsToGate.toFixed(1)} s${wait}${step}`); // prettier-ignore
  if (reportFile !== undefined && recovery !== null)
    appendFileSync(reportFile, `${JSON.stringify(recovery)}\n`);
}

export function readReport(file: string): readonly Recovery[] {
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Recovery);
}
