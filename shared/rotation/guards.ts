// The guards of the job table: named claims over a job and what the caller brings. Law: no I/O; what they need is loaded beforehand.
import type { ErrorCode } from '../lib/errors.ts';
import type { Actor, Job } from './job.ts';
import { openResiduals, residualKinds, type ResidualKind } from './residuals.ts';
import type { Outcome } from './rows.ts';

/** What an operator or a worker brings to a transition, beside the job itself. Loaded beforehand; guards do no I/O. */
export interface Facts {
  readonly actor?: Actor;
  readonly ticketId?: string | null;
  readonly confirm?: string | null;
  readonly acknowledgeDead?: boolean;
  /** Consumers that a forced revoke names, and those that are in fact unproven. */
  readonly acknowledgeStale?: readonly string[];
  readonly staleConsumers?: readonly string[];
  /** How the phase closed. */
  readonly outcome?: Outcome;
  /** Of the rows, whichever phase: is there one left that is proven or confirmed. */
  readonly anyRowProven?: boolean;
  /** Whether the job's rows allow what is asked of one of them. */
  readonly rowAllows?: boolean;
  readonly retryableRows?: number;
  /** Whether each leaking consumer is answered for with a note. */
  readonly leaksNoted?: boolean;
}

interface Guard {
  /** job: what the job is, decides whether the action is offered · input: what the caller must bring · outcome: how it went. */
  readonly about: 'job' | 'input' | 'outcome';
  readonly code: ErrorCode;
  readonly holds: (job: Job, facts: Facts) => boolean;
}

// oxfmt-ignore
const guardTable = {
  flowIsOperational: { about: 'job',     code: 'action_not_allowed',     holds: (job) => job.flowType === 'operational' },
  flowIsTesting:     { about: 'job',     code: 'action_not_allowed',     holds: (job) => job.flowType === 'testing' },
  flowIsNotTesting:  { about: 'job',     code: 'action_not_allowed',     holds: (job) => job.flowType !== 'testing' },
  testPassed:        { about: 'job',     code: 'invariant_broken',       holds: testPassed },
  testRefused:       { about: 'job',     code: 'invariant_broken',       holds: (job) => !testPassed(job) },
  currentDead:       { about: 'job',     code: 'action_not_allowed',     holds: (job) => job.currentState === 'dead' },
  authorityMayMint:  { about: 'job',     code: 'action_not_allowed',     holds: (job) => job.mayMint },
  awaitingValue:     { about: 'job',     code: 'action_not_allowed',     holds: (job) => job.awaiting === 'operator_value' },
  aRowNeedsAPerson:  { about: 'job',     code: 'action_not_allowed',     holds: (job) => job.tally.manual > 0 },
  aRowCouldReopen:   { about: 'job',     code: 'action_not_allowed',     holds: (job) => job.tally.failed > 0 || job.tally.ok > job.tally.proven },
  promoting:         { about: 'job',     code: 'action_not_allowed',     holds: (job) => job.promoting },
  everyProofStands:  { about: 'job',     code: 'rows_open',              holds: ({ tally: t, forced }) => t.open === 0 && t.pending === 0 && t.failed === 0 && (t.proven > 0 || forced) },
  aRowFailed:        { about: 'job',     code: 'action_not_allowed',     holds: (job) => job.tally.failed > 0 },
  forceRevokeJob:    { about: 'job',     code: 'action_not_allowed',     holds: (job) => job.forceRevoke },
  notPromoting:      { about: 'job',     code: 'action_not_allowed',     holds: (job) => !job.promoting },
  pastTheProofs:     { about: 'job',     code: 'invariant_broken',       holds: (job) => job.step !== 'prove' },
  notPromoted:       { about: 'job',     code: 'action_not_allowed',     holds: (job) => !job.promoted },
  previousAlive:     { about: 'job',     code: 'action_not_allowed',     holds: (job) => job.currentState === 'alive' },
  notSuperseded:     { about: 'job',     code: 'action_not_allowed',     holds: (job) => !job.superseded },
  cleanupPending:    { about: 'job',     code: 'invariant_broken',       holds: (job) => job.cleanup === 'pending' },
  newTokenKept:      { about: 'job',     code: 'action_not_allowed',     holds: (job) => openResiduals(job.residuals).some((r) => residualKinds[r.kind].keepsNewAlive) },
  cleanupNotOver:    { about: 'job',     code: 'action_not_allowed',     holds: (job) => job.cleanup === 'needs_person' },
  aResidualOpen:     { about: 'job',     code: 'action_not_allowed',     holds: (job) => openResiduals(job.residuals).length > 0 },
  oldTokenLeft:      { about: 'job',     code: 'action_not_allowed',     holds: (job) => openResiduals(job.residuals).some((r) => r.kind === 'old_token_live' || r.kind === 'manual_revoke' || mayGoForward(job, r.kind)) },
  cleanupNotDone:    { about: 'job',     code: 'action_not_allowed',     holds: (job) => job.cleanup !== 'done' && job.cleanup !== 'waiting' },
  cleanupWaiting:    { about: 'job',     code: 'invariant_broken',       holds: (job) => job.cleanup === 'waiting' },
  tookOver:          { about: 'job',     code: 'invariant_broken',       holds: (job) => job.takesOver !== null },
  tookNothing:       { about: 'job',     code: 'invariant_broken',       holds: (job) => job.takesOver === null },
  leaksNoted:        { about: 'input',   code: 'not_acknowledged',       holds: (_, f) => f.leaksNoted === true },
  noRowOpen:         { about: 'job',     code: 'rows_open',              holds: (job) => job.tally.open === 0 },
  ticketGiven:       { about: 'input',   code: 'ticket_required',        holds: (job, f) => (f.ticketId ?? job.ticketId ?? '') !== '' },
  confirmMatches:    { about: 'input',   code: 'confirm_mismatch',       holds: (job, f) => f.confirm === undefined || f.confirm === null || f.confirm === job.credential },
  confirmGiven:      { about: 'input',   code: 'confirm_mismatch',       holds: (job, f) => f.confirm === job.credential },
  deadAcknowledged:  { about: 'input',   code: 'not_acknowledged',       holds: (_, f) => f.acknowledgeDead === true },
  staleAcknowledged: { about: 'input',   code: 'stale_not_acknowledged', holds: (_, f) => sameNames(f.acknowledgeStale ?? [], f.staleConsumers ?? []) },
  twoPersons:        { about: 'input',   code: 'two_persons_required',   holds: twoPersons },
  anotherPerson:     { about: 'input',   code: 'two_persons_required',   holds: (job, f) => job.promoted || twoPersons(job, f) },
  rowAllows:         { about: 'input',   code: 'row_not_open',           holds: (_, f) => f.rowAllows === true },
  aRowWouldOpen:     { about: 'input',   code: 'nothing_to_retry',       holds: (_, f) => (f.retryableRows ?? 0) > 0 },
  rowsAll:           { about: 'outcome', code: 'invariant_broken',       holds: (_, f) => f.outcome === 'all' },
  rowsWave:          { about: 'outcome', code: 'invariant_broken',       holds: (_, f) => f.outcome === 'wave' },
  rowsSome:          { about: 'outcome', code: 'invariant_broken',       holds: (_, f) => f.outcome === 'some' },
  rowsNone:          { about: 'outcome', code: 'invariant_broken',       holds: (_, f) => f.outcome === 'none' },
  aProofStands:      { about: 'outcome', code: 'invariant_broken',       holds: (_, f) => f.outcome !== 'all' && f.anyRowProven === true },
  noProofStands:     { about: 'outcome', code: 'invariant_broken',       holds: (_, f) => f.outcome !== 'all' && f.anyRowProven === false },
} as const satisfies Record<string, Guard>;
export type GuardName = keyof typeof guardTable;
export const guards: Readonly<Record<GuardName, Guard>> = guardTable;

/** Of what a test asked of the vendor: a rotation could begin. */
function testPassed(job: Job): boolean {
  return job.currentState === 'alive' && job.mayMint && job.error === null;
}

/** Who let the mint be made is on record, and is not who asks. Not known is nobody. */
function twoPersons(job: Job, { actor }: Facts): boolean {
  return (
    !job.twoPerson ||
    (actor !== undefined && job.mintedBy !== null && !isSamePerson(actor.operatorId, job.mintedBy))
  );
}

/** Owners are typed in by hand, and "Ada" is no second person beside "ada". */
function isSamePerson(one: string, other: string): boolean {
  const name = (owner: string) => owner.normalize('NFKC').toLowerCase();
  return name(one) === name(other);
}

/** Where the old token died meanwhile there is no going back, and whoever is on the new one needs it to become the current one: where it is known. */
function mayGoForward(job: Job, kind: ResidualKind): boolean {
  return (
    residualKinds[kind].keepsNewAlive &&
    job.newFingerprint !== null &&
    job.currentState === 'alive' &&
    !job.promoted
  );
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return (
    a.length === b.length &&
    new Set([...a, ...b]).size === new Set(a).size &&
    new Set(a).size === new Set(b).size
  );
}
