// When a request must end: at its own deadline, with the lease it was sent under, or when the process lets go; whichever is first.
import { subscribe } from 'node:diagnostics_channel';
import type { VendorCall } from './contract.ts';

export type CutBy = 'Timeout' | 'LeaseOver' | 'Aborted';

export interface Deadline {
  readonly signal: AbortSignal;
  /** What ended the request early; null while nothing has. */
  cutBy(): CutBy | null;
  /** To be called once the request is under way: from then on the lease is checked again just before bytes leave. */
  watchTheSocket(): void;
  /** `promise`, or a rejection as soon as the deadline cuts it, even where `promise` does not listen to the signal. */
  race<T>(promise: Promise<T>): Promise<T>;
  /** Ends the watch; every deadline must be closed. */
  close(): void;
}

// Looking up a name, TCP and TLS lie between the check of the lease and the first byte. A process that was stopped (SIGSTOP,
// a paused machine) in there runs the socket's callback first when it wakes, and its timers after it: it would send under a
// lease that is long over. Node's fetch announces each request just before it writes it; aborting then sends nothing (tried).
const underWay = new Set<() => void>();
subscribe('undici:client:sendHeaders', () => {
  for (const checkLease of underWay) checkLease();
});

/** Starts the clock of one request: `timeoutMs` at most, and never past the call's lease. */
export function openDeadline(call: VendorCall, timeoutMs: number): Deadline {
  const controller = new AbortController();
  const leaseMs = call.lease?.remainingMs() ?? Number.POSITIVE_INFINITY;
  let cause: CutBy | null = null;
  const cut = (by: CutBy): void => {
    cause ??= by;
    controller.abort();
  };

  const timer = setTimeout(
    () => cut(leaseMs < timeoutMs ? 'LeaseOver' : 'Timeout'),
    Math.min(leaseMs, timeoutMs),
  );
  const letGo = (): void => cut('Aborted');
  call.signal.addEventListener('abort', letGo, { once: true });
  const checkLease = (): void => {
    if (call.lease !== null && call.lease.remainingMs() <= 0) cut('LeaseOver');
  };

  const rejection = rejectionOf(controller.signal);
  return {
    signal: controller.signal,
    cutBy: () => cause,
    watchTheSocket: () => underWay.add(checkLease),
    race: (promise) => Promise.race([promise, rejection]),
    close: () => {
      clearTimeout(timer);
      call.signal.removeEventListener('abort', letGo);
      underWay.delete(checkLease);
    },
  };
}

function rejectionOf(signal: AbortSignal): Promise<never> {
  const rejection = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('the request was cut')), { once: true });
  });
  // Whoever races it handles it; where nobody does, there was nothing to cut.
  rejection.catch(() => undefined);
  return rejection;
}
