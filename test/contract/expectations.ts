// What the contract suites ask of errors and calls. Law: a check fails with words that say which promise was broken.
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { systemClock } from '../../shared/lib/clock.ts';
import { isVelvetError } from '../../shared/lib/errors.ts';
import type { ErrorCode, VelvetError } from '../../shared/lib/errors.ts';
import { leaseFrom } from '../../shared/lib/lease.ts';
import type { Lease } from '../../shared/lib/lease.ts';
import type { VendorCall } from '../../workers/vendors/contract.ts';

/** A call of `job-a` under a lease of 15 s, unless something else is said. */
export function callOf(changes: Partial<VendorCall> = {}): VendorCall {
  const fence = changes.fence ?? '1-k2m9x4qa';
  const signal = new AbortController().signal;
  return { jobId: 'job-a', fence, lease: leaseOf(15_000, fence), signal, repeat: false, ...changes };
}

/** A lease that began just now; over at once with 0. */
export function leaseOf(ms: number, fence = '1-k2m9x4qa'): Lease {
  return leaseFrom(systemClock, fence, systemClock.now() + ms, systemClock.monotonic(), ms);
}

/** What `running` throws; fails where it throws nothing, or something that is no VelvetError. */
export async function thrownBy(running: Promise<unknown>): Promise<VelvetError> {
  const thrown: unknown = await running.then(
    () => null,
    (error: unknown) => error,
  );
  assert.notEqual(thrown, null, 'it should have thrown, and did not');
  assert.ok(isVelvetError(thrown), 'it threw something that is no VelvetError');
  return thrown;
}

/** As `thrownBy`, and the error has this code. */
export async function refusedWith(code: ErrorCode, running: Promise<unknown>): Promise<VelvetError> {
  const error = await thrownBy(running);
  assert.equal(error.code, code);
  return error;
}

/** Fails where one of `values` can be seen in `thing`, at any depth and however it is printed. */
export function assertHoldsNone(thing: unknown, values: readonly string[]): void {
  assert.ok(values.length > 0, 'there must be something to look for');
  const shown = inspect(thing, {
    depth: Infinity,
    showHidden: true,
    getters: true,
    maxStringLength: Infinity,
  });
  const all = [shown, JSON.stringify(thing), String(thing), ...errorTexts(thing)].join('\n');
  for (const value of values) assert.ok(!all.includes(value), 'a secret can be seen in it');
}

/** Settles as `running` does; fails where that takes `ms` or longer. */
export async function within<T>(ms: number, running: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`it did not settle within ${ms} ms`)), ms);
  return Promise.race([running, late]).finally(() => clearTimeout(timer));
}

function errorTexts(thing: unknown): readonly string[] {
  if (!(thing instanceof Error)) return [];
  return [thing.message, thing.stack ?? '', ...errorTexts(thing.cause)];
}
