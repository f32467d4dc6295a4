// What the row tasks share: is the row still this task's, and how is its end written.
import { shortFingerprint } from '../../shared/lib/secret.ts';
import type { VelvetError } from '../../shared/lib/errors.ts';
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
import type { RowChange, Speaker } from '../../shared/transition.ts';
import { presentJob, type CoreDeps } from './deps.ts';

export interface OpenRow {
  readonly job: Job;
  readonly row: Row;
  readonly phase: Phase;
  readonly by: Speaker;
}

/** The row, where it is in progress in the phase that the task was made for and no later attempt has the fence; else null. */
export async function presentRow(deps: CoreDeps, task: Task): Promise<OpenRow | null> {
  const job = await presentJob(deps, task);
  if (job === null || job.phase === null || task.consumerId === undefined) return null;
  const [row, fence] = await Promise.all([deps.store.row(job, task.consumerId), deps.store.fence(job)]);
  if (row === null || fence !== task.fence || statusIn(row, job.phase) !== 'in_progress') return null;
  return { job, row, phase: job.phase, by: rowSpeaker(task) };
}

export function rowSpeaker(task: Task): Speaker {
  return { kind: 'attempt', fence: task.fence ?? null, statusVersion: task.version };
}

/** Ends the row's phase, unless something else ended it meanwhile. */
export async function endRow(
  deps: CoreDeps,
  task: Task,
  on: RowEvent,
  ending: (row: Row, job: Job) => { row: Row; event: string; detail?: Record<string, unknown> },
): Promise<void> {
  await deps.transitions.settleRow(
    task,
    task.consumerId ?? '',
    rowSpeaker(task),
    (row, job): RowChange | null => {
      const phase = job.phase ?? 'distribute';
      const to = rowStep(statusIn(row, phase), on);
      if (to === null) return null;
      const end = ending(row, job);
      return { ...end, row: withStatus(end.row, phase, to) };
    },
  );
}

/** Writes to a row that stays in progress. */
export async function noteRow(
  deps: CoreDeps,
  task: Task,
  event: string,
  change: (row: Row) => Row,
  tasks: readonly Task[] = [],
): Promise<void> {
  await deps.transitions.settleRow(task, task.consumerId ?? '', rowSpeaker(task), (row, job) =>
    statusIn(row, job.phase ?? 'distribute') === 'in_progress' ? { row: change(row), event, tasks } : null,
  );
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
    },
    event: 'row_failed',
    detail: { code: error.code, reason: error.detail },
  }));
}

/** Which value a row was compared with, for the audit trail. */
export function fingerprintDetail(job: Job): Record<string, unknown> {
  return { fingerprint: job.newFingerprint === null ? null : shortFingerprint(job.newFingerprint) };
}
