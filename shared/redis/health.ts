// Whether the fleet is whole: what /healthz answers, what a schedule waits for, and what the heartbeat vouches for.
import type { Redis } from 'ioredis';
import { logfields, type Log } from '../lib/log.ts';
import { fullReason, unfitReasons } from './connection.ts';
import type { SystemStore } from './system-store.ts';

export interface Health {
  readonly status: 'ok' | 'degraded';
  readonly failing?: readonly string[];
  readonly warnings?: Readonly<Record<string, string>>;
}

export interface HealthDeps {
  readonly redis: Redis;
  readonly system: SystemStore;
  readonly allowVolatileRedis: boolean;
  readonly log: Log;
}

/** What is failing now; empty where new rotations may be started. */
export async function healthOf(deps: HealthDeps): Promise<Health> {
  try {
    const [unfit, full, silent, warnings] = await Promise.all([
      deps.allowVolatileRedis ? [] : unfitReasons(deps.redis),
      fullReason(deps.redis),
      deps.system.silentFamilies(),
      deps.system.unavailable(),
    ]);
    const failing = [
      ...[...unfit, ...(full === null ? [] : [full])].map((reason) => `redis: ${reason}`),
      ...silent.map((family) => `${family}: no process of this family has beaten for 30 s`),
    ];
    const warned = Object.keys(warnings).length === 0 ? {} : { warnings };
    return failing.length === 0 ? { status: 'ok', ...warned } : { status: 'degraded', failing, ...warned };
  } catch (error) {
    deps.log.warn('health: redis did not answer', logfields(error));
    return { status: 'degraded', failing: ['redis: unreachable'] };
  }
}
