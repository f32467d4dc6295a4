// Counts requests in windows of time. Law: the count lies in Redis, so that however many web processes there are they count together.
import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { systemKeys } from './keys.ts';
import { guarded } from './refusals.ts';

/** So many in a window; the window begins with the first of them. */
export interface Limit {
  readonly most: number;
  readonly windowMs: number;
}

export interface Taken {
  /** How many over the limit this one is; 0 where it is taken. */
  readonly over: number;
  /** How long until one is taken again, in milliseconds; 0 where this one is. */
  readonly waitMs: number;
}

export interface RateLimits {
  /** Counts one of `who`. */
  take(name: string, who: string, limit: Limit): Promise<Taken>;
}

export function createRateLimits(redis: Redis): RateLimits {
  return {
    async take(name, who, { most, windowMs }) {
      // Whoever reads Redis need not learn who asks from where.
      const key = systemKeys.limit(`${name}.${createHash('sha256').update(who).digest('hex').slice(0, 32)}`);
      const counting = redis.multi().incr(key).pexpire(key, windowMs, 'NX').pttl(key);
      const [counted, , left] = (await guarded(counting.exec())) ?? [];
      const over = Math.max(0, Number(counted?.[1]) - most);
      return { over, waitMs: over === 0 ? 0 : Math.max(1, Number(left?.[1])) };
    },
  };
}
