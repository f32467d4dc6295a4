// Rollback: the previous value goes back to every place that holds, or may hold, the new one, and each is read back. Law: a write is recorded before it is sent.
import { VelvetError, isVelvetError } from '../../shared/lib/errors.ts';
import { leaseFrom } from '../../shared/lib/lease.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import { isValueNowhere } from '../../shared/rotation/new-token.ts';
import { mayHoldNew, quietAfter, type Row } from '../../shared/rotation/rows.ts';
import type { VendorCall } from '../vendors/contract.ts';
import {
  authorityOf,
  isByHand,
  issuerOf,
  namingAuthority,
  readCall,
  speaker,
  targetOf,
  type StageDeps,
  type Step,
} from './deps.ts';
import { inParallel, lookAt, type Look } from './look.ts';
import { slots } from '../vault/contract.ts';
import { namedTarget } from './push.ts';

/** Back: it runs on the previous value · waiting: written, and not everything there runs on it yet · failed: a person must look. */
type Outcome = { readonly at: 'back' | 'waiting' } | { readonly at: 'failed'; readonly why: string };

export interface Restored {
  readonly waiting: boolean;
  /** Consumer → why it could not be put back. */
  readonly failed: ReadonlyMap<string, string>;
}

/**
 * One round: looks at every place concerned, writes where it is needed. Throws what may pass (a vendor away, a lost answer)
 * after the others were seen to, so that the round is repeated; every round begins by looking.
 */
export async function restoreRows(deps: StageDeps, at: Step, rows: readonly Row[]): Promise<Restored> {
  const concerned = rows.filter(mayHoldNew);
  // Everybody is back. A round that was cut short after that may have emptied the previous value's slot already.
  if (concerned.length === 0) return { waiting: false, failed: new Map() };
  const previous = await previousAlive(deps, at);
  const looks = await lookAt(deps, at, concerned, deps.values.known(at.job));
  const results = await inParallel(looks, async (look) => {
    try {
      return [look.row.consumer_id, await putBack(deps, at, look, previous)] as const;
    } catch (error) {
      return [look.row.consumer_id, error] as const;
    }
  });
  const failed = new Map<string, string>();
  let waiting = false;
  let passing: unknown = null;
  for (const [consumerId, result] of results) {
    if (isOutcome(result)) {
      waiting ||= result.at === 'waiting';
      if (result.at === 'failed') failed.set(consumerId, result.why);
    } else if (isVelvetError(result) && isLasting(deps, at, result)) {
      failed.set(consumerId, result.detail);
    } else passing ??= result;
  }
  if (passing !== null) throw passing;
  return { waiting, failed };
}

function isOutcome(result: unknown): result is Outcome {
  return typeof result === 'object' && result !== null && !(result instanceof Error) && 'at' in result;
}

/** What does not pass by itself, and what has not passed for longer than a release may take. */
function isLasting(deps: StageDeps, { job }: Step, error: VelvetError): boolean {
  if (overtaken(error) || error.code === 'store_unavailable') return false;
  return error.retry === 'never' || deps.clock.now() - job.cleanupSince > deps.times.settleForMs;
}

function overtaken(error: VelvetError): boolean {
  return error.code === 'stale_fence' || error.code === 'stale_version';
}

/** The vendor is asked again: going back to a token that has died since would lock everybody out. */
async function previousAlive(deps: StageDeps, { job, fence, context }: Step): Promise<Secret> {
  const previous = await deps.values.previous(job);
  if (previous === null)
    throw new VelvetError('invariant_broken', 'no previous value to restore', {
      detail: `The vault holds no previous value for this job. Leave the consumers on the new value: revoke the old token by hand and send mark_revoked.`,
    });
  const authority = await authorityOf(deps, job);
  const found = await namingAuthority(job, () =>
    issuerOf(deps, job).verify(readCall(job, fence, context), previous, authority),
  );
  if (found.current === 'alive') return previous;
  throw new VelvetError('current_token_invalid', 'the previous token is dead', {
    detail:
      'The previous token no longer works, so nothing was put back: that would lock the consumers out. Keep them on the new value; write it to those that are not on it, then send mark_revoked or resolve what is left.',
  });
}

async function putBack(deps: StageDeps, at: Step, look: Look, previous: Secret): Promise<Outcome> {
  if (look.error !== null) throw look.error;
  if (isByHand(look.row)) return { at: 'failed', why: onlyByHand(deps, at, look.row) };
  const leave = look.holds === 'old' || (look.holds === 'other' && !isValueNowhere(at.job));
  if (!leave) {
    const readable = deps.registry.destination(targetOf(look.row).update_method).capabilities.readBack;
    // A place that cannot be read back is written once a round of the cleanup; its receipt says that it was.
    if (look.row.receipt !== null && look.row.holds === 'old' && readable !== 'value') return { at: 'back' };
    await write(deps, at, look.row, previous);
    return { at: 'waiting' };
  }
  return ranOn(deps, at, look);
}

/** What is written by hand is put back by hand, from where the previous value lies until this is resolved. */
function onlyByHand(deps: StageDeps, { job }: Step, row: Row): string {
  const ref = deps.vault.ref(slots.previous(job.credential, job.jobId));
  const how = row.pinned.instructions === undefined ? '' : ` ${row.pinned.instructions}`;
  return `Velvet cannot write there, and cannot see whether the new value is there; ${ref} has the previous one.${how}`;
}

/** The place holds the previous value (or somebody else's): do its processes run on that, too? */
async function ranOn(deps: StageDeps, at: Step, look: Look): Promise<Outcome> {
  if (look.effect === 'running' || look.effect === 'unknown') {
    await note(deps, at, look.row.consumer_id, 'row_restored', (row) => ({
      ...row,
      holds: look.holds,
      touched: false,
      started: null,
      quiet_after: 0,
      error: null,
    }));
    return { at: 'back' };
  }
  const waitedMs = deps.clock.now() - at.job.cleanupSince;
  if (look.effect === 'not_yet' && waitedMs <= deps.times.settleForMs) return { at: 'waiting' };
  const why = `It holds the previous value, but its processes do not all run on it: ${look.detail}.`;
  await note(deps, at, look.row.consumer_id, 'row_not_restored', (row) => ({
    ...row,
    error: { code: 'consumer_not_restarted', detail: why },
  }));
  return { at: 'failed', why };
}

async function write(deps: StageDeps, at: Step, row: Row, previous: Secret): Promise<void> {
  const { job, fence, context } = at;
  const target = targetOf(row);
  const destination = deps.registry.destination(target.update_method);
  const authority = await deps.authorities.read(target.update_auth_token_name);
  const askedAt = deps.clock.monotonic();
  const until = deps.clock.now() + deps.times.leaseMs;
  await note(deps, at, row.consumer_id, 'restore_started', (before) => ({
    ...before,
    started: { fence, until },
    quiet_after: quietAfter(before, destination.capabilities.lateMs),
    error: null,
  }));
  const lease = leaseFrom(deps.clock, fence, until, askedAt, deps.times.leaseMs);
  const call: VendorCall = { ...readCall(job, fence, context), lease };
  try {
    const receipt = await namedTarget(row, () => destination.push(call, target, authority, previous));
    // `touched` stays until the place was seen to run on the value.
    await note(deps, at, row.consumer_id, 'restore_written', (before) => ({
      ...before,
      started: null,
      receipt,
      holds: destination.capabilities.readBack === 'value' ? before.holds : 'old',
    }));
  } catch (error) {
    const known = isVelvetError(error) && error.retry !== 'reconcile' && error.code !== 'internal';
    if (known && !overtaken(error)) {
      await note(deps, at, row.consumer_id, 'restore_refused', (before) => ({
        ...before,
        started: null,
        error: { code: error.code, detail: error.detail },
      }));
    }
    throw error;
  }
}

/** Writes to a row of an aborted job: no status of it moves any more, what it holds does. */
export async function note(
  deps: StageDeps,
  { task, context }: Pick<Step, 'task' | 'context'>,
  consumerId: string,
  event: string,
  change: (row: Row) => Row,
): Promise<void> {
  await deps.transitions.settleRow(task, consumerId, speaker(task, context), (row) => ({
    row: change(row),
    event,
  }));
}
