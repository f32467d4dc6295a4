// The tokens with which Velvet itself calls vendors. Law: read anew for each step and each phase of rows, and never the token that is being rotated.
import { VelvetError } from '../../shared/lib/errors.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import type { Job } from '../../shared/rotation/job.ts';
import { slots, type Vault } from './contract.ts';

export interface Authorities {
  /** Throws `authority_invalid`, naming it and saying where it belongs, where there is none. */
  read(name: string): Promise<Secret>;
  /** As `read`, once for all rows of the job's present phase. An operator's retry begins another one. */
  ofPhase(name: string, job: Pick<Job, 'jobId' | 'statusVersion'>): Promise<Secret>;
}

/** Enough for every job that moves at once in one process; the oldest goes first. */
const KEPT = 64;

/** Bootstrap authorities come from the environment, the others lie in the vault beside the credentials. */
export function createAuthorities(
  vault: Vault,
  bootstrap: Readonly<Record<string, Secret | null>>,
): Authorities {
  const kept = new Map<string, Promise<Secret>>();

  async function read(name: string): Promise<Secret> {
    const fromEnvironment = Object.hasOwn(bootstrap, name);
    const secret = fromEnvironment ? bootstrap[name] : await vault.read(slots.current(name));
    if (secret !== null && secret !== undefined) return secret;
    const where = fromEnvironment
      ? `set ${name} in the environment of stage and distribute (and of your shell, for \`npx velvet\`)`
      : `put it into the vault with \`npx velvet adopt ${name}\``;
    throw new VelvetError('authority_invalid', `authority ${name} is missing`, {
      detail: `The authority ${name} is missing: ${where}, then retry.`,
    });
  }

  return {
    read,

    ofPhase(name, { jobId, statusVersion }) {
      const key = `${name} ${jobId} ${statusVersion}`;
      const known = kept.get(key);
      if (known !== undefined) return known;
      const reading = read(name);
      kept.set(key, reading);
      // What could not be read is asked for again by the next row.
      reading.catch(() => kept.delete(key));
      const [oldest] = kept.keys();
      if (kept.size > KEPT && oldest !== undefined) kept.delete(oldest);
      return reading;
    },
  };
}
