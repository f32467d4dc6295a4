// THE table: every way a job's status can change. `decide` is the only function that yields a next status.
import type { ErrorCode } from '../lib/errors.ts';
import type { Effect } from './effects.ts';
import { guards, type Facts, type GuardName } from './guards.ts';
import type { JobPatch } from './job-record.ts';
import { takesClaim, type Job } from './job.ts';
import { closedOutcomes, type Outcome } from './rows.ts';
import type { Status } from './statuses.ts';

/** Effects that tell somebody, as against those that move the job on. */
const telling: readonly Effect[] = ['notify', 'page_leak', 'update_alarm'];

export interface TransitionRow {
  readonly from: Status | readonly Status[];
  readonly on: string;
  readonly by: 'operator' | 'worker';
  readonly when?: readonly GuardName[];
  /** `same`: the action is recorded, the status is not entered again. */
  readonly to: Status | 'same';
  readonly effects?: readonly Effect[];
  readonly patch?: JobPatch;
  /** take: the job becomes the credential's claimant · free: it stops being it. */
  readonly claim?: 'take' | 'free';
  /** Whether every attempt that is under way is fenced off. */
  readonly fence?: 'raise';
  /** keep: the tasks of the status before go on under the new one, which they are as true for. */
  readonly tasks?: 'keep';
}

/** The mint is not on record yet. */
const beforeMinted = ['verifying', 'verify_failed', 'verified', 'minting', 'mint_failed'] as const;
const afterVerifying = [
  'verify_failed',
  'verified',
  'minting',
  'mint_failed',
  'minted',
  'distributing',
  'distribute_partial',
  'distribute_failed',
  'distributed',
  'validating',
  'validate_partial',
  'validate_failed',
  'validated',
] as const;
const claiming = ['verifying', ...afterVerifying, 'revoking', 'revoke_failed'] as const;
const distributeParked = ['distribute_partial', 'distribute_failed'] as const;
const validateParked = ['validate_partial', 'validate_failed'] as const;

// oxfmt-ignore
const table = [
  { from: 'init',             on: 'verify',           by: 'operator', to: 'verifying', effects: ['enqueue_verify'], claim: 'take', fence: 'raise' },
  { from: 'verifying',        on: 'verify_succeeded', by: 'worker',   when: ['flowIsNotTesting'], to: 'verified', effects: ['notify'] },
  { from: 'verifying',        on: 'verify_succeeded', by: 'worker',   when: ['flowIsTesting'], to: 'verifying', patch: { phase: 'inspect' }, effects: ['open_rows'] },
  { from: 'verifying',        on: 'verify_failed',    by: 'worker',   when: ['flowIsNotTesting'], to: 'verify_failed', effects: ['notify'] },
  { from: 'verifying',        on: 'verify_failed',    by: 'worker',   when: ['flowIsTesting'], to: 'verifying', patch: { phase: 'inspect' }, effects: ['open_rows'] },
  { from: 'verifying',        on: 'rows_closed',      by: 'worker',   when: ['flowIsTesting', 'rowsAll', 'testRefused'], to: 'verify_failed', effects: ['notify'] },
  { from: 'verifying',        on: 'rows_closed',      by: 'worker',   when: ['flowIsTesting', 'rowsAll', 'testPassed'], to: 'verified', effects: ['notify'] },
  { from: 'verifying',        on: 'rows_closed',      by: 'worker',   when: ['flowIsTesting', 'rowsSome'], to: 'verify_failed', effects: ['notify'] },
  { from: 'verifying',        on: 'rows_closed',      by: 'worker',   when: ['flowIsTesting', 'rowsNone'], to: 'verify_failed', effects: ['notify'] },
  { from: 'verify_failed',    on: 'retry',            by: 'operator', when: ['flowIsNotTesting'], to: 'verifying', effects: ['enqueue_verify'] },
  { from: 'verify_failed',    on: 'proceed_mint',     by: 'operator', when: ['flowIsOperational', 'currentDead', 'authorityMayMint', 'deadAcknowledged', 'confirmGiven'], to: 'minting', effects: ['enqueue_mint'] },
  { from: 'verified',         on: 'proceed_mint',     by: 'operator', when: ['flowIsOperational', 'confirmMatches'], to: 'minting', effects: ['enqueue_mint'] },
  { from: 'minting',          on: 'value_awaited',    by: 'worker',   to: 'minting', patch: { awaiting: 'operator_value' }, effects: ['notify'] },
  { from: 'minting',          on: 'submit_value',     by: 'operator', when: ['awaitingValue'], to: 'minting', patch: { awaiting: null, awaiting_reason: null }, effects: ['enqueue_mint'] },
  { from: 'minting',          on: 'mint_succeeded',   by: 'worker',   to: 'minted', effects: ['enqueue_distribute'] },
  { from: 'minting',          on: 'mint_failed',      by: 'worker',   to: 'mint_failed', effects: ['notify'] },
  { from: 'mint_failed',      on: 'retry',            by: 'operator', to: 'minting', effects: ['enqueue_mint'] },
  { from: ['distributing', 'validating', 'revoking', 'rev_validating', 'rev_leaked', 'verifying'], on: 'rows_opened', by: 'worker', to: 'same' },
  { from: 'minted',           on: 'fan_out_started',  by: 'worker',   to: 'distributing', patch: { phase: 'distribute' }, effects: ['open_rows'] },
  { from: 'distributing',     on: 'rows_closed',      by: 'worker',   when: ['rowsAll'], to: 'distributed', effects: ['enqueue_validate'] },
  { from: 'distributing',     on: 'rows_closed',      by: 'worker',   when: ['rowsWave'], to: 'distributing', effects: ['open_rows'] },
  { from: 'distributing',     on: 'rows_closed',      by: 'worker',   when: ['rowsSome'], to: 'distribute_partial', effects: ['notify'] },
  { from: 'distributing',     on: 'rows_closed',      by: 'worker',   when: ['rowsNone'], to: 'distribute_failed', effects: ['notify'] },
  { from: 'distributing',     on: 'confirm_consumer', by: 'operator', when: ['aRowNeedsAPerson', 'rowAllows'], to: 'same' },
  { from: 'distributing',     on: 'skip_consumer',    by: 'operator', when: ['aRowNeedsAPerson', 'rowAllows'], to: 'same' },
  { from: distributeParked,   on: 'retry',            by: 'operator', when: ['aRowCouldReopen', 'aRowWouldOpen'], to: 'distributing', effects: ['open_rows'] },
  { from: distributeParked,   on: 'confirm_consumer', by: 'operator', when: ['aRowFailed', 'rowAllows'], to: 'same' },
  { from: distributeParked,   on: 'skip_consumer',    by: 'operator', when: ['aRowFailed', 'rowAllows'], to: 'same' },
  { from: distributeParked,   on: 'rows_closed',      by: 'worker',   when: ['rowsAll'], to: 'distributed', effects: ['enqueue_validate'] },
  { from: distributeParked,   on: 'rows_closed',      by: 'worker',   when: ['rowsWave'], to: 'distributing', effects: ['open_rows'] },
  { from: 'distribute_failed', on: 'rows_closed',     by: 'worker',   when: ['rowsSome'], to: 'distribute_partial', effects: ['notify'] },
  { from: 'validate_failed',  on: 'rows_closed',      by: 'worker',   when: ['rowsSome'], to: 'validate_partial', effects: ['notify'] },
  { from: 'distributed',      on: 'fan_out_started',  by: 'worker',   to: 'validating', patch: { phase: 'validate' }, effects: ['open_rows'] },
  { from: 'validating',       on: 'rows_closed',      by: 'worker',   when: ['rowsAll'], to: 'validated', effects: ['notify'] },
  { from: 'validating',       on: 'rows_closed',      by: 'worker',   when: ['rowsSome'], to: 'validate_partial', effects: ['notify'] },
  { from: 'validating',       on: 'rows_closed',      by: 'worker',   when: ['rowsNone'], to: 'validate_failed', effects: ['notify'] },
  { from: 'validating',       on: 'confirm_consumer', by: 'operator', when: ['aRowNeedsAPerson', 'rowAllows'], to: 'same' },
  { from: 'validating',       on: 'skip_consumer',    by: 'operator', when: ['aRowNeedsAPerson', 'rowAllows'], to: 'same' },
  { from: validateParked,     on: 'retry',            by: 'operator', when: ['aRowCouldReopen', 'aRowWouldOpen'], to: 'validating', effects: ['open_rows'] },
  { from: 'validated',        on: 'retry',            by: 'operator', when: ['aRowWouldOpen'], to: 'validating', effects: ['open_rows'] },
  { from: validateParked,     on: 'confirm_consumer', by: 'operator', when: ['aRowFailed', 'rowAllows'], to: 'same' },
  { from: validateParked,     on: 'skip_consumer',    by: 'operator', when: ['aRowFailed', 'rowAllows'], to: 'same' },
  { from: validateParked,     on: 'rows_closed',      by: 'worker',   when: ['rowsAll'], to: 'validated', effects: ['notify'] },
  { from: 'validated',        on: 'proceed_revoke',   by: 'operator', when: ['notPromoting', 'staleAcknowledged', 'ticketGiven', 'confirmMatches', 'twoPersons'], to: 'revoking', patch: { phase: 'prove', step: 'prove' }, effects: ['open_rows'] },
  { from: 'validated',        on: 'proceed_revoke',   by: 'operator', when: ['promoting', 'staleAcknowledged', 'ticketGiven', 'confirmMatches', 'twoPersons'], to: 'revoking', patch: { phase: null, step: 'promote' }, effects: ['enqueue_revoke'] },
  { from: ['distribute_partial', ...validateParked], on: 'proceed_revoke', by: 'operator', when: ['notPromoting', 'forceRevokeJob', 'staleAcknowledged', 'ticketGiven', 'confirmMatches', 'twoPersons'], to: 'revoking', patch: { phase: 'prove', step: 'prove' }, effects: ['open_rows'] },
  { from: 'revoking',         on: 'proofs_stand',     by: 'worker',   when: ['notPromoting', 'everyProofStands'], to: 'revoking', patch: { phase: null, step: 'promote' }, effects: ['enqueue_revoke'] },
  { from: 'revoking',         on: 'rows_closed',      by: 'worker',   when: ['notPromoting', 'rowsAll'], to: 'revoking', patch: { phase: null, step: 'promote' }, effects: ['enqueue_revoke'] },
  { from: 'revoking',         on: 'rows_closed',      by: 'worker',   when: ['notPromoting', 'aProofStands'], to: 'validate_partial', patch: { phase: 'validate', step: null }, effects: ['notify'] },
  { from: 'revoking',         on: 'rows_closed',      by: 'worker',   when: ['notPromoting', 'noProofStands'], to: 'validate_failed', patch: { phase: 'validate', step: null }, effects: ['notify'] },
  { from: 'revoking',         on: 'promotion_begun',  by: 'worker',   when: ['pastTheProofs'], to: 'same', patch: { promoting: true } },
  { from: 'revoking',         on: 'revoke_succeeded', by: 'worker',   to: 'done', patch: { step: null }, effects: ['notify'], claim: 'free' },
  { from: 'revoking',         on: 'revoke_failed',    by: 'worker',   to: 'revoke_failed', patch: { phase: null }, effects: ['notify'] },
  { from: 'revoke_failed',    on: 'retry',            by: 'operator', when: ['promoting'], to: 'revoking', patch: { step: 'promote' }, effects: ['enqueue_revoke'] },
  { from: 'revoke_failed',    on: 'retry',            by: 'operator', when: ['notPromoting'], to: 'revoking', patch: { phase: 'prove', step: 'prove' }, effects: ['open_rows'] },
  { from: 'revoke_failed',    on: 'mark_revoked',     by: 'operator', when: ['twoPersons'], to: 'revoking', patch: { step: 'check' }, effects: ['enqueue_revoke_check'] },
  { from: 'init',             on: 'abort',            by: 'operator', to: 'aborted', patch: { cleanup: 'done' }, effects: ['notify'] },
  { from: 'rev_init',         on: 'abort',            by: 'operator', to: 'aborted', patch: { cleanup: 'done' }, effects: ['notify'] },
  { from: 'verifying',        on: 'abort',            by: 'operator', when: ['flowIsTesting'], to: 'aborted', patch: { cleanup: 'done', phase: null }, effects: ['notify'] },
  { from: 'verifying',        on: 'abort',            by: 'operator', when: ['flowIsNotTesting'], to: 'aborted', patch: { cleanup: 'pending', phase: null, step: null, awaiting: null }, effects: ['enqueue_cleanup'], fence: 'raise' },
  { from: afterVerifying,     on: 'abort',            by: 'operator', when: ['flowIsNotTesting', 'notPromoting'], to: 'aborted', patch: { cleanup: 'pending', phase: null, step: null, awaiting: null }, effects: ['enqueue_cleanup'], fence: 'raise' },
  { from: ['init', ...claiming, 'aborted'], on: 'reconciled', by: 'worker', when: ['flowIsNotTesting'], to: 'same' },
  { from: ['init', ...claiming, 'aborted'], on: 'reconcile_delayed', by: 'worker', when: ['flowIsNotTesting'], to: 'same' },
  { from: 'init',             on: 'mint_found',       by: 'worker',   when: ['flowIsOperational'], to: 'minted', patch: { awaiting: null, awaiting_reason: null }, effects: ['enqueue_distribute'], claim: 'take' },
  { from: beforeMinted,       on: 'mint_found',       by: 'worker',   when: ['flowIsOperational'], to: 'minted', patch: { awaiting: null, awaiting_reason: null }, effects: ['enqueue_distribute'] },
  { from: 'init',             on: 'verify_forgotten', by: 'worker',   when: ['flowIsOperational'], to: 'verifying', effects: ['enqueue_verify'], claim: 'take', fence: 'raise' },
  { from: 'init',             on: 'loss_found',       by: 'worker',   when: ['flowIsNotTesting'], to: 'aborted', patch: { cleanup: 'pending', phase: null, step: null, awaiting: null }, effects: ['enqueue_cleanup', 'notify'], claim: 'take', fence: 'raise' },
  { from: 'init',             on: 'loss_put_off',     by: 'worker',   when: ['flowIsNotTesting'], to: 'aborted', patch: { cleanup: 'waiting', phase: null, step: null, awaiting: null }, effects: ['notify'] },
  { from: ['verifying', ...afterVerifying], on: 'loss_found', by: 'worker', when: ['flowIsNotTesting'], to: 'aborted', patch: { cleanup: 'pending', phase: null, step: null, awaiting: null }, effects: ['enqueue_cleanup', 'notify'], fence: 'raise' },
  { from: 'revoking',         on: 'loss_found',       by: 'worker',   when: ['flowIsNotTesting', 'notPromoting'], to: 'aborted', patch: { cleanup: 'pending', phase: null, step: null, awaiting: null }, effects: ['enqueue_cleanup', 'notify'], fence: 'raise' },
  { from: 'aborted',          on: 'cleanup_due',      by: 'worker',   when: ['cleanupWaiting'], to: 'same', patch: { cleanup: 'pending' }, effects: ['enqueue_cleanup'], claim: 'take', fence: 'raise' },
  { from: 'aborted',          on: 'promotion_begun',  by: 'worker',   when: ['cleanupPending'], to: 'same', patch: { promoting: true } },
  { from: 'aborted',          on: 'cleanup_finished', by: 'worker',   when: ['cleanupPending'], to: 'same', patch: { cleanup: 'done', restoring: false, step: null }, effects: ['notify'], claim: 'free' },
  { from: 'aborted',          on: 'cleanup_delayed',  by: 'worker',   when: ['cleanupPending'], to: 'same' },
  { from: 'aborted',          on: 'cleanup_blocked',  by: 'worker',   when: ['cleanupPending'], to: 'same', patch: { cleanup: 'needs_person', restoring: false, step: null }, effects: ['notify'] },
  { from: 'aborted',          on: 'restore',          by: 'operator', when: ['cleanupNotOver', 'notPromoting', 'notPromoted', 'notSuperseded', 'previousAlive', 'newTokenKept'], to: 'same', patch: { cleanup: 'pending', restoring: true, went_back: true }, effects: ['enqueue_cleanup'], fence: 'raise' },
  { from: 'aborted',          on: 'mark_revoked',     by: 'operator', when: ['cleanupNotOver', 'notSuperseded', 'oldTokenLeft', 'anotherPerson'], to: 'same', patch: { cleanup: 'pending', step: 'check' }, effects: ['enqueue_cleanup'], fence: 'raise' },
  { from: 'aborted',          on: 'resolve_residual', by: 'operator', when: ['cleanupNotOver', 'aResidualOpen'], to: 'same', patch: { cleanup: 'pending' }, effects: ['enqueue_cleanup'], fence: 'raise' },
  { from: claiming,           on: 'preempted',        by: 'worker',   to: 'aborted', patch: { cleanup: 'done', phase: null, step: null, awaiting: null, awaiting_reason: null }, effects: ['notify'], claim: 'free', fence: 'raise' },
  { from: 'aborted',          on: 'preempted',        by: 'worker',   when: ['cleanupNotDone'], to: 'same', patch: { cleanup: 'done', step: null, restoring: false }, effects: ['notify'], claim: 'free', fence: 'raise' },

  { from: 'rev_init',         on: 'proceed_revoke',   by: 'operator', when: ['ticketGiven', 'confirmGiven'], to: 'rev_revoking', patch: { step: 'baseline' }, effects: ['enqueue_rev_revoke'], claim: 'take', fence: 'raise' },
  { from: 'rev_revoking',     on: 'baseline_taken',   by: 'worker',   to: 'same', patch: { step: 'revoke' } },
  { from: 'rev_revoking',     on: 'tokens_noted',     by: 'worker',   to: 'same' },
  { from: 'rev_revoking',     on: 'promotion_begun',  by: 'worker',   to: 'same', patch: { promoting: true } },
  { from: 'rev_revoking',     on: 'revoke_succeeded', by: 'worker',   to: 'rev_revoked', patch: { step: null }, effects: ['enqueue_lockout'] },
  { from: 'rev_revoking',     on: 'revoke_failed',    by: 'worker',   to: 'rev_revoke_failed', effects: ['notify'] },
  { from: 'rev_revoke_failed', on: 'retry',           by: 'operator', to: 'rev_revoking', patch: { step: 'revoke' }, effects: ['enqueue_rev_revoke'] },
  { from: 'rev_revoke_failed', on: 'mark_revoked',    by: 'operator', to: 'rev_revoking', patch: { step: 'check' }, effects: ['enqueue_rev_check'] },
  { from: 'rev_revoked',      on: 'fan_out_started',  by: 'worker',   to: 'rev_validating', patch: { phase: 'lockout' }, effects: ['open_rows'] },
  { from: 'rev_validating',   on: 'row_leaked',       by: 'worker',   to: 'rev_leaked', effects: ['page_leak'], tasks: 'keep' },
  { from: 'rev_validating',   on: 'rows_closed',      by: 'worker',   when: ['tookNothing', 'rowsAll'], to: 'rev_done', patch: { cleanup: null }, effects: ['notify', 'update_alarm'], claim: 'free' },
  { from: 'rev_validating',   on: 'rows_closed',      by: 'worker',   when: ['tookNothing', 'rowsNone'], to: 'rev_done', patch: { cleanup: null }, effects: ['notify', 'update_alarm'], claim: 'free' },
  { from: 'rev_validating',   on: 'rows_closed',      by: 'worker',   when: ['tookOver', 'rowsAll'], to: 'rev_done', patch: { cleanup: 'waiting' }, effects: ['notify', 'update_alarm'], claim: 'free' },
  { from: 'rev_validating',   on: 'rows_closed',      by: 'worker',   when: ['tookOver', 'rowsNone'], to: 'rev_done', patch: { cleanup: 'waiting' }, effects: ['notify', 'update_alarm'], claim: 'free' },
  { from: 'rev_validating',   on: 'nothing_to_prove', by: 'worker',   when: ['tookNothing'], to: 'rev_done', patch: { cleanup: null }, effects: ['notify', 'update_alarm'], claim: 'free' },
  { from: 'rev_validating',   on: 'nothing_to_prove', by: 'worker',   when: ['tookOver'], to: 'rev_done', patch: { cleanup: 'waiting' }, effects: ['notify', 'update_alarm'], claim: 'free' },
  { from: 'rev_validating',   on: 'confirm_consumer', by: 'operator', when: ['aRowNeedsAPerson', 'rowAllows'], to: 'same' },
  { from: 'rev_validating',   on: 'skip_consumer',    by: 'operator', when: ['aRowNeedsAPerson', 'rowAllows'], to: 'same' },
  { from: 'rev_leaked',       on: 'confirm_consumer', by: 'operator', when: ['aRowNeedsAPerson', 'rowAllows'], to: 'same', effects: ['update_alarm'] },
  { from: 'rev_leaked',       on: 'skip_consumer',    by: 'operator', when: ['aRowNeedsAPerson', 'rowAllows'], to: 'same', effects: ['update_alarm'] },
  { from: 'rev_leaked',       on: 'row_leaked',       by: 'worker',   to: 'same', effects: ['update_alarm'] },
  { from: 'rev_leaked',       on: 'row_locked_out',   by: 'worker',   to: 'same', effects: ['update_alarm'] },
  { from: 'rev_leaked',       on: 'retry',            by: 'operator', when: ['aRowFailed', 'aRowWouldOpen'], to: 'rev_validating', effects: ['open_rows'] },
  { from: 'rev_leaked',       on: 'resolve_leak',     by: 'operator', when: ['noRowOpen', 'tookNothing', 'leaksNoted'], to: 'rev_done', patch: { cleanup: null }, effects: ['notify', 'update_alarm'], claim: 'free' },
  { from: 'rev_leaked',       on: 'resolve_leak',     by: 'operator', when: ['noRowOpen', 'tookOver', 'leaksNoted'], to: 'rev_done', patch: { cleanup: 'waiting' }, effects: ['notify', 'update_alarm'], claim: 'free' },
  { from: 'rev_done',         on: 'cleanup_due',      by: 'worker',   when: ['cleanupWaiting'], to: 'same', patch: { cleanup: 'pending' }, effects: ['enqueue_rev_cleanup'], claim: 'take', fence: 'raise' },
  { from: 'rev_done',         on: 'promotion_begun',  by: 'worker',   when: ['cleanupPending'], to: 'same', patch: { promoting: true } },
  { from: 'rev_done',         on: 'cleanup_finished', by: 'worker',   when: ['cleanupPending'], to: 'same', patch: { cleanup: 'done' }, claim: 'free' },
  { from: 'rev_done',         on: 'cleanup_delayed',  by: 'worker',   when: ['cleanupPending'], to: 'same' },
] as const satisfies readonly TransitionRow[];

/** The table with one `from` per row. */
export const transitions: readonly (TransitionRow & { readonly from: Status })[] = (
  table as readonly TransitionRow[]
).flatMap((row) => (typeof row.from === 'string' ? [row.from] : row.from).map((from) => ({ ...row, from })));

export type OperatorAction = Extract<(typeof table)[number], { by: 'operator' }>['on'];
export type WorkerEvent = Extract<(typeof table)[number], { by: 'worker' }>['on'];
export type JobEvent = OperatorAction | WorkerEvent;

export const operatorActionNames = [
  ...new Set(transitions.filter((t) => t.by === 'operator').map((t) => t.on)),
] as readonly OperatorAction[];

export interface Decision {
  readonly verdict: 'go';
  readonly to: Status;
  /** Whether the status is entered (again), as against only recorded against. */
  readonly enters: boolean;
  readonly effects: readonly Effect[];
  readonly patch: JobPatch;
  readonly claim: 'take' | 'keep' | 'free' | 'none';
  readonly raiseFence: boolean;
  readonly keepsTasks: boolean;
}

/** no_such_transition: the status does not know the event · refused: the guards that did not hold, so that one can say what is missing. */
export type Refusal =
  | { readonly verdict: 'no_such_transition' }
  | { readonly verdict: 'refused'; readonly guards: readonly GuardName[]; readonly code: ErrorCode };

/** The only function that yields a next status. */
export function decide(job: Job, on: JobEvent, facts: Facts = {}): Decision | Refusal {
  const rows = transitions.filter((t) => t.from === job.status && t.on === on);
  const missing = rows.map((row) => (row.when ?? []).filter((name) => !guards[name].holds(job, facts)));
  const index = missing.findIndex((names) => names.length === 0);
  const row = rows[index];
  if (row !== undefined) return decisionOf(job, row);
  // Of several rows that all refuse, the one that fails on input alone says most: the job itself would allow it.
  const nearest =
    missing.find((names) => names.every((name) => guards[name].about === 'input')) ?? missing[0];
  if (nearest === undefined) return { verdict: 'no_such_transition' };
  const first = nearest.find((name) => guards[name].about === 'job') ?? nearest[0];
  return {
    verdict: 'refused',
    guards: nearest,
    code: first === undefined ? 'action_not_allowed' : guards[first].code,
  };
}

function decisionOf(job: Job, row: TransitionRow): Decision {
  const rowEffects = row.effects ?? [];
  const moving = rowEffects.find((effect) => !telling.includes(effect));
  const claimless =
    !takesClaim(job) ||
    (row.claim !== 'take' &&
      (job.status === 'init' || job.status === 'rev_init' || job.cleanup === 'waiting'));
  const orders = row.tasks !== 'keep' && (moving !== undefined || row.to !== 'same');
  return {
    verdict: 'go',
    to: row.to === 'same' ? job.status : row.to,
    enters: row.to !== 'same',
    effects: rowEffects,
    // What the job now waits for, so that the sweeper can repeat it; a new status without a moving effect waits for nobody.
    patch: { ...row.patch, ...(orders ? { resume: moving ?? null } : {}) },
    claim: claimless ? 'none' : (row.claim ?? 'keep'),
    raiseFence: !claimless && row.fence === 'raise',
    keepsTasks: row.tasks === 'keep',
  };
}

/** For each way in which the open phase can close, where the job then goes; a way that moves nothing is left out. */
export function decideClosing(job: Job): Readonly<Partial<Record<Outcome, Decision>>> {
  const ways = closedOutcomes.map(
    (outcome) =>
      [outcome, decide(job, 'rows_closed', { outcome, anyRowProven: outcome !== 'none' })] as const,
  );
  return Object.fromEntries(ways.filter(([, decision]) => decision.verdict === 'go'));
}

/** What an operator may do with the job now, as far as the job decides it: input that is missing is asked for when the action comes. */
export function operatorActions(job: Job): readonly OperatorAction[] {
  return operatorActionNames.filter((action) =>
    transitions.some(
      (t) =>
        t.from === job.status &&
        t.on === action &&
        t.by === 'operator' &&
        (t.when ?? []).every((name) => guards[name].about !== 'job' || guards[name].holds(job, {})),
    ),
  );
}
