// aborted, while nobody holds the new value: whatever this job minted is revoked, its slots are emptied, the credential is free again.
import type { Handler } from '../run.ts';
import { slots } from '../vault/contract.ts';
import {
  begin,
  errorPatch,
  issuerOf,
  namingAuthority,
  presentJob,
  readCall,
  speaker,
  underLease,
  type StageDeps,
} from './deps.ts';

export function cleanup(deps: StageDeps): Handler {
  return {
    async run(task, context) {
      const job = await presentJob(deps, task);
      if (job === null) return 'done';
      const { fence, waitMs } = await begin(deps, job, context);
      // A mint that was under way when the job was aborted may still be applied: what it makes must be there to be found.
      if (waitMs > 0) return { laterMs: waitMs };
      const issuer = issuerOf(deps, job);
      const authority = await deps.authorities.read(job.authority);
      const revoked: string[] = [];
      for (const handle of await namingAuthority(job, () =>
        issuer.listMinted(readCall(job, fence, context), authority),
      )) {
        await namingAuthority(job, () =>
          underLease(deps, job, context, (call) => issuer.revoke(call, authority, handle)),
        );
        revoked.push(handle.id);
      }
      for (const slot of await deps.vault.list(slots.pendingPrefix(job.credential))) {
        await underLease(deps, job, context, (call) => deps.vault.remove(call, slot));
      }
      await underLease(deps, job, context, (call) =>
        deps.vault.remove(call, slots.previous(job.credential, job.jobId)),
      );
      const vaultRef = deps.vault.ref(slots.current(job.credential));
      await deps.transitions.apply(task, 'cleanup_finished', speaker(task, context), () => ({
        patch: { error: null, vault_ref: vaultRef },
        detail: { revoked },
      }));
      context.log.info('cleaned up', { revoked: revoked.join(',') });
      return 'done';
    },

    // The job keeps its claim and says why; the sweeper orders the step again, with an authority read anew, until it can be done.
    async failed(task, error, context) {
      const detail = { code: error.code, reason: error.detail };
      await deps.transitions.apply(task, 'cleanup_delayed', speaker(task, context), () => ({
        patch: errorPatch(deps, error),
        detail,
      }));
    },
  };
}
