// What each fault of a vendor must look like to an operator. Law: reasoned from the error taxonomy and the specification, never copied from a run.
import type { ErrorCode } from '../../shared/lib/errors.ts';
import type { Status } from '../../shared/rotation/statuses.ts';
import type { World } from '../harness.ts';
import type { Deed, Fault } from '../sim/faults.ts';
import { infisicalError } from '../sim/infisical-json.ts';

/**
 * A code: the failure that a person reads once the automatic attempts are used up · passes: the rotation does not notice, or
 * finds out by looking that the change was applied · paced: waits as often as the vendor asks, and goes on by itself.
 */
export type Expected = ErrorCode | 'passes' | 'paced';

export interface FaultKind {
  readonly name: string;
  readonly deed: Deed;
  /** To a GET: without an answer nothing has happened. */
  readonly read: Expected;
  /** To a change: without an answer it may have been applied. */
  readonly change: Expected;
  /** From a consumer's health endpoint, where the status is the answer. */
  readonly health: Expected;
}

/** The one fault that is not waited for: the vendor asks for more than `rateLimitWaitMaxMs`. */
export const TOO_LONG = '429 for an hour';

/** Longer than three attempts take, shorter than a lease and the late application after it. */
const LATE_MS = 250;
const herokuError = (id: string) => ({ id, message: 'As scripted.' });

// oxfmt-ignore
export const faultKinds: readonly FaultKind[] = [
  { name: '500',                  deed: { status: 500, body: herokuError('internal_server_error') }, read: 'vendor_unavailable',  change: 'vendor_no_answer',    health: 'consumer_unhealthy' },
  { name: '503',                  deed: { status: 503, body: herokuError('service_unavailable') },   read: 'vendor_unavailable',  change: 'vendor_no_answer',    health: 'consumer_unhealthy' },
  { name: '429',                  deed: 'rate_limited',                                              read: 'paced',               change: 'paced',               health: 'consumer_unhealthy' },
  { name: TOO_LONG,               deed: { rate_limited: { retry_after_s: 3_600 } },                  read: 'vendor_rate_limited', change: 'vendor_rate_limited', health: 'consumer_unhealthy' },
  { name: '401',                  deed: { status: 401, body: herokuError('unauthorized') },          read: 'authority_invalid',   change: 'authority_invalid',   health: 'consumer_unauthorized' },
  { name: '403',                  deed: { status: 403, body: herokuError('forbidden') },             read: 'vendor_forbidden',    change: 'vendor_forbidden',    health: 'consumer_unhealthy' },
  { name: 'malformed',            deed: 'malformed',                                                 read: 'vendor_bad_answer',   change: 'vendor_no_answer',    health: 'passes' },
  { name: 'hang_before',          deed: 'hang_before',                                               read: 'vendor_unavailable',  change: 'vendor_no_answer',    health: 'consumer_unhealthy' },
  { name: 'hang_after',           deed: 'hang_after',                                                read: 'vendor_unavailable',  change: 'vendor_no_answer',    health: 'consumer_unhealthy' },
  { name: 'hang_mid_body',        deed: 'hang_mid_body',                                             read: 'vendor_unavailable',  change: 'vendor_no_answer',    health: 'passes' },
  { name: 'drop_mid_body',        deed: 'drop_mid_body',                                             read: 'vendor_unavailable',  change: 'vendor_no_answer',    health: 'passes' },
  { name: 'applies_late',         deed: { applies_late_ms: LATE_MS },                                read: 'vendor_unavailable',  change: 'vendor_no_answer',    health: 'consumer_unhealthy' },
  { name: 'delay',                deed: { delay_ms: 30 },                                            read: 'passes',              change: 'passes',              health: 'passes' },
  { name: 'redirect',             deed: 'redirect',                                                  read: 'vendor_bad_answer',   change: 'vendor_bad_answer',   health: 'consumer_unhealthy' },
  { name: 'edge page',            deed: 'edge',                                                      read: 'vendor_edge_refused', change: 'vendor_edge_refused', health: 'consumer_unhealthy' },
];

export const TARGET = 'quiet-app';

type Gate = 'init' | 'verified' | 'validated';

export interface VendorCallCase {
  readonly name: string;
  readonly kind: 'read' | 'change' | 'health';
  /** Heroku, unless given. */
  readonly at?: 'infisical';
  readonly on: string;
  /** The gate after which the fault begins. */
  readonly from: Gate;
  readonly where?: (world: World) => NonNullable<Fault['where']>;
  readonly skip?: number;
  /** What must go wrong once before, so that the call is made at all. */
  readonly before?: Omit<Fault, 'times'>;
  readonly parks: Status;
  /** Asked again and again until the row's time is up: what may pass by itself is met as often as there is time. */
  readonly polled?: true;
  /** Even a refusal that is not repeated by itself is met by a second look here. */
  readonly looksAgain?: true;
  /** Where the call's meaning gives the fault another one, and why. */
  readonly except?: Readonly<Record<string, Expected>>;
}

const atMail = (request: Parameters<NonNullable<Fault['where']>>[0]): boolean =>
  (request.query['secretPath'] ?? Object(request.body).secretPath) === '/apps/mail';
const own = (request: { readonly headers: Readonly<Record<string, string>> }): boolean =>
  !(request.headers['user-agent'] ?? '').startsWith('consumer/');
const atTarget: VendorCallCase['where'] = () => (request) => request.params['app'] === TARGET;
/** Reads of the target after its consumer was first asked how it is: the read-back's, not the push's. */
const atTargetOnceProbed: VendorCallCase['where'] = (world) => (request) =>
  request.params['app'] === TARGET && (world.consumers[0]?.requests.length ?? 0) > 0;
const lostPatch: VendorCallCase['before'] = {
  on: 'PATCH /apps/:app/config-vars',
  where: (request) => request.params['app'] === TARGET,
  do: 'hang_after',
};
const passesIfApplied: VendorCallCase['except'] = {
  malformed: 'passes',
  hang_after: 'passes',
  hang_mid_body: 'passes',
  drop_mid_body: 'passes',
};
const leftover: VendorCallCase['where'] = (world) => {
  const old = world.account.authorizations().find((one) => one.token === world.firstToken)?.id;
  return (request) => request.params['id'] !== old;
};
// 401 there means that the vendor refuses the token that was asked about, which is neither authority's fault.
const aboutTheOldToken = 'GET /account';

/** Every call of one operational rotation to a vendor, in the order in which it comes, and what differs there from the taxonomy. */
// oxfmt-ignore
export const vendorCalls: readonly VendorCallCase[] = [
  // 401: the vendor's own word on the current token. 403: a token without the scope `identity` lives.
  { name: 'verify: the current token',            kind: 'read',   on: aboutTheOldToken, from: 'init', where: () => own, parks: 'verify_failed', except: { 401: 'current_token_invalid', 403: 'passes' } },
  // 403: an authority that may not list may not mint.
  { name: 'verify: the authority',                kind: 'read',   on: 'GET /oauth/authorizations', from: 'init', parks: 'verify_failed', except: { 403: 'authority_invalid' } },
  { name: 'mint: look for leftovers',             kind: 'read',   on: 'GET /oauth/authorizations', from: 'verified', parks: 'mint_failed' },
  { name: 'mint: the new token',                  kind: 'change', on: 'POST /oauth/authorizations', from: 'verified', parks: 'mint_failed' },
  // A leftover that is gone although no answer came is not found again.
  { name: 'mint: revoke a leftover',              kind: 'change', on: 'DELETE /oauth/authorizations/:id', from: 'verified', where: leftover, before: { on: 'POST /oauth/authorizations', do: 'hang_after' }, parks: 'mint_failed', except: { ...passesIfApplied, applies_late: 'passes' } },
  // What was applied is found by the next attempt's look, and is not written twice.
  { name: 'distribute: the write',                kind: 'change', on: 'PATCH /apps/:app/config-vars', from: 'verified', where: atTarget, parks: 'distribute_partial', except: passesIfApplied },
  { name: 'distribute: look before repeating',    kind: 'read',   on: 'GET /apps/:app/config-vars', from: 'verified', where: atTarget, before: lostPatch, parks: 'distribute_partial' },
  // The write was answered, so whatever hides its release counts as a lost answer first, and is met again by the look that follows.
  { name: 'distribute: the release of the write', kind: 'read',   on: 'GET /apps/:app/releases', from: 'verified', where: atTarget, parks: 'distribute_partial', looksAgain: true, except: { [TOO_LONG]: 'vendor_no_answer' } },
  { name: 'distribute: whether it took effect',   kind: 'read',   on: 'GET /apps/:app/releases', from: 'verified', where: atTarget, skip: 1, parks: 'distribute_partial', polled: true },
  { name: 'distribute: the write, at Infisical',  kind: 'change', at: 'infisical', on: 'PATCH /api/v3/secrets/raw/:name', from: 'verified', where: () => atMail, parks: 'distribute_partial', except: passesIfApplied },
  { name: 'distribute: its look, at Infisical',   kind: 'read',   at: 'infisical', on: 'GET /api/v3/secrets/raw/:name', from: 'verified', where: () => atMail, parks: 'distribute_partial', looksAgain: true, except: { [TOO_LONG]: 'vendor_no_answer' } },
  { name: 'validate: the value, at Infisical',    kind: 'read',   at: 'infisical', on: 'GET /api/v3/secrets/raw/:name', from: 'verified', where: () => atMail, skip: 1, parks: 'validate_partial', polled: true },
  { name: 'validate: the health endpoint',        kind: 'health', on: 'GET /healthz/heroku', from: 'verified', parks: 'validate_partial' },
  { name: 'validate: read the value back',        kind: 'read',   on: 'GET /apps/:app/config-vars', from: 'verified', where: atTargetOnceProbed, parks: 'validate_partial', polled: true },
  { name: 'validate: read the release back',      kind: 'read',   on: 'GET /apps/:app/releases', from: 'verified', where: atTargetOnceProbed, parks: 'validate_partial', polled: true },
  { name: 'validate: read the dynos back',        kind: 'read',   on: 'GET /apps/:app/dynos', from: 'verified', where: atTarget, parks: 'validate_partial', polled: true },
  { name: 'prove again: the health endpoint',     kind: 'health', on: 'GET /healthz/heroku', from: 'validated', parks: 'validate_partial' },
  { name: 'prove again: read the value back',     kind: 'read',   on: 'GET /apps/:app/config-vars', from: 'validated', where: atTarget, parks: 'validate_partial', polled: true },
  { name: 'prove again: read the release back',   kind: 'read',   on: 'GET /apps/:app/releases', from: 'validated', where: atTarget, parks: 'validate_partial', polled: true },
  { name: 'prove again: read the dynos back',     kind: 'read',   on: 'GET /apps/:app/dynos', from: 'validated', where: atTarget, parks: 'validate_partial', polled: true },
  // 403: an authority that may not list may not revoke, and nothing is promoted on its word.
  { name: 'revoke: the authority',                kind: 'read',   on: 'GET /oauth/authorizations', from: 'validated', parks: 'revoke_failed', except: { 403: 'authority_invalid' } },
  { name: 'revoke: the old token',                kind: 'change', on: 'DELETE /oauth/authorizations/:id', from: 'validated', parks: 'revoke_failed' },
  // 401 is the proof that is asked for. 403 says that it lives, against the authority's word: nothing is claimed.
  { name: 'revoke: whether the old token is dead', kind: 'read',  on: aboutTheOldToken, from: 'validated', where: () => own, before: { on: 'DELETE /oauth/authorizations/:id', do: 'hang_after' }, parks: 'revoke_failed', except: { 401: 'passes', 403: 'revoke_pending' } },
];

/** The same fault in the vendor's own form, and at its pace. */
export function deedOf({ at }: Pick<VendorCallCase, 'at'>, { deed }: FaultKind): Deed {
  if (at !== 'infisical') return deed;
  if (typeof deed === 'object' && 'applies_late_ms' in deed) return { applies_late_ms: 4 * LATE_MS };
  const status =
    deed === 'rate_limited' ? 429 : typeof deed === 'object' && 'status' in deed ? deed.status : 0;
  return status === 0 ? deed : { ...infisicalError(status, 'Scripted', 'As scripted.') };
}

/** What a person reads: a revoke that failed for whatever the vendor did is `revoke_pending`, unless the authority is bad. */
export function shownCode(call: VendorCallCase, code: ErrorCode): ErrorCode {
  return call.parks === 'revoke_failed' && code !== 'authority_invalid' ? 'revoke_pending' : code;
}

export function expectedOf(call: VendorCallCase, fault: FaultKind): Expected {
  return call.except?.[fault.name] ?? fault[call.kind];
}

export interface SlackCase {
  readonly on: string;
  readonly fault: string;
  readonly deed: Deed;
  /** Whether the message may have been taken in although no answer came: then, and only then, it may come twice. */
  readonly mayRepeat: boolean;
  /** Whether trying again is promised at all. */
  readonly arrives: boolean;
}

/** Both calls of a message, with each fault; Slack has its own form of 429, which always names its pause. */
export const slackCases: readonly SlackCase[] = [
  'POST /api/conversations.open',
  'POST /api/chat.postMessage',
].flatMap((on) =>
  faultKinds.map((fault) => ({
    on,
    fault: fault.name,
    deed: fault.deed,
    mayRepeat:
      on.endsWith('postMessage') &&
      ['malformed', 'hang_after', 'hang_mid_body', 'drop_mid_body', 'applies_late'].includes(fault.name),
    arrives: fault.name !== TOO_LONG,
  })),
);
