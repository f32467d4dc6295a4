import { test } from 'vitest';
import { pause } from '../../bin/demo/client.ts';
import { systemClock } from '../../shared/lib/clock.ts';
import type { Status } from '../../shared/rotation/statuses.ts';
import { points, type PointName } from './points.ts';
import { scenario } from './scenario.ts';
import type { Fleet } from './fleet.ts';

const DOWN_MS = 1_500;
const hows = ['kill', 'quit'] as const;
type How = (typeof hows)[number];
const names: readonly PointName[] = ['minting', 'patching', 'probing', 'revoking'];

async function restart(fleet: Fleet, how: How, doing: string): Promise<void> {
  await fleet.server[how]();
  await pause(DOWN_MS);
  await fleet.server.start();
  // The process that was caught lives on and hears its answer: nothing has to be waited for by law.
  fleet.note({ what: `Redis ${how === 'kill' ? 'killed' : 'stopped'} and started, ${doing}`, at: systemClock.now(), changing: true }); // prettier-ignore
}

test.concurrent.for(hows.flatMap((how) => names.map((name) => ({ how, name, ...points[name] }))))(
  'Redis restarted ($how) while $family is $doing: nothing is lost',
  async ({ how, name, doing }) => {
    await scenario(
      { name: `redis ${how} ${name}`, at: { point: name, times: 1 } },
      async ({ fleet, sprung }) => {
        await sprung();
        await restart(fleet, how, doing);
      },
    );
  },
);

const everywhere: readonly Status[] = ['verifying', 'minting', 'distributing', 'validating', 'revoking'];

test.concurrent('Redis killed once in every step of one rotation: nothing is lost', async () => {
  await scenario({ name: 'redis killed in every step' }, async ({ fleet, rotation }) => {
    for (const status of everywhere) {
      await rotation.reaches(status);
      await restart(fleet, 'kill', status);
    }
  });
});
