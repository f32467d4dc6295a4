import { expect, test } from 'vitest';
import { points, type PointName } from './points.ts';
import { measureRecovery, report, type Successor } from './recovery.ts';

const successors: readonly Successor[] = ['again', 'standby'];
const cases = (Object.keys(points) as PointName[]).flatMap((name) =>
  successors.map((successor) => ({ name, successor, ...points[name] })),
);

test.concurrent.for(cases)(
  '$family killed while $doing ($successor): the rotation ends as if nothing had been',
  async ({ name, successor }) => {
    const { recovery, pace } = await measureRecovery(name, { successor, kills: 1 });

    report(`kill ${name}, ${successor}`, pace, recovery);
    expect(recovery.seconds).toBeGreaterThan(0);
  },
);
