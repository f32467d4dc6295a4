// What the schedule remembers of a credential. Law: a loss of it may put something off, and begins nothing twice that can still be found.
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { JobRef } from '../rotation/effects.ts';
import { credentialKeys } from './keys.ts';
import { guarded, understood } from './refusals.ts';

const instant = z.coerce.number().int().nonnegative();

const scheduleSchema = z.object({
  /** Of the current value, when it was looked at last. */
  fingerprint: z.string().nullable().default(null),
  /** Since when that value is the current one (wall clock, ms), as far as it is known; null until it was seen once. */
  since: instant.nullable().default(null),
  /** For which due time a rotation was begun last. */
  started_for: instant.default(0),
  /** When a drift check was begun last. */
  checked_at: instant.default(0),
  /** For which due time it was said that the rotation is overdue. */
  told_overdue: instant.default(0),
  /** What was wrong when a test was told of last; empty where nothing was. */
  told_test: z.string().default(''),
});
export type Schedule = z.infer<typeof scheduleSchema>;

export interface ScheduleStore {
  load(ref: Pick<JobRef, 'credential' | 'env'>): Promise<Schedule>;
  note(ref: Pick<JobRef, 'credential' | 'env'>, facts: Partial<Schedule>): Promise<void>;
}

export function createScheduleStore(redis: Redis): ScheduleStore {
  return {
    async load({ credential, env }) {
      const hash = await guarded(redis.hgetall(credentialKeys(credential, env).schedule));
      return understood(`the schedule of ${credential}`, () => scheduleSchema.parse(hash));
    },

    async note({ credential, env }, facts) {
      const fields = Object.entries(facts).map(([name, value]) => [name, String(value ?? '')]);
      await guarded(redis.hset(credentialKeys(credential, env).schedule, Object.fromEntries(fields)));
    },
  };
}
