// What a caller sees of one job: the record, its rows, and what may be done with it now.
import { isoTime } from '../shared/lib/clock.ts';
import { offeredActions } from '../shared/rotation/carried-out.ts';
import { kindOf, type Job } from '../shared/rotation/job.ts';
import { openResiduals } from '../shared/rotation/residuals.ts';
import type { OperatorAction } from '../shared/rotation/machine.ts';
import { publicJob, publicRow } from '../shared/rotation/view.ts';
import type { Row } from '../shared/rotation/rows.ts';
import { flowScope, type Caller } from './auth.ts';

/** What this caller may do with the job now: what the table allows and this release carries out, if the scope does. */
export function allowedActions(job: Job, caller: Caller): readonly OperatorAction[] {
  return caller.scopes.has(flowScope[job.flowType]) ? offeredActions(job) : [];
}

export interface RotationView extends Record<string, unknown> {
  readonly job_id: string;
}

export function rotationView(
  job: Job,
  rows: readonly Row[],
  caller: Caller,
  now: number,
  stuckAfterMs: number,
): RotationView {
  const reason = stuckReason(job, rows, now, stuckAfterMs);
  return {
    ...publicJob(job),
    job_id: job.jobId,
    stuck: reason !== null,
    stuck_reason: reason,
    waiting_since: kindOf(job) === 'gate' ? isoTime(job.statusSince) : null,
    allowed_actions: allowedActions(job, caller),
    consumers: rows.map(publicRow),
  };
}

/** Why the job is stuck, in words; null where it is not. Gates never are, nor is a row that its vendor paces. */
function stuckReason(job: Job, rows: readonly Row[], now: number, stuckAfterMs: number): string | null {
  const kind = kindOf(job);
  if (kind === 'failed')
    return `parked in ${job.status} since ${isoTime(job.statusSince)}: ${job.error?.detail ?? 'a row failed; retry it, or stop'}`;
  const left = openResiduals(job.residuals);
  if (job.status === 'aborted' && job.cleanup === 'needs_person' && left.length > 0)
    return `left behind since ${isoTime(job.updatedAt)}: ${left.map((one) => `${one.kind} of ${one.who}`).join(', ')}`;
  if (kind !== 'automatic') return null;
  // A cleanup that is tried again and again writes each time, and moves nothing.
  const touched = job.status === 'aborted' && job.error !== null ? job.cleanupSince : job.updatedAt;
  const moved = Math.max(touched, ...rows.map((row) => Math.max(row.updated_at, row.paced_until ?? 0)));
  if (now - moved < stuckAfterMs) return null;
  return `nothing has moved in ${job.status} since ${isoTime(moved)}${job.error === null ? '' : `: ${job.error.detail}`}`;
}
