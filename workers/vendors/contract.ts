// What the code of one vendor promises to the stages. Law: a handler knows neither queue nor status; it never retries, sleeps or logs.
import type { Fence, Lease } from '../../shared/lib/lease.ts';
import type { Likeness, Secret } from '../../shared/lib/secret.ts';
import type { IssuerName } from '../../shared/manifest/vendors.ts';
import type { Target, WrittenMethod } from '../../shared/manifest/schema.ts';

/** One call into a handler. Reads need no lease; a change without one is refused by the HTTP door before anything is sent. */
export interface VendorCall {
  readonly jobId: string;
  readonly fence: Fence;
  readonly lease: Lease | null;
  readonly signal: AbortSignal;
  /** True where an earlier attempt of the same change may have been applied: look before writing. */
  readonly repeat: boolean;
}

/** The vendor's own name for one issued token. Safe to store, log and show. */
export interface Handle {
  readonly id: string;
  readonly label: string;
}

export interface VerifyResult {
  /** `dead` only on the vendor's own 401 for this token; every other failure throws. */
  readonly current: 'alive' | 'dead' | 'absent';
  /** The current token's handle, where the vendor names it. */
  readonly handle: Handle | null;
  /** Whether the authority may mint; where not, `mayMintReason` says what is missing. */
  readonly mayMint: boolean;
  readonly mayMintReason: string | null;
}

export interface IssuerCapabilities {
  /** `operator`: a person makes the token and gives Velvet its value; that the authority may mint counts as true. */
  readonly mint: 'api' | 'operator';
  /** `operator`: a person ends tokens; Velvet asks afterwards, where the vendor can tell. */
  readonly revoke: 'api' | 'operator';
  readonly findLeftovers: 'label' | 'snapshot' | 'none';
  readonly overlap: 'both_live' | 'replaces';
  /** How long after a lost answer the vendor may still apply a change, in milliseconds. */
  readonly lateMs: number;
}

export interface Issuer {
  readonly vendor: IssuerName;
  readonly capabilities: IssuerCapabilities;

  /**
   * Says, separately, whether `current` still authenticates (and its handle) and whether `authority` may mint. Changes
   * nothing. Throws `authority_invalid` where the vendor answers 401 to the authority, `vendor_*` for all else. An authority is
   * null where the manifest names none, here and below: an issuer that mints by API throws `authority_invalid` then.
   */
  verify(call: VendorCall, current: Secret | null, authority: Secret | null): Promise<VerifyResult>;

  /** Creates exactly one credential labelled `velvet:<jobId>:<fence>`. One request; throws `vendor_no_answer` if it may have. Not called where `mint` is `operator`. */
  mint(call: VendorCall, authority: Secret): Promise<{ readonly handle: Handle; readonly secret: Secret }>;

  /** Every live credential that this job minted, whichever attempt. Never another job's. */
  listMinted(call: VendorCall, authority: Secret | null): Promise<readonly Handle[]>;

  /** Whether the credential is gone. Changes nothing. */
  isGone(
    call: VendorCall,
    authority: Secret | null,
    handle: Handle | null,
    old: Secret | null,
  ): Promise<'gone' | 'still_there' | 'cannot_tell'>;

  /** Ends one credential. Already gone is success. Not called where `revoke` is `operator`. */
  revoke(call: VendorCall, authority: Secret, handle: Handle): Promise<'revoked' | 'already_gone'>;
}

/** What a push left behind for later questions; opaque to the stages, safe to store. */
export interface PushReceipt {
  readonly version: string;
  /** What a person should know of this write, in words and without any value: the place did not exist before, it has moved. */
  readonly note?: string | undefined;
}

/** The values a destination may be compared with. The comparison happens inside the handler, so that no value leaves it. */
export interface KnownValues {
  readonly next: Likeness | null;
  readonly previous: Likeness | null;
}

export interface Evidence {
  readonly holds: 'new' | 'old' | 'other' | 'unknown';
  /** There is no value at all where one should be, which is `other` than any; left out where there is one, or it cannot be seen. */
  readonly empty?: true;
  /** Whether everything that runs there runs on what it holds. `unknown` where the destination cannot tell. */
  readonly effect: 'running' | 'not_yet' | 'failed' | 'unknown';
  /** Which state of the destination was seen; another one means that something was written since. Null where it has none. */
  readonly version: string | null;
  /** In words, without any value: "release v12 is current; web.1 is still on v11". */
  readonly detail: string;
}

export interface DestinationCapabilities {
  readonly readBack: 'value' | 'timestamp' | 'none';
  /** Whether a push makes the place where it does not exist yet. */
  readonly creates: boolean;
  readonly lateMs: number;
}

export interface Destination {
  readonly method: WrittenMethod;
  readonly capabilities: DestinationCapabilities;

  /** Makes the target hold `secret`. The same value twice is success and changes nothing else at the target. */
  push(call: VendorCall, target: Target, authority: Secret, secret: Secret): Promise<PushReceipt>;

  /** Whether that push has taken effect. The stage asks again later; a handler never waits. */
  settled(
    call: VendorCall,
    target: Target,
    authority: Secret,
    receipt: PushReceipt,
  ): Promise<'yes' | 'not_yet' | 'failed'>;

  /** What the target holds now and whether it runs on it. Changes nothing. */
  readBack(
    call: VendorCall,
    target: Target,
    authority: Secret,
    known: KnownValues,
    receipt: PushReceipt | null,
  ): Promise<Evidence>;

  /**
   * Whether the authority may push there, as far as that can be told without pushing. Changes nothing. Throws what reading the
   * place throws, but for a refusal that is about writing alone, which is `no`.
   */
  mayWrite(call: VendorCall, target: Target, authority: Secret): Promise<'yes' | 'no' | 'unknown'>;
}

/** The consumer row as a probe sees it. */
export interface ProbeTarget {
  readonly healthcheck_endpoint: string;
}

/**
 * What a consumer answered: ok (2xx) · redirect (3xx, never followed) · unauthorized (401) · forbidden (403) ·
 * edge (a refusal in HTML, from a proxy) · erroring (any other status) · unreachable (no answer in time).
 */
export type ProbeClass =
  | 'ok'
  | 'redirect'
  | 'unauthorized'
  | 'forbidden'
  | 'edge'
  | 'erroring'
  | 'unreachable';

export interface ProbeResult {
  readonly class: ProbeClass;
  readonly httpStatus: number | null;
  /** The `v1=` part of `Velvet-Proof`, where the consumer answered the challenge. Not secret. */
  readonly proof: string | null;
}

export interface Healthcheck {
  /** Asks the consumer itself, with `Velvet-Challenge: <nonce>`. Reports what was seen, never whether that is good. Never throws for what the consumer did. */
  probe(call: VendorCall, target: ProbeTarget, nonce: string): Promise<ProbeResult>;
}

export interface TicketFound {
  /** What people see as `#123`. */
  readonly number: number;
}

export interface Tickets {
  /**
   * The conversation that a ticket's id names: `#123` or `123` its number, anything else (`ROT-2026-05-HK_PLATFORM_FULL`) part
   * of its subject. Null where there is none, or only deleted ones. Throws `authority_invalid`, `vendor_*`.
   */
  find(call: VendorCall, ticketId: string): Promise<TicketFound | null>;
}

/**
 * How a minted token says whose it is: `velvet:<job>:<fence>`. By its label alone every live token is found again, whatever else
 * was lost.
 */
export interface Label {
  readonly jobId: string;
  /** Of the attempt that minted it. */
  readonly fence: Fence;
}

export function labelOf({ jobId, fence }: Label): string {
  return `velvet:${jobId}:${fence}`;
}

/** Null where it is none of ours. The whole label is read, not its beginning: `velvet:job-ab:1-…` is not job-a's. */
export function readLabel(text: string): Label | null {
  const [product, jobId, fence, ...more] = text.split(':');
  if (product !== 'velvet' || jobId === undefined || more.length > 0) return null;
  return fence !== undefined && fenceShape.test(fence) ? { jobId, fence } : null;
}

const fenceShape = /^\d+-[\w-]+$/;

/** Of a token that the vendor listed as the job's; what says nothing of its attempt counts as from before all of them. */
export function fenceOf(handle: { readonly label: string }): Fence {
  return readLabel(handle.label)?.fence ?? '0-';
}
