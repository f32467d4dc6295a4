// Time as a parameter: wall time for what is recorded, monotonic time for what is waited for or must not be exceeded.
import { performance } from 'node:perf_hooks';

export interface Clock {
  /** Milliseconds since 1970. May jump; for records and for comparing with another process. */
  now(): number;
  /** Milliseconds that only grow, in this process. For leases and deadlines. */
  monotonic(): number;
}

export const systemClock: Clock = { now: () => Date.now(), monotonic: () => performance.now() };

/** How `at` is written on the wire and in the audit trail: UTC, milliseconds. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
