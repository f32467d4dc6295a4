// What a refusal of the state machine is to whoever asked: its code, what is open now, and what to do next.
import { VelvetError } from './lib/errors.ts';
import { operatorActions } from './rotation/machine.ts';
import { isOver, kindOf, type Job } from './rotation/job.ts';
import type { JobEvent, Refusal } from './rotation/machine.ts';

/** A `VelvetError` with the guard's own code, or `action_not_allowed` where the status does not take the event at all. */
export function refusal(job: Job, on: JobEvent, refused: Refusal): VelvetError {
  const allowed = operatorActions(job);
  const extra = {
    job_status: job.status,
    allowed_actions: allowed,
    ...(refused.verdict === 'refused' ? { missing: refused.guards } : {}),
  };
  const options =
    allowed.length === 0 ? `no action is open now: ${nextFor(job)}` : `open now: ${allowed.join(', ')}`;
  if (refused.verdict === 'no_such_transition' || refused.code === 'action_not_allowed') {
    return new VelvetError('action_not_allowed', `${on} from ${job.status}`, {
      detail: `A job in status ${job.status} does not take '${on}'; ${options}.`,
      extra,
    });
  }
  const nobody = refused.code === 'two_persons_required' && job.mintedBy === null;
  return new VelvetError(refused.code, `${on} refused: ${refused.guards.join(', ')}`, {
    extra,
    ...(nobody
      ? {
          detail: `Redis lost the record of who let the new token be minted, so that nobody counts as another person. Go back to the old one and start a new rotation; ${options}.`,
        }
      : {}),
  });
}

/** What to do where nothing is offered. */
function nextFor(job: Job): string {
  if (isOver(job)) return 'it has ended, and a new rotation can be created';
  return kindOf(job) === 'automatic'
    ? 'it moves by itself, so wait and follow its stream'
    : 'its `error` and its consumers say why';
}
