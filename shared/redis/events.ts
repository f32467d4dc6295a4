// One row of a credential's stream: audit trail, feed and history at once. The number is the stream's own.

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
