// Whether the fleet is whole: what /healthz answers, what a schedule waits for, and what the heartbeat vouches for.
import type { Redis } from 'ioredis';
import { isoTime, type Clock } from '../lib/clock.ts';
import { logfields, type Log } from '../lib/log.ts';
import { providersOf } from '../rotation/alarm.ts';
import type { AlarmStore } from './alarm-store.ts';
import { fullReason, unfitReasons } from './connection.ts';
import type { SystemStore } from './system-store.ts';

export interface Health {
  readonly status: 'ok' | 'degraded';
  readonly failing?: readonly string[];
  readonly warnings?: Readonly<Record<string, string>>;
  /** Of the alarm's own channels; nothing in it that a stranger may not read. */
  readonly alarm?: Readonly<Record<string, string>>;
}

export interface HealthDeps {
  readonly redis: Redis;
  readonly system: SystemStore;
  readonly alarms: Pick<AlarmStore, 'declared' | 'outcomes'>;
  readonly allowVolatileRedis: boolean;
  readonly env: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** What is failing now; empty where new rotations may be started. */
export async function healthOf(deps: HealthDeps): Promise<Health> {
  try {
    const [unfit, full, silent, warnings, alarm] = await Promise.all([
      deps.allowVolatileRedis ? [] : unfitReasons(deps.redis),
      fullReason(deps.redis),
      deps.system.silentFamilies(),
      deps.system.unavailable(),
      alarmWarnings(deps),
    ]);
    const failing = [
      ...[...unfit, ...(full === null ? [] : [full])].map((reason) => `redis: ${reason}`),
      ...silent.map((family) => `${family}: no process of this family has beaten for 30 s`),
    ];
    const warned = {
      ...(Object.keys(warnings).length === 0 ? {} : { warnings }),
      ...(Object.keys(alarm).length === 0 ? {} : { alarm }),
    };
    return failing.length === 0 ? { status: 'ok', ...warned } : { status: 'degraded', failing, ...warned };
  } catch (error) {
    deps.log.warn('health: redis did not answer', logfields(error));
    return { status: 'degraded', failing: ['redis: unreachable'] };
  }
}

/** A channel whose last message failed, and in prod an alarm that hangs on one provider. */
async function alarmWarnings({ alarms, env, clock }: HealthDeps): Promise<Readonly<Record<string, string>>> {
  const [{ channels }, outcomes] = await Promise.all([alarms.declared(clock.now()), alarms.outcomes()]);
  const failed = channels.flatMap((name) => {
    const last = outcomes[name];
    if (last?.status !== 'failed') return [];
    const what = last.kind === 'drill' ? 'drill' : 'alarm';
    return [[`alarm.${name}`, `its last ${what} was not delivered (${last.code ?? 'unknown'}), ${isoTime(last.at)}; POST /alarm/test tries it`]]; // prettier-ignore
  });
  const alone = env === 'prod' && providersOf(channels).length < 2;
  const few = alone ? [['alarm', 'fewer than two channels are configured: whatever silences one silences the alarm']] : []; // prettier-ignore
  return Object.fromEntries([...failed, ...few]);
}
