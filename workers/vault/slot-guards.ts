// What every vault asks before it touches a slot: a name that is one, and a lease that still holds.
import { VelvetError } from '../../shared/lib/errors.ts';
import type { VendorCall } from '../vendors/contract.ts';

const slotName = /^[A-Za-z0-9_.-]{1,200}$/;

export function isSlotName(text: string): boolean {
  return slotName.test(text);
}

/** The slot's name; throws `invariant_broken` for anything that could mean more than a name where it is stored. */
export function checkedName(slot: string): string {
  if (!isSlotName(slot))
    throw new VelvetError('invariant_broken', 'a slot name must match [A-Za-z0-9_.-]{1,200}');
  return slot;
}

/** Throws `lease_over` where this call may change nothing (any more). */
export function assertMayChange(call: VendorCall, slot: string): void {
  const reason =
    call.lease === null
      ? 'no lease was given'
      : call.lease.remainingMs() <= 0
        ? 'the lease is over'
        : call.signal.aborted
          ? 'the attempt was stopped'
          : null;
  if (reason !== null) throw new VelvetError('lease_over', `vault slot ${slot} was not changed: ${reason}`);
}
