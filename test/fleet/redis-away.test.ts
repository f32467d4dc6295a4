import { test } from 'vitest';
import { pause } from '../../bin/demo/client.ts';
import { systemClock } from '../../shared/lib/clock.ts';
import { points, type PointName } from './points.ts';
import { scenario } from './scenario.ts';
import type { ProxyMode } from './tcp-proxy.ts';

/** Longer than a task's lock and a lease. */
const AWAY_MS = 20_000;
const modes: readonly ProxyMode[] = ['silent', 'refusing', 'cutting'];
const names: readonly PointName[] = ['minting', 'patching', 'probing', 'revoking'];

test.concurrent.for(modes.flatMap((mode) => names.map((name) => ({ mode, name, ...points[name] }))))(
  'Redis $mode for 20 s while $family is $doing: nothing is lost',
  async ({ mode, name, doing, changing }) => {
    await scenario(
      { name: `redis ${mode} ${name}`, at: { point: name, times: 1 } },
      async ({ fleet, sprung }) => {
        await sprung();
        await fleet.link.mode(mode);
        await pause(AWAY_MS);
        await fleet.link.mode('open');
        fleet.note({ what: `Redis ${mode} for 20 s, ${doing}`, at: systemClock.now(), changing });
      },
    );
  },
);
