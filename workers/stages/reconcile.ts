// After Redis may have lost its last writes: holds each open job against vendor, vault and consumers before anything is written. Law: what the record does not explain is taken back or named, never guessed.
import { isoTime } from '../../shared/lib/clock.ts';
import { isVelvetError, type VelvetError } from '../../shared/lib/errors.ts';
import { fenceCounter, type Fence } from '../../shared/lib/lease.ts';
import { systemOperator } from '../../shared/redis/events.ts';
import type { JobRef } from '../../shared/rotation/effects.ts';
import { isMinted } from '../../shared/rotation/new-token.ts';
import { kindOf, type Job, type JobPatch } from '../../shared/rotation/job.ts';
import type { Status } from '../../shared/rotation/statuses.ts';
import { slots } from '../vault/contract.ts';
import { fenceOf, type Handle } from '../vendors/contract.ts';
import { bringBack, type BringBackDeps } from './bring-back.ts';
import {
  authorityOf,
  errorPatch,
  issuerOf,
  lateMsOf,
  namingAuthority,
  readCall,
  type StageDeps,
} from './deps.ts';
import {
  FORGOTTEN_MAX,
  goneOnWith,
  speakerOf,
  stopped,
  suspected,
  untilForgottenIsOver,
  verifiedAnew,
  type LookContext,
} from './loss-record.ts';
import {
  adoptionOf,
  heldByAnother,
  heldByConsumers,
  mintBegun,
  mintOf,
  strangersOf,
  type Stranger,
} from './lost-mints.ts';
import { isPromoted } from './promote.ts';

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
 * One credential. Answers in how many milliseconds to look again, 0 where everything is decided. Throws what keeps it from
 * looking (the vendor away, the authority refused): until it could look, nothing is written.
 */
export async function reconcile(
  deps: BringBackDeps,
  ref: Pick<JobRef, 'credential' | 'env'>,
  context: LookContext,
): Promise<number> {
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
  for (const { job, minted } of seen) {
    const waitMs = await told(deps, job, () => holdAgainstTheWorld(deps, { job, minted, fence, context }));
    if (waitMs > 0) return waitMs;
  }
  return 0;
}

/** What keeps the look from an end stands on the job: until then it goes nowhere, and no action on it is taken. */
async function told(deps: StageDeps, job: Job, look: () => Promise<number>): Promise<number> {
  try {
    const waitMs = await look();
    if (waitMs > 0) await sayWhyNot(deps, job, { code: 'degraded', detail: lateWrite(deps, waitMs) });
    return waitMs;
  } catch (error) {
    if (isVelvetError(error) && !overtaken(error)) await sayWhyNot(deps, job, error);
    throw error;
  }
}

const overtaken = ({ code }: VelvetError) => code === 'stale_version' || code === 'stale_fence';

const lateWrite = (deps: StageDeps, waitMs: number) =>
  `A write that Redis has lost may still land until ${isoTime(deps.clock.now() + waitMs)}; what it did is looked at once more then.`;

async function mintedBy(deps: StageDeps, job: Job, context: LookContext): Promise<readonly Handle[]> {
  try {
    const authority = await authorityOf(deps, job);
    return await namingAuthority(job, () =>
      issuerOf(deps, job).listMinted(readCall(job, '0-reconcile', context), authority),
    );
  } catch (error) {
    // What is past its mint and goes forward needs no list, and a revocation by hand must not wait for the authority that it replaces.
    const needless = forward.includes(job.status) && isMinted(job);
    if (needless && isVelvetError(error) && error.code === 'authority_invalid') return [];
    if (isVelvetError(error)) await sayWhyNot(deps, job, error);
    throw error;
  }
}

const DELAYED = 'Redis was restarted, and the job goes on once what it did was looked at again.';

/** Once. What a failed job stands at is worth more to whoever reads it. */
async function sayWhyNot(
  deps: StageDeps,
  job: Job,
  error: Pick<VelvetError, 'code' | 'detail'>,
): Promise<void> {
  if (job.error !== null && (!isDelay(job) || job.error.code === error.code)) return;
  const detail = `${DELAYED} ${error.detail}`;
  await deps.transitions.apply(job, 'reconcile_delayed', speakerOf(job), () => ({
    patch: errorPatch(deps, { code: error.code, detail }),
    detail: { code: error.code, reason: detail },
  }));
}

const isDelay = (job: Job) => job.error?.detail.startsWith(DELAYED) === true;

interface Seen {
  readonly job: Job;
  readonly minted: readonly Handle[];
  /** Raised when the look began: whatever was begun since has a higher one. */
  readonly fence: Fence;
  readonly context: LookContext;
}

async function holdAgainstTheWorld(deps: StageDeps, seen: Seen): Promise<number> {
  const { job, minted, context } = seen;
  const strangers = isMinted(job) ? [] : await strangersOf(deps, job, minted, context);
  const begun = !isMinted(job) && (strangers.length > 0 || (await mintBegun(deps, job)));
  if (unminted.includes(job.status) && begun) {
    const found = await aboutLostMint(deps, seen, strangers);
    if (found !== 'nobody holds it') return found.waitMs;
  }
  // Aborted where nobody had looked yet: what its cleanup is to take back, or to name, must be on its record.
  const lost =
    job.status === 'aborted' && begun ? await heldByConsumers(deps, job, strangers, context) : null;
  const promoted = await isPromoted(deps, job);
  const proving = job.status === 'revoking' && !job.promoting;
  const expectsNew = isMinted(job) && (proving || !forward.includes(job.status)) && !promoted;
  if (expectsNew && (await isDead(deps, job, context))) {
    await stopped(deps, job, null, {
      context,
      why: 'its new token dead, which its record does not explain',
      // Whatever was recorded of them, consumers are to be looked at: the lost end may have been a restore.
      also: { went_back: true },
    });
    return 0;
  }
  await deps.transitions.apply(job, 'reconciled', speakerOf(job), async (now) => ({
    patch: {
      ...newTasks(now),
      ...(isDelay(now) ? { error: null } : {}),
      ...(lost === null ? {} : mintOf(deps, now, lost)),
      ...(begun ? { ...untilForgottenIsOver(deps, now, context), mint_begun: true } : {}),
      ...(promoted ? forwardOnly(now) : {}),
    },
    forgotten: FORGOTTEN_MAX,
    rows:
      !isMinted(now) && !(begun && now.status === 'aborted')
        ? []
        : (await deps.store.rows(now)).map((row) => suspected(deps, row)),
    detail: { promoted, mint_begun: begun },
  }));
  context.log.info('held against the world', { job_id: job.jobId, status: job.status, promoted });
  return 0;
}

const decided = { waitMs: 0 } as const;

/** What nobody holds is taken back by the next mint, or by an abort's cleanup; an abort from init has none. */
async function aboutLostMint(
  deps: StageDeps,
  seen: Seen,
  strangers: readonly Stranger[],
): Promise<'nobody holds it' | { readonly waitMs: number }> {
  const { job, context } = seen;
  // Before the look: what lands while it is taken is seen by the next one.
  const waitMs = await untilHeldOrNever(deps, job, strangers, context);
  const held = await heldByConsumers(deps, job, strangers, context);
  const why = 'a mint that its record does not know';
  if (held === null) {
    if (waitMs > 0) return { waitMs };
    if (job.status !== 'init') return 'nobody holds it';
    if (await mayVerify(deps, job)) await verifiedAnew(deps, job, seen);
    else await stopped(deps, job, null, { context, why });
    return decided;
  }
  const adoption = await adoptionOf(deps, job, { strangers, held }, context);
  if (adoption === null) await stopped(deps, job, held, { context, why });
  else await goneOnWith(deps, job, { ...seen, held, adoption });
  return decided;
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

async function isDead(deps: StageDeps, job: Job, context: LookContext): Promise<boolean> {
  const slot = slots.pending(job.credential, job.mintedFence ?? 'none');
  const authority = await authorityOf(deps, job);
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

/** A write of a forgotten mint may still land: that nobody holds it is true only once none can. In milliseconds, 0 where it is. */
async function untilHeldOrNever(
  deps: StageDeps,
  job: Job,
  strangers: readonly Stranger[],
  context: LookContext,
): Promise<number> {
  if (strangers.every(({ value }) => value === null)) return 0;
  const late = (await deps.store.rows(job)).map((row) => lateMsOf(deps, row));
  const until = context.since + deps.times.leaseMs + Math.max(0, ...late);
  return Math.max(0, until - deps.clock.now());
}

/** A mint was begun, so a person had let it be verified. Not of a job that nobody here created, nor past another's claim. */
async function mayVerify(deps: StageDeps, job: Job): Promise<boolean> {
  const ours = job.flowType === 'operational' && job.createdBy !== systemOperator;
  return ours && !(await heldByAnother(deps, job));
}
