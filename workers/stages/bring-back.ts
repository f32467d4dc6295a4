// Jobs of which Redis lost everything while their values lie in the vault. Law: what has no record is given one under its own id, so that what it did is taken back like anything else.
import { logfields, type Log } from '../../shared/lib/log.ts';
import { pinnedAnew, type Pinned } from '../../shared/manifest/pin.ts';
import type { Manifest } from '../../shared/manifest/schema.ts';
import { systemOperator } from '../../shared/redis/events.ts';
import { firstRecord, type NewJob } from '../../shared/redis/first-record.ts';
import type { JobRef } from '../../shared/rotation/effects.ts';
import type { TaskContext } from '../run.ts';
import { slots } from '../vault/contract.ts';
import type { StageDeps } from './deps.ts';

type CredentialRef = Pick<JobRef, 'credential' | 'env'>;

export type BringBackDeps = StageDeps & { readonly manifest: Manifest };

/**
 * Gives each job that the vault names and Redis does not know its first record, in `init`; whoever reconciles next sees a mint
 * there that the record does not know. Safe to repeat, and beside others that do the same. Answers the ids.
 */
export async function bringBack(
  deps: BringBackDeps,
  ref: CredentialRef,
  { log }: Pick<TaskContext, 'log'>,
): Promise<readonly string[]> {
  const unknown: string[] = [];
  for (const jobId of await unknownJobs(deps, ref)) {
    if (isJobId(jobId)) unknown.push(jobId);
    else
      log.error('a slot that no job of this product made', {
        slot: deps.vault.ref(slots.previous(ref.credential, jobId)),
      });
  }
  if (unknown.length === 0) return [];
  const pins = pinnedAnew(deps.manifest, ref.credential, ref.env, deps.clock.now());
  for (const jobId of unknown) {
    const slot = deps.vault.ref(slots.previous(ref.credential, jobId));
    if (pins === null) {
      const todo = `The vault holds ${slot} of a job that Redis does not know, and the manifest has nothing active of ${ref.credential} to take it back with. Look at the vendor for tokens labelled velvet:${jobId}:…, revoke them by hand once no consumer runs on them, then remove the slot; or put the credential back into the manifest.`;
      log.error('a job that Redis lost cannot be brought back', { job_id: jobId, todo });
      continue;
    }
    log.error('data lost: a job that Redis does not know is brought back', { job_id: jobId, slot });
    await deps.store.open(firstRecord(broughtBack({ ...ref, jobId }, pins, slot, deps.clock.now())));
  }
  return pins === null ? [] : unknown;
}

/** Every job's id is one. Whatever else somebody put into the vault's folder names no job, and may be no part of a key. */
const isJobId = (text: string) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);

/** Credentials that are held against the world although Redis may know nothing of them: the manifest's, and those that the vault keeps a value of. */
export async function keptCredentials(
  deps: Pick<BringBackDeps, 'vault' | 'manifest'>,
  log: Log,
): Promise<readonly string[]> {
  const names = deps.manifest.credentials.map(({ token_name }) => token_name);
  const strays = await strayCredentials(deps).catch((error: unknown) => {
    log.warn('the vault is not looked through for lost jobs yet', logfields(error));
    return [];
  });
  return [...names, ...strays];
}

/**
 * Credentials that the vault keeps a previous value of although the manifest does not name them any more: nobody else would look
 * at what Redis lost of them.
 */
async function strayCredentials(deps: Pick<BringBackDeps, 'vault' | 'manifest'>): Promise<readonly string[]> {
  const known = new Set<string>(deps.manifest.credentials.map((one) => one.token_name));
  const kept = (await deps.vault.list('')).map((slot) => slot.split(slots.previousPrefix('')));
  const names = kept.flatMap(([name = '', jobId]) => (jobId !== undefined && isJobId(jobId) ? [name] : []));
  return [...new Set(names)].filter(
    (name) => /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}$/.test(name) && !known.has(name),
  );
}

/** A job has its record long before its slot, and no record is ever removed: a slot that was seen without one has lost it. */
async function unknownJobs(deps: StageDeps, ref: CredentialRef): Promise<readonly string[]> {
  const prefix = slots.previousPrefix(ref.credential);
  const ids = (await deps.vault.list(prefix)).map((slot) => slot.slice(prefix.length));
  const jobs = await Promise.all(
    ids.map(async (jobId) => (isJobId(jobId) ? deps.store.load({ ...ref, jobId }) : null)),
  );
  return ids.filter((_, index) => jobs[index] === null);
}

function broughtBack(ref: JobRef, pins: Pinned, slot: string, now: number): NewJob {
  return {
    ref,
    by: { operatorId: systemOperator },
    pins,
    detail: {
      reason: 'data_lost: the vault holds a value of this job, and Redis has no record of it',
      slot,
      consumers: pins.rows.map((row) => row.consumer_id),
      inactive: pins.fields.inactive,
    },
    // The request that created it is not known any more; the id alone names it, whoever brings it back.
    idem: { hash: `lost.${ref.jobId}`.slice(0, 120), bodyHash: 'lost' },
    now,
  };
}
