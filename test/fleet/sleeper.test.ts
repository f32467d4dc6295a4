import { expect, test } from 'vitest';
import { pause } from '../../bin/demo/client.ts';
import { points, type PointName } from './points.ts';
import { scenario } from './scenario.ts';

/** Longer than a task's lock (10 s) and a lease (15 s): the sleeper wakes up in a world that has gone on without it. */
const ASLEEP_MS = 40_000;
const names: readonly PointName[] = ['minting', 'mintingLost', 'revoking', 'patching', 'probing'];
const cases = names.map((name) => ({ name, ...points[name] }));

test.concurrent.for(cases)(
  '$family asleep for 40 s while $doing, another one awake: the sleeper does no harm',
  async ({ name, family, doing, changing }) => {
    await scenario(
      { name: `sleep ${name}`, at: { point: name, times: 1 } },
      async ({ fleet, rotation, sprung }) => {
        await sprung();
        const sleeper = fleet.oldest(family);
        const at = sleeper.signal('SIGSTOP');
        fleet.note({ what: `SIGSTOP of ${sleeper.name}, ${doing}`, at, changing });
        // Not before: it could have been the one that was caught.
        await Promise.all([fleet.start(family), pause(ASLEEP_MS)]);
        sleeper.signal('SIGCONT');
        await rotation.done;
        // What it was about to do it has done by now, or let be; everything is looked at after that.
        await pause(3_000);
        expect(sleeper.ended).toBeNull();
      },
    );
  },
);
