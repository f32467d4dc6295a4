// What a job's record says of its new token, and how one is asked about whose vendor Velvet has no code for.
import { z } from 'zod';
import type { Job } from './job.ts';

/** How a vendor without code of its own is asked whether a token works, as the manifest had it when the job was created. */
export const handVerifySchema = z.object({ url: z.string(), header: z.string(), dead_status: z.number() });
export type HandVerify = Readonly<z.infer<typeof handVerifySchema>>;

/** Whether the job's new token is on record, by its handle or, where the vendor names none, by its value's fingerprint. */
export function isMinted(job: Pick<Job, 'newAuthId' | 'newFingerprint'>): boolean {
  return job.newAuthId !== null || job.newFingerprint !== null;
}

/** Its token is known, its value is nowhere: what is neither the old value nor a known one may be it. */
export function isValueNowhere(job: Pick<Job, 'newAuthId' | 'newFingerprint'>): boolean {
  return job.newAuthId !== null && job.newFingerprint === null;
}
