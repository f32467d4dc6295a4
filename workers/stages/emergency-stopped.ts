// What the rotation that an emergency stopped may still have under way. Law: it was fenced off, but what it had sent can be applied until its last lease is over and the vendor's longest delay has passed.
import type { Job } from '../../shared/rotation/job.ts';
import { issuerOf, type StageDeps } from './deps.ts';

/** How long until nothing that it sent to vendor or vault can be applied any more, in milliseconds; 0 where nothing is open. */
export async function untilStoppedIsQuiet(deps: StageDeps, job: Job): Promise<number> {
  const stopped = await stoppedBy(deps, job);
  return stopped === null ? 0 : quietMs(deps, stopped);
}

/** The same of a mint that no record knows the outcome of, whatever became of its rotation before the emergency. */
export async function untilNoMintIsInFlight(deps: StageDeps, job: Job): Promise<number> {
  const stopped = await stoppedBy(deps, job);
  if (stopped === null) return 0;
  const begun = stopped.mintedBy !== null || stopped.mintBegun;
  return begun && stopped.newFingerprint === null ? quietMs(deps, stopped) : 0;
}

async function stoppedBy(deps: StageDeps, job: Job): Promise<Job | null> {
  return job.takesOver === null ? null : deps.store.load({ ...job, jobId: job.takesOver });
}

function quietMs(deps: StageDeps, stopped: Job): number {
  const { lateMs } = issuerOf(deps, stopped).capabilities;
  const open = stopped.leaseFence === null ? 0 : stopped.leaseUntil + lateMs;
  return Math.max(0, Math.max(open, stopped.quietAfter) - deps.clock.now());
}
