// aborted, while nobody holds the new value: whatever this job minted is revoked, its slots are emptied, the credential is free again.
import { VelvetError } from '../../shared/lib/errors.ts';
import type { Job } from '../../shared/rotation/job.ts';
import type { Handler, TaskContext } from '../run.ts';
import { slots } from '../vault/contract.ts';
import {
  errorPatch,
  issuerOf,
  namingAuthority,
  readCall,
  speaker,
  step,
  underLease,
  type StageDeps,
} from './deps.ts';

export function cleanup(deps: StageDeps): Handler {
  return {
    run: step(deps, async ({ task, job, context }) => {
      // Before the gate was passed nothing can have been minted, and an authority that is dead must not hold the credential.
      const revoked = job.mintedBy === null ? [] : await revokeMinted(deps, job, context);
      for (const slot of await deps.vault.list(slots.pendingPrefix(job.credential))) {
        await underLease(deps, job, context, (call) => deps.vault.remove(call, slot));
      }
      const previous = slots.previous(job.credential, job.jobId);
      await underLease(deps, job, context, (call) => deps.vault.remove(call, previous));
      const vaultRef = deps.vault.ref(slots.current(job.credential));
      await deps.transitions.apply(task, 'cleanup_finished', speaker(task, context), () => ({
        patch: { error: null, vault_ref: vaultRef },
        detail: { revoked },
      }));
      context.log.info('cleaned up', { revoked: revoked.join(',') });
    }),

    // The job keeps its claim and says why; the sweeper orders the step again, with an authority read anew, until it can be done.
    async failed(task, error, context) {
      const detail = `The cleanup is not done yet, and is tried again by itself. ${error.detail}`;
      await deps.transitions.apply(task, 'cleanup_delayed', speaker(task, context), () => ({
        patch: errorPatch(deps, { code: error.code, detail }),
        detail: { code: error.code, reason: detail },
      }));
    },
  };
}

/** Ends every token of this job at the vendor, and makes sure of the one that the job recorded. Answers their handles. */
async function revokeMinted(deps: StageDeps, job: Job, context: TaskContext): Promise<readonly string[]> {
  const issuer = issuerOf(deps, job);
  const authority = await deps.authorities.read(job.authority);
  const read = readCall(job, context.fence ?? '', context);
  const revoked: string[] = [];
  for (const handle of await namingAuthority(job, () => issuer.listMinted(read, authority))) {
    await namingAuthority(job, () =>
      underLease(deps, job, context, (call) => issuer.revoke(call, authority, handle)),
    );
    revoked.push(handle.id);
  }
  if (job.newAuthId === null || revoked.includes(job.newAuthId)) return revoked;
  // An authority of another account sees no such token; the value itself says whether it lives, and its slot is the last copy.
  const value =
    job.mintedFence === null ? null : await deps.vault.read(slots.pending(job.credential, job.mintedFence));
  const found = await issuer.isGone(read, authority, { id: job.newAuthId, label: '' }, value);
  if (found === 'gone') return revoked;
  const detail = `The new token ${job.newAuthId} may be live, and the authority ${job.authority} does not see it: it may belong to another account. Put the right one in place under that name.`;
  throw new VelvetError('authority_invalid', `minted token ${job.newAuthId} is not listed`, { detail });
}
