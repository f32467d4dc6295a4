// How a job's record takes up what Redis lost of it. Law: no version, fence or task id of the lost future is given to the present.
import type { Fence } from '../../shared/lib/lease.ts';
import type { JobPatch } from '../../shared/rotation/job-record.ts';
import type { Job } from '../../shared/rotation/job.ts';
import { quietAfter, type Row } from '../../shared/rotation/rows.ts';
import type { Speaker } from '../../shared/changes.ts';
import type { TaskContext } from '../run.ts';
import { errorPatch, issuerOf, lateMsOf, type StageDeps } from './deps.ts';
import { heldByAnother, mintOf, oldOf, type Stranger } from './lost-mints.ts';

/** `since`: when the first look under this Redis server began (wall clock, ms). Nobody was given a lease after that. */
export type LookContext = Pick<TaskContext, 'signal' | 'log'> & { readonly since: number };

interface Looked {
  /** Raised when the look began: whatever was begun since has a higher one. */
  readonly fence: Fence;
  readonly context: LookContext;
}

/**
 * More attempts, and more versions, than can have been forgotten: a token that the vendor makes only later still carries a lower
 * fence than what comes now, and whoever remembers a version of the lost future is told that it moved.
 */
export const FORGOTTEN_MAX = 1_000;

/** The lease of a mint may be among what was lost, and the vendor may make the token when nobody remembers it. */
export function untilForgottenIsOver(deps: StageDeps, job: Job, { since }: LookContext): JobPatch {
  const until = since + deps.times.leaseMs + issuerOf(deps, job).capabilities.lateMs;
  return { quiet_after: Math.max(job.quietAfter, until) };
}

export function speakerOf(job: Job): Speaker & { readonly kind: 'attempt' } {
  return { kind: 'attempt', fence: null, statusVersion: job.statusVersion };
}

/** Verifies again, which changes nothing anywhere, and waits at the gate before the mint; from there everything is taken back that nobody holds. */
export async function verifiedAnew(deps: StageDeps, job: Job, { fence, context }: Looked): Promise<void> {
  context.log.warn('a lost verify is begun again', { job_id: job.jobId });
  await deps.transitions.apply(job, 'verify_forgotten', { ...speakerOf(job), fence }, () => ({
    patch: { ...untilForgottenIsOver(deps, job, context), mint_begun: true, error: null },
    forgotten: FORGOTTEN_MAX,
    detail: { mint_begun: true },
  }));
}

/**
 * Records a mint whose own commit was lost, and that consumers hold already: distributing writes it again, and every gate after
 * it is still to be passed. Refused where an attempt began since the look.
 */
export async function goneOnWith(
  deps: StageDeps,
  job: Job,
  { fence, context, held, adoption }: Looked & { readonly held: Stranger; readonly adoption: JobPatch },
): Promise<void> {
  context.log.warn('a lost mint is gone on with', {
    job_id: job.jobId,
    status: job.status,
    new_auth_id: held.handle?.id ?? null,
  });
  await deps.transitions.apply(job, 'mint_found', { ...speakerOf(job), fence }, async () => ({
    patch: {
      ...adoption,
      ...untilForgottenIsOver(deps, job, context),
      mint_begun: true,
      step: null,
      phase: null,
      error: null,
    },
    forgotten: FORGOTTEN_MAX,
    rows: (await deps.store.rows(job)).map((row) => suspected(deps, row)),
    detail: {
      reason: 'Redis lost the record of this mint; the vendor, the vault and the consumers have it',
      old_auth_id: adoption.old_auth_id ?? job.oldAuthId,
      new_auth_id: held.handle?.id ?? null,
      vault_ref: adoption.vault_ref,
      promoted: held.promoted,
    },
  }));
}

/** Stops the job as an abort would, and records what of it is out there, so that its cleanup takes that back or names it. */
export async function stopped(
  deps: StageDeps,
  job: Job,
  held: Stranger | null,
  { context, why, also = {} }: { context: LookContext; why: string; also?: JobPatch },
): Promise<void> {
  const another = job.status === 'init' && (await heldByAnother(deps, job));
  const when = another ? ', once the rotation that holds the credential now is over,' : '';
  const detail = `Redis lost the last records of this job: the vendor or the vault shows ${why}. It was stopped, and its cleanup${when} takes back what it did or names it in \`residual\`. Then start a new rotation.`;
  const patch: JobPatch = {
    ...(await knownOfOld(deps, job, held, context)),
    ...(held === null ? {} : mintOf(deps, job, held)),
    ...untilForgottenIsOver(deps, job, context),
    mint_begun: true,
    aborted_from: job.status,
    cleanup_since: deps.clock.now(),
    ...also,
    ...errorPatch(deps, { code: 'data_lost', detail }),
  };
  context.log.error('data lost', { job_id: job.jobId, status: job.status, why });
  await deps.transitions.apply(job, another ? 'loss_put_off' : 'loss_found', speakerOf(job), async () => ({
    patch,
    forgotten: FORGOTTEN_MAX,
    rows: (await deps.store.rows(job)).map((row) => suspected(deps, row)),
    detail: { why, new_auth_id: held?.handle?.id ?? job.newAuthId },
  }));
}

/** A job whose verify was lost, too. Where a value lives that nobody kept there is no going back to it. */
async function knownOfOld(
  deps: StageDeps,
  job: Job,
  held: Stranger | null,
  context: LookContext,
): Promise<JobPatch> {
  if (job.currentState !== null && job.oldFingerprint !== null) return {};
  return (await oldOf(deps, job, held, context)) ?? { current_state: 'dead' };
}

/** Whatever the row's record says: it may hold the new value, and a write there may be under way until its lease must be over. */
export function suspected(deps: StageDeps, row: Row): Row {
  const lateMs = lateMsOf(deps, row);
  const until = deps.clock.now() + deps.times.leaseMs + lateMs;
  return { ...row, touched: true, quiet_after: Math.max(quietAfter(row, lateMs), until) };
}
