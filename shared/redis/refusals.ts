// What a script's refusal, or Redis being away, is to whoever asked.
import { z } from 'zod';
import { VelvetError } from '../lib/errors.ts';
import type { JobRef } from '../rotation/effects.ts';
import { answers } from './scripts.ts';

export function keyMismatch(): VelvetError {
  return new VelvetError('idempotency_mismatch', 'idempotency key used with another body');
}

/** The one place where a script's refusal becomes an error. */
export function refuse(ref: JobRef, [code, rest]: readonly (string | number)[]): void {
  if (code === answers.staleVersion)
    throw new VelvetError('stale_version', `job ${ref.jobId} moved in between`);
  if (code === answers.staleFence)
    throw new VelvetError('stale_fence', `job ${ref.jobId} belongs to a later attempt`);
  if (code === answers.noSuchRecord) throw new VelvetError('not_found', `no job ${ref.jobId}`);
  if (code === answers.claimed) throw claimedBy(String(rest));
}

/** The second `verify`, and an adoption while a job is open. */
export function claimedBy(claimant: string): VelvetError {
  const adopting = claimant.startsWith('adopt.');
  const detail = adopting
    ? 'An adoption of this credential was begun and not finished. Run `npx velvet adopt <NAME>` again, then retry.'
    : `active rotation already in progress: job ${claimant}. It must end (done, or aborted with its cleanup done) before another can be verified: finish it, or abort it.`;
  return new VelvetError('claimed', `claimed by ${claimant}`, {
    detail,
    extra: { active_job_id: adopting ? null : claimant },
  });
}

// A read that fails is Redis being away; what else could be wrong is not the caller's to tell apart.
export async function guarded<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    const says = error instanceof Error ? error.message : 'unknown';
    throw new VelvetError('store_unavailable', `Redis did not answer: ${says}`, { kind: 'ConnectionError' });
  }
}

/** What is stored under a job's name and is no job is a fault of Velvet's; which fields are wrong is said, never what they hold. */
export function understood<T>(what: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    const where =
      error instanceof z.ZodError ? error.issues.map((issue) => issue.path.join('.')).join(', ') : 'JSON';
    throw new VelvetError('invariant_broken', `${what} is not understood: ${where}`);
  }
}
