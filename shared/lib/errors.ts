// Every error code of the product, once: what may be repeated, which HTTP status it is, what it means and what to do next.

export type Retry = 'never' | 'backoff' | 'reconcile';

interface ErrorRow {
  /** never: the same call would fail again · backoff: try later · reconcile: something may have happened, look before repeating. */
  readonly retry: Retry;
  readonly http: number;
  readonly means: string;
  readonly operator: string;
}

// oxfmt-ignore
export const errorTable = {
  // The caller must change the request.
  invalid_request:        { retry: 'never', http: 400, means: 'The request is not understood.', operator: 'Mend what is named and send it again; nothing was changed.' },
  too_large:              { retry: 'never', http: 413, means: 'The request body is larger than 64 KiB.', operator: 'Send a smaller body; no action needs more than a few hundred bytes.' },
  unauthenticated:        { retry: 'never', http: 401, means: 'No service token, or one that is unknown, deleted or expired.', operator: 'Send `Authorization: Bearer <service token>`; make one with `npx velvet token create`.' },
  forbidden:              { retry: 'never', http: 403, means: 'The service token may not do this.', operator: 'Use a token that has the scope, and is for this credential, or ask an admin for one.' },
  not_found:              { retry: 'never', http: 404, means: 'There is nothing at this address.', operator: 'Check the path and the job id; `GET /tokens` lists the credentials, `GET /tokens/<name>/rotations` their jobs.' },
  not_registered:         { retry: 'never', http: 404, means: 'The credential has no subscribers registered here.', operator: 'Check its name (`GET /tokens` lists them), and whether it belongs to the Velvet of another environment. New ones go into manifests/subscription-manifest.yml.' },
  credential_inactive:    { retry: 'never', http: 409, means: 'The credential, or each of its rows, is `active: false` in the manifest.', operator: 'Rotate it by hand (`manual_procedure`), or mend the manifest first and deploy it.' },
  credential_unavailable: { retry: 'never', http: 409, means: 'An authority that this credential needs is missing or refused.', operator: 'Put a good one in place: `GET /tokens` says which, and why. It is probed again each minute.' },
  ticket_required:        { retry: 'never', http: 422, means: 'This gate needs a ticket.', operator: 'Open a ticket and send its id as `ticket_id`, e.g. `ROT-2026-HK_PLATFORM_FULL`.' },
  confirm_mismatch:       { retry: 'never', http: 422, means: '`confirm` is not the credential\'s name.', operator: 'Send the name of the credential, exactly, as `confirm`.' },
  nothing_to_target:      { retry: 'never', http: 422, means: 'There is no open rotation whose old or new token could be told apart.', operator: 'Leave `target` out: everything that may be live is revoked.' },
  not_replaceable:        { retry: 'never', http: 422, means: '`replaces` is not a finished revocation of this credential.', operator: 'Name the `rev_done` job of the same credential, or leave `replaces` out.' },
  rate_limited:           { retry: 'never', http: 429, means: 'Too many requests.', operator: 'Wait as long as `Retry-After` says, then send it again.' },

  // The job is not where the request thinks it is.
  action_not_allowed:     { retry: 'never', http: 409, means: 'The job\'s status does not allow this action.', operator: 'Choose one of `allowed_actions`.' },
  version_moved:          { retry: 'never', http: 409, means: 'The job has moved since the version that you named.', operator: 'Read the job again, decide again, and send its present `version`.' },
  claimed:                { retry: 'never', http: 409, means: 'active rotation already in progress', operator: 'Finish or abort the other job (`GET /tokens/<name>/rotations` shows it); this one can be verified when that one is done.' },
  idempotency_mismatch:   { retry: 'never', http: 409, means: 'The idempotency key was used before, with another body.', operator: 'Use a new key for a new request; to ask for the earlier job again, send its body unchanged.' },
  bootstrap_credential:   { retry: 'never', http: 409, means: 'Velvet works with this credential and cannot rotate it.', operator: 'Follow `manual_procedure` on both apps.' },
  nothing_to_retry:       { retry: 'never', http: 409, means: 'No failed row matches.', operator: 'Leave `consumer_ids` out to retry every failed row, or name rows that are `failed` or `skipped`.' },
  row_not_open:           { retry: 'never', http: 409, means: 'This row waits for nobody.', operator: 'Read the job: only rows that are `failed` or `manual_required` can be confirmed or skipped.' },
  rotation_open:          { retry: 'never', http: 409, means: 'A rotation of this credential is open.', operator: 'Send it again with `preempt: true` to take its tokens over and revoke at once.' },
  still_on_new:           { retry: 'never', http: 409, means: 'The consumer still holds the value that it must leave.', operator: 'Put the old value back there, then send `resolve_residual` again.' },
  still_on_dead:          { retry: 'never', http: 409, means: 'The consumer still holds the dead value.', operator: 'Write the new value there (`vault_ref` says where it is), then send `resolve_residual` again.' },
  rows_open:              { retry: 'never', http: 409, means: 'Rows are still open.', operator: 'Wait for them, or send confirm_consumer or skip_consumer for those that need a person.' },
  two_persons_required:   { retry: 'never', http: 409, means: 'Another person must do this than the one who let the new token be minted.', operator: 'Ask a second operator to send it with a token of their own.' },
  stale_not_acknowledged: { retry: 'never', http: 422, means: 'A forced revoke must name each unproven consumer.', operator: 'Send `acknowledge_stale` with exactly the consumers of the job that are neither proven, nor confirmed, nor skipped.' },
  not_acknowledged:       { retry: 'never', http: 422, means: 'What this step gives up must be acknowledged.', operator: 'Read the job\'s `error` and rows. To accept it, send it again with `acknowledge_dead: true` and `confirm` (proceed_mint), or `acknowledge_disproof: true` (confirm_consumer).' },

  // Switched off, for now.
  rotation_disabled:      { retry: 'never', http: 503, means: 'Rotations are switched off by the flag velvet_v2_rotation.', operator: 'Rotate by hand (`manual_procedure`), or have an admin switch the flag on.' },
  degraded:               { retry: 'never', http: 503, means: 'Redis or a worker family is not well.', operator: 'See `GET /healthz` for what is failing; nothing new is started until it answers 200.' },

  // The vendor or the vault answered; nothing happened.
  current_token_invalid:  { retry: 'never', http: 502, means: 'old token invalid: the vendor refused the current token.', operator: 'If consumers run on another value that works: abort, `npx velvet adopt` that value, start again. Otherwise the token died: abort, make one by hand, adopt it.' },
  current_token_alive:    { retry: 'never', http: 409, means: 'The current token still works.', operator: 'Start an ordinary rotation, without `replaces`.' },
  not_adopted:            { retry: 'never', http: 409, means: 'Velvet\'s vault holds no value for this credential.', operator: 'Abort this job, give the vault the first value with `npx velvet adopt <NAME>`, and start a new rotation.' },
  authority_invalid:      { retry: 'never', http: 502, means: 'The authority with which Velvet calls the vendor was refused, or may not do this.', operator: 'Put a good one in place under the same name, then retry.' },
  vendor_forbidden:       { retry: 'never', http: 502, means: 'The vendor knows the authority, but does not let it touch this.', operator: 'Give the authority access to it at the vendor (its scopes, its team), then retry.' },
  vendor_target_missing:  { retry: 'never', http: 502, means: 'The place to write to does not exist.', operator: 'If it was deleted: skip the row and remove it from the manifest. Else mend its name.' },
  vendor_rejected:        { retry: 'never', http: 502, means: 'The vendor refused the request.', operator: 'Check the target in the manifest (its address, its key). If it is right, it is a fault in Velvet: keep the logs and report it.' },
  vendor_bad_answer:      { retry: 'never', http: 502, means: 'The vendor\'s answer was not understood.', operator: 'Check the vendor\'s status page, then retry; if it stays, its API has changed.' },

  // Try later.
  vendor_rate_limited:    { retry: 'backoff', http: 503, means: 'The vendor asks for a pause.', operator: 'Wait, then retry.' },
  vendor_unavailable:     { retry: 'backoff', http: 503, means: 'The vendor was not reached, or failed; nothing was changed.', operator: 'Check the vendor\'s status page, then retry.' },
  vendor_edge_refused:    { retry: 'backoff', http: 502, means: 'A proxy or the vendor\'s edge answered instead of its API.', operator: 'Look for a captcha, an address block or a proxy in between, then retry. It says nothing about the token.' },
  vault_unavailable:      { retry: 'backoff', http: 503, means: 'The vault was not reached, or failed.', operator: 'Check the vault, then retry; nothing is lost.' },
  store_unavailable:      { retry: 'backoff', http: 503, means: 'Redis was not reached.', operator: 'Wait for Redis; work goes on by itself when it is back.' },

  // Something may have happened.
  vendor_no_answer:       { retry: 'reconcile', http: 504, means: 'The answer to a change was lost; it may have been applied.', operator: 'Retry: the next attempt looks at the vendor before it repeats anything.' },

  // A consumer was not proven.
  consumer_on_old_value:  { retry: 'never', http: 502, means: 'The consumer proved that it still runs on the old value.', operator: 'Restart it (`heroku ps:restart --app <app>`), then retry the row.' },
  consumer_on_other_value:{ retry: 'never', http: 502, means: 'The consumer proved that it runs on a value that is neither old nor new.', operator: 'Find where that copy comes from, mend it, then retry the row.' },
  consumer_not_restarted: { retry: 'never', http: 502, means: 'The value was written, but the consumer\'s processes do not all run on it.', operator: 'Is the app up (`heroku ps --app <app>`), was its release successful? Restart it, then retry the row.' },
  consumer_unauthorized:  { retry: 'never', http: 502, means: 'The consumer says that its vendor refuses its token.', operator: 'Look at the consumer: it runs on a dead or mistyped value. Then retry the row.' },
  consumer_unhealthy:     { retry: 'never', http: 502, means: 'The consumer\'s health endpoint did not answer with success.', operator: 'Look at the consumer\'s logs, then retry the row.' },
  consumer_not_proven:    { retry: 'never', http: 502, means: 'The consumer answers, but what it runs on could not be told.', operator: 'Verify by hand and confirm the row with a note, or add the challenge to its health endpoint.' },
  consumer_leaking:       { retry: 'never', http: 502, means: 'The consumer was not locked out after its token was revoked.', operator: 'Stop or restart it and look for the copy that it uses, then send `retry`; once you know that it uses the dead token no more, `resolve_leak` with a note.' },
  write_not_effective:    { retry: 'never', http: 502, means: 'The value was written, but the write did not take effect.', operator: 'Look at the app\'s releases (`heroku releases --app <app>`), mend what failed, then retry the row.' },

  // What a person typed cannot be used.
  value_lost:             { retry: 'never', http: 409, means: 'The value that was entered was lost before it was kept.', operator: 'Enter it again: it is the same token, still good at the vendor.' },
  value_unchanged:        { retry: 'never', http: 409, means: 'The value that was entered is the present one, which is to be replaced.', operator: 'Make a new token at the vendor, and enter that one.' },
  value_refused:          { retry: 'never', http: 409, means: 'The vendor refuses the value that was entered.', operator: 'Look whether it was cut short, is of another kind or not active yet; then enter the right one.' },

  // A person is needed.
  manual_revoke_required: { retry: 'never', http: 409, means: 'The old token can only be revoked by hand.', operator: 'Revoke it at the vendor, then send `mark_revoked`.' },
  revoke_pending:         { retry: 'never', http: 409, means: 'The old token could not be revoked; it may be live.', operator: 'Retry, or revoke it by hand at the vendor (`old_auth_id` names it) and send `mark_revoked`.' },

  // Velvet itself.
  data_lost:              { retry: 'never', http: 500, means: 'Redis lost the last records of this job, so it was stopped and what it did is taken back.', operator: 'Look at `residual`, deal with what stands there, then start a new rotation. Check why Redis lost data: its persistence, a failover.' },
  stale_fence:            { retry: 'never', http: 500, means: 'A later attempt has taken over.', operator: 'Do nothing: the later attempt goes on.' },
  stale_version:          { retry: 'never', http: 500, means: 'The job moved in between.', operator: 'Do nothing: the job goes on from where it is.' },
  lease_over:             { retry: 'reconcile', http: 500, means: 'The time in which this attempt might write is over.', operator: 'Do nothing: another attempt goes on.' },
  invariant_broken:       { retry: 'never', http: 500, means: 'Velvet found itself in a state that must not exist.', operator: 'Keep the logs of this job (`job_id=`) and report it; abort the job, or finish by hand.' },
  internal:               { retry: 'never', http: 500, means: 'Something that nobody foresaw.', operator: 'Keep the `request_id` and the logs, and report it.' },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorTable;

export interface VelvetErrorOptions {
  /** What an operator may read; must hold no value. Defaults to the table's `means`. */
  readonly detail?: string;
  /** How long the vendor asked to be left alone. */
  readonly retryAfterMs?: number;
  /** HTTP status of the vendor, for the log line. */
  readonly httpStatus?: number;
  /** What kind of failure the log names: ConnectionError, Timeout, HTTP503 … */
  readonly kind?: string;
  /** Further members of the problem document; must hold no value. */
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** The one error class: `code` is the contract, `message` is for the log, `detail` for the operator. */
export class VelvetError extends Error {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly retryAfterMs: number | undefined;
  readonly httpStatus: number | undefined;
  readonly kind: string | undefined;
  readonly extra: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: VelvetErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'VelvetError';
    this.code = code;
    const row = errorTable[code];
    this.detail = options.detail ?? `${row.means} ${row.operator}`;
    this.retryAfterMs = options.retryAfterMs;
    this.httpStatus = options.httpStatus;
    this.kind = options.kind;
    this.extra = options.extra ?? {};
  }

  get retry(): Retry {
    return errorTable[this.code].retry;
  }
}

export function isVelvetError(error: unknown): error is VelvetError {
  return error instanceof VelvetError;
}

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorTable, code);
}
