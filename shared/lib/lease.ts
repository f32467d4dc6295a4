// The span in which an attempt may change something outside. Law: nothing is sent after it, and what is in flight at its end is aborted.
import type { Clock } from './clock.ts';

/** Names one attempt: `<counter>-<8 random characters>`. Compared whole; only the counter has an order. */
export type Fence = string;

export interface Lease {
  readonly fence: Fence;
  /** Wall-clock end, as recorded in Redis: what a successor waits for. */
  readonly until: number;
  /** What is left, in milliseconds of this process's monotonic clock; 0 once it is over. */
  remainingMs(): number;
}

/**
 * A lease of `ms` that was asked for at `askedAt` (monotonic). Counting from the moment of asking, not of the answer,
 * makes it end no later here than where it was recorded.
 */
export function leaseFrom(clock: Clock, fence: Fence, until: number, askedAt: number, ms: number): Lease {
  return { fence, until, remainingMs: () => Math.max(0, askedAt + ms - clock.monotonic()) };
}

/** The order of two attempts: by counter alone. An equal counter with another suffix counts as lower, so it is false here. */
export function isLowerFence(a: Fence, b: Fence): boolean {
  return a !== b && fenceCounter(a) <= fenceCounter(b);
}

/** The part of a fence that has an order. */
export function fenceCounter(fence: Fence): number {
  const counter = Number(fence.split('-', 1)[0]);
  if (!Number.isSafeInteger(counter)) throw new TypeError(`not a fence: ${fence}`);
  return counter;
}
