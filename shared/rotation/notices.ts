// When a job is stuck, and under which name it is kept that somebody was told of a job: each thing is said once.
import { kindOf, type Job } from './job.ts';
import { openResiduals } from './residuals.ts';
import type { Row } from './rows.ts';
import { statuses } from './statuses.ts';

/** Under which name it is kept that somebody was told of the job as it is now: of an end once, of a gate or a failure each time that it is reached. */
export function noticeReceipt(job: Pick<Job, 'status' | 'statusVersion' | 'cleanup'>): string {
  const once = statuses[job.status].kind === 'end';
  return once ? `notify_${job.status}_${job.cleanup ?? ''}` : `notify_${job.status}_${job.statusVersion}`;
}

/** The same of a job that is stuck in the status that it has: said once for each time that it is entered. */
export function stuckReceipt(job: Pick<Job, 'status' | 'statusVersion' | 'cleanup'>): string {
  return `stuck_${noticeReceipt(job)}`;
}

export interface Stuck {
  readonly reason: string;
  /** Wall clock, ms. */
  readonly since: number;
}

/** Why the job is stuck, and since when it stands; null where it is not. Gates never are, nor is a row that its vendor paces. */
export function stuckOf(job: Job, rows: readonly Row[], now: number, stuckAfterMs: number): Stuck | null {
  const kind = kindOf(job);
  if (kind === 'failed') {
    const parked =
      job.status === 'rev_leaked'
        ? 'a consumer answers to the dead token'
        : 'a row failed; retry it, or stop';
    const why = job.error?.detail ?? parked;
    return {
      reason: `parked in ${job.status} since ${iso(job.statusSince)}: ${why}`,
      since: job.statusSince,
    };
  }
  const left = openResiduals(job.residuals);
  if (job.status === 'aborted' && job.cleanup === 'needs_person' && left.length > 0) {
    const names = left.map((one) => `${one.kind} of ${one.who}`).join(', ');
    return { reason: `left behind since ${iso(job.updatedAt)}: ${names}`, since: job.updatedAt };
  }
  if (kind !== 'automatic') return null;
  const since = lastMoved(job, rows);
  if (now - since < stuckAfterMs) return null;
  const why = job.error === null ? '' : `: ${job.error.detail}`;
  return { reason: `nothing has moved in ${job.status} since ${iso(since)}${why}`, since };
}

/** When anything of an automatic job moved last, or a vendor's pause ends. */
function lastMoved(job: Job, rows: readonly Row[]): number {
  // A cleanup that is tried again and again writes each time, and moves nothing.
  const touched = job.cleanup === 'pending' && job.error !== null ? job.cleanupSince : job.updatedAt;
  return Math.max(touched, ...rows.map((row) => Math.max(row.updated_at, row.paced_until ?? 0)));
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
