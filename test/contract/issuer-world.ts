// What the issuer's contract needs to know of a vendor: a live simulator, and the means to look behind it.
import type { Secret } from '../../shared/lib/secret.ts';
import type { Issuer } from '../../workers/vendors/contract.ts';
import type { Deed } from '../sim/faults.ts';

/** Which request of the vendor's API a fault hits. */
export type IssuerStep = 'probe' | 'list' | 'info' | 'mint' | 'revoke';

export interface IssuerWorld extends AsyncDisposable {
  readonly issuer: Issuer;
  /** Live, and its handle is `currentId`. */
  readonly current: Secret;
  readonly currentId: string;
  readonly authority: Secret;
  /** Was never issued. */
  readonly dead: Secret;
  /** Live, and may not mint. */
  readonly weakAuthority: Secret;
  /** Every secret that the vendor knows or was sent, as it must never appear; grows with each mint. */
  readonly values: () => readonly string[];
  /** Ids of everything that is live at the vendor, sorted. */
  readonly live: () => readonly string[];
  readonly label: (id: string) => string | null;
  readonly works: (secret: Secret) => boolean;
  /** Makes a credential beside Velvet, with this label; its id. */
  readonly foreign: (label: string) => string;
  readonly fault: (step: IssuerStep, deed: Deed) => void;
  /** What was received so far: all, or only what is not a GET. */
  readonly requests: () => number;
  readonly changes: () => number;
  readonly followedRedirects: () => number;
  /** The vendor's refusal of a request, with `text` in its words. */
  readonly refusalSaying: (text: string) => Deed;
  /** After how long a request that is not answered is given up. */
  readonly patienceMs: number;
}
