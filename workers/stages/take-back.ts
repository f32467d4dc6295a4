// What a cleanup takes back at the vendor and in the vault. Law: neither the credential's current token nor the last copy of a live value.
import { VelvetError } from '../../shared/lib/errors.ts';
import { slots } from '../vault/contract.ts';
import { readHandle } from '../vault/handles.ts';
import { issuerOf, namingAuthority, readCall, underLease, type StageDeps, type Step } from './deps.ts';
import { emptySlot, pendingToEmpty } from './promote.ts';

/** Ends this job's tokens at the vendor, but for the one to keep, and makes sure of the one that the job recorded. Answers their handles. */
export async function revokeMinted(
  deps: StageDeps,
  at: Step,
  keep: string | null,
): Promise<readonly string[]> {
  const { job, context } = at;
  const issuer = issuerOf(deps, job);
  const authority = await deps.authorities.read(job.authority);
  const read = readCall(job, at.fence, context);
  const revoked: string[] = [];
  const listed = await namingAuthority(job, () => issuer.listMinted(read, authority));
  // Of several mints that Redis forgot, one may have been promoted that is not the one on record.
  const ownOnly = listed.every(({ id }) => id === keep || id === job.newAuthId);
  const current = ownOnly ? null : await currentHandle(deps, at);
  for (const handle of listed) {
    if (handle.id === keep || (handle.id === current && handle.id !== job.newAuthId)) continue;
    await namingAuthority(job, () =>
      underLease(deps, job, context, (call) => issuer.revoke(call, authority, handle)),
    );
    revoked.push(handle.id);
  }
  if (job.newAuthId === null || job.newAuthId === keep || revoked.includes(job.newAuthId)) return revoked;
  // An authority of another account sees no such token; the value itself says whether it lives, and its slot is the last copy.
  const value =
    job.mintedFence === null ? null : await deps.vault.read(slots.pending(job.credential, job.mintedFence));
  const found = await issuer.isGone(read, authority, { id: job.newAuthId, label: '' }, value);
  if (found === 'gone') return revoked;
  const detail = `The new token ${job.newAuthId} may be live, and the authority ${job.authority} does not see it: it may belong to another account. Put the right one in place under that name.`;
  throw new VelvetError('authority_invalid', `minted token ${job.newAuthId} is not listed`, { detail });
}

/** Whose the current value is: as the vendor says, else as the vault notes. */
async function currentHandle(deps: StageDeps, { job, fence, context }: Step): Promise<string | null> {
  const value = await deps.vault.read(slots.current(job.credential));
  const authority = await deps.authorities.read(job.authority);
  const said = await namingAuthority(job, () =>
    issuerOf(deps, job).verify(readCall(job, fence, context), value, authority),
  );
  return said.handle?.id ?? (await readHandle(deps.vault, job.credential));
}

/** Empties the pending slots that are the job's to empty, but for the one to keep. */
export async function removePending(deps: StageDeps, { job, context }: Step, keep: string): Promise<void> {
  for (const slot of await pendingToEmpty(deps, job)) {
    if (slot !== keep) await underLease(deps, job, context, (call) => emptySlot(deps.vault, call, slot));
  }
}
