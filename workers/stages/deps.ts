// What a stage works with, and the few lines that every one of them begins with.
import type { Clock } from '../../shared/lib/clock.ts';
import { VelvetError, type ErrorCode } from '../../shared/lib/errors.ts';
import type { Fence, Lease } from '../../shared/lib/lease.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import type { Target } from '../../shared/manifest/schema.ts';
import { isWrittenByHand, type IssuerName } from '../../shared/manifest/vendors.ts';
import type { Relay } from '../../shared/queue/enqueue.ts';
import type { Claims } from '../../shared/redis/claim.ts';
import type { JobStore } from '../../shared/redis/job-store.ts';
import type { Task } from '../../shared/rotation/effects.ts';
import type { JobPatch } from '../../shared/rotation/job-record.ts';
import type { Job } from '../../shared/rotation/job.ts';
import { quietAfter, type Row } from '../../shared/rotation/rows.ts';
import type { Times } from '../../shared/times.ts';
import type { Speaker } from '../../shared/changes.ts';
import type { Transitions } from '../../shared/transition.ts';
import type { Handler, TaskContext, Verdict } from '../run.ts';
import type { Authorities } from '../vault/authorities.ts';
import type { Vault } from '../vault/contract.ts';
import type { Values } from '../vault/values.ts';
import type { Healthcheck, Issuer, VendorCall } from '../vendors/contract.ts';
import type { Registry } from '../vendors/registry.ts';

/** What every family has. */
export interface CoreDeps {
  readonly store: JobStore;
  readonly claims: Claims;
  readonly transitions: Transitions;
  readonly relay: Relay;
  readonly clock: Clock;
  readonly times: Times;
}

/** What the families have that work with values. */
export interface ValueDeps extends CoreDeps {
  readonly vault: Vault;
  readonly values: Values;
  readonly fingerprintKey: Buffer;
}

export interface StageDeps extends ValueDeps {
  readonly registry: Registry;
  readonly authorities: Authorities;
}

export type DistributeDeps = StageDeps & { readonly healthcheck: Healthcheck };
export type HealthcheckDeps = ValueDeps & { readonly healthcheck: Healthcheck };

/** The job, where the task still speaks of its present status; null where it moved on, which ends the task quietly. */
export async function presentJob(deps: CoreDeps, task: Task): Promise<Job | null> {
  const job = await deps.store.load(task);
  return job !== null && job.statusVersion === task.version ? job : null;
}

export function speaker(task: Task, context: TaskContext): Speaker {
  return { kind: 'attempt', fence: context.fence, statusVersion: task.version };
}

export function isByHand(row: Row): boolean {
  return isWrittenByHand(row.pinned.update_method);
}

/** The row's target as the manifest had it when the job was created. It was validated then. */
export function targetOf(row: Row): Target {
  if (isByHand(row)) throw new VelvetError('invariant_broken', `${row.consumer_id} is written by hand`);
  return row.pinned as unknown as Target;
}

/** How long after a lost answer a write to the row's place may still be applied, in milliseconds. */
export function lateMsOf(deps: StageDeps, row: Row): number {
  return isByHand(row) ? 0 : deps.registry.destination(targetOf(row).update_method).capabilities.lateMs;
}

export function issuerOf(deps: StageDeps, job: Job): Issuer {
  return deps.registry.issuer(job.issuer as IssuerName, job.issuerVerify);
}

/** The token with which Velvet calls the issuer, read anew; null where the manifest names none. */
export async function authorityOf(deps: StageDeps, job: Job): Promise<Secret | null> {
  return job.authority === null ? null : deps.authorities.read(job.authority);
}

/** As `authorityOf`, for what cannot be done without one. */
export async function demandAuthority(deps: StageDeps, job: Job): Promise<Secret> {
  const authority = await authorityOf(deps, job);
  if (authority !== null) return authority;
  const detail = `${job.credential} has no \`issuer_auth_token_name\` in the manifest, and without an authority Velvet can do nothing at its vendor.`;
  throw new VelvetError('authority_invalid', 'no authority is named', { detail });
}

/** One step of a job. The attempt has the fence, and nothing that an earlier one began can be applied any more. */
export interface Step {
  readonly task: Task;
  readonly job: Job;
  readonly fence: Fence;
  readonly context: TaskContext;
}

/** What an attempt is called that only looks: it has no fence, and so it gets no lease. */
export const LOOKING: Fence = '0-look';

/**
 * Begins an attempt that changes nothing outside, of a job with or without a claim. Of several at once the first to commit is
 * heard, which the job's version decides; the door sends no change of theirs, since they have no lease.
 */
export function looking(
  deps: CoreDeps,
  does: (at: Step) => Promise<Exclude<Verdict, 'done'> | void>,
): Handler['run'] {
  return async (task, context) => {
    const job = await presentJob(deps, task);
    const verdict = job === null ? undefined : await does({ task, job, fence: LOOKING, context });
    return verdict ?? 'done';
  };
}

/** Begins a step, once what an earlier attempt left open at the vendor or in the vault is over: it must be there to be found. */
export function step(
  deps: StageDeps,
  does: (at: Step) => Promise<Exclude<Verdict, 'done'> | void>,
): Handler['run'] {
  return async (task, context) => {
    const asked = await presentJob(deps, task);
    if (asked === null) return 'done';
    const { lateMs } = issuerOf(deps, asked).capabilities;
    const { fence, quietAfter } = await deps.claims.beginStep(asked, lateMs);
    context.fence = fence;
    const waitMs = quietAfter - deps.clock.now();
    if (waitMs > 0) return { laterMs: waitMs };
    // Read again: another attempt may have written to it between the first look and this one's fence.
    const job = await presentJob(deps, task);
    if (job === null) return 'done';
    return (await does({ task, job, fence, context })) ?? 'done';
  };
}

/**
 * How long until nothing that row tasks sent can be applied any more, in milliseconds; 0 where nothing is open. Whoever puts
 * something back, revokes or frees the credential waits that long first.
 */
export function untilQuiet(deps: StageDeps, rows: readonly Row[]): number {
  const ends = rows.map((row) => {
    return quietAfter(row, lateMsOf(deps, row));
  });
  return Math.max(0, ...ends.map((end) => end - deps.clock.now()));
}

export function readCall(job: Job, fence: Fence, context: Pick<TaskContext, 'signal'>): VendorCall {
  return { jobId: job.jobId, fence, lease: null, signal: context.signal, repeat: false };
}

/**
 * Makes one change under a lease of its own. Where its outcome is known, success or not, the lease is closed; where it is not,
 * it stays open in the record, and whoever comes next waits until nothing of it can be applied any more.
 */
export async function underLease<T>(
  deps: StageDeps,
  job: Job,
  context: TaskContext,
  change: (call: VendorCall) => Promise<T>,
): Promise<T> {
  const fence = context.fence;
  if (fence === null) throw new VelvetError('invariant_broken', 'a change without a fence');
  // Whoever lost its task must not open one more lease: its successor would have to wait until that is over.
  context.signal.throwIfAborted();
  const lease: Lease = await deps.claims.openLease(job, fence);
  try {
    const result = await change({ ...readCall(job, fence, context), lease });
    await deps.claims.closeLease(job, fence);
    return result;
  } catch (error) {
    // What nobody foresaw may have happened after the change was sent.
    const known = error instanceof VelvetError && error.retry !== 'reconcile' && error.code !== 'internal';
    if (known) await deps.claims.closeLease(job, fence);
    throw error;
  }
}

export function errorPatch(
  deps: CoreDeps,
  error: { readonly code: ErrorCode; readonly detail: string },
): JobPatch {
  return { error: { code: error.code, detail: error.detail, at: deps.clock.now() } };
}

/** An error about the authority says which one it was: the incident behind this product was a message that named what was never tried. */
export async function namingAuthority<T>(job: Job, asking: () => Promise<T>): Promise<T> {
  try {
    return await asking();
  } catch (error) {
    if (!(error instanceof VelvetError) || error.code !== 'authority_invalid') throw error;
    const detail = `The vendor refused the authority ${job.authority}. Put a good one in place under that name, then retry. The token that is being rotated was not touched.`;
    throw new VelvetError('authority_invalid', error.message, {
      detail,
      ...(error.httpStatus === undefined ? {} : { httpStatus: error.httpStatus }),
      ...(error.kind === undefined ? {} : { kind: error.kind }),
    });
  }
}
