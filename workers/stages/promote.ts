// Makes a job's new value the credential's current one. Law: the job says so before `NAME` is written, from then on it only goes forward, and nobody else's value is ever replaced.
import { VelvetError, isVelvetError } from '../../shared/lib/errors.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import type { Job } from '../../shared/rotation/job.ts';
import type { TaskContext } from '../run.ts';
import { slots, type Vault } from '../vault/contract.ts';
import { writeHandle } from '../vault/handles.ts';
import type { VendorCall } from '../vendors/contract.ts';
import { issuerOf, readCall, speaker, underLease, type StageDeps, type Step } from './deps.ts';

/** Writes value and handle, and reads the value back. Safe to repeat. Throws `invariant_broken` where the slot holds another's value. */
export async function promote(deps: StageDeps, { task, job, context }: Step): Promise<void> {
  if (await isSuperseded(deps, job)) throw othersValue(deps, job);
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

/** Whether the vault's current value is the job's new one, whatever its record says. */
export async function isPromoted(deps: StageDeps, job: Job): Promise<boolean> {
  if (job.newFingerprint === null) return false;
  const current = await deps.vault.read(slots.current(job.credential));
  return current?.fingerprint(deps.fingerprintKey) === job.newFingerprint;
}

/**
 * Whether the vault's current value is neither the job's old nor its new one: another rotation, or an adoption, came to its end
 * meanwhile. Not where the slot is empty, nor of a job that never learned either.
 */
export async function isSuperseded(deps: StageDeps, job: Job): Promise<boolean> {
  if (job.oldFingerprint === null && job.newFingerprint === null) return false;
  const current = await deps.vault.read(slots.current(job.credential));
  const held = current?.fingerprint(deps.fingerprintKey);
  return held !== undefined && held !== job.oldFingerprint && held !== job.newFingerprint;
}

function othersValue(deps: StageDeps, job: Job): VelvetError {
  const [current, pending] = [
    slots.current(job.credential),
    slots.pending(job.credential, job.mintedFence ?? 'none'),
  ].map((slot) => deps.vault.ref(slot));
  const detail = `${current} holds neither the value that this job verified nor its new one: somebody changed it, and it is not replaced. Find out who runs on it. If nobody does, put the new value there (${pending} has it), then retry.`;
  return new VelvetError('invariant_broken', 'the current value is of nobody here', { detail });
}

/** A pending slot whose value lives and that no record names: nobody knows who runs on it, and it may be the last copy. */
export interface Unclaimed {
  readonly slot: string;
  readonly value: Secret;
}

/** One look at the pending slots. Law: whoever names what is left and empties the rest goes by the same look, so that each slot is one or the other. */
export interface Pending {
  readonly toEmpty: readonly string[];
  readonly unclaimed: readonly Unclaimed[];
}

/**
 * The credential's pending slots, but for those that another open job names as its own: what this job may empty, which is its own
 * recorded attempt's, and whatever holds a dead value or the current one; and what it may not.
 */
export async function pendingSlots(
  deps: StageDeps,
  { job, fence, context }: Pick<Step, 'job' | 'fence'> & { readonly context: Pick<TaskContext, 'signal'> },
): Promise<Pending> {
  const open = await deps.store.openJobs(job.credential, job.env);
  const own = slots.pending(job.credential, job.mintedFence ?? 'none');
  const others = open.filter((one) => one.jobId !== job.jobId).map((one) => one.mintedFence);
  const theirs = new Set(others.map((other) => slots.pending(job.credential, other ?? 'none')));
  const toEmpty: string[] = [];
  const unclaimed: Unclaimed[] = [];
  for (const slot of await deps.vault.list(slots.pendingPrefix(job.credential))) {
    if (theirs.has(slot)) continue;
    const value = slot === own ? null : await deps.vault.read(slot);
    if (value !== null && (await lives(value))) unclaimed.push({ slot, value });
    else toEmpty.push(slot);
  }
  return { toEmpty, unclaimed };

  async function lives(value: Secret): Promise<boolean> {
    const current = await deps.vault.read(slots.current(job.credential));
    if (current?.equals(value) === true) return false;
    // The value asks for itself: the authority may be dead, or another account's.
    return (await issuerOf(deps, job).isGone(readCall(job, fence, context), value, null, value)) !== 'gone';
  }
}

/**
 * Empties the job's own slots, once the current one holds the value to be kept. Answers what the record then says. `PREVIOUS` is
 * the last to go: while a person has something left to do it is what names the job, should Redis lose it.
 */
export async function emptySlots(
  deps: StageDeps,
  { job, context }: Step,
  { toEmpty, unclaimed }: Pending,
  { previous = true } = {},
): Promise<{ readonly vault_ref: string }> {
  for (const { slot } of unclaimed)
    context.log.warn('a live value that no rotation on record minted is kept', {
      slot: deps.vault.ref(slot),
    });
  await underLease(deps, job, context, async (call) => {
    for (const slot of toEmpty) await emptySlot(deps.vault, call, slot);
    if (previous) await emptySlot(deps.vault, call, slots.previous(job.credential, job.jobId));
  });
  return { vault_ref: deps.vault.ref(slots.current(job.credential)) };
}

/** Where the answer was lost the vault is asked whether the slot is gone. No slot gets its name a second time, so one that is emptied once more, late, is none that is used. */
export async function emptySlot(vault: Vault, call: VendorCall, slot: string): Promise<void> {
  try {
    await vault.remove(call, slot);
  } catch (error) {
    if (!isVelvetError(error) || error.code !== 'vendor_no_answer') throw error;
    if ((await vault.list(slot)).includes(slot)) throw error;
  }
}

/**
 * Where the value is, for a record that may name a slot which was emptied by an attempt that nobody heard the end of. Nothing
 * where that slot is there, or the vault does not say.
 */
export async function whereItIsNow(deps: StageDeps, job: Job): Promise<{ readonly vault_ref?: string }> {
  if (job.mintedFence === null) return {};
  const pending = slots.pending(job.credential, job.mintedFence);
  try {
    const left = await deps.vault.list(pending);
    return left.includes(pending) ? {} : { vault_ref: deps.vault.ref(slots.current(job.credential)) };
  } catch (error) {
    if (!isVelvetError(error)) throw error;
    return {};
  }
}
