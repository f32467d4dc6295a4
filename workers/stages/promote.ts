// Makes a job's new value the credential's current one. Law: the job says so before `NAME` is written, and from then on it only goes forward.
import { VelvetError } from '../../shared/lib/errors.ts';
import { slots } from '../vault/contract.ts';
import { writeHandle } from '../vault/handles.ts';
import { speaker, underLease, type StageDeps, type Step } from './deps.ts';

/** Writes value and handle, and reads the value back. Safe to repeat. */
export async function promote(deps: StageDeps, { task, job, context }: Step): Promise<void> {
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

/** Empties the job's own slots, once the current one holds the value to be kept. Answers what the record then says. */
export async function emptySlots(
  deps: StageDeps,
  { job, context }: Step,
): Promise<{ readonly vault_ref: string }> {
  await underLease(deps, job, context, async (call) => {
    for (const slot of await deps.vault.list(slots.pendingPrefix(job.credential)))
      await deps.vault.remove(call, slot);
    await deps.vault.remove(call, slots.previous(job.credential, job.jobId));
  });
  return { vault_ref: deps.vault.ref(slots.current(job.credential)) };
}
