// One row of a credential's stream: audit trail, feed and history at once. The number is the stream's own.
import { isoTime } from '../lib/clock.ts';
import type { Job } from '../rotation/job.ts';
import type { Row } from '../rotation/rows.ts';
import { publicRow } from '../rotation/view.ts';

export interface AuditEvent {
  readonly at: string;
  readonly env: string;
  readonly job_id: string | null;
  readonly credential: string;
  readonly operator_id: string;
  readonly from_state: string | null;
  readonly to_state: string | null;
  readonly event: string;
  readonly consumer_id?: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface NumberedEvent extends AuditEvent {
  readonly seq: number;
}

/** What workers sign with in the audit trail, where no person acted. */
export const systemOperator = 'system';

/** What the schedule signs with: no person, and so never somebody's two-person gate. */
export const scheduleOperator = 'schedule';

interface Moment {
  readonly job: Job;
  /** The person, or `systemOperator`. */
  readonly operatorId: string;
  readonly now: number;
}

interface Result {
  readonly to: Job['status'];
  readonly detail: Readonly<Record<string, unknown>>;
}

export function eventOf({ job, operatorId, now }: Moment, event: string, { to, detail }: Result): AuditEvent {
  return {
    at: isoTime(now),
    env: job.env,
    job_id: job.jobId,
    credential: job.credential,
    operator_id: operatorId,
    from_state: job.status,
    to_state: to,
    event,
    detail,
  };
}

/** A row's event carries the row as it is after it, so that whoever follows needs no further request. */
export function rowEventOf(
  at: Moment,
  event: string,
  { to, row, detail }: Result & { readonly row: Row },
): AuditEvent {
  const shown = { ...detail, row: publicRow(row) };
  return { ...eventOf(at, event, { to, detail: shown }), consumer_id: row.consumer_id };
}
