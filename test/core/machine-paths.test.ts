// Enumerates the paths through the table: how phases close, who holds the claim where, and what the effects are.
import { describe, expect, test } from 'vitest';
import { effects, taskId, type Effect, type Task } from '../../shared/rotation/effects.ts';
import type { Job } from '../../shared/rotation/job.ts';
import { guards, type Facts } from '../../shared/rotation/guards.ts';
import { decide, decideClosing, transitions } from '../../shared/rotation/machine.ts';
import { closedOutcomes, type Outcome } from '../../shared/rotation/rows.ts';
import { statusNames, type Status } from '../../shared/rotation/statuses.ts';
import { jobOf } from './job-of.ts';
import { openings, walk, type Visit } from './walk.ts';

type Row = (typeof transitions)[number];
const named = (row: Row) => `${row.from} --${row.on}${row.when ? `[${row.when.join()}]` : ''}--> ${row.to}`;

const visits = walk();
const steps = visits.flatMap((visit) => visit.steps);

const rowsThatHold = (job: Job, on: string, facts: Facts) =>
  transitions.filter(
    (row) =>
      row.from === job.status &&
      row.on === on &&
      (row.when ?? []).every((name) => guards[name].holds(job, facts)),
  );

const held = ({ at }: Pick<Visit, 'at'>) => {
  if (at.flowType === 'testing') return false;
  if (at.status === 'aborted') return at.cleanup !== 'done' && at.cleanup !== 'waiting';
  // An emergency is over when its vault writes begin, and takes the credential once more for them.
  if (at.status === 'rev_done') return at.cleanup === 'pending';
  return !['init', 'rev_init', 'done'].includes(at.status);
};

describe('how a phase closes', () => {
  const flows = ['operational', 'revocation', 'testing'] as const;
  const truths = [true, false] as const;
  const circumstances = flows.flatMap((flowType) =>
    truths.flatMap((promoting) =>
      (['alive', 'dead', null] as const).map((currentState) => ({ flowType, promoting, currentState })),
    ),
  );
  const facts = closedOutcomes.flatMap((outcome) =>
    truths.map((anyRowProven) => ({ outcome, anyRowProven })),
  );

  test.each(statusNames)(
    'at most one row decides in %s, whatever the outcome and whatever is left',
    (status) => {
      const found = circumstances.flatMap((job) =>
        facts.map((fact) => ({
          job,
          fact,
          rows: rowsThatHold(jobOf({ status, ...job }), 'rows_closed', fact).map(named),
        })),
      );
      expect(found.filter(({ rows }) => rows.length > 1)).toEqual([]);
    },
  );

  // Waves are of `distribute` alone; in `rev_validating` a row that is not locked out has already led away (`row_leaked`).
  // oxfmt-ignore
  const closings: readonly { status: Status; job?: Partial<Job>; outcomes: readonly Outcome[] }[] = [
    { status: 'distributing',   outcomes: ['all', 'wave', 'some', 'none'] },
    { status: 'validating',     outcomes: ['all', 'some', 'none'] },
    { status: 'revoking',       outcomes: ['all', 'some', 'none'] },
    { status: 'rev_validating', job: { flowType: 'revocation' }, outcomes: ['all'] },
    { status: 'verifying',      job: { flowType: 'testing', currentState: 'alive' }, outcomes: ['all', 'some', 'none'] },
    { status: 'verifying',      job: { flowType: 'testing', currentState: 'dead' },  outcomes: ['all', 'some', 'none'] },
  ];

  test.each(closings)(
    'exactly one row decides in $status for each of $outcomes',
    ({ status, job, outcomes }) => {
      const asked = facts.filter(({ outcome }) => outcomes.includes(outcome));
      for (const fact of asked)
        expect([fact, rowsThatHold(jobOf({ status, ...job }), 'rows_closed', fact).length]).toEqual([
          fact,
          1,
        ]);
    },
  );

  test('what is decided beforehand is what would be decided then', () => {
    for (const status of statusNames) {
      const job = jobOf({ status, flowType: status.startsWith('rev_') ? 'revocation' : 'operational' });
      const beforehand = decideClosing(job);
      for (const outcome of closedOutcomes) {
        const then = decide(job, 'rows_closed', { outcome, anyRowProven: outcome !== 'none' });
        expect(beforehand[outcome] ?? 'moves nothing').toEqual(
          then.verdict === 'go' ? then : 'moves nothing',
        );
      }
    }
  });
});

describe('paths', () => {
  test('the walk sees each status, each row, and each flow', () => {
    expect(new Set(visits.map(({ at }) => at.status))).toEqual(new Set(statusNames));
    expect(new Set(visits.map(({ at }) => at.flowType))).toEqual(
      new Set(openings.map(({ flowType }) => flowType)),
    );
    const taken = new Set(steps.map((step) => named(step.row)));
    expect(transitions.filter((row) => !taken.has(named(row))).map(named)).toEqual([]);
  });

  test('the claim is taken once, freed once, and never touched without being held', () => {
    const wrong = steps.filter(
      ({ decision, visit }) =>
        (decision.claim === 'take' && visit.at.claimed) ||
        (['keep', 'free'].includes(decision.claim) && !visit.at.claimed),
    );
    expect(
      new Set(
        wrong.map(
          ({ row, decision, visit }) => `${named(row)} ${decision.claim} (cleanup ${visit.at.cleanup})`,
        ),
      ),
    ).toEqual(new Set());
  });

  test("it is held from verify (or from the emergency's revoke) to the end, and never by a test", () => {
    expect(visits.filter((visit) => visit.at.claimed !== held(visit)).map(({ at }) => at)).toEqual([]);
  });

  test('only who stops, takes over or begins fences off what is under way, and only who holds the claim', () => {
    const raising = new Set(steps.filter(({ decision }) => decision.raiseFence).map(({ row }) => row.on));
    expect([...raising].toSorted()).toEqual([
      'abort',
      'cleanup_due',
      'loss_found',
      'mark_revoked',
      'preempted',
      'proceed_revoke',
      'resolve_residual',
      'restore',
      'verify',
      'verify_forgotten',
    ]);
    const idle = steps.filter(
      ({ decision, visit }) => decision.raiseFence && !visit.at.claimed && decision.claim !== 'take',
    );
    expect(idle.map(({ row }) => named(row))).toEqual([]);
    const workers = steps.filter(
      ({ row, decision }) =>
        row.by === 'worker' &&
        decision.raiseFence &&
        !['preempted', 'loss_found', 'verify_forgotten', 'cleanup_due'].includes(row.on),
    );
    expect(workers.map(({ row }) => named(row))).toEqual([]);
  });

  test("each row phase writes its own of a row's statuses", () => {
    const phaseOf: Partial<Record<Status, string>> = {
      distributing: 'distribute',
      distribute_partial: 'distribute',
      distribute_failed: 'distribute',
      validating: 'validate',
      validate_partial: 'validate',
      validate_failed: 'validate',
    };
    const wrong = visits.filter(
      ({ at }) => phaseOf[at.status] !== undefined && at.phase !== phaseOf[at.status],
    );
    expect(wrong.map(({ at }) => at)).toEqual([]);
    expect(
      visits.filter(({ at }) => at.status === 'revoking' && at.step === 'prove' && at.phase !== 'prove'),
    ).toEqual([]);
    expect(
      visits.filter(({ at }) => at.status === 'revoking' && at.step !== 'prove' && at.phase === 'prove'),
    ).toEqual([]);
  });

  test('a value is awaited in `minting` alone', () => {
    expect(
      visits.filter(({ at }) => at.awaiting !== null && at.status !== 'minting').map(({ at }) => at),
    ).toEqual([]);
  });

  test('an aborted job says where its cleanup stands, and of the others an emergency alone that took something over', () => {
    expect(
      visits
        .filter(({ at }) => at.status !== 'rev_done' && (at.cleanup !== null) !== (at.status === 'aborted'))
        .map(({ at }) => at),
    ).toEqual([]);
  });

  test('a cleanup that is pending is enqueued, and none is enqueued that is not', () => {
    const pending = (row: Row) => row.patch?.cleanup === 'pending';
    const enqueued = (row: Row) =>
      (row.effects ?? []).some((effect) => effect === 'enqueue_cleanup' || effect === 'enqueue_rev_cleanup');
    expect(transitions.filter(pending).length).toBeGreaterThan(0);
    expect(transitions.filter((row) => pending(row) !== enqueued(row)).map(named)).toEqual([]);
  });

  test('what opens rows is told when they are open', () => {
    const opening = transitions.filter((row) => (row.effects ?? []).some((effect) => effect === 'open_rows'));
    const told = new Set(transitions.filter((row) => row.on === 'rows_opened').map((row) => row.from));
    expect(opening.length).toBeGreaterThan(0);
    expect(opening.filter((row) => !told.has(row.to === 'same' ? row.from : row.to)).map(named)).toEqual([]);
  });

  // oxfmt-ignore
  const stepOf: Partial<Record<Effect, string>> = { open_rows: 'prove', enqueue_revoke: 'promote', enqueue_revoke_check: 'check' };
  test('each step of `revoking` is begun by its own effect', () => {
    const begun = steps.filter(({ row, decision }) => row.to === 'revoking' && decision.enters);
    const found = begun.map(({ row, decision, visit }) => [named(row), decision.patch.step ?? visit.at.step]);
    expect(found).toEqual(
      begun.map(({ row, decision }) => [named(row), stepOf[decision.effects[0] ?? 'notify']]),
    );
  });

  test('a job that is done has no step left', () => {
    expect(visits.filter(({ at }) => at.status === 'done' && at.step !== null).map(({ at }) => at)).toEqual(
      [],
    );
  });

  test('`revoking` always knows which of its steps comes next', () => {
    expect(
      visits.filter(({ at }) => at.status === 'revoking' && at.step === null).map(({ at }) => at),
    ).toEqual([]);
  });
});

describe('effects', () => {
  test("each that a row names exists; each that exists is a row's, or one consumer's", () => {
    const used = new Set(transitions.flatMap((row) => row.effects ?? []));
    expect([...used].filter((effect) => !Object.hasOwn(effects, effect))).toEqual([]);
    const unused = (Object.keys(effects) as Effect[]).filter((effect) => !used.has(effect));
    expect(unused.toSorted()).toEqual([
      'inspect_row',
      'lockout_row',
      'probe_row',
      'push_row',
      'read_back_row',
      // Found by whoever sweeps: that time has passed is no transition.
      'tell_overdue',
      'tell_stuck',
    ]);
  });

  test("a task's id is the same for the same task, another for another, and one that BullMQ accepts", () => {
    const base: Task = {
      effect: 'push_row',
      credential: 'HK',
      env: 'prod',
      jobId: 'j1',
      version: 3,
      kick: 0,
      consumerId: 'app-prod',
    };
    const { consumerId: _, ...wholeJob } = base;
    const others: readonly Task[] = [
      base,
      wholeJob,
      { ...base, effect: 'probe_row' },
      { ...base, jobId: 'j2' },
      { ...base, version: 4 },
      { ...base, kick: 1 },
      { ...base, consumerId: 'other-prod' },
    ];
    const ids = others.map(taskId);
    expect(new Set(ids).size).toBe(others.length);
    expect(taskId({ ...base, fence: '7-abcdefgh' })).toBe(taskId(base));
    for (const id of ids) expect(id).toMatch(/^[a-z_]+\.[^:]+$/);
    expect(ids[0]).toBe('push_row.j1.3.0.app-prod');
  });
});
