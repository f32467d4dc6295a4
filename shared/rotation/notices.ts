// Under which name it is kept that somebody was told of a job: each thing is said once.
import type { Job } from './job.ts';
import { statuses } from './statuses.ts';

/** Under which name it is kept that somebody was told of the job as it is now: of an end once, of a gate or a failure each time that it is reached. */
export function noticeReceipt(job: Pick<Job, 'status' | 'statusVersion' | 'cleanup'>): string {
  const once = statuses[job.status].kind === 'end';
  return once ? `notify_${job.status}_${job.cleanup ?? ''}` : `notify_${job.status}_${job.statusVersion}`;
}
