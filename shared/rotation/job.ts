// What a job is. Law: everything read back from Redis passes through parseJob; snake_case ends here.
import type { z } from 'zod';
import type { Effect, JobRef } from './effects.ts';
import {
  recordSchema,
  type EndedToken,
  type JobError,
  type JobRecord,
  type Step,
  type Target,
} from './job-record.ts';
import type { HandVerify } from './new-token.ts';
import type { residualSchema } from './residuals.ts';
import type { phases, Tally } from './rows.ts';
import { statuses, type FlowType, type Kind, type Status } from './statuses.ts';

/** Who did something: a person (or the schedule), as the audit trail shows it. */
export interface Actor {
  readonly operatorId: string;
  /** Whose Slack gets the direct messages; a service token may name one. */
  readonly slackUserId: string | null;
}

export interface Job extends JobRef {
  readonly flowType: FlowType;
  readonly status: Status;
  readonly statusSince: number;
  readonly version: number;
  readonly statusVersion: number;
  readonly kick: number;
  readonly resume: Effect | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly createdBy: string;
  readonly forceRevoke: boolean;
  readonly autoUntil: 'verified' | 'validated' | null;
  readonly ticketId: string | null;
  readonly ticket: 'verified' | 'unverified' | null;
  readonly mintedBy: string | null;
  readonly mintBegun: boolean;
  readonly movedBy: Actor | null;
  readonly step: Step | null;
  readonly phase: (typeof phases)[number] | null;
  readonly awaiting: 'operator_value' | null;
  readonly awaitingReason: string | null;
  readonly valueId: string | null;
  readonly cleanup: 'waiting' | 'pending' | 'done' | 'needs_person' | null;
  readonly abortedFrom: Status | null;
  readonly cleanupSince: number;
  readonly restoring: boolean;
  readonly wentBack: boolean;
  readonly forced: boolean;
  readonly currentState: 'alive' | 'dead' | 'absent' | null;
  readonly mayMint: boolean;
  readonly issuer: string;
  /** The name of the token with which Velvet calls the issuer; null where there is none. */
  readonly authority: string | null;
  readonly issuerVerify: HandVerify | null;
  readonly instructions: string | null;
  readonly twoPerson: boolean;
  readonly oldAuthId: string | null;
  readonly oldFingerprint: string | null;
  readonly newAuthId: string | null;
  readonly newFingerprint: string | null;
  readonly mintedFence: string | null;
  readonly vaultRef: string | null;
  readonly promoting: boolean;
  readonly promoted: boolean;
  readonly superseded: boolean;
  readonly target: Target | null;
  readonly atOnce: boolean;
  readonly preempt: boolean;
  readonly takesOver: string | null;
  readonly tookFrom: Status | null;
  readonly tokens: readonly EndedToken[];
  readonly revokedAt: number;
  readonly settleMs: number;
  readonly settleUntil: number;
  readonly replaces: string | null;
  readonly error: JobError | null;
  readonly residuals: readonly z.infer<typeof residualSchema>[];
  readonly leaseFence: string | null;
  readonly leaseUntil: number;
  readonly quietAfter: number;
  readonly idem: string | null;
  readonly inactive: readonly string[];
  readonly tally: Tally;
}

/** Throws a ZodError where the record is not a job; the store makes `invariant_broken` of it. */
export function parseJob(hash: Readonly<Record<string, string>>): Job {
  const r = recordSchema.parse(hash);
  return {
    jobId: r.job_id,
    credential: r.credential,
    env: r.env,
    flowType: r.flow_type,
    status: r.status,
    statusSince: r.status_since,
    version: r.version,
    statusVersion: r.status_version,
    kick: r.kick,
    resume: r.resume,
    createdAt: r.created_at,
    updatedAt: r.updated_at,
    createdBy: r.created_by,
    forceRevoke: r.force_revoke,
    autoUntil: r.auto_until,
    ticketId: r.ticket_id,
    ticket: r.ticket,
    mintedBy: r.minted_by,
    mintBegun: r.mint_begun,
    movedBy: r.moved_by === null ? null : { operatorId: r.moved_by, slackUserId: r.moved_by_slack },
    step: r.step,
    phase: r.phase,
    awaiting: r.awaiting,
    awaitingReason: r.awaiting_reason,
    valueId: r.value_id,
    cleanup: r.cleanup,
    abortedFrom: r.aborted_from,
    cleanupSince: r.cleanup_since,
    restoring: r.restoring,
    wentBack: r.went_back,
    forced: r.forced,
    currentState: r.current_state,
    mayMint: r.may_mint,
    issuer: r.issuer,
    authority: r.authority,
    issuerVerify: r.issuer_verify,
    instructions: r.instructions,
    twoPerson: r.two_person,
    oldAuthId: r.old_auth_id,
    oldFingerprint: r.old_fingerprint,
    newAuthId: r.new_auth_id,
    newFingerprint: r.new_fingerprint,
    mintedFence: r.minted_fence,
    vaultRef: r.vault_ref,
    promoting: r.promoting,
    promoted: r.promoted,
    superseded: r.superseded,
    ...emergencyIn(r),
    ...leaseIn(r),
    error: r.error,
    residuals: r.residuals ?? [],
    idem: r.idem,
    inactive: r.inactive ?? [],
    tally: tallyIn(r),
  };
}

function leaseIn(r: JobRecord) {
  return { leaseFence: r.lease_fence, leaseUntil: r.lease_until, quietAfter: r.quiet_after };
}

function emergencyIn(r: JobRecord) {
  return {
    target: r.target,
    atOnce: r.at_once,
    preempt: r.preempt,
    takesOver: r.takes_over,
    tookFrom: r.took_from,
    tokens: r.tokens ?? [],
    revokedAt: r.revoked_at,
    settleMs: r.settle_ms,
    settleUntil: r.settle_until,
    replaces: r.replaces,
  };
}

function tallyIn(r: JobRecord): Tally {
  return {
    total: r.t_total,
    pending: r.t_pending,
    open: r.t_open,
    manual: r.t_manual,
    failed: r.t_failed,
    ok: r.t_ok,
    proven: r.t_proven,
  };
}

/**
 * What kind of moment the job is in: a function of the job, not of its status alone. An automatic status that waits for a
 * person only (an operator's value, rows that are all `manual_required`) is a gate; testing ends where it verified.
 */
export function kindOf(
  job: Pick<Job, 'status' | 'flowType' | 'awaiting' | 'cleanup' | 'tally' | 'phase'>,
): Kind {
  if (job.flowType === 'testing' && (job.status === 'verified' || job.status === 'verify_failed'))
    return 'end';
  if (statuses[job.status].kind === 'end' && job.cleanup === 'pending') return 'automatic';
  if (job.awaiting !== null || onlyAPersonIsLeft(job)) return 'gate';
  return statuses[job.status].kind;
}

/** Whether the phase goes on and every row that is still open in it waits for a person. */
export function onlyAPersonIsLeft(job: Pick<Job, 'status' | 'tally' | 'phase'>): boolean {
  const { open, manual } = job.tally;
  return job.phase !== null && statuses[job.status].kind === 'automatic' && open > 0 && open === manual;
}

/** Whether the job owns its credential from `verify` on. What takes no claim has no fence either, and never a lease: it cannot change anything. */
export function takesClaim(job: Pick<Job, 'flowType'>): boolean {
  return job.flowType !== 'testing';
}

/** Whether nothing more will happen by itself or by an action: the stream may end, the idempotency key may expire. */
export function isOver(job: Job): boolean {
  return kindOf(job) === 'end' && (job.cleanup === 'done' || job.cleanup === null);
}

/** Whether workers have something to do for it. A leak is told while other consumers are still being asked. */
export function movesByItself(job: Job): boolean {
  const asking = job.status === 'rev_leaked' && job.tally.open > job.tally.manual;
  return asking || kindOf(job) === 'automatic';
}
