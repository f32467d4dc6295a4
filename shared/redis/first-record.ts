// How a job begins: its first record and its first event agree on who, when and what. Law: every job has one, whoever asks for it.
import { isoTime } from '../lib/clock.ts';
import type { JobRef } from '../rotation/effects.ts';
import type { JobPatch } from '../rotation/job-record.ts';
import type { Row, Tally } from '../rotation/rows.ts';
import type { AuditEvent } from './events.ts';
import type { OpenRequest } from './job-writes.ts';

export interface NewJob {
  readonly ref: JobRef;
  readonly by: { readonly operatorId: string; readonly slackUserId?: string | null };
  /** What it keeps of the manifest. */
  readonly pins: { readonly fields: JobPatch; readonly rows: readonly Row[]; readonly tally: Tally };
  /** What else was asked for. An operational flow where it does not say. */
  readonly asked?: JobPatch;
  /** Of the first event. */
  readonly detail: AuditEvent['detail'];
  readonly idem: OpenRequest['idem'];
  /** Wall clock, ms. */
  readonly now: number;
}

export function firstRecord({ ref, by, pins, asked, detail, idem, now }: NewJob): OpenRequest {
  const status = asked?.flow_type === 'revocation' ? 'rev_init' : 'init';
  return {
    ref,
    fields: {
      flow_type: 'operational',
      status,
      status_since: now,
      status_version: 1,
      created_at: now,
      updated_at: now,
      created_by: by.operatorId,
      moved_by: by.operatorId,
      moved_by_slack: by.slackUserId ?? null,
      ...asked,
      ...pins.fields,
    },
    rows: pins.rows,
    tally: pins.tally,
    event: {
      at: isoTime(now),
      env: ref.env,
      job_id: ref.jobId,
      credential: ref.credential,
      operator_id: by.operatorId,
      from_state: null,
      to_state: status,
      event: 'created',
      detail,
    },
    idem,
    now,
  };
}
