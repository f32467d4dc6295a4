// Which of the values that a job knows a destination holds. Law: only the verdict leaves.
import type { Secret } from '../../shared/lib/secret.ts';
import type { Evidence, KnownValues } from './contract.ts';

/** `held` is null where there is nothing, which is neither of them. With nothing to compare with nothing is guessed. */
export function holdsOf(held: Secret | null, { next, previous }: KnownValues): Evidence['holds'] {
  if (next === null && previous === null) return 'unknown';
  if (held === null) return 'other';
  if (next?.equals(held) === true) return 'new';
  return previous?.equals(held) === true ? 'old' : 'other';
}
