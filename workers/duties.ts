// What a worker family does again and again beside its tasks. Law: never the same duty twice at once, and what fails is logged and tried again.
import { logfields, type Log } from '../shared/lib/log.ts';

export interface Duty {
  readonly everyMs: number;
  readonly does: (stopping: AbortSignal) => Promise<unknown>;
}

/** Does each duty now and then again after its pause, never twice at once; what fails is logged and tried again. */
export function repeat(duties: readonly Duty[], log: Log): () => Promise<void> {
  const stopped = new AbortController();
  const loops = duties.map(async ({ everyMs, does }) => {
    while (!stopped.signal.aborted) {
      try {
        await does(stopped.signal);
      } catch (error) {
        log.warn('a standing duty failed', logfields(error));
      }
      await pause(everyMs, stopped.signal);
    }
  });
  return async () => {
    stopped.abort();
    await Promise.all(loops);
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
  });
}
