// What the row tasks share: is the row still this task's, and how is its end written.
import { shortFingerprint, type Secret } from '../../shared/lib/secret.ts';
import { VelvetError, isVelvetError } from '../../shared/lib/errors.ts';
import type { Task } from '../../shared/rotation/effects.ts';
import type { Job } from '../../shared/rotation/job.ts';
import {
  rowStep,
  statusIn,
  withStatus,
  type Phase,
  type Row,
  type RowEvent,
} from '../../shared/rotation/rows.ts';
import type { Times } from '../../shared/times.ts';
import type { RowRead, Speaker } from '../../shared/changes.ts';
import type { RowChange } from '../../shared/transition.ts';
import type { Handler } from '../run.ts';
import type { CoreDeps, ValueDeps } from './deps.ts';

export interface OpenRow {
  readonly job: Job;
  readonly row: Row;
  readonly phase: Phase;
  readonly task: Task;
}

/** The row, where it is in progress in the phase that the task was made for and no later attempt has the fence, if the job has one; else null. */
export async function presentRow(deps: CoreDeps, task: Task): Promise<OpenRow | null> {
  const standing = task.consumerId === undefined ? null : await deps.store.standing(task, task.consumerId);
  if (standing === null) return null;
  const { job, row, fence } = standing;
  if (job.statusVersion !== task.version || job.phase === null) return null;
  if (task.fence !== undefined && fence !== task.fence) return null;
  if (statusIn(row, job.phase) !== 'in_progress') return null;
  return { job, row, phase: job.phase, task };
}

/**
 * The new value, for this row. An abort empties its slot under a task that slept: such an attempt is stale, and throws
 * `stale_version`. Where the row is still this task's, a value that is missing or another is what `Values` says of it.
 */
export async function nextValue(deps: CoreDeps & Pick<ValueDeps, 'values'>, open: OpenRow): Promise<Secret> {
  try {
    return await deps.values.next(open.job);
  } catch (error) {
    const broken = isVelvetError(error) && error.code === 'invariant_broken';
    if (!broken || (await presentRow(deps, open.task)) !== null) throw error;
    throw new VelvetError('stale_version', `job ${open.job.jobId} moved on, and its value with it`);
  }
}

export function rowSpeaker(task: Task, read?: RowRead): Speaker {
  const speaker = { kind: 'attempt', fence: task.fence ?? null, statusVersion: task.version } as const;
  return read === undefined ? speaker : { ...speaker, read };
}

/** A row of a task's own: as the task has read it, which is tried first, or to be read when it is written. */
export type RowAt = Task | OpenRow;

function speakerAt(at: RowAt): { readonly task: Task; readonly by: Speaker } {
  return 'task' in at ? { task: at.task, by: rowSpeaker(at.task, at) } : { task: at, by: rowSpeaker(at) };
}

/** Ends the row's phase, unless something else ended it meanwhile. */
export async function endRow(
  deps: CoreDeps,
  at: RowAt,
  on: RowEvent,
  ending: (row: Row, job: Job) => { row: Row; event: string; detail?: Record<string, unknown> },
): Promise<void> {
  const { task, by } = speakerAt(at);
  await deps.transitions.settleRow(task, task.consumerId ?? '', by, (row, job): RowChange | null => {
    const phase = job.phase ?? 'distribute';
    const to = rowStep(statusIn(row, phase), on);
    if (to === null) return null;
    const end = ending(row, job);
    return { ...end, row: withStatus(end.row, phase, to) };
  });
}

/** Writes to a row that stays in progress, and answers with it. Null where it no longer is: then nothing was written, and nothing may be done in its name. */
export async function noteRow(
  deps: CoreDeps,
  at: RowAt,
  event: string,
  change: (row: Row) => Row,
): Promise<Row | null> {
  const { task, by } = speakerAt(at);
  let written: Row | null = null;
  const outcome = await deps.transitions.settleRow(
    task,
    task.consumerId ?? '',
    by,
    (row, job): RowChange | null => {
      if (statusIn(row, job.phase ?? 'distribute') !== 'in_progress') return null;
      const changed = change(row);
      written = { ...changed, rev: row.rev + 1 };
      return { row: changed, event };
    },
  );
  return outcome === null ? null : written;
}

/** A vendor's pause is shown on the row, and does not count against its time. */
export function pacedRow(deps: CoreDeps): NonNullable<Handler['paced']> {
  return async (task, waitMs) => {
    const until = deps.clock.now() + waitMs;
    await noteRow(deps, task, 'paced', (row) => ({
      ...row,
      paced_until: until,
      opened_at: row.opened_at === null ? null : row.opened_at + waitMs,
    }));
  };
}

export type Patient<T> = { readonly answer: T } | { readonly waitsFor: VelvetError };

/**
 * A question that is asked again and again until the row's time is up: a bad moment among many answers is no failure, but it is
 * shown. A vendor's own pause is left to the queue. After `deadline` (wall clock, ms) whatever is thrown stands.
 */
export async function patiently<T>(
  deps: CoreDeps,
  task: Task,
  deadline: number,
  asking: () => Promise<T>,
): Promise<Patient<T>> {
  try {
    return { answer: await asking() };
  } catch (error) {
    const passing = isVelvetError(error) && error.retry === 'backoff' && error.code !== 'vendor_rate_limited';
    if (!passing || deps.clock.now() >= deadline) throw error;
    const row = await deps.store.row(task, task.consumerId ?? '');
    const shown = { code: error.code, detail: error.detail };
    if (row?.error?.code !== shown.code)
      await noteRow(deps, task, 'answer_awaited', (before) => ({ ...before, error: shown }));
    return { waitsFor: error };
  }
}

/** A failed row, with its own code. A write whose answer was lost stays open: until a look says otherwise the row counts as holding it. */
export async function failRow(
  deps: CoreDeps,
  task: Task,
  error: VelvetError,
  holds?: Row['holds'],
): Promise<void> {
  await endRow(deps, task, 'fail', (row) => ({
    row: {
      ...row,
      error: { code: error.code, detail: error.detail },
      holds: holds ?? row.holds,
      paced_until: null,
      // Somebody wrote there since: what was seen to run before says nothing about what is written next.
      ...(holds === 'old' || holds === 'other' ? { effective_at: null, effective_version: null } : {}),
    },
    event: 'row_failed',
    detail: { code: error.code, reason: error.detail },
  }));
}

/** How long a row may take to be proven, from the first look at it. */
export function proofTimeMs(times: Times, row: Row, phase: Phase): number {
  return phase === 'prove' ? times.proveAgainForMs : times.proveForMs + row.pinned.healthcheck_after * 1000;
}

/** Which value a row was compared with, for the audit trail. */
export function fingerprintDetail(job: Job): Record<string, unknown> {
  return { fingerprint: job.newFingerprint === null ? null : shortFingerprint(job.newFingerprint) };
}
