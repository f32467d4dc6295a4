// minting, where a person's hand mints: waits for the value, asks the vendor about it, and puts it into the pending slot. Law: it is read once, it is never kept unasked, and one that is lost is asked for again.
import { isVelvetError, type ErrorCode, type VelvetError } from '../../shared/lib/errors.ts';
import type { Fence } from '../../shared/lib/lease.ts';
import { openedFor } from '../../shared/lib/sealed-box.ts';
import { Secret } from '../../shared/lib/secret.ts';
import type { TypedValues } from '../../shared/redis/typed-values.ts';
import { slots } from '../vault/contract.ts';
import type { Handle } from '../vendors/contract.ts';
import {
  authorityOf,
  errorPatch,
  issuerOf,
  namingAuthority,
  readCall,
  speaker,
  underLease,
  type StageDeps,
  type Step,
} from './deps.ts';

export type MintDeps = StageDeps & {
  readonly typedValues: TypedValues;
  /** With which typed values are opened; null where nothing in the manifest is minted by hand. */
  readonly sealKey: Buffer | null;
};

/** A new token that lies in the pending slot of `fence`. */
export interface Made {
  /** Null where the vendor does not name tokens. */
  readonly handle: Handle | null;
  readonly secret: Secret;
  readonly fence: Fence;
}

/** What is to be said to whoever is to type a value. */
interface Wanted {
  readonly code: 'value_needed' | ErrorCode;
  readonly detail: string;
}

/** The value that a person typed, once it passes and is in its slot. Null: the job waits for a person (again), and says why. */
export async function takeByHand(deps: MintDeps, at: Step): Promise<Made | null> {
  const { job, fence, context } = at;
  const kept = await keptBefore(deps, at);
  const value = kept?.secret ?? (await taken(deps, at));
  if (!(value instanceof Secret)) return parked(deps, at, value);
  const examined = await examine(deps, at, value).catch((error: unknown) => {
    // What is in its slot already is not lost with the question: the next attempt asks again.
    if (kept !== null || !isVelvetError(error) || overtaken(error)) throw error;
    const detail = `The value that was entered could not be checked, so it was thrown away. ${error.detail} A retry, here, is to enter it again.`;
    return { code: error.code, detail };
  });
  if ('code' in examined) {
    if (kept !== null) {
      const slot = slots.pending(job.credential, kept.fence);
      await underLease(deps, job, context, (call) => deps.vault.remove(call, slot));
    }
    return parked(deps, at, examined);
  }
  const made = { handle: examined.handle, secret: value, fence: kept?.fence ?? fence };
  if (kept === null) {
    const slot = slots.pending(job.credential, fence);
    await underLease(deps, job, context, (call) => deps.vault.write(call, slot, value));
  }
  return made;
}

function overtaken({ code }: VelvetError): boolean {
  return code === 'stale_fence' || code === 'stale_version' || code === 'store_unavailable';
}

/** An attempt that put the value into its slot and was not heard of again: the record names it from the moment in which it took the value. */
async function keptBefore(deps: StageDeps, { job }: Step): Promise<Omit<Made, 'handle'> | null> {
  const fence = job.mintedFence;
  const secret = fence === null ? null : await deps.vault.read(slots.pending(job.credential, fence));
  return secret === null || fence === null ? null : { secret, fence };
}

async function taken(deps: MintDeps, { job, fence }: Step): Promise<Secret | Wanted> {
  if (job.valueId === null) return { code: 'value_needed', detail: '' };
  const box = await deps.typedValues.take(job, fence, job.valueId);
  if (box === null)
    return lost('It was read by a worker that stopped before it kept it, or nobody read it in time.');
  if (deps.sealKey === null)
    return lost('The stage process has no VELVET_SEAL_PRIVATE_KEY to open it with: set it.');
  const value = await openedFor(job.jobId, box, deps.sealKey);
  return (
    value ??
    lost(
      'VELVET_SEAL_PUBLIC_KEY of web and VELVET_SEAL_PRIVATE_KEY of stage do not belong together: set both anew.',
    )
  );
}

function lost(why: string): Wanted {
  return { code: 'value_lost', detail: `The value that was entered is lost. ${why} Enter it again.` };
}

/** What the vendor says of the value; or what is wrong with it. Nothing is changed anywhere. */
async function examine(
  deps: StageDeps,
  { job, fence, context }: Step,
  value: Secret,
): Promise<{ readonly handle: Handle | null } | Wanted> {
  if (value.fingerprint(deps.fingerprintKey) === job.oldFingerprint) {
    const detail = `What was entered is the present value of ${job.credential}, the one to be replaced. Make a new token at the vendor and enter that one.`;
    return { code: 'value_unchanged', detail };
  }
  const authority = await authorityOf(deps, job);
  const said = await namingAuthority(job, () =>
    issuerOf(deps, job).verify(readCall(job, fence, context), value, authority),
  );
  if (said.current === 'alive') return { handle: said.handle };
  const detail = `The vendor refuses the value that was entered for ${job.credential}: it is mistyped, cut short, of another kind, or not active yet. Look at the vendor, then enter the right one.`;
  return { code: 'value_refused', detail };
}

async function parked(deps: StageDeps, { task, context }: Step, { code, detail }: Wanted): Promise<null> {
  const problem = code === 'value_needed' ? null : { code, detail };
  await deps.transitions.apply(task, 'value_awaited', speaker(task, context), () => ({
    patch: {
      awaiting_reason: code,
      ...(problem === null ? { error: null } : errorPatch(deps, problem)),
    },
    detail: { reason: code, ...(problem === null ? {} : { problem: detail }) },
  }));
  context.log.info('a value is awaited', { reason: code });
  return null;
}
