// Timers of what runs under a schedule go by its time, not by the machine's: a request's deadline must pass when the story says so.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { ScheduleWorld } from '../schedule/world.ts';

const ownSet = globalThis.setTimeout;
const ownClear = globalThis.clearTimeout;

/** A stopped process hears of its timers when it wakes; so long it is asked again. */
const ASLEEP_MS = 250;

/** Until the answer is called. Whoever is no strand of the world keeps the machine's timers. */
export function timersOf(world: ScheduleWorld): () => void {
  const { time, turns } = world;
  const known = new WeakMap<object, { cancel(): void }>();
  const set = (deed: () => void, ms = 0): unknown => {
    const strand = turns.running();
    if (strand === undefined) return ownSet(deed, ms);
    const inside = AsyncLocalStorage.snapshot();
    const handle = { unref: () => handle, ref: () => handle };
    const ring = () => {
      if (strand.process.state === 'dead') return;
      if (strand.process.state === 'asleep') known.set(handle, time.at(time.now() + ASLEEP_MS, ring));
      else inside(deed);
    };
    known.set(handle, time.at(time.now() + ms, ring));
    return handle;
  };
  const clear = (handle: unknown): void => {
    const ours = typeof handle === 'object' && handle !== null ? known.get(handle) : undefined;
    if (ours === undefined) ownClear(handle as NodeJS.Timeout);
    else ours.cancel();
  };
  globalThis.setTimeout = set as unknown as typeof setTimeout;
  globalThis.clearTimeout = clear;
  return () => {
    globalThis.setTimeout = ownSet;
    globalThis.clearTimeout = ownClear;
  };
}
