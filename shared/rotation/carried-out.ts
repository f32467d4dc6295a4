// Which actions of the table this release carries out. The table is whole; an action whose worker does not exist yet is not offered.
import { operatorActions, type OperatorAction } from './machine.ts';
import type { Job } from './job.ts';
import type { Status } from './statuses.ts';

const notYet: readonly OperatorAction[] = ['resolve_leak'];

/** The emergency comes whole, with a release of its own. */
export function isCarriedOut(status: Status, action: OperatorAction): boolean {
  return !notYet.includes(action) && !status.startsWith('rev_');
}

/** What the API offers: what the table allows and this release carries out. */
export function offeredActions(job: Job): readonly OperatorAction[] {
  return operatorActions(job).filter((action) => isCarriedOut(job.status, action));
}
