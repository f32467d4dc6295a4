// What a decision of the table writes, given who speaks and what they bring: the record's fields, the event, the tasks, and what becomes of a job that it takes the credential from.
import { VelvetError } from './lib/errors.ts';
import type { Fence } from './lib/lease.ts';
import { eventOf, systemOperator } from './redis/events.ts';
import {
  changeFields,
  type Alarming,
  type Change,
  type Preempted,
  type RowWrite,
} from './redis/job-writes.ts';
import { tasksOf } from './rotation/effects.ts';
import { encodePatch, type JobPatch } from './rotation/job-record.ts';
import { isOver, type Actor, type Job } from './rotation/job.ts';
import { decide, decideClosing, type Decision, type JobEvent } from './rotation/machine.ts';
import type { Facts } from './rotation/guards.ts';
import type { Row, Tally } from './rotation/rows.ts';
import type { Status } from './rotation/statuses.ts';

/** Who speaks: an operator, held back by the version; or an attempt of a task, held back by status_version and fence. */
export type Speaker =
  | { readonly kind: 'operator'; readonly actor: Actor; readonly version: number | undefined }
  | {
      readonly kind: 'attempt';
      readonly fence: Fence | null;
      readonly statusVersion: number;
      /** What the attempt has read of the row that it settles. Tried first; the scripts refuse it where it is no longer so. */
      readonly read?: RowRead;
    };

export interface RowRead {
  readonly job: Job;
  readonly row: Row;
}

export interface Applied {
  readonly facts?: Facts;
  readonly patch?: JobPatch;
  /** For the audit trail; must hold no value. */
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly rows?: readonly Row[];
  readonly tally?: Tally;
  /** Whose claim the job takes: another job, which is stopped in the same moment, or an adoption that died. */
  readonly preempts?: { readonly claimant: string; readonly job: Job | null; readonly patch: JobPatch };
  /** How many versions to leave out: those that the job had in a future that Redis lost are not given to another present. */
  readonly forgotten?: number;
}

/** For each way in which this row can close its phase, what is written then. */
export function closingsOf(at: Moment): ReturnType<RowWrite['closings']> {
  const { job, now } = at;
  const entries = Object.entries(decideClosing(job)).map(([outcome, decision]) => {
    const closing = changeOf({ ...at, on: 'rows_closed', decision }, { ...decision.patch }, { outcome });
    const fields = changeFields(job, { ...closing, enters: decision.enters, now });
    const closes = isOver(jobAfter(job, decision, decision.patch));
    const frees = decision.claim === 'free';
    return [outcome, { ...closing, ...alarmOf(decision, now), fields, frees, closes }] as const;
  });
  return Object.fromEntries(entries);
}

/** Where a row's own step leads its job, and whom it alarms. Null where the table has no word for it in this status. */
export function ownMove(on: JobEvent, at: Moment): OwnMove | null {
  const { job, now } = at;
  const decision = decide(job, on, { rowAllows: true });
  if (decision.verdict !== 'go') return null;
  const alarm = alarmOf(decision, now);
  if (!decision.enters) return { on, enters: false, to: undefined, writes: alarm };
  const change = changeOf({ ...at, on, decision }, decision.patch, {});
  const { keepsTasks } = decision;
  const fields = changeFields(job, { ...change, keepsTasks, enters: true, now });
  return { on, enters: true, to: decision.to, writes: { ...alarm, moves: { ...change, fields } } };
}

/** A leak alarms, and whatever changes of one is told; the end of an emergency only where there was one. */
export function alarmOf({ effects, to, enters }: Decision, at: number): { readonly alarm?: Alarming } {
  if (!effects.some((effect) => effect === 'page_leak' || effect === 'update_alarm')) return {};
  if (to === 'rev_done') return { alarm: { at, fresh: false, known: true } };
  return { alarm: { at, fresh: enters } };
}

interface OwnMove {
  readonly on: JobEvent;
  readonly enters: boolean;
  readonly to: Status | undefined;
  readonly writes: Pick<RowWrite, 'moves' | 'alarm'>;
}

/** What is written to the job whose credential is taken. Throws `rotation_open` where it is not one that can be stopped like this. */
export function preempted(
  { claimant, job, patch }: NonNullable<Applied['preempts']>,
  { by, now }: Omit<Moment, 'job'>,
): Preempted {
  if (job === null) return { claimant, stops: null };
  const decision = decide(job, 'preempted');
  if (decision.verdict !== 'go')
    throw new VelvetError('rotation_open', `${job.jobId} in ${job.status} cannot be preempted`, {
      detail: `Job ${job.jobId} stands in ${job.status}, and cannot be taken over. Read it: its \`allowed_actions\` say what it takes.`,
      extra: { active_job_id: job.jobId, job_status: job.status },
    });
  const whole = { ...decision.patch, ...patch, ...moverPatch(by) };
  const change = changeOf({ job, by, now, on: 'preempted', decision }, whole, {});
  const closes = isOver(jobAfter(job, decision, whole));
  return { claimant, stops: { ...change, job, closes, enters: decision.enters } };
}

export interface Moment {
  readonly job: Job;
  readonly by: Speaker;
  readonly now: number;
}

export function changeOf(
  at: Moment & { readonly on: JobEvent; readonly decision: Decision; readonly version?: number },
  patch: JobPatch,
  detail: Readonly<Record<string, unknown>>,
): Change {
  const { job, decision, version = job.version + 1 } = at;
  return {
    version,
    patch,
    ...(decision.enters ? { status: decision.to } : {}),
    events: [eventOf({ ...at, operatorId: personOf(at.by) }, at.on, { to: decision.to, detail })],
    tasks: tasksOf(job, decision.effects, version),
  };
}

export function personOf(by: Speaker): string {
  return by.kind === 'operator' ? by.actor.operatorId : systemOperator;
}

export function moverPatch(by: Speaker): JobPatch {
  return by.kind === 'operator'
    ? { moved_by: by.actor.operatorId, moved_by_slack: by.actor.slackUserId }
    : {};
}

// An operator's step on a row counts as a version, so that another operator's `version` tells them that they did not see it.
export function operatorFields(job: Job, actor: Actor, now: number): Record<string, string> {
  const mover = moverPatch({ kind: 'operator', actor, version: undefined });
  return { ...encodePatch({ ...mover, updated_at: now }), version: String(job.version + 1) };
}

/** The job as the change leaves it, as far as its kind depends on it. */
export function jobAfter(job: Job, decision: Decision, patch: JobPatch): Job {
  const { cleanup = job.cleanup, awaiting = job.awaiting, phase = job.phase } = patch as Partial<Job>;
  return { ...job, status: decision.to, cleanup, awaiting, phase };
}
