// Holds the table of transitions against runbook-table.ts, the specification typed in a second time.
// Law: where the two differ one of them is wrong, and reading decides which; neither is ever copied from the other.
import { describe, expect, test } from 'vitest';
import { errorTable, type ErrorCode } from '../../shared/lib/errors.ts';
import { kindOf, type Job } from '../../shared/rotation/job.ts';
import type { Facts } from '../../shared/rotation/guards.ts';
import { decide, operatorActions, transitions } from '../../shared/rotation/machine.ts';
import { closedOutcomes, type Outcome } from '../../shared/rotation/rows.ts';
import { statusNames, type Status } from '../../shared/rotation/statuses.ts';
import { jobOf, tallyOf } from './job-of.ts';
import { everythingBrought } from './guard-cases.ts';
import {
  operatorEvents,
  phaseOf,
  residual,
  runbook,
  thisRelease,
  workerEvents,
  type Circumstance,
  type OperatorEvent,
  type WorkerEvent,
} from './runbook-table.ts';

type DecidedEvent = Parameters<typeof decide>[1];

const mona = { operatorId: 'mona', slackUserId: null };
const otto = { operatorId: 'otto', slackUserId: null };

function jobIn(c: Pick<Circumstance, 'at' | 'job'>): Job {
  return jobOf({ status: c.at, phase: phaseOf[c.at] ?? null, mintedBy: 'mona', ...c.job });
}

/** `closed some, proven` → the event `rows_closed` with its facts. */
function reported(event: WorkerEvent): { on: DecidedEvent; facts: Facts } {
  const [, outcome, rest] = /^closed (\w+)(?:, (\w+))?$/.exec(event) ?? [];
  if (outcome === undefined) return { on: event as DecidedEvent, facts: everythingBrought };
  const anyRowProven = rest === undefined ? outcome !== 'none' : rest === 'proven';
  return { on: 'rows_closed', facts: { ...everythingBrought, outcome: outcome as Outcome, anyRowProven } };
}

/** Where an event leads: the next status, or null where it is refused or unknown. */
function leadsTo(job: Job, on: DecidedEvent, facts: Facts): Status | null {
  const decision = decide(job, on, facts);
  return decision.verdict === 'go' ? decision.to : null;
}

const named = runbook.map((c) => ({ name: c.when === '' ? c.at : `${c.at}: ${c.when}`, c }));
// In `revoking` it matters what is left, elsewhere the outcome alone.
const asked = (at: Status) =>
  workerEvents.filter(
    (event) =>
      !event.startsWith('closed') || event.includes(',') === (at === 'revoking') || event === 'closed all',
  );

describe('the specification, circumstance by circumstance', () => {
  test.each(named)('$name is of its kind', ({ c }) => {
    expect(kindOf(jobIn(c))).toBe(c.kind);
  });

  test.each(named)('$name offers an operator exactly what the specification lists', ({ c }) => {
    const undecided = new Set<string>(c.silent);
    const offered = operatorActions(jobIn(c)).filter((action) => !undecided.has(action));
    expect([...offered].toSorted()).toEqual(Object.keys(c.operator).toSorted());
  });

  test.each(named)(
    '$name: each operator action leads where the specification says, the rest is refused',
    ({ c }) => {
      const job = jobIn(c);
      const events = operatorEvents.filter((event) => c.silent?.includes(event) !== true);
      const found = events.map((event) => [event, leadsTo(job, event, everythingBrought)]);
      expect(found).toEqual(events.map((event) => [event, c.operator[event] ?? null]));
    },
  );

  test.each(named)(
    '$name: each report of a worker leads where the specification says, the rest moves nothing',
    ({ c }) => {
      const job = jobIn(c);
      const events = asked(c.at).filter((event) => c.silent?.includes(event) !== true);
      const found = events.map((event) => {
        const { on, facts } = reported(event);
        const to = leadsTo(job, on, facts);
        // A phase that closes where it stood may be told by a row of the table, or by none.
        return [event, to ?? (event.startsWith('closed') && c.worker[event] === c.at ? c.at : null)];
      });
      expect(found).toEqual(events.map((event) => [event, c.worker[event] ?? null]));
    },
  );

  test.each(named)('$name offers of these what this release carries out', ({ c }) => {
    if (c.job?.flowType === 'revocation') return; // The emergency comes with a later release, its `allowed_actions` with it.
    const listed = (Object.keys(c.operator) as OperatorEvent[]).filter((action) =>
      thisRelease.includes(action),
    );
    const undecided = new Set<string>(c.silent);
    const offered = operatorActions(jobIn(c)).filter((action) => !undecided.has(action));
    expect([...offered].toSorted()).toEqual(listed.toSorted());
  });

  test("an action that is not offered is refused as the job's fault, with 409", () => {
    const refusals = runbook.flatMap((c) =>
      operatorEvents
        .filter((event) => c.operator[event] === undefined && c.silent?.includes(event) !== true)
        .map((event) => decide(jobIn(c), event, everythingBrought))
        .filter((decision) => decision.verdict === 'refused'),
    );
    expect(refusals.length).toBeGreaterThan(0);
    expect(refusals.filter(({ code }) => errorTable[code].http !== 409)).toEqual([]);
  });

  test('an event of which it knows nothing is only recorded', () => {
    const known = new Set<string>([...operatorEvents, ...workerEvents, 'rows_closed']);
    // It is silent on lost Redis data.
    const unknown = transitions.filter(
      (row) =>
        !known.has(row.on) &&
        !['loss_found', 'loss_put_off', 'mint_found', 'verify_forgotten', 'cleanup_due'].includes(row.on),
    );
    const more = unknown.filter(
      (row) => row.by === 'operator' || row.to !== 'same' || row.patch !== undefined,
    );
    expect(more).toEqual([]);
  });

  test('every status, operator action and worker report stands in it', () => {
    expect([...new Set(runbook.map((c) => c.at))].toSorted()).toEqual([...statusNames].toSorted());
    const acts = new Set(
      runbook.flatMap((c) => [...Object.keys(c.operator), ...Object.keys(c.worker), ...(c.silent ?? [])]),
    );
    expect([...operatorEvents, ...workerEvents].filter((event) => !acts.has(event))).toEqual([]);
    expect(
      new Set(workerEvents.map((event) => reported(event).facts.outcome).filter((o) => o !== undefined)),
    ).toEqual(new Set(closedOutcomes));
  });
});

interface Demand {
  readonly name: string;
  readonly at: Status;
  readonly job?: Partial<Job>;
  readonly on: DecidedEvent;
  readonly brings: Facts;
  /** The code of the refusal, or null where it goes. */
  readonly refused: ErrorCode | null;
}

const twoPerson = { twoPerson: true, mintedBy: 'mona' } as const;
const deadHere = { currentState: 'dead', mayMint: true } as const;
const partly = { forceRevoke: true, tally: tallyOf('ok', 'failed') } as const;
const left = {
  currentState: 'alive',
  cleanup: 'needs_person',
  residuals: [residual('old_token_live')],
} as const;
const stale = { ...left, residuals: [residual('stale_consumer')] } as const;
const rev = { flowType: 'revocation' } as const;

// oxfmt-ignore
const demands: readonly Demand[] = [
  { name: 'a mint from a dead token needs acknowledge_dead',       at: 'verify_failed', job: deadHere, on: 'proceed_mint', brings: { acknowledgeDead: false }, refused: 'not_acknowledged' },
  { name: 'a mint from a dead token needs confirm',                at: 'verify_failed', job: deadHere, on: 'proceed_mint', brings: { confirm: null }, refused: 'confirm_mismatch' },
  { name: 'a mint from a dead token needs the right name',         at: 'verify_failed', job: deadHere, on: 'proceed_mint', brings: { confirm: 'PM_SERVER_MAIL' }, refused: 'confirm_mismatch' },
  { name: 'an ordinary mint needs neither',                        at: 'verified', on: 'proceed_mint', brings: { confirm: null, acknowledgeDead: false, ticketId: null }, refused: null },
  { name: 'confirm must match at the mint gate where it is given',  at: 'verified', on: 'proceed_mint', brings: { confirm: 'PM_SERVER_MAIL' }, refused: 'confirm_mismatch' },
  { name: 'the revoke gate needs a ticket',                        at: 'validated', on: 'proceed_revoke', brings: { ticketId: null }, refused: 'ticket_required' },
  { name: 'an empty ticket is none',                               at: 'validated', on: 'proceed_revoke', brings: { ticketId: '' }, refused: 'ticket_required' },
  { name: 'the ticket may have been given at creation',            at: 'validated', job: { ticketId: 'ROT-2026-X' }, on: 'proceed_revoke', brings: { ticketId: null }, refused: null },
  { name: 'a ticket of any form will do',                          at: 'validated', on: 'proceed_revoke', brings: { ticketId: '17' }, refused: null },
  { name: 'confirm may be left out at the revoke gate',            at: 'validated', on: 'proceed_revoke', brings: { confirm: null }, refused: null },
  { name: 'confirm must match where it is given',                  at: 'validated', on: 'proceed_revoke', brings: { confirm: 'PM_SERVER_MAIL' }, refused: 'confirm_mismatch' },
  { name: 'who minted may not revoke under the two-person gate',   at: 'validated', job: twoPerson, on: 'proceed_revoke', brings: { actor: mona }, refused: 'two_persons_required' },
  { name: 'nor anybody where it is not known who did',              at: 'validated', job: { twoPerson: true, mintedBy: null }, on: 'proceed_revoke', brings: { actor: otto }, refused: 'two_persons_required' },
  { name: 'another person may',                                    at: 'validated', job: twoPerson, on: 'proceed_revoke', brings: { actor: otto }, refused: null },
  { name: 'without the gate who minted may revoke',                at: 'validated', job: { mintedBy: 'mona' }, on: 'proceed_revoke', brings: { actor: mona }, refused: null },
  { name: 'who minted may not mark it revoked',                    at: 'revoke_failed', job: twoPerson, on: 'mark_revoked', brings: { actor: mona }, refused: 'two_persons_required' },
  { name: 'who minted may not mark it revoked after an abort',     at: 'aborted', job: { ...twoPerson, ...left }, on: 'mark_revoked', brings: { actor: mona }, refused: 'two_persons_required' },
  { name: 'nor anybody after an abort where it is not known who did', at: 'aborted', job: { twoPerson: true, mintedBy: null, ...left }, on: 'mark_revoked', brings: { actor: otto }, refused: 'two_persons_required' },
  { name: 'what was promoted had been let pass by another person',  at: 'aborted', job: { twoPerson: true, mintedBy: null, promoted: true, ...left }, on: 'mark_revoked', brings: { actor: otto }, refused: null },
  { name: 'a revoke by hand needs no ticket',                      at: 'revoke_failed', on: 'mark_revoked', brings: { ticketId: null, confirm: null }, refused: null },
  { name: 'a forced revoke names each stale consumer',             at: 'distribute_partial', job: partly, on: 'proceed_revoke', brings: { acknowledgeStale: [] }, refused: 'stale_not_acknowledged' },
  { name: 'a forced revoke says nothing of stale consumers',       at: 'validate_partial', job: partly, on: 'proceed_revoke', brings: { acknowledgeStale: ['other-prod'] }, refused: 'stale_not_acknowledged' },
  { name: 'a forced revoke names no more than the stale ones',     at: 'validate_failed', job: partly, on: 'proceed_revoke', brings: { acknowledgeStale: ['heroku-config-console-prod', 'other-prod'] }, refused: 'stale_not_acknowledged' },
  { name: 'a forced revoke names the same one twice',              at: 'validate_partial', job: partly, on: 'proceed_revoke', brings: { staleConsumers: ['heroku-config-console-prod', 'other-prod'], acknowledgeStale: ['other-prod', 'other-prod'] }, refused: 'stale_not_acknowledged' },
  { name: 'in whichever order',                                    at: 'validate_partial', job: partly, on: 'proceed_revoke', brings: { staleConsumers: ['a-prod', 'b-prod'], acknowledgeStale: ['b-prod', 'a-prod'] }, refused: null },
  { name: 'a forced revoke needs a ticket',                        at: 'validate_partial', job: partly, on: 'proceed_revoke', brings: { ticketId: null }, refused: 'ticket_required' },
  { name: 'a forced revoke where confirm is wrong',                at: 'validate_partial', job: partly, on: 'proceed_revoke', brings: { confirm: 'PM_SERVER_MAIL' }, refused: 'confirm_mismatch' },
  { name: 'a forced revoke needs two persons',                     at: 'validate_partial', job: { ...partly, ...twoPerson }, on: 'proceed_revoke', brings: { actor: mona }, refused: 'two_persons_required' },
  { name: 'at the gate itself nothing is stale',                   at: 'validated', job: { forceRevoke: true }, on: 'proceed_revoke', brings: { acknowledgeStale: [], staleConsumers: [] }, refused: null },
  { name: 'an emergency needs a ticket',                           at: 'rev_init', job: rev, on: 'proceed_revoke', brings: { ticketId: null }, refused: 'ticket_required' },
  { name: 'an emergency needs the credential\'s name',             at: 'rev_init', job: rev, on: 'proceed_revoke', brings: { confirm: null }, refused: 'confirm_mismatch' },
  { name: 'an emergency is exempt from the two-person gate',       at: 'rev_init', job: { ...rev, ...twoPerson }, on: 'proceed_revoke', brings: { actor: mona }, refused: null },
  { name: 'an emergency\'s revoke by hand is exempt too',          at: 'rev_revoke_failed', job: { ...rev, ...twoPerson }, on: 'mark_revoked', brings: { actor: mona }, refused: null },
  { name: 'a leak is not resolved while rows are open',            at: 'rev_leaked', job: { ...rev, tally: tallyOf('failed', 'manual') }, on: 'resolve_leak', brings: {}, refused: 'rows_open' },
];

// Wherever one row is confirmed or skipped it must be one that waits; wherever rows are retried there must be some.
const ofRows = runbook.flatMap((c): readonly Demand[] => {
  const demand = { at: c.at, ...(c.job && { job: c.job }) };
  const of = (on: OperatorEvent, brings: Facts, refused: ErrorCode) =>
    c.operator[on] === undefined
      ? []
      : [{ ...demand, name: `${on} in ${c.at} ${c.when}`, on, brings, refused }];
  const retry =
    phaseOf[c.operator.retry ?? 'init'] === undefined || c.at === 'revoke_failed'
      ? []
      : of('retry', { retryableRows: 0 }, 'nothing_to_retry');
  return [
    ...of('confirm_consumer', { rowAllows: false }, 'row_not_open'),
    ...of('skip_consumer', { rowAllows: false }, 'row_not_open'),
    ...retry,
  ];
});

describe('what a gate asks of the caller', () => {
  test.each([...demands, ...ofRows])('$name → $refused', ({ at, job, on, brings, refused }) => {
    const decision = decide(jobIn({ at, ...(job && { job }) }), on, { ...everythingBrought, ...brings });
    expect(decision.verdict === 'refused' ? decision.code : decision.verdict).toBe(refused ?? 'go');
  });
});

const went = (c: Pick<Circumstance, 'at' | 'job'>, on: DecidedEvent, facts: Facts = everythingBrought) => {
  const decision = decide(jobIn(c), on, facts);
  if (decision.verdict !== 'go') throw new Error(`${c.at} refuses ${on}`);
  return decision;
};

describe('what a step leaves in the record', () => {
  // Before `verify` nothing is held; the fence is the credential's, and another job's attempt may hold it.
  const holding = runbook.filter(
    (c) => c.operator.abort && !['init', 'rev_init'].includes(c.at) && c.job?.flowType !== 'testing',
  );

  test.each(holding)('abort from $at ($when) raises the fence and keeps the claim for the cleanup', (c) => {
    expect(went(c, 'abort')).toMatchObject({
      raiseFence: true,
      claim: 'keep',
      patch: { cleanup: 'pending' },
    });
  });

  test.each([{ at: 'init' }, { at: 'rev_init', job: rev }] as const)(
    'abort from $at has nothing to clean up',
    (c) => {
      expect(went(c, 'abort')).toMatchObject({ claim: 'none', patch: { cleanup: 'done' } });
    },
  );

  test.each(runbook.filter((c) => c.worker.preempted !== undefined))(
    '$at ($when), taken over, is fenced off with nothing left to clean up',
    (c) => {
      expect(went(c, 'preempted')).toMatchObject({ raiseFence: true, patch: { cleanup: 'done' } });
    },
  );

  test('a job holds its claim from verify until it is done or cleaned up', () => {
    expect(went({ at: 'init' }, 'verify').claim).toBe('take');
    expect(went({ at: 'init', job: { flowType: 'testing' } }, 'verify').claim).toBe('none');
    expect(went({ at: 'revoking', job: { promoting: true } }, 'revoke_succeeded').claim).toBe('free');
    const cleaning = { at: 'aborted', job: { cleanup: 'pending', currentState: 'alive' } } as const;
    expect(went(cleaning, 'cleanup_finished')).toMatchObject({ claim: 'free', patch: { cleanup: 'done' } });
    expect(went(cleaning, 'cleanup_blocked')).toMatchObject({
      claim: 'keep',
      patch: { cleanup: 'needs_person' },
    });
    expect(went({ at: 'rev_init', job: rev }, 'proceed_revoke').claim).toBe('take');
  });

  test('a value is awaited until it is submitted or nobody wants it any more', () => {
    const awaiting = { at: 'minting', job: { awaiting: 'operator_value' } } as const;
    expect(went({ at: 'minting' }, 'value_awaited').patch.awaiting).toBe('operator_value');
    for (const on of ['submit_value', 'abort', 'preempted'] as const)
      expect(went(awaiting, on).patch.awaiting).toBeNull();
  });

  test('the point of no return is recorded before anything is promoted', () => {
    expect(went({ at: 'revoking' }, 'promotion_begun').patch.promoting).toBe(true);
  });

  test('the first leaking row raises the alarm, each later one brings it up to date', () => {
    expect(went({ at: 'rev_validating', job: rev }, 'row_leaked').effects).toContain('page_leak');
    expect(went({ at: 'rev_leaked', job: rev }, 'row_leaked').effects).toContain('update_alarm');
  });

  test('a restore, a revoke by hand and a residual that is closed go through the cleanup again', () => {
    for (const on of ['restore', 'mark_revoked'] as const)
      expect(went({ at: 'aborted', job: left }, on).patch.cleanup).toBe('pending');
    expect(went({ at: 'aborted', job: stale }, 'resolve_residual').patch.cleanup).toBe('pending');
  });

  test('a confirmation moves one row and not the job', () => {
    const failed = { at: 'distribute_failed', job: { tally: tallyOf('failed', 'failed') } } as const;
    expect(went(failed, 'confirm_consumer')).toMatchObject({ to: 'distribute_failed', enters: false });
    expect(went(failed, 'retry')).toMatchObject({ to: 'distributing', enters: true });
  });
});
