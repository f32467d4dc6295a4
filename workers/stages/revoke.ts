// revoking, after every proof stands: the new value becomes the current one, then the old token ends. Law: past `promoting` there is no way back.
import { VelvetError, isVelvetError } from '../../shared/lib/errors.ts';
import { issuers, type IssuerName } from '../../shared/manifest/vendors.ts';
import { logfields } from '../../shared/lib/log.ts';
import type { Task } from '../../shared/rotation/effects.ts';
import type { Job } from '../../shared/rotation/job.ts';
import type { Handler, TaskContext, Verdict } from '../run.ts';
import { slots } from '../vault/contract.ts';
import type { Issuer, VendorCall } from '../vendors/contract.ts';
import {
  authorityOf,
  demandAuthority,
  errorPatch,
  issuerOf,
  namingAuthority,
  presentJob,
  readCall,
  speaker,
  step,
  underLease,
  untilQuiet,
  type StageDeps,
  type Step,
} from './deps.ts';
import { emptySlots, pendingSlots, promote, whereItIsNow } from './promote.ts';

type Later = Exclude<Verdict, 'done'>;

export function revoke(deps: StageDeps): Handler {
  return {
    run: step(deps, async (at) => {
      const { job } = at;
      // What was sent to a consumer and may still be applied must be over before a later rotation writes there.
      const quietMs = untilQuiet(deps, await deps.store.rows(job));
      if (quietMs > 0) return { laterMs: quietMs };
      const handle = await handleToRevoke(deps, at);
      await promote(deps, at);
      if (handle === null && job.currentState !== 'dead') throw byHand(job);
      const ended = handle === null ? 'was dead before' : await revokeOld(deps, at, handle);
      return finish(deps, at, { ended });
    }),
    failed: (task, error, context) => fail(deps, task, error, context),
  };
}

/** Null where nothing is left to revoke. What would keep the revoke from succeeding is known before the promotion, and leaves the way back open. */
async function handleToRevoke(deps: StageDeps, { job, fence, context }: Step): Promise<string | null> {
  const issuer = issuerOf(deps, job);
  const revocable = job.oldAuthId !== null && issuer.capabilities.revoke === 'api';
  if (job.currentState === 'dead' && !revocable) return null;
  const authority = await authorityOf(deps, job);
  const { mayMint, mayMintReason } = await namingAuthority(job, () =>
    issuer.verify(readCall(job, fence, context), null, authority),
  );
  // Whoever may not mint may not revoke.
  if (!mayMint) throw mayNotRevoke(job, mayMintReason);
  if (job.oldAuthId !== null && job.oldAuthId === job.newAuthId)
    throw new VelvetError('invariant_broken', 'the old handle is the new one');
  return job.oldAuthId;
}

async function revokeOld(deps: StageDeps, at: Step, handle: string): Promise<string> {
  const { job, context } = at;
  const issuer = issuerOf(deps, job);
  if (issuer.capabilities.revoke === 'operator') throw byHand(job);
  const authority = await demandAuthority(deps, job);
  context.log.info('revoking', identity(deps, job));
  const ended = await namingAuthority(job, () =>
    underLease(deps, job, context, (call) => issuer.revoke(call, authority, { id: handle, label: '' })),
  );
  // Of one that was dead at verify nothing else can be said.
  if (ended === 'already_gone' && job.currentState !== 'dead') await demandGone(deps, job, context);
  return ended;
}

/** An authority of another account gets "no such thing" for a token that lives: the old value itself is asked, where it is kept. */
async function demandGone(deps: StageDeps, job: Job, context: TaskContext): Promise<void> {
  const old = await deps.values.previous(job);
  if (old === null) return;
  const authority = await authorityOf(deps, job);
  const found = await issuerOf(deps, job).isGone(
    readCall(job, context.fence ?? '', context),
    authority,
    null,
    old,
  );
  if (found !== 'still_there') return;
  const detail = `The vendor says that ${job.oldAuthId} does not exist, yet the old token still works: the authority ${job.authority} belongs to another account. Put the right one in place, then retry. ${commandFor(job)}`;
  throw new VelvetError('revoke_pending', 'already gone, says the authority; the old token works', {
    detail,
  });
}

/** After a revocation by hand. */
export function checkRevoked(deps: StageDeps): Handler {
  return {
    run: step(deps, async (at) => {
      const ended = await demandRevoked(deps, at);
      await promote(deps, at);
      return finish(deps, at, { ended });
    }),
    failed: (task, error, context) => fail(deps, task, error, context),
  };
}

/** Believed where the vendor says so, or where it cannot tell; else throws `revoke_pending`. */
export async function demandRevoked(deps: StageDeps, { job, fence, context }: Step): Promise<string> {
  const found = await whetherGone(deps, job, readCall(job, fence, context));
  if (found !== 'still_there')
    return found === 'gone' ? 'gone, says the vendor' : 'by hand; the vendor cannot tell';
  const again = job.status === 'aborted' ? '' : ', or retry';
  throw new VelvetError('revoke_pending', 'still live', {
    detail: `The vendor says that the old token is still live. ${commandFor(job)} Then send mark_revoked again${again}.`,
  });
}

/** Whoever revokes by hand often does so because the authority is dead: then the old value is asked, which needs none. */
async function whetherGone(deps: StageDeps, job: Job, call: VendorCall): ReturnType<Issuer['isGone']> {
  const issuer = issuerOf(deps, job);
  const handle = job.oldAuthId === null ? null : { id: job.oldAuthId, label: '' };
  const old = await deps.values.previous(job);
  try {
    const authority = await authorityOf(deps, job);
    return await namingAuthority(job, () => issuer.isGone(call, authority, handle, old));
  } catch (error) {
    if (!isVelvetError(error) || error.code !== 'authority_invalid' || old === null) throw error;
    return issuer.isGone(call, old, null, old);
  }
}

/** The old token is gone, whatever becomes of the slots: a vault that is away is waited for, and is no revoke that failed. */
async function finish(
  deps: StageDeps,
  at: Step,
  detail: Record<string, unknown>,
): Promise<Later | undefined> {
  const { task, job, context } = at;
  const emptied = await pendingSlots(deps, at)
    .then((pending) => emptySlots(deps, at, pending))
    .catch(async (error: unknown) => {
      if (!isVelvetError(error) || error.retry === 'never') throw error;
      context.log.warn('vault slots not emptied yet', logfields(error));
      await slotsLeft(deps, at, error);
      return null;
    });
  if (emptied === null) return { laterMs: deps.times.cleanupRetryMs };
  await deps.transitions.apply(task, 'revoke_succeeded', speaker(task, context), () => ({
    patch: { ...emptied, promoted: true, error: null },
    detail: { ...detail, old_auth_id: job.oldAuthId, new_auth_id: job.newAuthId },
  }));
  context.log.info('done', { ...identity(deps, job), vault_ref: emptied.vault_ref });
  return undefined;
}

/** Shown once, with where the value is: what the job named so far may be one of the slots that are emptied. */
async function slotsLeft(deps: StageDeps, { task, job, context }: Step, error: VelvetError): Promise<void> {
  const ref = deps.vault.ref(slots.current(job.credential));
  if (job.vaultRef === ref && job.error?.code === error.code) return;
  const detail = `The old token is revoked, and the new value is in ${ref}. Its other slots are not emptied yet, which is tried again by itself. ${error.detail}`;
  await deps.transitions.apply(task, 'reconcile_delayed', speaker(task, context), () => ({
    patch: { vault_ref: ref, ...errorPatch(deps, { code: error.code, detail }) },
    detail: { code: error.code, reason: detail },
  }));
}

async function fail(deps: StageDeps, task: Task, error: VelvetError, context: TaskContext): Promise<void> {
  const job = await presentJob(deps, task);
  if (job === null) return;
  // The codes that say something about the authority, or that a person must act, stand; all else means that the token may live.
  const keep = ['authority_invalid', 'manual_revoke_required', 'revoke_pending', 'invariant_broken'].includes(
    error.code,
  );
  const detail = keep
    ? error.detail
    : `The old token could not be revoked and may be live: ${error.detail} ${commandFor(job)}`;
  const shown = { code: keep ? error.code : ('revoke_pending' as const), detail };
  const where = await whereItIsNow(deps, job);
  context.log.error('revoke_failed', { ...identity(deps, job), code: shown.code, by_hand: commandFor(job) });
  await deps.transitions.apply(task, 'revoke_failed', speaker(task, context), () => ({
    patch: { ...where, ...errorPatch(deps, shown) },
    detail: { code: shown.code, cause: error.code, reason: shown.detail, old_auth_id: job.oldAuthId },
  }));
}

function identity(deps: StageDeps, job: Job): Record<string, string | null> {
  return {
    old_auth_id: job.oldAuthId,
    new_auth_id: job.newAuthId,
    vault_ref: job.vaultRef ?? deps.vault.ref(slots.current(job.credential)),
  };
}

function mayNotRevoke(job: Job, reason: string | null): VelvetError {
  const detail = `The authority ${job.authority} may not revoke: ${reason ?? 'the vendor does not say why'}. Put a good one in place under that name, then retry.`;
  return new VelvetError('authority_invalid', 'authority may not revoke', { detail });
}

function byHand(job: Job): VelvetError {
  const why =
    issuers[job.issuer as IssuerName].revoke === 'operator'
      ? 'Velvet cannot end tokens of this vendor. Every consumer is on the new one: end the old one by hand'
      : "Velvet does not know the old token's handle. Find it at the vendor and revoke it by hand";
  return new VelvetError('manual_revoke_required', 'a person must revoke', {
    detail: `${why}, then send mark_revoked. ${commandFor(job)}`,
  });
}

/** What to type by hand, with the handle where it is known. */
function commandFor(job: Job): string {
  const command = issuers[job.issuer as IssuerName].revokeByHand.replace('<handle>', job.oldAuthId ?? '<id>');
  return `By hand: ${command}.`;
}
