// What the tables leave unsaid, in an operator's words: guards, row statuses, outcomes. render.ts puts it beside the tables.
import type { GuardName } from './guards.ts';
import type { Outcome, RowStatus } from './rows.ts';
import type { FlowType, Kind } from './statuses.ts';

// oxfmt-ignore
export const guardWords: Record<GuardName, string> = {
  flowIsOperational: 'the flow is operational',
  flowIsTesting:     'the flow is testing',
  flowIsNotTesting:  'the flow is not testing',
  testPassed:        'the current token was found alive and the authority may mint',
  testRefused:       'the current token was not found alive, or the authority may not mint',
  currentDead:       'the current token was found dead',
  authorityMayMint:  'the authority may mint',
  awaitingValue:     'a value is awaited',
  aRowNeedsAPerson:  'a row is `manual_required`',
  aRowCouldReopen:   'a row has failed or was skipped',
  promoting:         'the new value is being made the current one',
  everyProofStands:  'no row is open, pending or failed, and one is proven or confirmed, unless the revoke was forced',
  aRowFailed:        'a row has failed',
  forceRevokeJob:    'the job was created with `force_revoke`',
  notPromoting:      'the new value is not being promoted yet',
  pastTheProofs:     'the proofs were asked for once more',
  cleanupPending:    'the cleanup is under way',
  newTokenKept:      'a residual keeps the new token alive',
  notPromoted:       'the new value was not promoted',
  notSuperseded:     'no other rotation and no adoption replaced the current value since',
  previousAlive:     'the previous token was found alive',
  cleanupNotOver:    'the cleanup waits for a person',
  cleanupNotDone:    'the cleanup is not done',
  cleanupWaiting:    'the cleanup waits for the credential',
  aResidualOpen:     'a residual is open',
  oldTokenLeft:      'a token is left to be revoked by hand (`old_token_live`, `manual_revoke`)',
  tookOver:          'it took the credential over from another job',
  tookNothing:       'it took nothing over',
  leaksNoted:        'each leaking consumer has a note',
  noRowOpen:         'no row is open',
  ticketGiven:       'a `ticket_id` was given, now or at creation',
  confirmMatches:    '`confirm`, if given, is the credential\'s name',
  confirmGiven:      '`confirm` is the credential\'s name',
  deadAcknowledged:  '`acknowledge_dead` is true',
  staleAcknowledged: '`acknowledge_stale` names exactly the unproven consumers',
  twoPersons:        'the credential is not `two_person`, or another person, who is on record, let the new token be minted',
  anotherPerson:     'the credential is not `two_person`, or another person, who is on record, let the new token be minted, or the new value was promoted already, which another person had let pass',
  rowAllows:         'that row waits for a person',
  aRowWouldOpen:     'a row is there to be retried',
  rowsAll:           'the rows closed with **all**',
  rowsWave:          'the rows closed with **wave**',
  rowsSome:          'the rows closed with **some**',
  rowsNone:          'the rows closed with **none**',
  aProofStands:      'a proof was lost, and a row is left proven or confirmed',
  noProofStands:     'a proof was lost, and no row is left proven or confirmed',
};

/** What a diagram says of an edge that depends on how the rows closed. */
// oxfmt-ignore
export const edgeWords: Partial<Record<GuardName, string>> = {
  rowsAll:       'all',
  rowsWave:      'wave',
  rowsSome:      'some',
  rowsNone:      'none',
  aProofStands:  'a proof lost, others stand',
  noProofStands: 'no proof left',
};

/** Guards under which a row of the table has no part in a flow. */
export const notOfFlow: Record<FlowType, readonly GuardName[]> = {
  operational: ['flowIsTesting'],
  revocation: ['flowIsTesting', 'flowIsOperational'],
  testing: ['flowIsOperational', 'flowIsNotTesting'],
};

// oxfmt-ignore
export const flowWords: Record<FlowType, { readonly title: string; readonly intro: string }> = {
  operational: { title: 'Operational: rotate a credential', intro: 'Mint the new token, write it to every consumer, prove each of them, and only then revoke the old one.' },
  revocation:  { title: 'Revocation: an emergency',         intro: 'Revoke at once, then prove that every consumer is locked out. Mints nothing.' },
  testing:     { title: 'Testing: a dry run',               intro: 'Probe and read back, change nothing. Holds no claim, and ends where it verified.' },
};

// oxfmt-ignore
export const kindWords: Record<Kind, string> = {
  gate:      'waits for an operator, as long as it takes',
  automatic: 'a worker moves it; if it falls silent it is begun again by itself',
  failed:    'stands still until an operator acts',
  end:       'nothing more happens',
};

// oxfmt-ignore
export const rowStatusWords: Record<RowStatus, string> = {
  pending:         'not begun: its turn has not come, or it is to be done again',
  in_progress:     'a worker is at it',
  succeeded:       'written (distribute), or proven (validate)',
  failed:          'given up; `error` says why',
  manual_required: 'only a person can say; counts as open',
  skipped:         'left out by an operator, with a reason; for good',
};

// oxfmt-ignore
export const outcomeWords: Record<Outcome, string> = {
  open: 'a row is `in_progress` or `manual_required`: the phase goes on',
  wave: 'no row failed and rows of a later wave are `pending`: the next wave opens',
  all:  'no row failed, and at least one succeeded; the others may have been skipped',
  some: 'a row failed, and another succeeded or is held back `pending`',
  none: 'no row succeeded: each failed or was skipped',
};
