// Enumerates the table of one consumer's row and the arithmetic over rows: what a phase's end means is decided here alone.
import { describe, expect, test } from 'vitest';
import { kindOf } from '../../shared/rotation/job.ts';
import {
  addTally,
  closedOutcomes,
  emptyTally,
  newRow,
  outcomeOf,
  parseRow,
  phases,
  rowsToOpen,
  rowStatuses,
  rowStep,
  rowTransitions,
  statusIn,
  tally,
  tallyDelta,
  tallyKeys,
  withStatus,
  type Outcome,
  type Phase,
  type Row,
  type RowEvent,
  type RowStatus,
  type Tally,
} from '../../shared/rotation/rows.ts';
import { publicRow } from '../../shared/rotation/view.ts';
import { jobOf, tallyOf, type Standing } from './job-of.ts';

const events = [...new Set(rowTransitions.map((row) => row.on))] as readonly RowEvent[];
const opened: readonly RowStatus[] = ['in_progress', 'manual_required'];

const standing: Record<RowStatus, Standing> = {
  pending: 'pending',
  in_progress: 'going',
  succeeded: 'ok',
  failed: 'failed',
  manual_required: 'manual',
  skipped: 'skipped',
};

function rowOf(status: RowStatus, phase: Phase = 'distribute', wave = 1, name = `w${wave}-prod`): Row {
  const pinned = {
    consumer_id: name,
    update_method: 'HEROKU_CONFIG_PATCH',
    wave,
    healthcheck_endpoint: null,
    healthcheck_success_status: 200,
    healthcheck_after: 0,
  };
  return withStatus(newRow(pinned, 1_000), phase, status);
}

/** Every way in which `n` rows can stand. */
function combinations(n: number): readonly (readonly RowStatus[])[] {
  if (n === 0) return [[]];
  return combinations(n - 1).flatMap((rest) => rowStatuses.map((status) => [...rest, status]));
}

const upToThree = [0, 1, 2, 3].flatMap(combinations);

describe('the row table', () => {
  // The specification's words, typed in again: what may happen to a row that stands so, and how it stands then.
  // oxfmt-ignore
  const expected: Record<RowStatus, Partial<Record<RowEvent, RowStatus>>> = {
    pending:         { open: 'in_progress' },
    in_progress:     { succeed: 'succeeded', fail: 'failed', need_person: 'manual_required' },
    failed:          { retry: 'pending', confirm: 'succeeded', skip: 'skipped' },
    manual_required: { confirm: 'succeeded', skip: 'skipped', prove_again: 'pending' },
    succeeded:       { prove_again: 'pending' },
    skipped:         { retry: 'pending' },
  };

  test.each(
    rowStatuses.flatMap((from) => events.map((on) => ({ from, on, to: expected[from][on] ?? null }))),
  )('$from, $on → $to', ({ from, on, to }) => {
    expect(rowStep(from, on)).toBe(to);
  });

  test('a status and an event lead to one status', () => {
    expect(new Set(rowTransitions.map(({ from, on }) => `${from} ${on}`)).size).toBe(rowTransitions.length);
  });

  test('each status is reached from `pending`, and a skip can be taken back', () => {
    const seen = new Set<RowStatus>(['pending']);
    for (const from of seen) for (const on of events) seen.add(rowStep(from, on) ?? from);
    expect([...seen].toSorted()).toEqual([...rowStatuses].toSorted());
    expect(events.map((on) => rowStep('skipped', on)).filter((to) => to !== null)).toEqual(['pending']);
  });

  test('a phase moves its own status alone; proving again is proving', () => {
    for (const phase of phases) {
      const moved = rowOf('failed', phase);
      expect(statusIn(moved, phase)).toBe('failed');
      expect([moved.distribute_status, moved.validate_status].toSorted()).toEqual(['failed', 'pending']);
    }
    expect(statusIn(rowOf('failed', 'prove'), 'validate')).toBe('failed');
  });
});

describe('counting', () => {
  test('three rows, in every combination and phase, are counted as a person would', () => {
    for (const phase of phases)
      for (const statuses of upToThree)
        expect(
          tally(
            statuses.map((status) => rowOf(status, phase)),
            phase,
          ),
        ).toEqual(tallyOf(...statuses.map((status) => standing[status])));
  });

  test('each row is pending, open, failed or settled, and only one of them', () => {
    for (const statuses of upToThree) {
      const t = tally(
        statuses.map((status) => rowOf(status)),
        'distribute',
      );
      expect(t.pending + t.open + t.failed + t.ok).toBe(t.total);
      expect(t.manual).toBeLessThanOrEqual(t.open);
      expect(t.proven).toBeLessThanOrEqual(t.ok);
    }
  });

  test('a step changes the counts by the difference between before and after', () => {
    for (const others of combinations(2))
      for (const from of rowStatuses)
        for (const to of rowStatuses) {
          const [before, after] = [from, to].map((status) =>
            tally(
              [...others, status].map((each) => rowOf(each)),
              'distribute',
            ),
          );
          expect(addTally(before ?? emptyTally, tallyDelta(from, to))).toEqual(after);
        }
  });
});

/** How a phase stands, by the specification's words and the rows themselves, without counts. */
function outcomeInWords(statuses: readonly RowStatus[]): Outcome {
  const any = (status: RowStatus) => statuses.includes(status);
  if (statuses.some((status) => opened.includes(status))) return 'open';
  if (!any('failed')) {
    // A wave is complete and a later one exists; else every row has it, if at least one has.
    if (any('pending')) return 'wave';
    return any('succeeded') ? 'all' : 'none';
  }
  // Every row was tried and failed (or was skipped), or some succeeded or are held back.
  return any('succeeded') || any('pending') ? 'some' : 'none';
}

describe('how a phase stands', () => {
  test("up to four rows, in every combination, by the specification's words", () => {
    const found = [...upToThree, ...combinations(4)].map((statuses) => [
      statuses.join(),
      outcomeOf(
        tally(
          statuses.map((status) => rowOf(status)),
          'distribute',
        ),
      ),
    ]);
    expect(found).toEqual(
      [...upToThree, ...combinations(4)].map((statuses) => [statuses.join(), outcomeInWords(statuses)]),
    );
  });

  test('it is open, or closed in one of four ways, and each of them occurs', () => {
    const seen = new Set(
      upToThree.map((statuses) =>
        outcomeOf(
          tally(
            statuses.map((status) => rowOf(status)),
            'distribute',
          ),
        ),
      ),
    );
    expect([...seen].toSorted()).toEqual(['open', ...closedOutcomes].toSorted());
  });

  test('whatever the counts, there is an answer', () => {
    const small = [0, 1, 2];
    const counts = small.flatMap((pending) =>
      small.flatMap((open) =>
        small.flatMap((failed) =>
          small.flatMap((ok) => [0, ok].map((proven) => ({ pending, open, failed, ok, proven }))),
        ),
      ),
    );
    for (const each of counts) {
      const t: Tally = {
        ...each,
        manual: each.open,
        total: each.pending + each.open + each.failed + each.ok,
      };
      expect(['open', ...closedOutcomes]).toContain(outcomeOf(t));
    }
  });

  test.each([
    { what: 'no row at all', statuses: [] },
    { what: 'rows that were all skipped', statuses: ['skipped', 'skipped'] as const },
  ])('$what do not read as "all"', ({ statuses }) => {
    expect(
      outcomeOf(
        tally(
          statuses.map((status) => rowOf(status)),
          'distribute',
        ),
      ),
    ).toBe('none');
  });
});

const names = (rows: readonly Row[]) => rows.map((row) => row.consumer_id);
const waves = (...rows: readonly (readonly [number, RowStatus])[]) =>
  rows.map(([wave, status], n) => rowOf(status, 'distribute', wave, `r${n}`));

describe('which rows open', () => {
  // oxfmt-ignore
  test.each([
    { what: 'the first wave, whatever its number and wherever it stands', rows: waves([5, 'pending'], [2, 'pending'], [5, 'pending'], [2, 'pending']), open: ['r1', 'r3'] },
    { what: 'the next wave where the first is complete',                  rows: waves([1, 'succeeded'], [1, 'skipped'], [2, 'pending'], [3, 'pending']), open: ['r2'] },
    { what: 'what is retried, before any later wave',                     rows: waves([1, 'pending'], [1, 'failed'], [2, 'pending']), open: ['r0'] },
    { what: 'no later wave while one before it is under way',             rows: waves([1, 'in_progress'], [1, 'manual_required'], [2, 'pending']), open: [] },
    { what: 'no later wave while a row of one before it has failed',      rows: waves([1, 'succeeded'], [1, 'failed'], [2, 'pending']), open: [] },
    { what: 'nothing where nothing is pending',                           rows: waves([1, 'succeeded'], [2, 'failed']), open: [] },
  ])('distribute: $what', ({ rows, open }) => {
    expect(names(rowsToOpen(rows, 'distribute'))).toEqual(open);
  });

  test('validate: all together, whatever their waves', () => {
    const rows = [
      rowOf('pending', 'validate', 1, 'a'),
      rowOf('succeeded', 'validate', 1, 'b'),
      rowOf('pending', 'validate', 2, 'c'),
    ];
    expect(names(rowsToOpen(rows, 'validate'))).toEqual(['a', 'c']);
    expect(names(rowsToOpen(rows, 'prove'))).toEqual(['a', 'c']);
  });
});

describe('the kind of a moment, by its rows', () => {
  test('a phase waits for a person exactly where rows are open and each of them needs one', () => {
    for (const statuses of upToThree) {
      const t = tally(
        statuses.map((status) => rowOf(status)),
        'distribute',
      );
      const open = statuses.filter((status) => opened.includes(status));
      const waits = open.length > 0 && open.every((status) => status === 'manual_required');
      expect([statuses, kindOf(jobOf({ status: 'distributing', phase: 'distribute', tally: t }))]).toEqual([
        statuses,
        waits ? 'gate' : 'automatic',
      ]);
      expect(kindOf(jobOf({ status: 'validating', phase: 'validate', tally: t }))).toBe(
        waits ? 'gate' : 'automatic',
      );
    }
  });
});

describe('a row', () => {
  test('survives Redis as it was', () => {
    const row = rowOf('manual_required', 'validate');
    expect(parseRow(JSON.stringify(row))).toEqual(row);
  });

  test('that is not one is refused', () => {
    expect(() => parseRow('{}')).toThrow('consumer_id');
    expect(() => parseRow(JSON.stringify({ ...rowOf('pending'), distribute_status: 'done' }))).toThrow(
      'distribute_status',
    );
  });

  test("is shown with its times in words and without what is Velvet's own", () => {
    const shown = publicRow({ ...rowOf('succeeded'), proven_at: 0 });
    expect(shown).toMatchObject({
      consumer_id: 'w1-prod',
      wave: 1,
      distribute_status: 'succeeded',
      proven_at: '1970-01-01T00:00:00.000Z',
      paced_until: null,
    });
    for (const own of ['rev', 'pinned', 'started', 'receipt']) expect(shown).not.toHaveProperty(own);
  });

  test('has every count of a tally in `tallyKeys`', () => {
    expect([...tallyKeys].toSorted()).toEqual(Object.keys(emptyTally).toSorted());
  });
});
