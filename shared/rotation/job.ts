// What a job record is. Law: everything read back from Redis passes through parseJob; snake_case ends here.
import { z } from 'zod';
import { effects, type Effect, type JobRef } from './effects.ts';
import { handVerifySchema, type HandVerify } from './new-token.ts';
import { residualSchema } from './residuals.ts';
import { phases, type Tally } from './rows.ts';
import { statusNames, statuses, type FlowType, type Kind, type Status } from './statuses.ts';

/** Who did something: a person (or the schedule), as the audit trail shows it. */
export interface Actor {
  readonly operatorId: string;
  /** Whose Slack gets the direct messages; a service token may name one. */
  readonly slackUserId: string | null;
}

/** Within `revoking`: prove once more → promote → revoke; `check` asks whether a revocation by hand is true. */
export const steps = ['prove', 'promote', 'revoke', 'check'] as const;
export type Step = (typeof steps)[number];

const effectNames = Object.keys(effects) as [Effect, ...Effect[]];
const instant = z.coerce.number().int().nonnegative();
const nullable = (value: string) => (value === '' ? null : value);
const text = z.string().transform(nullable).default(null);
const flag = z
  .enum(['0', '1'])
  .transform((value) => value === '1')
  .default(false);
const json = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (typeof value === 'string' && value !== '' ? JSON.parse(value) : null), schema);

const errorSchema = z.object({ code: z.string(), detail: z.string(), at: z.number() });
export type JobError = z.infer<typeof errorSchema>;

/** The record as Redis holds it: a flat hash of strings. Fields that an older version did not write have defaults. */
const recordSchema = z.object({
  job_id: z.string(),
  credential: z.string(),
  env: z.string(),
  flow_type: z.enum(['operational', 'revocation', 'testing']),
  status: z.enum(statusNames as [Status, ...Status[]]),
  status_since: instant,
  /** Raised by each status change and each operator's action. */
  version: instant,
  /** The version at which the present status was entered; tasks carry it. */
  status_version: instant,
  kick: instant.default(0),
  /** The effect that the present status waits for; what the sweeper repeats. */
  resume: text.pipe(z.enum(effectNames).nullable()),
  created_at: instant,
  updated_at: instant,
  created_by: z.string(),
  force_revoke: flag,
  ticket_id: text,
  ticket: text.pipe(z.enum(['verified', 'unverified']).nullable()),
  /** The person behind the last `proceed_mint`, for the two-person gate. Empty where nobody did, or Redis lost who. */
  minted_by: text,
  /** A mint may have been begun that the record does not know of. */
  mint_begun: flag,
  moved_by: text,
  moved_by_slack: text,
  step: text.pipe(z.enum(steps).nullable()),
  phase: text.pipe(z.enum(phases).nullable()),
  awaiting: text.pipe(z.enum(['operator_value']).nullable()),
  /** Why a value is awaited: `value_needed`, or the code of what was wrong with the last one. */
  awaiting_reason: text,
  /** Under which name the last value that was typed waits, sealed, to be taken. */
  value_id: text,
  /** `waiting`: it begins once the job that holds the credential is over. */
  cleanup: text.pipe(z.enum(['waiting', 'pending', 'done', 'needs_person']).nullable()),
  /** Which status an abort came from. */
  aborted_from: text.pipe(z.enum(statusNames as [Status, ...Status[]]).nullable()),
  /** Since when the present round of the cleanup runs. */
  cleanup_since: instant.default(0),
  /** The present round of the cleanup puts the previous value back. */
  restoring: flag,
  /** A restore was begun: from then on the new value is the one to leave, and the old token must live. */
  went_back: flag,
  /** The revoke under way was forced: unproven consumers were named by an operator. */
  forced: flag,
  current_state: text.pipe(z.enum(['alive', 'dead', 'absent']).nullable()),
  may_mint: flag,
  issuer: z.string(),
  /** Empty where the manifest names none. */
  authority: text,
  issuer_verify: json(handVerifySchema.nullable()).default(null),
  /** What the manifest tells whoever makes the new token by hand. */
  instructions: text,
  two_person: flag,
  old_auth_id: text,
  old_fingerprint: text,
  new_auth_id: text,
  new_fingerprint: text,
  /** The fence of the attempt whose value was accepted, or that took a typed one: names the pending slot. */
  minted_fence: text,
  vault_ref: text,
  promoting: flag,
  promoted: flag,
  /** The current value is neither the old nor the new one of this job: another rotation, or an adoption, ended in between. */
  superseded: flag,
  error: json(errorSchema.nullable()).default(null),
  residuals: json(z.array(residualSchema).nullable()).default(null),
  /** A step's lease that has not been reported back: its fence and wall-clock end. */
  lease_fence: text,
  lease_until: instant.default(0),
  /** Nothing that another attempt may have begun can be applied after this. */
  quiet_after: instant.default(0),
  idem: text,
  /** Consumers that were `active: false` when the job was created: left out, and named at the revoke gate. */
  inactive: json(z.array(z.string()).nullable()).default(null),
  /** The last calls and what they were answered, newest last, so that a repeated call answers as it did the first time. */
  commits: z.string().default(''),
  t_total: instant.default(0),
  t_pending: instant.default(0),
  t_open: instant.default(0),
  t_manual: instant.default(0),
  t_failed: instant.default(0),
  t_ok: instant.default(0),
  t_proven: instant.default(0),
});

export type JobRecord = z.infer<typeof recordSchema>;

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
    error: r.error,
    residuals: r.residuals ?? [],
    leaseFence: r.lease_fence,
    leaseUntil: r.lease_until,
    quietAfter: r.quiet_after,
    idem: r.idem,
    inactive: r.inactive ?? [],
    tally: tallyIn(r),
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

/** What a transition may write into the record, beside the status itself. `null` clears a field. */
export type JobPatch = Partial<{
  -readonly [
    K in Exclude<
      keyof JobRecord,
      'job_id' | 'credential' | 'env' | 'status' | 'version' | 'commits' | `t_${string}`
    >
  ]: string | number | boolean | null | readonly unknown[] | Readonly<Record<string, unknown>>;
}>;

/** The one encoding of a patch: flags as 0 and 1, lists and objects as JSON, null as the empty string. */
export function encodePatch(patch: JobPatch): Record<string, string> {
  return Object.fromEntries(Object.entries(patch).map(([key, value]) => [key, encode(value)]));
}

function encode(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'boolean') return value ? '1' : '0';
  return typeof value === 'string' ? value : JSON.stringify(value);
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
  if (job.status === 'aborted' && job.cleanup === 'pending') return 'automatic';
  if (job.awaiting !== null || onlyAPersonIsLeft(job)) return 'gate';
  return statuses[job.status].kind;
}

/** Whether the phase goes on and every row that is still open in it waits for a person. */
export function onlyAPersonIsLeft(job: Pick<Job, 'status' | 'tally' | 'phase'>): boolean {
  const { open, manual } = job.tally;
  return job.phase !== null && statuses[job.status].kind === 'automatic' && open > 0 && open === manual;
}

/** Whether nothing more will happen by itself or by an action: the stream may end, the idempotency key may expire. */
export function isOver(job: Job): boolean {
  return (
    kindOf(job) === 'end' && (job.status !== 'aborted' || job.cleanup === 'done' || job.cleanup === null)
  );
}
