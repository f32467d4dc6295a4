// One scenario of the fleet's tests: a fleet, its rotations, what is done to it, and everything that must hold afterwards.
import { pause } from '../../bin/demo/client.ts';
import { endedWell, movedOn, type EndOptions, type Pace } from './ends.ts';
import { openFleet, type Fleet, type FleetOptions } from './fleet.ts';
import { points, type PointName, type Trap } from './points.ts';
import { report } from './recovery.ts';
import { rotate, type RotateOptions, type Rotation } from './rotation.ts';

export interface Scene {
  readonly fleet: Fleet;
  /** Of the first credential. */
  readonly rotation: Rotation;
  readonly rotations: readonly Rotation[];
  /** Resolves when the work has come to the point; rejects where the rotation ends in another way before. */
  readonly sprung: () => Promise<void>;
}

export interface ScenarioOptions extends FleetOptions {
  readonly name: string;
  /** Where the first credential's work is caught, and how often. */
  readonly at?: { readonly point: PointName; readonly times: number };
  readonly end?: EndOptions;
  /** How long the jobs stand at their first gate, so that what is lost later is not the jobs themselves. */
  readonly standMs?: number;
}

/** Rotates every credential of a fleet while `happens` does what the scenario is about, then asserts and prints. */
export async function scenario(
  { name, at, end = {}, standMs = 0, ...options }: ScenarioOptions,
  happens: (scene: Scene) => Promise<void>,
): Promise<readonly Pace[]> {
  await using fleet = await openFleet(options);
  const [first] = fleet.outside.credentials;
  if (first === undefined) throw new Error('a fleet has a credential');
  const trap: Trap | null = at === undefined ? null : points[at.point].set(fleet, first, at.times);
  const rotations = await Promise.all(
    fleet.outside.credentials.map((credential) =>
      rotate(fleet, credential, { before: beforeGates(credential === first ? trap : null, standMs) }),
    ),
  );
  const [rotation] = rotations;
  if (rotation === undefined) throw new Error('a fleet has a rotation');
  const sprung = async () => {
    if (trap === null) throw new Error(`${name} catches nothing`);
    await Promise.race([trap.sprung(), rotation.done]);
  };
  await happens({ fleet, rotation, rotations, sprung });
  const paces: Pace[] = [];
  await Promise.all(rotations.map(({ done }) => done));
  await trap?.settled?.();
  for (const one of rotations) {
    await endedWell(fleet, one, end);
    const pace = await movedOn(fleet, one);
    report(rotations.length === 1 ? name : `${name}, ${one.credential.name}`, pace);
    paces.push(pace);
  }
  return paces;
}

function beforeGates(trap: Trap | null, standMs: number): NonNullable<RotateOptions['before']> {
  const before = trap?.before ?? {};
  if (standMs === 0) return before;
  return {
    ...before,
    async init() {
      await pause(standMs);
      before.init?.();
    },
  };
}
