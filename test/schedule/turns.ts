// Every effect on the outside asks for its turn. Law: one effect at a time, and after it everybody runs until they ask again or have ended.
import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate as nextRound } from 'node:timers/promises';

export interface Effect {
  readonly door: 'http' | 'redis' | 'queue' | 'vault';
  /** What is done, for a reader: `POST /oauth/authorizations`, `commit`. */
  readonly name: string;
  /** Whether it may change something outside. */
  readonly change: boolean;
}

/** How one effect is carried out. */
export interface Deed<T> {
  /** What is looked at once more at the very last moment, e.g. whether the lease is over; throws where nothing is to leave. */
  readonly leave?: () => void;
  readonly apply: () => Promise<T>;
  /** What the caller sees where the connection broke; `late` where it may still be applied. */
  readonly broken: (late: boolean) => Error;
}

/** Something that runs by itself: a process of Velvet, which can fall asleep or die with everything that it does. */
export interface Process {
  readonly name: string;
  state: 'up' | 'asleep' | 'dead';
}

/** One thing that a process does: an attempt of a task, a sweep, an operator's request. */
export interface Strand {
  readonly id: number;
  readonly process: Process;
  readonly what: string;
  /** How many effects it has asked for. */
  effects: number;
  ended: boolean;
}

export interface Turn {
  readonly strand: Strand;
  /** Which effect of its strand, from 0. */
  readonly index: number;
  readonly effect: Effect;
}

/**
 * do · fail: nothing is applied, the caller sees a broken connection · lose: applied, the caller sees a broken connection ·
 * resend: applied, the answer lost, and sent again by the client · late: the caller sees a broken connection, and it is applied
 * that much later · cut: applied, and never answered (the process is gone, or will send it again when it wakes).
 */
export type How = 'do' | 'fail' | 'lose' | 'resend' | 'cut' | { readonly lateMs: number };

export interface Turns {
  /** Runs `work` as a strand of the process; what it ends with is its own business. */
  begin(process: Process, what: string, work: () => Promise<void>): Strand;
  /** Asks for a turn in the name of the strand that is running; whoever is none goes straight through. */
  effect<T>(effect: Effect, deed: Deed<T>): Promise<T>;
  /** The strand that is running; whoever looks on is none. */
  running(): Strand | undefined;
  /** Who waits for a turn, in the order in which they asked. Turns of dead processes are not among them. */
  pending(): readonly Turn[];
  /** Performs one effect and lets everybody run until they ask again. After `cut` the same turn still waits. */
  serve(turn: Turn, how?: How): Promise<void>;
  /** Lets everybody run until they ask for a turn or have ended. */
  settle(): Promise<void>;
  /** Ends every strand that still waits, so that nothing of them is left over. */
  close(): Promise<void>;
}

interface Waiting extends Turn {
  readonly deed: Deed<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const nothing: Deed<unknown> = { apply: () => Promise.resolve(), broken: () => new Error('nothing') };
const CLOSED = 'the world is closed';

/** `later` plans what a vendor applies after its connection broke. */
export function createTurns(later: (ms: number, deed: () => Promise<void>) => void): Turns {
  const current = new AsyncLocalStorage<Strand>();
  let waiting: Waiting[] = [];
  let strands = 0;
  const running = new Set<Strand>();
  let closed = false;

  function remove(turn: Turn): Waiting {
    const found = waiting.find((one) => one === turn);
    if (found === undefined) throw new Error(`${turn.effect.name} does not wait for a turn`);
    waiting = waiting.filter((one) => one !== turn);
    return found;
  }

  // Between two effects nothing waits for more than promises, and those are all done before the next round of the event loop.
  const settle = async (): Promise<void> => {
    await nextRound();
  };

  return {
    begin(process, what, work) {
      const strand: Strand = { id: strands++, process, what, effects: 0, ended: false };
      running.add(strand);
      const end = () => {
        strand.ended = true;
        running.delete(strand);
      };
      current.run(strand, () => void work().then(end, end));
      return strand;
    },

    effect<T>(effect: Effect, deed: Deed<T>): Promise<T> {
      const strand = current.getStore();
      if (strand === undefined) return deed.apply();
      if (closed) return Promise.reject(new Error(CLOSED));
      return new Promise<T>((resolve, reject) => {
        const index = strand.effects++;
        waiting.push({ strand, index, effect, deed, resolve: resolve as (value: unknown) => void, reject });
      });
    },

    running: () => current.getStore(),

    pending: () => waiting.filter((one) => one.strand.process.state !== 'dead'),

    async serve(turn, how = 'do') {
      if (how === 'cut') {
        const found = waiting.find((one) => one === turn);
        // What is refused at the last moment never left, and a process that is gone hears of no refusal either.
        await outcome(found?.deed ?? nothing, 'do', later).catch(() => undefined);
        return;
      }
      const { deed, resolve, reject } = remove(turn);
      await outcome(deed, how, later).then(resolve, reject);
      await settle();
    },

    settle,

    async close() {
      closed = true;
      for (let round = 0; round < 1000; round++) {
        if (running.size === 0) return;
        const open = waiting;
        waiting = [];
        for (const one of open) one.reject(new Error(CLOSED));
        await settle();
      }
      throw new Error(`${running.size} strands do not end`);
    },
  };
}

async function outcome(
  deed: Deed<unknown>,
  how: Exclude<How, 'cut'>,
  later: (ms: number, deed: () => Promise<void>) => void,
): Promise<unknown> {
  if (how === 'fail') throw deed.broken(false);
  deed.leave?.();
  if (typeof how === 'object') {
    later(how.lateMs, async () => {
      // Refused by then, e.g. by a token that died: that is the vendor's answer, and nobody hears it.
      await deed.apply().catch(() => undefined);
    });
    throw deed.broken(true);
  }
  const answer = await deed.apply();
  if (how === 'lose') throw deed.broken(true);
  return how === 'resend' ? deed.apply() : answer;
}
