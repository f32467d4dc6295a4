// What a caller sees of one job: the record, its rows, and what may be done with it now.
import { isoTime } from '../shared/lib/clock.ts';
import { operatorActions } from '../shared/rotation/machine.ts';
import { kindOf, type Job } from '../shared/rotation/job.ts';
import { stuckOf } from '../shared/rotation/notices.ts';
import type { OperatorAction } from '../shared/rotation/machine.ts';
import { lockoutOf, publicJob, publicRow, testFinding } from '../shared/rotation/view.ts';
import type { Row } from '../shared/rotation/rows.ts';
import { flowScope, type Caller } from './auth.ts';

/** What this caller may do with the job now: what the table allows, if the scope does. */
export function allowedActions(job: Job, caller: Caller): readonly OperatorAction[] {
  return caller.scopes.has(flowScope[job.flowType]) ? operatorActions(job) : [];
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
  const stuck = stuckOf(job, rows, now, stuckAfterMs);
  const shown = publicJob(job);
  return {
    ...shown,
    ...lockoutOf(job, rows),
    error: shown['error'] ?? testFinding(job, rows),
    job_id: job.jobId,
    stuck: stuck !== null,
    stuck_reason: stuck?.reason ?? null,
    waiting_since: kindOf(job) === 'gate' ? isoTime(job.statusSince) : null,
    allowed_actions: allowedActions(job, caller),
    consumers: rows.map(publicRow),
  };
}
