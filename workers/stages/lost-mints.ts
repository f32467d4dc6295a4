// The mints of a job that its record does not know: which they are, whether somebody holds one, and what the record must say to go on with it. Changes nothing.
import type { Fence } from '../../shared/lib/lease.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import { systemOperator } from '../../shared/redis/events.ts';
import type { Job, JobPatch } from '../../shared/rotation/job.ts';
import type { TaskContext } from '../run.ts';
import { slots } from '../vault/contract.ts';
import { readHandle } from '../vault/handles.ts';
import { fenceOf, readLabel, type Handle, type KnownValues, type VerifyResult } from '../vendors/contract.ts';
import { authorityOf, issuerOf, namingAuthority, readCall, type StageDeps } from './deps.ts';
import { lookAt, type Look } from './look.ts';
import { pendingSlots } from './promote.ts';

type Context = Pick<TaskContext, 'signal' | 'log'>;

/** No attempt has it: whoever only looks. */
const LOOKING: Fence = '0-reconcile';

/** A mint of the job that its record does not know, with the value where the vault still has it. */
export interface Stranger {
  /** Null where the vendor does not name the token: the authority may be another account's by now. */
  readonly handle: Handle | null;
  readonly fence: Fence;
  readonly value: Secret | null;
  /** The value is the credential's current one already. */
  readonly promoted: boolean;
}

export async function strangersOf(
  deps: StageDeps,
  job: Job,
  minted: readonly Handle[],
  context: Context,
): Promise<readonly Stranger[]> {
  const unknown = minted.filter((handle) => handle.id !== job.newAuthId);
  const current = await deps.vault.read(slots.current(job.credential));
  const listed = await Promise.all(
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
  return [...listed, ...(await unlisted(deps, job, listed, context))];
}

/**
 * Values in pending slots that live, that no record names, and that no list shows: the authority may have been replaced by one of
 * another account, and consumers run on them. Whose they are is not known, so they count for each job that began a mint.
 */
async function unlisted(
  deps: StageDeps,
  job: Job,
  listed: readonly Stranger[],
  context: Context,
): Promise<readonly Stranger[]> {
  const prefix = slots.pendingPrefix(job.credential);
  const known = new Set(listed.map(({ fence }) => fence));
  const { unclaimed } = await pendingSlots(deps, { job, fence: LOOKING, context });
  const others = unclaimed.filter(({ slot }) => !known.has(slot.slice(prefix.length)));
  if (others.length === 0 || !(await mintBegun(deps, job))) return [];
  const asked = await Promise.all(
    others.map(async ({ slot, value }): Promise<Stranger> => {
      const { handle } = await askAbout(deps, job, value, context);
      return { handle, fence: slot.slice(prefix.length), value, promoted: false };
    }),
  );
  // One that the vendor names, with a label, is its own job's to find.
  return asked.filter(({ handle }) => handle === null || readLabel(handle.label) === null);
}

/** The vault is the witness: the previous value was kept there before the vendor was called. Where there was none to keep, it may have been. */
export async function mintBegun(deps: StageDeps, job: Job): Promise<boolean> {
  if (job.status === 'minting' || job.currentState === 'dead') return true;
  return (await deps.vault.read(slots.previous(job.credential, job.jobId))) !== null;
}

async function askAbout(deps: StageDeps, job: Job, value: Secret, context: Context): Promise<VerifyResult> {
  const authority = await authorityOf(deps, job);
  return namingAuthority(job, () =>
    issuerOf(deps, job).verify(readCall(job, LOOKING, context), value, authority),
  );
}

/** The one that some consumer holds already, if any; what was made the current value counts as held. */
export async function heldByConsumers(
  deps: StageDeps,
  job: Job,
  strangers: readonly Stranger[],
  context: Context & { readonly since: number },
): Promise<Stranger | null> {
  const promoted = strangers.find((stranger) => stranger.promoted);
  if (promoted !== undefined) return promoted;
  for (const stranger of strangers) {
    if (stranger.value === null) continue;
    const looks = await looksOf(deps, job, { next: stranger.value, previous: null }, context);
    // One that cannot be read may hold it; so may one that did not answer for as long as anybody waits.
    if (looks.some((look) => look.holds === 'new' || look.holds === 'unknown')) return stranger;
  }
  const valueless = strangers.find(({ value }) => value === null);
  if (valueless === undefined) return null;
  // Whoever holds neither the current nor the previous value may hold the one that is nowhere.
  const next = await deps.vault.read(slots.current(job.credential));
  const previous = await deps.vault.read(slots.previous(job.credential, job.jobId));
  const looks = await looksOf(deps, job, { next, previous }, context);
  return looks.some(({ holds }) => holds === 'other') ? valueless : null;
}

async function looksOf(
  deps: StageDeps,
  job: Job,
  known: KnownValues,
  context: Context & { readonly since: number },
): Promise<readonly Look[]> {
  const rows = await deps.store.rows(job);
  const looks = await lookAt(deps, { job, fence: LOOKING, context }, rows, known);
  const patience = context.since + deps.times.settleForMs - deps.clock.now();
  const passing =
    patience > 0 && looks.find((look) => look.error !== null && look.error.retry !== 'never')?.error;
  if (passing) throw passing;
  return looks;
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
  if (value === null || handle === null || strangers.length !== 1) return null;
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
  // Its value is nowhere, yet somebody may hold it: then the token is the one to keep until they do not.
  if (held.value === null) return { new_auth_id: held.handle?.id ?? null };
  const slot = held.promoted ? slots.current(job.credential) : slots.pending(job.credential, held.fence);
  return {
    new_auth_id: held.handle?.id ?? null,
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
  // What is noted is of the current value, which may be another rotation's by now, and the note itself this one's.
  const noted = current?.equals(old) === true ? await readHandle(deps.vault, job.credential) : null;
  const known = job.oldFingerprint === fingerprint ? job.oldAuthId : null;
  return {
    current_state: said.current,
    old_fingerprint: fingerprint,
    old_auth_id: said.handle?.id ?? known ?? (noted === held?.handle?.id ? null : noted),
  };
}
