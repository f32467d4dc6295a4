// minting: exactly one new token at the vendor, and its value in the vault before anybody is told. Law: intent first, look before repeating.
import { VelvetError } from '../../shared/lib/errors.ts';
import { isLowerFence } from '../../shared/lib/lease.ts';
import type { Job } from '../../shared/rotation/job.ts';
import type { Handler, TaskContext } from '../run.ts';
import { slots } from '../vault/contract.ts';
import { fenceOf } from '../vendors/contract.ts';
import {
  demandAuthority,
  errorPatch,
  issuerOf,
  namingAuthority,
  readCall,
  speaker,
  step,
  underLease,
  type StageDeps,
  type Step,
} from './deps.ts';
import { pendingSlots } from './promote.ts';
import { takeByHand, type Made, type MintDeps } from './typed-value.ts';

export function mint(deps: MintDeps): Handler {
  return {
    run: step(deps, async (at) => {
      const { task, job, context } = at;
      const byHand = issuerOf(deps, job).capabilities.mint === 'operator';
      if (!byHand) await namingAuthority(job, () => removeEarlierAttempts(deps, job, context));
      await keepPrevious(deps, job, context);
      const made = byHand ? await takeByHand(deps, at) : await mintByApi(deps, at);
      if (made === null) return;
      const { handle, fence, secret } = made;
      const slot = slots.pending(job.credential, fence);
      const fingerprint = secret.fingerprint(deps.fingerprintKey);
      context.log.info('minted', {
        old_auth_id: job.oldAuthId,
        new_auth_id: handle?.id ?? null,
        vault_ref: deps.vault.ref(slot),
      });
      // If this commit is refused or lost, the token carries this job's label: whoever comes next finds and revokes it. One that a
      // person made has none: whoever comes next finds its value in the slot, and goes on with it.
      await deps.transitions.apply(task, 'mint_succeeded', speaker(task, context), () => ({
        patch: {
          new_auth_id: handle?.id ?? null,
          new_fingerprint: fingerprint,
          minted_fence: fence,
          vault_ref: deps.vault.ref(slot),
          error: null,
        },
        detail: {
          new_auth_id: handle?.id ?? null,
          label: handle?.label ?? null,
          vault_ref: deps.vault.ref(slot),
        },
      }));
    }),

    async failed(task, error, context) {
      const detail = { code: error.code, reason: error.detail };
      await deps.transitions.apply(task, 'mint_failed', speaker(task, context), () => ({
        patch: errorPatch(deps, error),
        detail,
      }));
    },
  };
}

async function mintByApi(deps: StageDeps, { job, fence, context }: Step): Promise<Made> {
  const issuer = issuerOf(deps, job);
  const authority = await demandAuthority(deps, job);
  const { handle, secret } = await namingAuthority(job, () =>
    underLease(deps, job, context, (call) => issuer.mint(call, authority)),
  );
  const slot = slots.pending(job.credential, fence);
  await underLease(deps, job, context, (call) => deps.vault.write(call, slot, secret));
  return { handle, secret, fence };
}

/** Revokes what lower fences of this job minted, and empties their slots. A later attempt's token is never among them. */
async function removeEarlierAttempts(deps: StageDeps, job: Job, context: TaskContext): Promise<void> {
  const fence = context.fence ?? '';
  const issuer = issuerOf(deps, job);
  const authority = await demandAuthority(deps, job);
  for (const handle of await issuer.listMinted(readCall(job, fence, context), authority)) {
    if (!isLowerFence(fenceOf(handle), fence)) continue;
    await underLease(deps, job, context, (call) => issuer.revoke(call, authority, handle));
    context.log.warn('revoked what an earlier attempt had minted', { auth_id: handle.id });
  }
  const prefix = slots.pendingPrefix(job.credential);
  const { toEmpty } = await pendingSlots(deps, { job, fence, context });
  for (const slot of toEmpty) {
    if (isLowerFence(slot.slice(prefix.length), fence))
      await underLease(deps, job, context, (call) => deps.vault.remove(call, slot));
  }
}

/**
 * Before the vendor is called the value to go back to lies in a slot of its own, which nothing ever replaces. One that was dead
 * is not kept; but where another has taken its place since, that one is nobody's to replace, and may live.
 */
async function keepPrevious(deps: StageDeps, job: Job, context: TaskContext): Promise<void> {
  const alive = job.currentState === 'alive';
  const slot = slots.previous(job.credential, job.jobId);
  const kept = alive ? await deps.vault.read(slot) : null;
  const current = kept ?? (await deps.vault.read(slots.current(job.credential)));
  if (!alive && current === null) return;
  if (current === null || current.fingerprint(deps.fingerprintKey) !== job.oldFingerprint) {
    const detail = `The vault's value of ${job.credential} is not the one that was verified. Somebody changed it: abort the job and start again.`;
    throw new VelvetError('invariant_broken', 'the current value changed since verify', { detail });
  }
  if (alive && kept === null)
    await underLease(deps, job, context, (call) => deps.vault.create(call, slot, current));
}
