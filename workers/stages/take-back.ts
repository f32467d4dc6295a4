// What a cleanup takes back at the vendor and in the vault. Law: neither the credential's current token nor one that somebody may run on, and never the last copy of a live value.
import { VelvetError } from '../../shared/lib/errors.ts';
import type { Fence } from '../../shared/lib/lease.ts';
import type { Finding } from '../../shared/rotation/residuals.ts';
import { mayHoldNew } from '../../shared/rotation/rows.ts';
import { slots } from '../vault/contract.ts';
import { readHandle } from '../vault/handles.ts';
import { fenceOf, type Handle } from '../vendors/contract.ts';
import {
  authorityOf,
  demandAuthority,
  issuerOf,
  namingAuthority,
  readCall,
  underLease,
  type StageDeps,
  type Step,
} from './deps.ts';
import { madeByHand, onUnclaimed, orphanIn } from './findings.ts';
import { demandAnswers, lookAt, type Look } from './look.ts';
import { emptySlot, pendingSlots, type Pending } from './promote.ts';

/** Who holds values of forgotten mints, and the fences of those. */
export interface Held {
  readonly found: readonly Finding[];
  readonly fences: ReadonlySet<Fence>;
}

/** Consumers that run on, or may run on, a live value that no record names. */
export async function heldUnclaimed(deps: StageDeps, at: Step): Promise<Held> {
  const { unclaimed } = await pendingSlots(deps, at);
  if (unclaimed.length === 0) return { found: [], fences: new Set() };
  const rows = await deps.store.rows(at.job);
  const own = await ownFences(deps, at);
  const fences = new Set<Fence>();
  const found: Finding[] = [];
  for (const { slot, value } of unclaimed) {
    const looks = await lookAt(deps, at, rows, { next: value, previous: null });
    demandAnswers(deps, at.job, looks);
    const fence = slot.slice(slots.pendingPrefix(at.job.credential).length);
    // Of its own values the record says to whom one may have gone: a place that cannot be read and was never written has none.
    const mayHold = ({ holds, row }: Look) =>
      holds === 'new' || (holds === 'unknown' && (!own.has(fence) || mayHoldNew(row)));
    const holders = looks.filter(mayHold);
    if (holders.length > 0) fences.add(fence);
    const current = deps.vault.ref(slots.current(at.job.credential));
    for (const look of holders) {
      const one = onUnclaimed(look, deps.vault.ref(slot), current);
      // What a person resolved, because nobody can look, is not found again.
      const closed = at.job.residuals.some(
        ({ kind, who, resolved_at }) => kind === one.kind && who === one.who && resolved_at !== null,
      );
      const again = found.some(({ kind, who }) => kind === one.kind && who === one.who);
      if (!again && !(closed && look.holds === 'unknown')) found.push(one);
    }
  }
  return { found, fences };
}

/** Of the attempts whose tokens the vendor lists as this job's. Before the gate was passed there can be none. */
async function ownFences(deps: StageDeps, { job, fence, context }: Step): Promise<ReadonlySet<Fence>> {
  if (job.mintedBy === null && !job.mintBegun) return new Set();
  const authority = await authorityOf(deps, job);
  const listed = await namingAuthority(job, () =>
    issuerOf(deps, job).listMinted(readCall(job, fence, context), authority),
  );
  return new Set(listed.map(fenceOf));
}

/** Live values that no record names, that nobody was seen to hold, and whose tokens this job cannot end. */
export function orphansIn(deps: StageDeps, at: Step, held: Held, { unclaimed }: Pending): readonly Finding[] {
  const prefix = slots.pendingPrefix(at.job.credential);
  return unclaimed
    .filter(({ slot }) => !held.fences.has(slot.slice(prefix.length)))
    .map(({ slot }) => orphanIn(slot, deps.vault.ref(slot)));
}

interface Spared {
  /** The new token stays. */
  readonly own: boolean;
  readonly fences: ReadonlySet<Fence>;
}

/** Ends this job's tokens at the vendor, but for those to spare, and makes sure of the one that the job recorded. Answers their handles. */
export async function revokeMinted(deps: StageDeps, at: Step, spared: Spared): Promise<readonly string[]> {
  const { job, context } = at;
  const issuer = issuerOf(deps, job);
  const authority = await authorityOf(deps, job);
  const read = readCall(job, at.fence, context);
  const listed = await namingAuthority(job, () => issuer.listMinted(read, authority));
  const isOwn = (handle: Handle) => handle.id === job.newAuthId || fenceOf(handle) === job.mintedFence;
  // Of several mints that Redis forgot, one may have been promoted that is not the one on record.
  const current = listed.every(isOwn) ? null : await currentHandle(deps, at);
  const ended: Handle[] = [];
  for (const handle of listed) {
    if (isOwn(handle) ? spared.own : handle.id === current || spared.fences.has(fenceOf(handle))) continue;
    await namingAuthority(job, () =>
      underLease(deps, job, context, async (call) =>
        issuer.revoke(call, await demandAuthority(deps, job), handle),
      ),
    );
    ended.push(handle);
  }
  const endsIt = issuer.capabilities.revoke === 'api';
  if (endsIt && !spared.own && !ended.some(isOwn)) await demandOwnGone(deps, at);
  return ended.map(({ id }) => id);
}

/**
 * The job's own token where only a person can end it: named as long as the vendor says that it lives or, where the vendor cannot
 * tell, until a person has said that it does not. Its slot is kept till then, for it is what the vendor is asked with.
 */
export async function leftToAPerson(
  deps: StageDeps,
  { job, fence, context }: Step,
): Promise<readonly Finding[]> {
  const issuer = issuerOf(deps, job);
  const slot = slots.pending(job.credential, job.mintedFence ?? 'none');
  const byHand = issuer.capabilities.revoke === 'operator' && job.mintedFence !== null;
  const value = byHand ? await deps.vault.read(slot) : null;
  if (value === null) return [];
  const handle = job.newAuthId === null ? null : { id: job.newAuthId, label: '' };
  const authority = await authorityOf(deps, job);
  const found = await issuer.isGone(readCall(job, fence, context), authority, handle, value);
  const said = job.residuals.some((one) => one.who === slot && one.resolved_at !== null);
  return found === 'gone' || (found === 'cannot_tell' && said) ? [] : [madeByHand(slot)];
}

/** An authority of another account sees no such token; the value itself says whether it lives, and its slot is the last copy. */
async function demandOwnGone(deps: StageDeps, { job, fence, context }: Step): Promise<void> {
  const slot = slots.pending(job.credential, job.mintedFence ?? 'none');
  const value = job.mintedFence === null ? null : await deps.vault.read(slot);
  if (job.newAuthId === null && value === null) return;
  const authority = await authorityOf(deps, job);
  const handle = job.newAuthId === null ? null : { id: job.newAuthId, label: '' };
  const found = await issuerOf(deps, job).isGone(readCall(job, fence, context), authority, handle, value);
  if (found === 'gone') return;
  const detail = `The new token ${job.newAuthId ?? `of ${deps.vault.ref(slot)}`} may be live, and the authority ${job.authority} does not see it: it may belong to another account. Put the right one in place under that name.`;
  throw new VelvetError('authority_invalid', `minted token ${job.newAuthId ?? slot} is not listed`, {
    detail,
  });
}

/** Whose the current value is: as the vendor says, else as the vault notes. */
async function currentHandle(deps: StageDeps, { job, fence, context }: Step): Promise<string | null> {
  const value = await deps.vault.read(slots.current(job.credential));
  const authority = await authorityOf(deps, job);
  const said = await namingAuthority(job, () =>
    issuerOf(deps, job).verify(readCall(job, fence, context), value, authority),
  );
  return said.handle?.id ?? (await readHandle(deps.vault, job.credential));
}

/** Empties the pending slots that are the job's to empty, but for its new value's. */
export async function removePending(
  deps: StageDeps,
  { job, context }: Step,
  { toEmpty }: Pending,
): Promise<void> {
  const own = slots.pending(job.credential, job.mintedFence ?? 'none');
  for (const slot of toEmpty) {
    if (slot !== own) await underLease(deps, job, context, (call) => emptySlot(deps.vault, call, slot));
  }
}
