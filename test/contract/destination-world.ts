// What the destination's contract needs to know of a vendor: a live simulator, and the means to look behind it.
import type { Secret } from '../../shared/lib/secret.ts';
import type { Target } from '../../shared/manifest/schema.ts';
import type { Destination } from '../../workers/vendors/contract.ts';
import type { Deed } from '../sim/faults.ts';

/** Which request of the vendor's API a fault hits: the write, the look at the value, the look at what became of a write. */
export type DestinationStep = 'write' | 'read' | 'effect';

export interface DestinationWorld extends AsyncDisposable {
  readonly destination: Destination;
  /** Holds `previous`. */
  readonly target: Target;
  /** Beside `target`, in the same place; holds nothing yet. */
  readonly beside: Target;
  /** In a place that does not exist. */
  readonly missing: Target;
  readonly authority: Secret;
  /** Was never issued. */
  readonly deadAuthority: Secret;
  /** Live, and may not write to the place. */
  readonly weakAuthority: Secret;
  readonly previous: Secret;
  readonly next: Secret;
  /** Every secret there is, siblings' values too, as it must never appear. */
  readonly values: readonly string[];
  /** All that the place holds, by name. */
  readonly held: () => Readonly<Record<string, string>>;
  /** Puts a value there, as a person would. */
  readonly put: (target: Target, value: string) => void;
  /** How often the place was changed, by whomever: each time is a restart for the consumer. */
  readonly versions: () => number;
  /** Lets whatever a write has set off come to its end. */
  readonly hurry: () => void;
  /** The next write is accepted and does not take effect. */
  readonly nextWriteFails: () => void;
  readonly fault: (step: DestinationStep, deed: Deed) => void;
  readonly requests: () => number;
  readonly changes: () => number;
  readonly followedRedirects: () => number;
  /** The vendor's refusal of a request, with `text` in its words. */
  readonly refusalSaying: (text: string) => Deed;
  /** A success of the write is a status without a body: nothing in it could be broken. */
  readonly writeHasNoBody?: true;
  readonly patienceMs: number;
}
