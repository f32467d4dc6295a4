// For each guard of the table, a case in which it holds and one in which it fails; and jobs built from them.
import type { Job } from '../../shared/rotation/job.ts';
import type { Facts, GuardName } from '../../shared/rotation/guards.ts';
import { credential, tallyOf } from './job-of.ts';
import { residual } from './runbook-table.ts';

export interface Case {
  readonly job?: Partial<Job>;
  readonly facts?: Facts;
}

const mona = { operatorId: 'mona', slackUserId: null };
const otto = { operatorId: 'otto', slackUserId: null };
const twoPerson = { twoPerson: true, mintedBy: 'mona' } as const;

// oxfmt-ignore
export const guardCases: Readonly<Record<GuardName, { readonly holds: Case; readonly fails: Case }>> = {
  flowIsOperational: { holds: { job: { flowType: 'operational' } },      fails: { job: { flowType: 'testing' } } },
  flowIsTesting:     { holds: { job: { flowType: 'testing' } },          fails: { job: { flowType: 'operational' } } },
  flowIsNotTesting:  { holds: { job: { flowType: 'operational' } },      fails: { job: { flowType: 'testing' } } },
  testPassed:        { holds: { job: { currentState: 'alive', mayMint: true } }, fails: { job: { currentState: 'dead' } } },
  testRefused:       { holds: { job: { currentState: 'absent' } },       fails: { job: { currentState: 'alive', mayMint: true } } },
  currentDead:       { holds: { job: { currentState: 'dead' } },         fails: { job: { currentState: 'absent' } } },
  authorityMayMint:  { holds: { job: { mayMint: true } },                fails: { job: { mayMint: false } } },
  awaitingValue:     { holds: { job: { awaiting: 'operator_value' } },   fails: { job: { awaiting: null } } },
  aRowNeedsAPerson:  { holds: { job: { tally: tallyOf('manual') } },     fails: { job: { tally: tallyOf('going', 'failed') } } },
  aRowCouldReopen:   { holds: { job: { tally: tallyOf('failed') } },     fails: { job: { tally: tallyOf('manual') } } },
  promoting:         { holds: { job: { promoting: true } },              fails: { job: { promoting: false } } },
  everyProofStands:  { holds: { job: { tally: tallyOf('ok') } }, fails: { job: { tally: tallyOf('ok', 'manual') } } },
  aRowFailed:        { holds: { job: { tally: tallyOf('failed') } },     fails: { job: { tally: tallyOf('ok', 'manual') } } },
  forceRevokeJob:    { holds: { job: { forceRevoke: true } },            fails: { job: { forceRevoke: false } } },
  notPromoting:      { holds: { job: { promoting: false } },             fails: { job: { promoting: true } } },
  pastTheProofs:     { holds: { job: { step: 'promote' } },              fails: { job: { step: 'prove' } } },
  cleanupPending:    { holds: { job: { cleanup: 'pending' } },           fails: { job: { cleanup: 'needs_person' } } },
  newTokenKept:      { holds: { job: { residuals: [residual('stale_consumer')] } }, fails: { job: { residuals: [residual('orphan_token')] } } },
  notPromoted:       { holds: { job: { promoted: false } },              fails: { job: { promoted: true } } },
  notSuperseded:     { holds: { job: { superseded: false } },            fails: { job: { superseded: true } } },
  previousAlive:     { holds: { job: { currentState: 'alive' } },        fails: { job: { currentState: null } } },
  cleanupNotDone:    { holds: { job: { cleanup: 'pending' } },           fails: { job: { cleanup: 'done' } } },
  cleanupWaiting:    { holds: { job: { cleanup: 'waiting' } },           fails: { job: { cleanup: 'done' } } },
  cleanupNotOver:    { holds: { job: { cleanup: 'needs_person' } },      fails: { job: { cleanup: 'done' } } },
  aResidualOpen:     { holds: { job: { residuals: [residual('stale_consumer')] } }, fails: { job: { residuals: [{ ...residual('stale_consumer'), resolved_at: 5 }] } } },
  oldTokenLeft:      { holds: { job: { residuals: [residual('old_token_live')] } }, fails: { job: { residuals: [residual('stale_consumer')], promoted: true } } },
  tookOver:          { holds: { job: { takesOver: 'j0' } },              fails: { job: { takesOver: null } } },
  tookNothing:       { holds: { job: { takesOver: null } },              fails: { job: { takesOver: 'j0' } } },
  leaksNoted:        { holds: { facts: { leaksNoted: true } },           fails: { facts: { leaksNoted: false } } },
  noRowOpen:         { holds: { job: { tally: tallyOf('failed') } },     fails: { job: { tally: tallyOf('failed', 'manual') } } },
  ticketGiven:       { holds: { facts: { ticketId: 'ROT-2026-X' } },     fails: { facts: { ticketId: '' } } },
  confirmMatches:    { holds: { facts: { confirm: credential } },        fails: { facts: { confirm: 'PM_SERVER_MAIL' } } },
  confirmGiven:      { holds: { facts: { confirm: credential } },        fails: { facts: { confirm: null } } },
  deadAcknowledged:  { holds: { facts: { acknowledgeDead: true } },      fails: { facts: { acknowledgeDead: false } } },
  staleAcknowledged: { holds: { facts: { acknowledgeStale: ['a'], staleConsumers: ['a'] } }, fails: { facts: { acknowledgeStale: ['a'], staleConsumers: ['b'] } } },
  twoPersons:        { holds: { job: twoPerson, facts: { actor: otto } }, fails: { job: twoPerson, facts: { actor: mona } } },
  anotherPerson:     { holds: { job: { ...twoPerson, mintedBy: null, promoted: true }, facts: { actor: mona } }, fails: { job: twoPerson, facts: { actor: mona } } },
  rowAllows:         { holds: { facts: { rowAllows: true } },            fails: { facts: { rowAllows: false } } },
  aRowWouldOpen:     { holds: { facts: { retryableRows: 1 } },           fails: { facts: { retryableRows: 0 } } },
  rowsAll:           { holds: { facts: { outcome: 'all', anyRowProven: true } },   fails: { facts: { outcome: 'open' } } },
  rowsWave:          { holds: { facts: { outcome: 'wave' } },            fails: { facts: { outcome: 'open' } } },
  rowsSome:          { holds: { facts: { outcome: 'some' } },            fails: { facts: { outcome: 'open' } } },
  rowsNone:          { holds: { facts: { outcome: 'none' } },            fails: { facts: { outcome: 'open' } } },
  aProofStands:      { holds: { facts: { outcome: 'some', anyRowProven: true } },  fails: { facts: { outcome: 'all', anyRowProven: true } } },
  noProofStands:     { holds: { facts: { outcome: 'none', anyRowProven: false } }, fails: { facts: { outcome: 'all', anyRowProven: false } } },
};

/** Everything that any gate could ask for, so that only the job itself can refuse. */
export const everythingBrought: Facts = {
  actor: otto,
  ticketId: 'ROT-2026-HK_PLATFORM_FULL',
  confirm: credential,
  acknowledgeDead: true,
  acknowledgeStale: ['console'],
  staleConsumers: ['console'],
  leaksNoted: true,
  anyRowProven: true,
  rowAllows: true,
  retryableRows: 1,
};

/** A case in which all of `names` hold, except `without`, which fails. */
export function together(
  names: readonly GuardName[],
  without?: GuardName,
): { job: Partial<Job>; facts: Facts } {
  const cases = names
    .toSorted((name) => (name === without ? 1 : -1))
    .map((name) => guardCases[name][name === without ? 'fails' : 'holds']);
  return {
    job: Object.assign({}, ...cases.map((each) => each.job)) as Partial<Job>,
    facts: Object.assign({}, ...cases.map((each) => each.facts)) as Facts,
  };
}
