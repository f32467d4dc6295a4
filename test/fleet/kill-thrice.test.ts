import { expect, test } from 'vitest';
import { points, type PointName } from './points.ts';
import { measureRecovery, report } from './recovery.ts';

// One of each family; whoever is started again after 2 s is killed as soon as it has come to the same place.
const names: readonly PointName[] = ['minting', 'patchingLost', 'probing', 'telling', 'asking'];
const cases = names.map((name) => ({ name, ...points[name] }));

test.concurrent.for(cases)(
  '$family killed three times while $doing: the rotation ends as if nothing had been',
  async ({ name }) => {
    const { recovery, pace } = await measureRecovery(name, { successor: 'again', kills: 3 });

    report(`three kills ${name}`, pace, recovery);
    expect(recovery.seconds).toBeGreaterThan(0);
  },
);
