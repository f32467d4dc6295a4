// What a simulator does later (a release that succeeds, a dyno that has booted). Law: nothing is left over after cancel().

export interface Steps {
  /** Runs `step` after `ms`; at once, before this returns, where `ms` is 0. */
  after(ms: number, step: () => void): void;
  /** Runs everything that is waiting now, in order, and what that makes wait, so that a test need not. */
  hurry(): void;
  cancel(): void;
}

export function createSteps(): Steps {
  const waiting = new Map<NodeJS.Timeout, () => void>();
  return {
    after(ms, step) {
      if (ms <= 0) {
        step();
        return;
      }
      const timer = setTimeout(() => {
        waiting.delete(timer);
        step();
      }, ms);
      waiting.set(timer, step);
    },
    hurry() {
      // A Map yields entries that were added while it is walked, so a step's successor runs too.
      for (const [timer, step] of waiting) {
        clearTimeout(timer);
        waiting.delete(timer);
        step();
      }
    },
    cancel() {
      for (const timer of waiting.keys()) clearTimeout(timer);
      waiting.clear();
    },
  };
}
