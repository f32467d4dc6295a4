// The ticket that comes with a step: whether the ticket system knows it. Law: a note on the job and in its audit trail, never a refusal; of a step that is refused anyway nobody is asked.
import { decide } from '../shared/rotation/machine.ts';
import type { JobPatch } from '../shared/rotation/job-record.ts';
import type { Job } from '../shared/rotation/job.ts';
import type { Applied, Speaker } from '../shared/changes.ts';
import type { ApiDeps } from './router.ts';
import type { StageBody } from './stage-bodies.ts';

/** Whether the table lets the step go, with what the caller brings. */
export function goes(
  job: Job,
  action: StageBody['action'],
  facts: NonNullable<Applied['facts']>,
  by: Speaker,
): boolean {
  const actor = by.kind === 'operator' ? { actor: by.actor } : {};
  return decide(job, action, { ...facts, ...actor }).verdict === 'go';
}

/** What is recorded of it. What was said of an earlier ticket is not said of this one. */
export async function ticketNote(
  deps: Pick<ApiDeps, 'lookUpTicket'>,
  ticketId: string,
): Promise<{ readonly patch: JobPatch; readonly detail: Readonly<Record<string, unknown>> }> {
  const { ticket, number, reason } = await deps.lookUpTicket(ticketId);
  return {
    patch: { ticket_id: ticketId, ticket },
    detail: {
      ticket_id: ticketId,
      ...(ticket === null ? {} : { ticket, ticket_number: number, ticket_reason: reason }),
    },
  };
}
