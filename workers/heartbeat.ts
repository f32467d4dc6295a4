// Tells a monitor outside, each minute, that the fleet is whole. Law: silence is the alarm, so nothing but a whole fleet is vouched for.
import type { Health } from '../shared/redis/health.ts';
import type { SealStore } from '../shared/redis/seal-store.ts';
import type { Times } from '../shared/times.ts';
import type { Duty } from './duties.ts';
import type { Door } from './vendors/http.ts';

export interface HeartbeatDeps {
  /** Whoever knows it could vouch for Velvet: it is in no log line. */
  readonly url: string;
  readonly door: Door;
  readonly hold: SealStore['hold'];
  readonly health: () => Promise<Health>;
  readonly times: Pick<Times, 'heartbeatMs' | 'heartbeatCallMs'>;
}

/** Looks for its turn this often within one beat, so that another process takes over soon after the one that beat last has died. */
const TURNS = 12;

export function heartbeat({ url, door, hold, health, times }: HeartbeatDeps): Duty {
  const everyMs = times.heartbeatMs / TURNS;
  return {
    everyMs,
    async does(signal) {
      // A new name each time: whoever held the last beat waits for the next one like all others.
      const holder = crypto.randomUUID();
      if (!(await hold('heartbeat', holder, Math.ceil(times.heartbeatMs - everyMs / 2)))) return;
      if ((await health()).status !== 'ok') {
        await hold('heartbeat', holder, 0);
        return;
      }
      const call = { jobId: 'heartbeat', fence: '0-heartbeat', lease: null, signal, repeat: false };
      await door.send(call, {
        vendor: 'heartbeat',
        method: 'GET',
        url,
        timeoutMs: times.heartbeatCallMs,
      });
    },
  };
}
