// The global fetch of a process, for SDKs that know no other one. Law: inside `insideDoor` it is that one call's door; a library that was given none gets what stands outside.
import { AsyncLocalStorage } from 'node:async_hooks';

const doors = new AsyncLocalStorage<typeof fetch | undefined>();
const aware = new WeakSet<typeof fetch>();

/** A global fetch that sends through the door of the call in whose work it is asked, timers of an SDK's late retries included, and through `outside` elsewhere. */
export function doorAware(outside: typeof fetch): typeof fetch {
  const own: typeof fetch = (input, init) => {
    const door = doors.getStore();
    // The door sends with a fetch of its own, which may be this very one: it must not come back in.
    return door === undefined ? outside(input, init) : doors.run(undefined, () => door(input, init));
  };
  aware.add(own);
  return own;
}

/** Runs `work`, whose use of the global fetch goes through `own`. */
export function insideDoor<T>(own: typeof fetch, work: () => Promise<T>): Promise<T> {
  // A worker has it from its first line; a command or a test gets it here, and nothing changes outside of `work`.
  if (!aware.has(globalThis.fetch)) globalThis.fetch = doorAware(globalThis.fetch);
  return doors.run(own, work);
}
