// Which rows of the table this release carries out. The table is whole; an action whose worker does not exist yet is not offered.
import { operatorActions, type OperatorAction } from './machine.ts';
import type { Job } from './job.ts';
import { nobodyHoldsNew } from './residuals.ts';
import type { Status } from './statuses.ts';

type Carried = readonly Status[] | 'wherever the table has it';

// oxfmt-ignore
const carriedOut: Partial<Record<OperatorAction, Carried>> = {
  verify:           'wherever the table has it',
  retry:            'wherever the table has it',
  confirm_consumer: 'wherever the table has it',
  skip_consumer:    'wherever the table has it',
  proceed_mint:     ['verified'],
  proceed_revoke:   ['validated'],
  mark_revoked:     ['revoke_failed'],
  // Where somebody may hold the new value, stopping leaves residuals that `restore` and `resolve_residual` close; those come with them.
  abort:            nobodyHoldsNew,
};

export function isCarriedOut(status: Status, action: OperatorAction): boolean {
  const where = carriedOut[action];
  return where === 'wherever the table has it' || (where?.includes(status) ?? false);
}

/** What the API offers: what the table allows and this release carries out. */
export function offeredActions(job: Job): readonly OperatorAction[] {
  return operatorActions(job).filter((action) => isCarriedOut(job.status, action));
}
