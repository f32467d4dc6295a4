// The values of one job, read from the vault once per process and phase. Law: a value that is not the recorded one is not used.
import { VelvetError } from '../../shared/lib/errors.ts';
import { likenessOf, shortFingerprint, type Secret } from '../../shared/lib/secret.ts';
import type { Job } from '../../shared/rotation/job.ts';
import type { KnownValues } from '../vendors/contract.ts';
import { slots, type Vault } from './contract.ts';

export interface Values {
  /** The new value. Throws `invariant_broken` where the slot is empty or holds another than the job recorded. */
  next(job: Job): Promise<Secret>;
  /** The value before this job, or null where it was dead or never there. */
  previous(job: Job): Promise<Secret | null>;
  /** The value that the job's verify asked about, dead or alive; null where the vault holds another one by now. */
  verified(job: Job): Promise<Secret | null>;
  /** What a destination is compared with. Their fingerprints are enough, and outlive the slots: an old value may have been dead before anybody kept it. */
  known(job: Job): KnownValues;
}

/** Enough for every job that moves at once in one process; the oldest goes first. */
const KEPT = 64;

export function createValues(vault: Vault, fingerprintKey: Buffer): Values {
  const kept = new Map<string, Secret>();

  async function read(slot: string, fingerprint: string | null, job: Job): Promise<Secret | null> {
    const key = `${slot} ${job.statusVersion}`;
    const known = kept.get(key);
    if (known !== undefined) return known;
    const secret = await vault.read(slot);
    if (secret === null) return null;
    if (secret.fingerprint(fingerprintKey) !== fingerprint) {
      const detail = `${vault.ref(slot)} does not hold the value that the job recorded (${shortFingerprint(fingerprint ?? 'none')}). Somebody changed it: abort the job.`;
      throw new VelvetError('invariant_broken', `${slot} holds another value`, { detail });
    }
    keep(key, secret);
    return secret;
  }

  function keep(key: string, secret: Secret): void {
    kept.set(key, secret);
    const [oldest] = kept.keys();
    if (kept.size > KEPT && oldest !== undefined) kept.delete(oldest);
  }

  /** The current value, where it is the one with this fingerprint: a job whose record Redis lost may have moved or emptied its slots. */
  async function currentIf(job: Job, fingerprint: string | null): Promise<Secret | null> {
    const current = fingerprint === null ? null : await vault.read(slots.current(job.credential));
    return current?.fingerprint(fingerprintKey) === fingerprint ? current : null;
  }

  async function verified(job: Job): Promise<Secret | null> {
    const key = `${slots.current(job.credential)} ${job.jobId} ${job.statusVersion}`;
    const known = kept.get(key);
    if (known !== undefined) return known;
    const secret = await currentIf(job, job.oldFingerprint);
    if (secret !== null) keep(key, secret);
    return secret;
  }

  async function next(job: Job): Promise<Secret> {
    const slot = slots.pending(job.credential, job.mintedFence ?? 'none');
    const pending = job.mintedFence === null ? null : await read(slot, job.newFingerprint, job);
    const secret = pending ?? (await currentIf(job, job.newFingerprint));
    if (secret !== null) return secret;
    throw new VelvetError('invariant_broken', `${slot} is empty`, {
      detail: `${vault.ref(slot)} is empty: abort the job.`,
    });
  }

  async function previous(job: Job): Promise<Secret | null> {
    if (job.currentState !== 'alive') return null;
    const kept = await read(slots.previous(job.credential, job.jobId), job.oldFingerprint, job);
    return kept ?? currentIf(job, job.oldFingerprint);
  }

  const likeness = (fingerprint: string | null) =>
    fingerprint === null ? null : likenessOf(fingerprintKey, fingerprint);

  return {
    next,
    previous,
    verified,
    known: (job) => ({ next: likeness(job.newFingerprint), previous: likeness(job.oldFingerprint) }),
  };
}
