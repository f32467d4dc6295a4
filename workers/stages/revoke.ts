// revoking, after every proof stands: the new value becomes the current one, then the old token ends. Law: past `promoting` there is no way back.
import { VelvetError, isVelvetError } from '../../shared/lib/errors.ts';
import { issuers, type IssuerName } from '../../shared/manifest/vendors.ts';
import type { Task } from '../../shared/rotation/effects.ts';
import type { Job } from '../../shared/rotation/job.ts';
import type { Handler, TaskContext } from '../run.ts';
import { slots } from '../vault/contract.ts';
import { writeHandle } from '../vault/handles.ts';
import type { Issuer, VendorCall } from '../vendors/contract.ts';
import {
  errorPatch,
  issuerOf,
  namingAuthority,
  presentJob,
  readCall,
  speaker,
  step,
  underLease,
  type StageDeps,
} from './deps.ts';

export function revoke(deps: StageDeps): Handler {
  return {
    run: step(deps, async ({ task, job, fence, context }) => {
      const authority = await deps.authorities.read(job.authority);
      const issuer = issuerOf(deps, job);
      const { mayMint, mayMintReason } = await namingAuthority(job, () =>
        issuer.verify(readCall(job, fence, context), null, authority),
      );
      // Whoever may not mint may not revoke. Known before the promotion, it leaves the way back open.
      if (!mayMint) throw mayNotRevoke(job, mayMintReason);
      await promote(deps, task, job, context);
      const handle = job.oldAuthId;
      if (handle === null || issuer.capabilities.revoke === 'operator') throw byHand(job);
      if (handle === job.newAuthId)
        throw new VelvetError('invariant_broken', 'the old handle is the new one');
      context.log.info('revoking', identity(deps, job));
      const ended = await namingAuthority(job, () =>
        underLease(deps, job, context, (call) => issuer.revoke(call, authority, { id: handle, label: '' })),
      );
      if (ended === 'already_gone') await demandGone(deps, job, context);
      await finish(deps, task, job, context, { ended });
    }),
    failed: (task, error, context) => fail(deps, task, error, context),
  };
}

/** An authority of another account gets "no such thing" for a token that lives: the old value itself is asked, where it is kept. */
async function demandGone(deps: StageDeps, job: Job, context: TaskContext): Promise<void> {
  const old = await deps.values.previous(job);
  if (old === null) return;
  const authority = await deps.authorities.read(job.authority);
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

/** After a revocation by hand: believed where the vendor says so, or where it cannot tell. */
export function checkRevoked(deps: StageDeps): Handler {
  return {
    run: step(deps, async ({ task, job, fence, context }) => {
      const found = await whetherGone(deps, job, readCall(job, fence, context));
      if (found === 'still_there') {
        throw new VelvetError('revoke_pending', 'still live', {
          detail: `The vendor says that the old token is still live. ${commandFor(job)} Then send mark_revoked again, or retry.`,
        });
      }
      await promote(deps, task, job, context);
      await finish(deps, task, job, context, {
        ended: found === 'gone' ? 'gone, says the vendor' : 'by hand; the vendor cannot tell',
      });
    }),
    failed: (task, error, context) => fail(deps, task, error, context),
  };
}

/** Whoever revokes by hand often does so because the authority is dead: then the old value is asked, which needs none. */
async function whetherGone(deps: StageDeps, job: Job, call: VendorCall): ReturnType<Issuer['isGone']> {
  const issuer = issuerOf(deps, job);
  const handle = job.oldAuthId === null ? null : { id: job.oldAuthId, label: '' };
  const old = await deps.values.previous(job);
  try {
    const authority = await deps.authorities.read(job.authority);
    return await namingAuthority(job, () => issuer.isGone(call, authority, handle, old));
  } catch (error) {
    if (!isVelvetError(error) || error.code !== 'authority_invalid' || old === null) throw error;
    return issuer.isGone(call, old, null, old);
  }
}

/** Makes the new value the current one. The job says so first, so that from here on a resumed step only goes forward. */
async function promote(deps: StageDeps, task: Task, job: Job, context: TaskContext): Promise<void> {
  if (!job.promoting) await deps.transitions.apply(task, 'promotion_begun', speaker(task, context));
  const slot = slots.current(job.credential);
  const current = await deps.vault.read(slot);
  if (current?.fingerprint(deps.fingerprintKey) !== job.newFingerprint) {
    const next = await deps.values.next(job);
    await underLease(deps, job, context, (call) => deps.vault.write(call, slot, next));
    const written = await deps.vault.read(slot);
    if (written?.fingerprint(deps.fingerprintKey) !== job.newFingerprint)
      throw new VelvetError('vault_unavailable', 'the vault does not hold what was written');
  }
  await underLease(deps, job, context, (call) =>
    writeHandle(deps.vault, call, job.credential, job.newAuthId),
  );
}

async function finish(
  deps: StageDeps,
  task: Task,
  job: Job,
  context: TaskContext,
  detail: Record<string, unknown>,
): Promise<void> {
  await underLease(deps, job, context, async (call) => {
    await deps.vault.remove(call, slots.previous(job.credential, job.jobId));
    await deps.vault.remove(call, slots.pending(job.credential, job.mintedFence ?? 'none'));
  });
  const vaultRef = deps.vault.ref(slots.current(job.credential));
  await deps.transitions.apply(task, 'revoke_succeeded', speaker(task, context), () => ({
    patch: { promoted: true, vault_ref: vaultRef, error: null },
    detail: { ...detail, old_auth_id: job.oldAuthId, new_auth_id: job.newAuthId },
  }));
  context.log.info('done', { ...identity(deps, job), vault_ref: vaultRef });
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
  context.log.error('revoke_failed', { ...identity(deps, job), code: shown.code, by_hand: commandFor(job) });
  await deps.transitions.apply(task, 'revoke_failed', speaker(task, context), () => ({
    patch: errorPatch(deps, shown),
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
  return new VelvetError('manual_revoke_required', 'no handle to revoke', {
    detail: `Velvet does not know the old token's handle. Find it at the vendor and revoke it by hand, then send mark_revoked. ${commandFor(job)}`,
  });
}

/** What to type by hand, with the handle where it is known. */
function commandFor(job: Job): string {
  const command = issuers[job.issuer as IssuerName].revokeByHand.replace('<handle>', job.oldAuthId ?? '<id>');
  return `By hand: \`${command}\`.`;
}
