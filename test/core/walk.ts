// Walks every path of the table from a new job, keeping of the record what the paths differ in.
import type { JobPatch } from '../../shared/rotation/job-record.ts';
import type { Job } from '../../shared/rotation/job.ts';
import { decide, transitions, type Decision, type JobEvent } from '../../shared/rotation/machine.ts';
import { together } from './guard-cases.ts';
import { jobOf } from './job-of.ts';

export interface Place {
  readonly status: Job['status'];
  readonly flowType: Job['flowType'];
  readonly phase: Job['phase'];
  readonly step: Job['step'];
  readonly awaiting: Job['awaiting'];
  readonly cleanup: Job['cleanup'];
  readonly claimed: boolean;
  /** Whether an aborted job held the claim when it was stopped. */
  readonly from: 'claimed' | 'unclaimed' | null;
}

export interface Step {
  readonly visit: Visit;
  readonly row: (typeof transitions)[number];
  readonly decision: Decision;
}

export interface Visit {
  readonly at: Place;
  readonly steps: readonly Step[];
}

const unopened = {
  phase: null,
  step: null,
  awaiting: null,
  cleanup: null,
  claimed: false,
  from: null,
} as const;
export const openings: readonly Place[] = [
  { status: 'init', flowType: 'operational', ...unopened },
  { status: 'init', flowType: 'testing', ...unopened },
  { status: 'rev_init', flowType: 'revocation', ...unopened },
];

/** Every place that can be reached, each with the rows that lead on from there. */
export function walk(): readonly Visit[] {
  const visits: Visit[] = [];
  const seen = new Map(openings.map((place) => [JSON.stringify(place), place]));
  for (const [, at] of seen) {
    const steps: Step[] = [];
    const visit = { at, steps };
    for (const row of transitions.filter((candidate) => candidate.from === at.status)) {
      const decision = stepFrom(at, row);
      if (decision === null) continue;
      steps.push({ visit, row, decision });
      const next = after(at, decision);
      seen.set(JSON.stringify(next), next);
    }
    visits.push(visit);
  }
  return visits;
}

function stepFrom(at: Place, row: (typeof transitions)[number]): Decision | null {
  // No worker is at work where a value is awaited, or on a cleanup that is not pending: a report of one is a late one, held back by its fence.
  const late =
    row.by === 'worker' &&
    row.on !== 'preempted' &&
    (at.awaiting !== null ||
      (at.status === 'aborted' && at.cleanup !== 'pending' && at.cleanup !== 'waiting'));
  // A test holds no claim that an emergency could take over.
  if (late || (row.on === 'preempted' && at.flowType === 'testing')) return null;
  const { job, facts } = together(row.when ?? []);
  const { status, flowType, phase, step, awaiting, cleanup } = at;
  const decision = decide(
    jobOf({ ...job, status, flowType, phase, step, awaiting, cleanup }),
    row.on as JobEvent,
    facts,
  );
  const target = row.to === 'same' ? row.from : row.to;
  return decision.verdict === 'go' && decision.to === target ? decision : null;
}

function after(at: Place, decision: Decision): Place {
  const kept = <K extends keyof JobPatch & keyof Place>(key: K) =>
    decision.patch[key] === undefined ? at[key] : (decision.patch[key] as Place[K]);
  return {
    status: decision.to,
    flowType: at.flowType,
    phase: kept('phase'),
    step: kept('step'),
    awaiting: kept('awaiting'),
    cleanup: kept('cleanup'),
    claimed: decision.claim === 'take' || (at.claimed && decision.claim !== 'free'),
    from: at.from ?? (decision.to === 'aborted' ? (at.claimed ? 'claimed' : 'unclaimed') : null),
  };
}
