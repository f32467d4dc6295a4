import { test } from 'vitest';
import { pause } from '../../bin/demo/client.ts';
import { systemClock } from '../../shared/lib/clock.ts';
import { scenario } from './scenario.ts';

const EVERY_MS = 1_500;
const TIMES_MAX = 40;
const kinds = [
  { what: 'CLIENT KILL TYPE normal', types: ['normal'] },
  { what: 'every connection cut', types: ['normal', 'pubsub'] },
] as const;

test.concurrent.for(kinds)(
  '$what every 1.5 s during a whole rotation: nothing is lost',
  async ({ what, types }) => {
    await scenario({ name: what }, async ({ fleet, rotation }) => {
      const cutting = new AbortController();
      const cut = async () => {
        for (let times = 0; times < TIMES_MAX && !cutting.signal.aborted; times += 1) {
          await pause(EVERY_MS);
          for (const type of types) await fleet.redis.call('CLIENT', 'KILL', 'TYPE', type);
          fleet.note({ what, at: systemClock.now(), changing: false });
        }
      };
      const cuts = cut();
      await rotation.done.finally(() => cutting.abort());
      await cuts;
    });
  },
);
