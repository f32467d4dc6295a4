// Time that passes only when the world says so. Law: a wait costs nothing, and what is due happens in order.
import type { Clock } from '../../shared/lib/clock.ts';
import type { Steps } from '../sim/steps.ts';

export interface Time extends Clock {
  /** Runs `deed` when the time has come; `cancel` forgets it. */
  at(ms: number, deed: () => void | Promise<void>): { cancel(): void };
  /** When something is due next; null where nothing is. */
  nextDue(): number | null;
  /** Moves to `ms` (never back) and does what has become due, one after the other. */
  moveTo(ms: number): Promise<void>;
  /** Begins anew at this moment, with nothing due. */
  reset(ms: number): void;
  /** The same time for a simulator. */
  readonly steps: Steps;
}

interface Due {
  readonly at: number;
  readonly deed: () => void | Promise<void>;
}

/** An arbitrary moment; far from 0, so that a time that was never set shows. */
const BEGIN = 1_700_000_000_000;

export function createTime(): Time {
  let now = BEGIN;
  let due: Due[] = [];

  function at(ms: number, deed: Due['deed']): { cancel(): void } {
    const one: Due = { at: ms, deed };
    // Of two that are due at once the older one is first.
    const behind = due.findIndex((other) => other.at > ms);
    due.splice(behind === -1 ? due.length : behind, 0, one);
    return {
      cancel: () => {
        due = due.filter((other) => other !== one);
      },
    };
  }

  return {
    now: () => now,
    monotonic: () => now - BEGIN,
    at,
    nextDue: () => due[0]?.at ?? null,
    async moveTo(ms) {
      for (;;) {
        const first = due[0];
        if (first === undefined || first.at > ms) break;
        due.shift();
        now = Math.max(now, first.at);
        await first.deed();
      }
      now = Math.max(now, ms);
    },
    reset(ms) {
      now = ms;
      due = [];
    },
    steps: {
      after(ms, step) {
        if (ms <= 0) step();
        else at(now + ms, step);
      },
      hurry: () => undefined,
      cancel: () => undefined,
    },
  };
}
