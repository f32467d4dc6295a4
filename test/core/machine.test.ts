// Enumerates the table of transitions: what must be true of every row, every status and every path, whatever the rows say.
import { describe, expect, test } from 'vitest';
import type { Effect } from '../../shared/rotation/effects.ts';
import { kindOf, type Job } from '../../shared/rotation/job.ts';
import { guards, type Facts, type GuardName } from '../../shared/rotation/guards.ts';
import {
  decide,
  operatorActionNames,
  operatorActions,
  transitions,
  type JobEvent,
} from '../../shared/rotation/machine.ts';
import { statusNames, statuses, type Status } from '../../shared/rotation/statuses.ts';
import { guardCases, together } from './guard-cases.ts';
import { jobOf, tallyOf } from './job-of.ts';

type Row = (typeof transitions)[number];

const events = [...new Set(transitions.map((row) => row.on))] as readonly JobEvent[];
const ends = statusNames.filter((status) => statuses[status].kind === 'end');
const target = (row: Row): Status => (row.to === 'same' ? row.from : row.to);
const exits = (status: Status) => transitions.filter((row) => row.from === status && target(row) !== status);
const about = (row: Row) => (row.when ?? []).map((name) => guards[name].about);
const tellsOnly: readonly Effect[] = ['notify', 'page_leak', 'update_alarm'];
const moving = (row: Row) => (row.effects ?? []).filter((effect) => !tellsOnly.includes(effect));
const named = (row: Row) => `${row.from} --${row.on}${row.when ? `[${row.when.join()}]` : ''}--> ${row.to}`;

/** A job and facts under which all that the row demands is true. */
function inCaseOf(row: Row, without?: GuardName): { job: Job; facts: Facts } {
  const { job, facts } = together(row.when ?? [], without);
  const flowType = row.from.startsWith('rev_') ? 'revocation' : 'operational';
  return { job: jobOf({ status: row.from, flowType, ...job }), facts };
}

/** What comes over a job from outside its own way: an emergency, and a Redis that lost its record. */
const fromOutside: readonly string[] = [
  'preempted',
  'loss_found',
  'loss_put_off',
  'mint_found',
  'verify_forgotten',
];

describe('statuses', () => {
  test.each(statusNames.filter((status) => !ends.includes(status)))('%s has an exit', (status) => {
    expect(exits(status)).not.toEqual([]);
  });

  test('an end has none', () => {
    expect(ends.flatMap(exits)).toEqual([]);
  });

  test.each(statusNames.filter((status) => statuses[status].kind === 'automatic'))(
    'a worker moves %s on',
    (status) => {
      expect(exits(status).filter((row) => row.by === 'worker' && !fromOutside.includes(row.on))).not.toEqual(
        [],
      );
    },
  );

  test.each(statusNames.filter((status) => statuses[status].kind !== 'automatic'))(
    'only a person moves %s on',
    (status) => {
      // Three exceptions: an emergency takes any open job over; one whose record Redis lost is stopped, or goes on from what was found; a person's confirmation may close the phase that a status is parked in.
      const byItself = exits(status).filter(
        (row) => row.by === 'worker' && !fromOutside.includes(row.on) && row.on !== 'rows_closed',
      );
      expect(byItself.map(named)).toEqual([]);
    },
  );

  test('all are reached, and an end is reached from all', () => {
    const edges = transitions.map((row) => [row.from, target(row)] as const);
    const closure = (start: readonly Status[], from: 0 | 1) => {
      const seen = new Set(start);
      for (const status of seen)
        for (const edge of edges) if (edge[from] === status) seen.add(edge[from === 0 ? 1 : 0]);
      return [...seen].toSorted();
    };
    expect(closure(['init', 'rev_init'], 0)).toEqual([...statusNames].toSorted());
    expect(closure(ends, 1)).toEqual([...statusNames].toSorted());
  });
});

describe('rows', () => {
  test.each(transitions.map((row) => ({ name: named(row), row })))(
    '$name is taken where its guards hold, and by its own effects',
    ({ row }) => {
      const { job, facts } = inCaseOf(row);
      const decision = decide(job, row.on as JobEvent, facts);
      expect(decision).toMatchObject({
        verdict: 'go',
        to: target(row),
        enters: row.to !== 'same',
        effects: row.effects ?? [],
      });
    },
  );

  test.each(transitions.filter((row) => row.when !== undefined).map((row) => ({ name: named(row), row })))(
    '$name is not taken where one of its guards does not hold, and the refusal names it',
    ({ row }) => {
      const alone =
        transitions.filter((other) => other.from === row.from && other.on === row.on).length === 1;
      const decisions = (row.when ?? []).map((guard) => {
        const { job, facts } = inCaseOf(row, guard);
        return { guard, decision: decide(job, row.on as JobEvent, facts) };
      });
      const way = { verdict: 'go', to: target(row), patch: row.patch ?? {} };
      for (const { decision } of decisions) expect(decision).not.toMatchObject(way);
      const refusals = decisions.map(({ guard }) => ({
        guard,
        decision: { verdict: 'refused', guards: [guard], code: guards[guard].code },
      }));
      expect(alone ? decisions : refusals).toEqual(refusals);
    },
  );

  test('what is entered and automatic has an effect that moves it, which the sweeper repeats; what is not waits for nobody', () => {
    for (const row of transitions.filter((candidate) => candidate.to !== 'same')) {
      const { job, facts } = inCaseOf(row);
      const decision = decide(job, row.on as JobEvent, facts);
      if (decision.verdict !== 'go') throw new Error(`${named(row)} is refused`);
      const patch = decision.patch as {
        phase?: Job['phase'];
        awaiting?: Job['awaiting'];
        cleanup?: Job['cleanup'];
      };
      const kind = kindOf({ ...job, tally: tallyOf('going'), ...patch, status: decision.to });
      expect([named(row), decision.patch.resume ?? null]).toEqual([
        named(row),
        kind === 'automatic' ? moving(row)[0] : null,
      ]);
      expect([named(row), moving(row).length]).toEqual([named(row), kind === 'automatic' ? 1 : 0]);
    }
  });

  test('who reaches a gate, a failed status or an end is told of it', () => {
    const silent = transitions.filter((row) => {
      const { job, facts } = inCaseOf(row);
      const decision = decide(job, row.on as JobEvent, facts);
      if (decision.verdict !== 'go' || job.flowType === 'testing') return false;
      // An emergency's end was told when it was reached; its vault writes after it concern nobody.
      if (row.from === 'rev_done') return false;
      const parts = decision.patch as Partial<Pick<Job, 'cleanup' | 'awaiting'>>;
      const rests =
        kindOf({ ...job, tally: tallyOf('going'), ...parts, status: decision.to }) !== 'automatic';
      const reached = decision.enters || parts.cleanup !== undefined;
      return reached && rests && !decision.effects.some((effect) => tellsOnly.includes(effect));
    });
    expect(silent.map(named)).toEqual([]);
  });

  test('what is only recorded leaves alone what the sweeper repeats, unless it has work of its own', () => {
    for (const row of transitions.filter((candidate) => candidate.to === 'same')) {
      const { job, facts } = inCaseOf(row);
      const decision = decide(job, row.on as JobEvent, facts);
      expect([named(row), decision.verdict === 'go' && decision.patch.resume]).toEqual([
        named(row),
        moving(row)[0],
      ]);
    }
  });

  test('an event that a status does not know is no transition at all', () => {
    const known = new Set(transitions.map((row) => `${row.from} ${row.on}`));
    const unknown = statusNames.flatMap((status) =>
      events.filter((on) => !known.has(`${status} ${on}`)).map((on) => ({ status, on })),
    );
    expect(unknown.length).toBeGreaterThan(400);
    const everything = together(Object.keys(guards) as GuardName[]).facts;
    expect(
      unknown.filter(
        ({ status, on }) => decide(jobOf({ status }), on, everything).verdict !== 'no_such_transition',
      ),
    ).toEqual([]);
  });

  test("an event is an operator's or a worker's, never both", () => {
    const mixed = events.filter(
      (on) => new Set(transitions.filter((row) => row.on === on).map((row) => row.by)).size > 1,
    );
    expect(mixed).toEqual([]);
    expect([...operatorActionNames].toSorted()).toEqual(
      [...new Set(transitions.filter((row) => row.by === 'operator').map((row) => row.on))].toSorted(),
    );
  });

  test('what is offered is refused for what the caller did not bring, never for the job', () => {
    for (const row of transitions.filter((candidate) => candidate.by === 'operator')) {
      const { job } = inCaseOf(row);
      expect(operatorActions(job)).toContain(row.on);
      for (const action of operatorActions(job)) {
        const decision = decide(job, action, {});
        const blamed = decision.verdict === 'refused' ? decision.guards : [];
        expect([action, decision.verdict, blamed.filter((guard) => guards[guard].about !== 'input')]).toEqual(
          [action, blamed.length > 0 ? 'refused' : 'go', []],
        );
      }
    }
  });
});

describe('guards', () => {
  test.each(Object.keys(guards) as GuardName[])('%s can hold, and can fail', (name) => {
    const { holds, fails } = guardCases[name];
    expect(guards[name].holds(jobOf(holds.job), holds.facts ?? {})).toBe(true);
    expect(guards[name].holds(jobOf(fails.job), fails.facts ?? {})).toBe(false);
  });

  test('each is asked somewhere', () => {
    const asked = new Set(transitions.flatMap((row) => row.when ?? []));
    expect((Object.keys(guards) as GuardName[]).filter((name) => !asked.has(name))).toEqual([]);
  });

  test('how a phase went is asked of rows_closed alone, what the caller brings of operators alone', () => {
    expect(
      transitions.filter((row) => about(row).includes('outcome') && row.on !== 'rows_closed').map(named),
    ).toEqual([]);
    expect(
      transitions.filter((row) => about(row).includes('input') && row.by !== 'operator').map(named),
    ).toEqual([]);
  });
});
