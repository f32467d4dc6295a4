// The mints of a job that its record does not know: which they are, whether somebody holds one, and what the record must say to go on with it. Changes nothing.
import type { Fence } from '../../shared/lib/lease.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import { systemOperator } from '../../shared/redis/events.ts';
import type { Job, JobPatch } from '../../shared/rotation/job.ts';
import type { TaskContext } from '../run.ts';
import { slots } from '../vault/contract.ts';
import { readHandle } from '../vault/handles.ts';
import type { Handle, VerifyResult } from '../vendors/contract.ts';
import { issuerOf, namingAuthority, readCall, type StageDeps } from './deps.ts';
import { lookAt } from './look.ts';

type Context = Pick<TaskContext, 'signal' | 'log'>;

/** A mint of the job that its record does not know, with the value where the vault still has it. */
export interface Stranger {
  readonly handle: Handle;
  readonly fence: Fence;
  readonly value: Secret | null;
  /** The value is the credential's current one already. */
  readonly promoted: boolean;
}

/** `velvet:<job>:<fence>` */
export function fenceOf(handle: Handle): Fence {
  return handle.label.split(':')[2] ?? '0-';
}

export async function strangersOf(
  deps: StageDeps,
  job: Job,
  minted: readonly Handle[],
  context: Context,
): Promise<readonly Stranger[]> {
  const unknown = minted.filter((handle) => handle.id !== job.newAuthId);
  const current = await deps.vault.read(slots.current(job.credential));
  return Promise.all(
    unknown.map(async (handle): Promise<Stranger> => {
      const fence = fenceOf(handle);
      const pending = await deps.vault.read(slots.pending(job.credential, fence));
      if (pending !== null)
        return { handle, fence, value: pending, promoted: current?.equals(pending) === true };
      // A rotation that came to its end emptied the slot: then the current one has the value, and the vendor knows whose it is.
      const isCurrent =
        current !== null && (await askAbout(deps, job, current, context)).handle?.id === handle.id;
      return { handle, fence, value: isCurrent ? current : null, promoted: isCurrent };
    }),
  );
}

async function askAbout(deps: StageDeps, job: Job, value: Secret, context: Context): Promise<VerifyResult> {
  const authority = await deps.authorities.read(job.authority);
  return namingAuthority(job, () =>
    issuerOf(deps, job).verify(readCall(job, '0-reconcile', context), value, authority),
  );
}

/** The one that some consumer holds already, if any; what was made the current value counts as held. */
export async function heldByConsumers(
  deps: StageDeps,
  job: Job,
  strangers: readonly Stranger[],
  context: Context & { readonly since: number },
): Promise<Stranger | null> {
  const rows = await deps.store.rows(job);
  const promoted = strangers.find((stranger) => stranger.promoted);
  if (promoted !== undefined) return promoted;
  for (const stranger of strangers) {
    if (stranger.value === null) continue;
    const known = { next: stranger.value, previous: null };
    const looks = await lookAt(deps, { job, fence: '0-reconcile', context }, rows, known);
    const patience = context.since + deps.times.settleForMs - deps.clock.now();
    const passing =
      patience > 0 && looks.find((look) => look.error !== null && look.error.retry !== 'never')?.error;
    if (passing) throw passing;
    // One that cannot be read may hold it; so may one that did not answer for as long as anybody waits.
    if (looks.some((look) => look.holds === 'new' || look.holds === 'unknown')) return stranger;
  }
  return null;
}

/**
 * What the record must say to go on with the held mint as if its commit had not been lost; null where that would be guessed:
 * more than one mint, a value that the vendor does not name as that token's, nobody known who let it be minted where another
 * person must let the old one go, another job that holds the credential, or a job that nobody here created.
 */
export async function adoptionOf(
  deps: StageDeps,
  job: Job,
  { strangers, held }: { readonly strangers: readonly Stranger[]; readonly held: Stranger },
  context: Context,
): Promise<JobPatch | null> {
  const { value, handle } = held;
  if (value === null || strangers.length !== 1) return null;
  if (job.flowType !== 'operational' || job.createdBy === systemOperator) return null;
  if (job.twoPerson && job.mintedBy === null) return null;
  if (await heldByAnother(deps, job)) return null;
  const said = await askAbout(deps, job, value, context);
  if (said.current !== 'alive' || (said.handle !== null && said.handle.id !== handle.id)) return null;
  const old = await oldOf(deps, job, held, context);
  return old === null ? null : { ...old, ...mintOf(deps, job, held), may_mint: true };
}

/** Another job's claim, or an adoption's, stands. */
export async function heldByAnother(deps: StageDeps, job: Job): Promise<boolean> {
  const claimant = await deps.store.claimant(job);
  return claimant !== null && claimant !== job.jobId;
}

/** The mint as its own commit would have recorded it. */
export function mintOf(deps: StageDeps, job: Job, held: Stranger): JobPatch {
  if (held.value === null) return {};
  const slot = held.promoted ? slots.current(job.credential) : slots.pending(job.credential, held.fence);
  return {
    new_auth_id: held.handle.id,
    minted_fence: held.fence,
    new_fingerprint: held.value.fingerprint(deps.fingerprintKey),
    vault_ref: deps.vault.ref(slot),
    ...(held.promoted ? { promoting: true } : {}),
  };
}

/**
 * What the verify before that mint found, as the vault has it: a value that was alive was kept before the vendor was called.
 * The record is believed where it agrees, else the vendor is asked. Null: the current value lives, and was not kept.
 */
export async function oldOf(
  deps: StageDeps,
  job: Job,
  held: Stranger | null,
  context: Context,
): Promise<JobPatch | null> {
  const previous = await deps.vault.read(slots.previous(job.credential, job.jobId));
  const current = await deps.vault.read(slots.current(job.credential));
  // Once the new value is the current one the old one is where it was kept, or nowhere: then the job had come to its end.
  const old = previous ?? (held?.promoted === true ? null : current);
  const fingerprint = old?.fingerprint(deps.fingerprintKey) ?? null;
  const onRecord = job.oldFingerprint !== null && job.currentState !== null;
  if (old === null) return onRecord ? {} : { current_state: 'dead' };
  const before = previous === null ? 'dead' : 'alive';
  if (onRecord && job.oldFingerprint === fingerprint && job.currentState === before) return {};
  const said = await askAbout(deps, job, old, context);
  if (previous === null && said.current === 'alive') return null;
  const noted = await readHandle(deps.vault, job.credential);
  const known = job.oldFingerprint === fingerprint ? job.oldAuthId : null;
  return {
    current_state: said.current,
    old_fingerprint: fingerprint,
    // What is noted beside the current value may be the new token's by now.
    old_auth_id: said.handle?.id ?? known ?? (noted === held?.handle.id ? null : noted),
  };
}
