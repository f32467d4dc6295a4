// After Redis may have lost its last writes: holds each open job against vendor, vault and consumers before anything is written. Law: what the record does not explain is taken back or named, never guessed.
import { isVelvetError, type VelvetError } from '../../shared/lib/errors.ts';
import { fenceCounter, type Fence } from '../../shared/lib/lease.ts';
import { systemOperator } from '../../shared/redis/events.ts';
import type { JobRef } from '../../shared/rotation/effects.ts';
import { kindOf, type Job, type JobPatch } from '../../shared/rotation/job.ts';
import { quietAfter, type Row } from '../../shared/rotation/rows.ts';
import type { Status } from '../../shared/rotation/statuses.ts';
import type { Speaker } from '../../shared/transition.ts';
import type { TaskContext } from '../run.ts';
import { slots } from '../vault/contract.ts';
import type { Handle } from '../vendors/contract.ts';
import { bringBack, type BringBackDeps } from './bring-back.ts';
import { errorPatch, issuerOf, namingAuthority, readCall, targetOf, type StageDeps } from './deps.ts';
import {
  adoptionOf,
  heldByAnother,
  fenceOf,
  heldByConsumers,
  mintOf,
  oldOf,
  strangersOf,
  type Stranger,
} from './lost-mints.ts';
import { isPromoted } from './promote.ts';

type Context = Pick<TaskContext, 'signal' | 'log'>;

/** Statuses in which a live token of the job stands for a mint that has not been recorded (yet). */
const unminted: readonly Status[] = [
  'init',
  'verifying',
  'verify_failed',
  'verified',
  'minting',
  'mint_failed',
];
const forward: readonly Status[] = ['revoking', 'revoke_failed', 'aborted'];

/**
 * More attempts, and more versions, than can have been forgotten: a token that the vendor makes only later still carries a lower
 * fence than what comes now, and whoever remembers a version of the lost future is told that it moved.
 */
export const FORGOTTEN_MAX = 1_000;

/** One credential. Throws what keeps it from looking (the vendor away, the authority refused): until it could look, nothing is written. */
export async function reconcile(
  deps: BringBackDeps,
  ref: Pick<JobRef, 'credential' | 'env'>,
  context: Context,
): Promise<void> {
  await bringBack(deps, ref, context);
  const jobs = (await deps.store.openJobs(ref.credential, ref.env)).filter(
    (job) => job.flowType === 'operational',
  );
  const seen = await Promise.all(
    jobs.map(async (job) => ({ job, minted: await mintedBy(deps, job, context) })),
  );
  const prefix = slots.pendingPrefix(ref.credential);
  const pending = (await deps.vault.list(prefix)).map((slot) => slot.slice(prefix.length));
  const fences = [...pending, ...seen.flatMap(({ minted }) => minted.map(fenceOf))];
  const fence = await deps.claims.raiseFence(ref, Math.max(0, ...fences.map(fenceCounter)) + FORGOTTEN_MAX);
  for (const { job, minted } of seen) await holdAgainstTheWorld(deps, { job, minted, fence, context });
}

async function mintedBy(deps: StageDeps, job: Job, context: Context): Promise<readonly Handle[]> {
  try {
    const authority = await deps.authorities.read(job.authority);
    return await namingAuthority(job, () =>
      issuerOf(deps, job).listMinted(readCall(job, '0-reconcile', context), authority),
    );
  } catch (error) {
    // What is past its mint and goes forward needs no list, and a revocation by hand must not wait for the authority that it replaces.
    const needless = forward.includes(job.status) && job.newAuthId !== null;
    if (needless && isVelvetError(error) && error.code === 'authority_invalid') return [];
    if (isVelvetError(error) && job.error?.code !== error.code) await sayWhyNot(deps, job, error);
    throw error;
  }
}

async function sayWhyNot(deps: StageDeps, job: Job, error: VelvetError): Promise<void> {
  const detail = `Redis was restarted, and the job goes on once what it did was looked at again. ${error.detail}`;
  await deps.transitions.apply(job, 'reconcile_delayed', speakerOf(job), () => ({
    patch: errorPatch(deps, { code: error.code, detail }),
    detail: { code: error.code, reason: detail },
  }));
}

interface Seen {
  readonly job: Job;
  readonly minted: readonly Handle[];
  /** Raised when the look began: whatever was begun since has a higher one. */
  readonly fence: Fence;
  readonly context: Context;
}

async function holdAgainstTheWorld(deps: StageDeps, seen: Seen): Promise<void> {
  const { job, minted, context } = seen;
  const strangers = job.newAuthId === null ? await strangersOf(deps, job, minted, context) : [];
  const begun = job.newAuthId === null && (strangers.length > 0 || (await mintBegun(deps, job)));
  if (unminted.includes(job.status) && begun) {
    const held = await heldByConsumers(deps, job, strangers, context);
    const adoption = held === null ? null : await adoptionOf(deps, job, { strangers, held }, context);
    if (held !== null && adoption !== null) return goneOnWith(deps, seen, held, adoption);
    if (held === null && job.status === 'init' && (await mayVerify(deps, job)))
      return verifiedAnew(deps, seen);
    // What nobody holds is taken back by the next mint, or by an abort's cleanup; an abort from init has none.
    if (held !== null || job.status === 'init')
      return stopped(deps, job, held, { context, why: 'a mint that its record does not know' });
  }
  const promoted = await isPromoted(deps, job);
  const expectsNew = job.newAuthId !== null && !forward.includes(job.status) && !promoted;
  if (expectsNew && (await isDead(deps, job, context)))
    return stopped(deps, job, null, {
      context,
      why: 'its new token dead, which its record does not explain',
      // Whatever was recorded of them, consumers are to be looked at: the lost end may have been a restore.
      also: { went_back: true },
    });
  await deps.transitions.apply(job, 'reconciled', speakerOf(job), async (now) => ({
    patch: {
      ...newTasks(now),
      ...(begun ? { ...untilForgottenIsOver(deps, now), minted_by: now.mintedBy ?? 'velvet' } : {}),
      ...(promoted ? forwardOnly(now) : {}),
    },
    forgotten: FORGOTTEN_MAX,
    rows: now.newAuthId === null ? [] : (await deps.store.rows(now)).map((row) => suspected(deps, row)),
    detail: { promoted, mint_begun: begun },
  }));
  context.log.info('held against the world', { job_id: job.jobId, status: job.status, promoted });
}

/** The task ids of before are spent: processes that outlived the loss may have run them on a record that no longer is. The sweeper orders the step anew. */
function newTasks(job: Job): JobPatch {
  return kindOf(job) === 'automatic' ? { status_version: job.version + 1 + FORGOTTEN_MAX, kick: 0 } : {};
}

/** Past the promotion there is only the way forward, whoever recorded it: nothing is proven again. */
function forwardOnly(job: Job): JobPatch {
  const promoting = { promoting: true } as const;
  return job.status === 'revoking'
    ? { ...promoting, phase: null, step: 'promote', resume: 'enqueue_revoke' }
    : promoting;
}

/** The lease of a mint may be among what was lost, and the vendor may make the token when nobody remembers it. */
function untilForgottenIsOver(deps: StageDeps, job: Job): JobPatch {
  const until = deps.clock.now() + deps.times.leaseMs + issuerOf(deps, job).capabilities.lateMs;
  return { quiet_after: Math.max(job.quietAfter, until) };
}

/** The vault is the witness: the previous value was kept there before the vendor was called. Where there was none to keep, it may have been. */
async function mintBegun(deps: StageDeps, job: Job): Promise<boolean> {
  if (job.status === 'minting' || job.currentState === 'dead') return true;
  return (await deps.vault.read(slots.previous(job.credential, job.jobId))) !== null;
}

function speakerOf(job: Job): Speaker & { readonly kind: 'attempt' } {
  return { kind: 'attempt', fence: null, statusVersion: job.statusVersion };
}

async function isDead(deps: StageDeps, job: Job, context: Context): Promise<boolean> {
  const slot = slots.pending(job.credential, job.mintedFence ?? 'none');
  const authority = await deps.authorities.read(job.authority);
  const handle = job.newAuthId === null ? null : { id: job.newAuthId, label: '' };
  const found = await namingAuthority(job, async () =>
    issuerOf(deps, job).isGone(
      readCall(job, '0-reconcile', context),
      authority,
      handle,
      await deps.vault.read(slot),
    ),
  );
  return found === 'gone';
}

/** A mint was begun, so a person had let it be verified. Not of a job that nobody here created, nor past another's claim. */
async function mayVerify(deps: StageDeps, job: Job): Promise<boolean> {
  const ours = job.flowType === 'operational' && job.createdBy !== systemOperator;
  return ours && !(await heldByAnother(deps, job));
}

/** Verifies again, which changes nothing anywhere, and waits at the gate before the mint; from there everything is taken back that nobody holds. */
async function verifiedAnew(deps: StageDeps, { job, fence, context }: Seen): Promise<void> {
  context.log.warn('a lost verify is begun again', { job_id: job.jobId });
  await deps.transitions.apply(job, 'verify_forgotten', { ...speakerOf(job), fence }, () => ({
    patch: { ...untilForgottenIsOver(deps, job), minted_by: 'velvet' },
    forgotten: FORGOTTEN_MAX,
    detail: { mint_begun: true },
  }));
}

/**
 * Records a mint whose own commit was lost, and that consumers hold already: distributing writes it again, and every gate after
 * it is still to be passed. Refused where an attempt began since the look.
 */
async function goneOnWith(
  deps: StageDeps,
  { job, fence, context }: Seen,
  { handle, promoted }: Stranger,
  adoption: JobPatch,
): Promise<void> {
  context.log.warn('a lost mint is gone on with', {
    job_id: job.jobId,
    status: job.status,
    new_auth_id: handle.id,
  });
  await deps.transitions.apply(job, 'mint_found', { ...speakerOf(job), fence }, async () => ({
    patch: {
      ...adoption,
      ...untilForgottenIsOver(deps, job),
      minted_by: job.mintedBy ?? 'velvet',
      step: null,
      phase: null,
      error: null,
    },
    forgotten: FORGOTTEN_MAX,
    rows: (await deps.store.rows(job)).map((row) => suspected(deps, row)),
    detail: {
      reason: 'Redis lost the record of this mint; the vendor, the vault and the consumers have it',
      old_auth_id: adoption.old_auth_id ?? job.oldAuthId,
      new_auth_id: handle.id,
      vault_ref: adoption.vault_ref,
      promoted,
    },
  }));
}

/** Stops the job as an abort would, and records what of it is out there, so that its cleanup takes that back or names it. */
async function stopped(
  deps: StageDeps,
  job: Job,
  held: Stranger | null,
  { context, why, also = {} }: { context: Context; why: string; also?: JobPatch },
): Promise<void> {
  const another = job.status === 'init' && (await heldByAnother(deps, job));
  const when = another ? ', once the rotation that holds the credential now is over,' : '';
  const detail = `Redis lost the last records of this job: the vendor or the vault shows ${why}. It was stopped, and its cleanup${when} takes back what it did or names it in \`residual\`. Then start a new rotation.`;
  const patch: JobPatch = {
    ...(await knownOfOld(deps, job, held, context)),
    ...(held === null ? {} : mintOf(deps, job, held)),
    ...untilForgottenIsOver(deps, job),
    minted_by: job.mintedBy ?? 'velvet',
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
    detail: { why, new_auth_id: held?.handle.id ?? job.newAuthId },
  }));
}

/** A job whose verify was lost, too. Where a value lives that nobody kept there is no going back to it. */
async function knownOfOld(
  deps: StageDeps,
  job: Job,
  held: Stranger | null,
  context: Context,
): Promise<JobPatch> {
  if (job.currentState !== null && job.oldFingerprint !== null) return {};
  return (await oldOf(deps, job, held, context)) ?? { current_state: 'dead' };
}

/** Whatever the row's record says: it may hold the new value, and a write there may be under way until its lease must be over. */
function suspected(deps: StageDeps, row: Row): Row {
  const { lateMs } = deps.registry.destination(targetOf(row).update_method).capabilities;
  const until = deps.clock.now() + deps.times.leaseMs + lateMs;
  return { ...row, touched: true, quiet_after: Math.max(quietAfter(row, lateMs), until) };
}
