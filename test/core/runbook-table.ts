// The specification's tables of statuses, typed in by hand: what each status is, who acts there, and where each act leads.
// Law: written from the specification alone, never from shared/rotation/machine.ts. It is a second copy, and the two must agree.
import type { Job } from '../../shared/rotation/job.ts';
import type { Phase } from '../../shared/rotation/rows.ts';
import type { Residual, ResidualKind } from '../../shared/rotation/residuals.ts';
import type { Kind, Status } from '../../shared/rotation/statuses.ts';
import { tallyOf, type Standing } from './job-of.ts';

// oxfmt-ignore
export const operatorEvents = [
  'verify', 'retry', 'proceed_mint', 'submit_value', 'confirm_consumer', 'skip_consumer', 'proceed_revoke', 'mark_revoked',
  'abort', 'restore', 'resolve_residual', 'resolve_leak',
] as const;
export type OperatorEvent = (typeof operatorEvents)[number];

/** `rows_closed` is written with its outcome, and in `revoking` with what is left: any row `proven`, or `unproven` all. */
// oxfmt-ignore
export const workerEvents = [
  'verify_succeeded', 'verify_failed', 'value_awaited', 'mint_succeeded', 'mint_failed', 'fan_out_started', 'proofs_stand', 'promotion_begun', 'baseline_taken', 'nothing_to_prove',
  'revoke_succeeded', 'revoke_failed', 'cleanup_finished', 'cleanup_blocked', 'preempted', 'row_leaked', 'row_locked_out',
  'closed all', 'closed wave', 'closed some', 'closed none',
  'closed some, proven', 'closed some, unproven', 'closed none, proven', 'closed none, unproven',
] as const;
export type WorkerEvent = (typeof workerEvents)[number];

export interface Circumstance {
  readonly at: Status;
  /** The circumstance, in words; '' is the plain case. */
  readonly when: string;
  readonly job?: Partial<Job>;
  readonly kind: Kind;
  /** All that an operator may do, and where each leads. What is not here is refused. */
  readonly operator: Readonly<Partial<Record<OperatorEvent, Status>>>;
  /** All that a worker may report, and where each leads. What is not here moves nothing. */
  readonly worker: Readonly<Partial<Record<WorkerEvent, Status>>>;
  /** On these the specification says nothing, or leaves it to the code. */
  readonly silent?: readonly (OperatorEvent | WorkerEvent)[];
}

export function residual(kind: ResidualKind): Residual {
  return { kind, who: 'heroku-config-console-prod', what_to_do: 'what it says', resolved_at: null };
}

const awaiting = { awaiting: 'operator_value' } as const;
const testing = { flowType: 'testing' } as const;
const emergency = { flowType: 'revocation' } as const;
const alive = { currentState: 'alive', mayMint: true, newFingerprint: 'f1' } as const;
const dead = { currentState: 'dead', mayMint: true } as const;
const forced = { forceRevoke: true } as const;
const rows = (...standing: readonly Standing[]) => ({ tally: tallyOf(...standing) });
const left = (...kinds: readonly ResidualKind[]) =>
  ({ cleanup: 'needs_person', residuals: kinds.map(residual) }) as const;

// Of a cleanup that is over; whether such a late report is refused by the table or by the fence is the code's own.
const cleanupReports = ['cleanup_finished', 'cleanup_blocked'] as const;

const abort = { abort: 'aborted' } as const;
const taken = { preempted: 'aborted' } as const;
const confirmOrSkip = (status: Status) => ({ confirm_consumer: status, skip_consumer: status });

/** Which of a row's statuses a job's status is about. */
export const phaseOf: Partial<Record<Status, Phase>> = {
  distributing: 'distribute',
  distribute_partial: 'distribute',
  distribute_failed: 'distribute',
  validating: 'validate',
  validate_partial: 'validate',
  validate_failed: 'validate',
  revoking: 'prove',
};

// One circumstance a line, in the order of the specification.
// oxfmt-ignore
export const runbook: readonly Circumstance[] = [
  // 3.1 Operational. An open job (from `verify` until its end) can be taken over by an emergency: `preempted`.
  { at: 'init', when: '', kind: 'gate', operator: { verify: 'verifying', ...abort }, worker: {} },

  { at: 'verifying', when: '', kind: 'automatic', operator: abort, worker: { verify_succeeded: 'verified', verify_failed: 'verify_failed', ...taken } },
  { at: 'verifying', when: 'again, the token was alive', kind: 'automatic', job: alive, operator: abort, worker: { verify_succeeded: 'verified', verify_failed: 'verify_failed', ...taken } },
  { at: 'verifying', when: 'again, the token was dead', kind: 'automatic', job: dead, operator: abort, worker: { verify_succeeded: 'verified', verify_failed: 'verify_failed', ...taken } },

  { at: 'verify_failed', when: 'nothing is known of the current token',             kind: 'failed', operator: { retry: 'verifying', ...abort }, worker: taken },
  { at: 'verify_failed', when: 'the current token is alive, the authority may not', kind: 'failed', job: { currentState: 'alive' }, operator: { retry: 'verifying', ...abort }, worker: taken },
  { at: 'verify_failed', when: 'the current token is alive, the authority may mint', kind: 'failed', job: alive, operator: { retry: 'verifying', ...abort }, worker: taken },
  { at: 'verify_failed', when: 'dead, but the authority may not mint',              kind: 'failed', job: { currentState: 'dead', mayMint: false }, operator: { retry: 'verifying', ...abort }, worker: taken },
  { at: 'verify_failed', when: 'no value at all (not_adopted)',                     kind: 'failed', job: { currentState: 'absent', mayMint: true }, operator: { retry: 'verifying', ...abort }, worker: taken },
  { at: 'verify_failed', when: 'dead, and the authority may mint',                  kind: 'failed', job: dead, operator: { retry: 'verifying', proceed_mint: 'minting', ...abort }, worker: taken },

  { at: 'verified', when: '', kind: 'gate', job: alive, operator: { proceed_mint: 'minting', ...abort }, worker: taken },

  { at: 'minting', when: '', kind: 'automatic', operator: abort, worker: { mint_succeeded: 'minted', mint_failed: 'mint_failed', value_awaited: 'minting', ...taken } },
  { at: 'minting', when: 'a value is awaited', kind: 'gate', job: awaiting, operator: { submit_value: 'minting', ...abort }, worker: taken, silent: ['mint_succeeded', 'mint_failed', 'value_awaited'] },

  { at: 'mint_failed', when: '', kind: 'failed', operator: { retry: 'minting', ...abort }, worker: taken },

  { at: 'minted', when: '', kind: 'automatic', operator: abort, worker: { fan_out_started: 'distributing', ...taken } },

  { at: 'distributing', when: 'rows are under way',                kind: 'automatic', job: rows('ok', 'going', 'pending'), operator: abort, worker: { 'closed all': 'distributed', 'closed wave': 'distributing', 'closed some': 'distribute_partial', 'closed none': 'distribute_failed', ...taken } },
  { at: 'distributing', when: 'one has failed, others under way',  kind: 'automatic', job: rows('failed', 'going'), operator: abort, worker: { 'closed some': 'distribute_partial', 'closed none': 'distribute_failed', ...taken }, silent: ['closed all', 'closed wave'] },
  { at: 'distributing', when: 'one waits for a person, others under way', kind: 'automatic', job: rows('manual', 'going'), operator: { ...confirmOrSkip('distributing'), ...abort }, worker: { 'closed all': 'distributed', 'closed wave': 'distributing', 'closed some': 'distribute_partial', 'closed none': 'distribute_failed', ...taken } },
  { at: 'distributing', when: 'every open row waits for a person', kind: 'gate',      job: rows('ok', 'manual', 'manual', 'pending'), operator: { ...confirmOrSkip('distributing'), ...abort }, worker: { 'closed all': 'distributed', 'closed wave': 'distributing', 'closed some': 'distribute_partial', 'closed none': 'distribute_failed', ...taken } },

  { at: 'distribute_partial', when: 'some rows failed',                 kind: 'failed', job: rows('ok', 'failed'), operator: { retry: 'distributing', ...confirmOrSkip('distribute_partial'), ...abort }, worker: { 'closed all': 'distributed', 'closed wave': 'distributing', 'closed some': 'distribute_partial', ...taken }, silent: ['closed none'] },
  { at: 'distribute_partial', when: 'a failed row holds back a later wave', kind: 'failed', job: rows('failed', 'pending'), operator: { retry: 'distributing', ...confirmOrSkip('distribute_partial'), ...abort }, worker: { 'closed all': 'distributed', 'closed wave': 'distributing', 'closed some': 'distribute_partial', ...taken }, silent: ['closed none'] },
  { at: 'distribute_partial', when: 'force_revoke',                     kind: 'failed', job: { ...forced, ...rows('ok', 'failed') }, operator: { retry: 'distributing', ...confirmOrSkip('distribute_partial'), proceed_revoke: 'revoking', ...abort }, worker: { 'closed all': 'distributed', 'closed wave': 'distributing', 'closed some': 'distribute_partial', ...taken }, silent: ['closed none'] },
  { at: 'distribute_failed', when: 'all rows failed',                   kind: 'failed', job: rows('failed', 'failed'), operator: { retry: 'distributing', ...confirmOrSkip('distribute_failed'), ...abort }, worker: { 'closed all': 'distributed', 'closed wave': 'distributing', 'closed some': 'distribute_partial', 'closed none': 'distribute_failed', ...taken } },
  { at: 'distribute_failed', when: 'force_revoke does not reach so far', kind: 'failed', job: { ...forced, ...rows('failed', 'failed') }, operator: { retry: 'distributing', ...confirmOrSkip('distribute_failed'), ...abort }, worker: { 'closed all': 'distributed', 'closed wave': 'distributing', 'closed some': 'distribute_partial', 'closed none': 'distribute_failed', ...taken } },
  { at: 'distribute_failed', when: 'all rows were skipped, none waits', kind: 'failed', job: rows('skipped'), operator: abort, worker: taken, silent: ['retry', 'closed all', 'closed wave', 'closed some', 'closed none'] },

  { at: 'distributed', when: '', kind: 'automatic', job: rows('ok', 'ok'), operator: abort, worker: { fan_out_started: 'validating', ...taken } },

  { at: 'validating', when: 'rows are under way',                kind: 'automatic', job: rows('ok', 'going'), operator: abort, worker: { 'closed all': 'validated', 'closed some': 'validate_partial', 'closed none': 'validate_failed', ...taken } },
  { at: 'validating', when: 'one has failed, others under way',  kind: 'automatic', job: rows('failed', 'going'), operator: abort, worker: { 'closed some': 'validate_partial', 'closed none': 'validate_failed', ...taken }, silent: ['closed all'] },
  { at: 'validating', when: 'one waits for a person, others under way', kind: 'automatic', job: rows('manual', 'going'), operator: { ...confirmOrSkip('validating'), ...abort }, worker: { 'closed all': 'validated', 'closed some': 'validate_partial', 'closed none': 'validate_failed', ...taken } },
  { at: 'validating', when: 'every open row waits for a person', kind: 'gate',      job: rows('ok', 'manual'), operator: { ...confirmOrSkip('validating'), ...abort }, worker: { 'closed all': 'validated', 'closed some': 'validate_partial', 'closed none': 'validate_failed', ...taken } },

  { at: 'validate_partial', when: '',             kind: 'failed', job: rows('ok', 'failed'), operator: { retry: 'validating', ...confirmOrSkip('validate_partial'), ...abort }, worker: { 'closed all': 'validated', 'closed some': 'validate_partial', ...taken }, silent: ['closed none'] },
  { at: 'validate_partial', when: 'force_revoke', kind: 'failed', job: { ...forced, ...rows('ok', 'failed') }, operator: { retry: 'validating', ...confirmOrSkip('validate_partial'), proceed_revoke: 'revoking', ...abort }, worker: { 'closed all': 'validated', 'closed some': 'validate_partial', ...taken }, silent: ['closed none'] },
  { at: 'validate_failed', when: '',              kind: 'failed', job: rows('failed', 'failed'), operator: { retry: 'validating', ...confirmOrSkip('validate_failed'), ...abort }, worker: { 'closed all': 'validated', 'closed some': 'validate_partial', 'closed none': 'validate_failed', ...taken } },
  { at: 'validate_failed', when: 'force_revoke',  kind: 'failed', job: { ...forced, ...rows('failed', 'failed') }, operator: { retry: 'validating', ...confirmOrSkip('validate_failed'), proceed_revoke: 'revoking', ...abort }, worker: { 'closed all': 'validated', 'closed some': 'validate_partial', 'closed none': 'validate_failed', ...taken } },
  { at: 'validate_failed', when: 'all rows were skipped, none waits', kind: 'failed', job: rows('skipped'), operator: abort, worker: taken, silent: ['retry', 'closed all', 'closed wave', 'closed some', 'closed none'] },

  { at: 'validated', when: '',             kind: 'gate', job: rows('ok', 'skipped'), operator: { proceed_revoke: 'revoking', retry: 'validating', ...abort }, worker: taken },
  { at: 'validated', when: 'force_revoke', kind: 'gate', job: { ...forced, ...rows('ok') }, operator: { proceed_revoke: 'revoking', retry: 'validating', ...abort }, worker: taken },

  // A revoke that succeeded before the promotion was recorded would be out of order; what the code does with such a report is its own.
  { at: 'revoking', when: 'proving once more', kind: 'automatic', job: rows('ok', 'going'), operator: {}, worker: { 'closed all': 'revoking', 'closed some, proven': 'validate_partial', 'closed none, proven': 'validate_partial', 'closed some, unproven': 'validate_failed', 'closed none, unproven': 'validate_failed', promotion_begun: 'revoking', revoke_failed: 'revoke_failed', ...taken }, silent: ['revoke_succeeded'] },
  { at: 'revoking', when: 'every proof stands',    kind: 'automatic', job: rows('ok'), operator: {}, worker: { 'closed all': 'revoking', 'closed some, proven': 'validate_partial', 'closed none, proven': 'validate_partial', 'closed some, unproven': 'validate_failed', 'closed none, unproven': 'validate_failed', proofs_stand: 'revoking', promotion_begun: 'revoking', revoke_failed: 'revoke_failed', ...taken }, silent: ['revoke_succeeded'] },
  { at: 'revoking', when: 'past the point of no return', kind: 'automatic', job: { promoting: true, ...rows('ok') }, operator: {}, worker: { revoke_succeeded: 'done', revoke_failed: 'revoke_failed', ...taken }, silent: ['promotion_begun'] },

  { at: 'revoke_failed', when: 'before anything was promoted', kind: 'failed', job: rows('ok'), operator: { retry: 'revoking', mark_revoked: 'revoking' }, worker: taken },
  { at: 'revoke_failed', when: 'past the point of no return', kind: 'failed', job: { promoting: true, ...rows('ok') }, operator: { retry: 'revoking', mark_revoked: 'revoking' }, worker: taken },

  { at: 'done', when: '', kind: 'end', job: rows('ok'), operator: {}, worker: {} },

  { at: 'aborted', when: 'cleaning up',                                kind: 'automatic', job: { ...alive, cleanup: 'pending' }, operator: {}, worker: { promotion_begun: 'aborted', cleanup_finished: 'aborted', cleanup_blocked: 'aborted', ...taken }, silent: ['restore'] },
  { at: 'aborted', when: 'everything is taken back',                   kind: 'end', job: { ...alive, cleanup: 'done' }, operator: {}, worker: {}, silent: cleanupReports },
  { at: 'aborted', when: 'taken over: the emergency has its residuals', kind: 'end', job: { ...alive, cleanup: 'done', residuals: [residual('stale_consumer'), residual('old_token_live')] }, operator: {}, worker: {}, silent: [...cleanupReports, 'preempted'] },
  { at: 'aborted', when: 'a consumer is stale, the old token alive',   kind: 'end', job: { ...alive, ...left('stale_consumer') }, operator: { resolve_residual: 'aborted', restore: 'aborted', mark_revoked: 'aborted' }, worker: taken, silent: cleanupReports },
  { at: 'aborted', when: 'a consumer is stale, the old token dead',    kind: 'end', job: { ...dead, ...left('stale_consumer') }, operator: { resolve_residual: 'aborted' }, worker: taken, silent: cleanupReports },
  { at: 'aborted', when: 'a consumer is stale, the new value promoted', kind: 'end', job: { ...alive, promoted: true, ...left('stale_consumer') }, operator: { resolve_residual: 'aborted' }, worker: taken, silent: cleanupReports },
  { at: 'aborted', when: 'from validated: all on new, the old token live', kind: 'end', job: { ...alive, ...left('old_token_live') }, operator: { mark_revoked: 'aborted', restore: 'aborted' }, worker: taken, silent: [...cleanupReports, 'resolve_residual'] },
  { at: 'aborted', when: 'another rotation ended meanwhile',           kind: 'end', job: { ...alive, superseded: true, ...left('stale_consumer') }, operator: { resolve_residual: 'aborted' }, worker: taken, silent: cleanupReports },
  { at: 'aborted', when: 'an orphan is left',                          kind: 'end', job: { ...alive, ...left('orphan_token') }, operator: { resolve_residual: 'aborted' }, worker: taken, silent: [...cleanupReports, 'restore'] },
  { at: 'aborted', when: 'a consumer may hold a dead token',           kind: 'end', job: { ...dead, ...left('may_hold_dead_token') }, operator: { resolve_residual: 'aborted' }, worker: taken, silent: cleanupReports },
  { at: 'aborted', when: 'a token is to be revoked by hand',           kind: 'end', job: { ...alive, ...left('manual_revoke') }, operator: {}, worker: taken, silent: [...cleanupReports, 'resolve_residual', 'mark_revoked', 'restore'] },

  // 3.2 Revocation. Its rows prove their lock-out; which of a job's phases that is, is the code's own.
  { at: 'rev_init', when: '', kind: 'gate', job: emergency, operator: { proceed_revoke: 'rev_revoking', ...abort }, worker: {} },
  { at: 'rev_revoking', when: '', kind: 'automatic', job: emergency, operator: {}, worker: { baseline_taken: 'rev_revoking', promotion_begun: 'rev_revoking', revoke_succeeded: 'rev_revoked', revoke_failed: 'rev_revoke_failed' } },
  { at: 'rev_revoke_failed', when: '', kind: 'failed', job: emergency, operator: { retry: 'rev_revoking', mark_revoked: 'rev_revoking' }, worker: {} },
  { at: 'rev_revoked', when: '', kind: 'automatic', job: emergency, operator: {}, worker: { fan_out_started: 'rev_validating' } },
  { at: 'rev_validating', when: 'rows are settling',                 kind: 'automatic', job: { ...emergency, ...rows('ok', 'going') }, operator: {}, worker: { 'closed all': 'rev_done', nothing_to_prove: 'rev_done', row_leaked: 'rev_leaked' }, silent: ['row_locked_out', 'closed some', 'closed none'] },
  { at: 'rev_validating', when: 'every open row waits for a person', kind: 'gate',      job: { ...emergency, phase: 'validate', ...rows('ok', 'manual') }, operator: confirmOrSkip('rev_validating'), worker: { 'closed all': 'rev_done', nothing_to_prove: 'rev_done', row_leaked: 'rev_leaked' }, silent: ['row_locked_out', 'closed some', 'closed none'] },
  { at: 'rev_validating', when: 'the last open row was skipped, as all were', kind: 'automatic', job: { ...emergency, ...rows('skipped', 'skipped') }, operator: {}, worker: { 'closed none': 'rev_done', nothing_to_prove: 'rev_done', row_leaked: 'rev_leaked' }, silent: ['row_locked_out', 'closed all', 'closed some'] },
  { at: 'rev_leaked', when: 'others go on settling',  kind: 'failed', job: { ...emergency, ...rows('failed', 'going') }, operator: { retry: 'rev_validating' }, worker: { row_leaked: 'rev_leaked' }, silent: ['resolve_leak', 'row_locked_out', 'closed all', 'closed some', 'closed none'] },
  { at: 'rev_leaked', when: 'a row waits for a person', kind: 'failed', job: { ...emergency, ...rows('failed', 'manual') }, operator: { retry: 'rev_validating', ...confirmOrSkip('rev_leaked') }, worker: { row_leaked: 'rev_leaked' }, silent: ['resolve_leak', 'row_locked_out', 'closed all', 'closed some', 'closed none'] },
  { at: 'rev_leaked', when: 'no row is open',         kind: 'failed', job: { ...emergency, ...rows('ok', 'failed') }, operator: { retry: 'rev_validating', resolve_leak: 'rev_done' }, worker: {}, silent: ['row_leaked', 'row_locked_out', 'closed all', 'closed some', 'closed none'] },
  { at: 'rev_done', when: '', kind: 'end', job: emergency, operator: {}, worker: {} },

  // 3.3 Testing. Takes no claim, so that no emergency takes it over; both its ends are ends.
  { at: 'init', when: 'testing', kind: 'gate', job: testing, operator: { verify: 'verifying', ...abort }, worker: {} },
  // A dead current token ends it after the rows have been inspected, not before; what an authority that fails does is the code's own.
  { at: 'verifying', when: 'testing', kind: 'automatic', job: testing, operator: abort, worker: { verify_succeeded: 'verifying', verify_failed: 'verifying' }, silent: ['preempted', 'closed all', 'closed some', 'closed none'] },
  { at: 'verifying', when: 'testing, alive, rows being inspected', kind: 'automatic', job: { ...testing, ...alive }, operator: abort, worker: { 'closed all': 'verified' }, silent: ['preempted', 'verify_succeeded', 'verify_failed', 'closed some', 'closed none'] },
  { at: 'verifying', when: 'testing, dead, rows being inspected', kind: 'automatic', job: { ...testing, ...dead }, operator: abort, worker: { 'closed all': 'verify_failed', 'closed some': 'verify_failed', 'closed none': 'verify_failed' }, silent: ['preempted', 'verify_succeeded', 'verify_failed'] },
  { at: 'verified', when: 'testing', kind: 'end', job: { ...testing, ...alive }, operator: {}, worker: {}, silent: ['preempted'] },
  { at: 'verify_failed', when: 'testing', kind: 'end', job: { ...testing, ...dead }, operator: {}, worker: {}, silent: ['preempted'] },
  { at: 'aborted', when: 'testing', kind: 'end', job: { ...testing, cleanup: 'done' }, operator: {}, worker: {}, silent: [...cleanupReports, 'preempted'] },
];

/** Which of them this release carries out; the others come with the flows that need them. */
// oxfmt-ignore
export const thisRelease: readonly OperatorEvent[] = [
  'verify', 'retry', 'confirm_consumer', 'skip_consumer', 'proceed_mint', 'submit_value', 'proceed_revoke',
  'mark_revoked', 'abort', 'restore', 'resolve_residual',
];
