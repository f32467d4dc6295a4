// Opens the rows of a phase and gives each its task. Safe to repeat: what is open stays open, what has a live task gets no second one.
import { VelvetError } from '../../shared/lib/errors.ts';
import { taskId, type Effect, type Task } from '../../shared/rotation/effects.ts';
import type { Job } from '../../shared/rotation/job.ts';
import {
  readied,
  rowStep,
  rowsToOpen,
  statusIn,
  tally,
  withStatus,
  type Phase,
  type Row,
} from '../../shared/rotation/rows.ts';
import type { Handler } from '../run.ts';
import { presentJob, speaker, type CoreDeps } from './deps.ts';

/** minted → distributing, distributed → validating. */
export function startPhase(deps: CoreDeps, phase: 'distribute' | 'validate'): Handler {
  return {
    async run(task, context) {
      const job = await presentJob(deps, task);
      if (job === null) return 'done';
      const rows = (await deps.store.rows(job)).map((row) => readied(row, phase));
      await deps.transitions.apply(task, 'fan_out_started', speaker(task, context), () => ({
        rows,
        tally: tally(rows, phase),
        detail: { rows: rows.length },
      }));
      return 'done';
    },
    failed: leftToTheSweeper,
  };
}

export function openRows(deps: CoreDeps): Handler {
  return {
    async run(task, context) {
      const job = await presentJob(deps, task);
      if (job === null) return 'done';
      const phase = job.phase;
      if (phase === null)
        throw new VelvetError('invariant_broken', `open_rows in ${job.status} without a phase`);
      const rows = await opened(deps, task, job, phase);
      if (rows === 'none to prove') return 'done';
      const fence = (await deps.store.fence(job)) ?? '';
      const due = rows.filter((row) => statusIn(row, phase) === 'in_progress');
      const tasks = due.flatMap((row) =>
        rowEffects(row, phase).map((effect): Task => ({
          ...task,
          effect,
          fence,
          consumerId: row.consumer_id,
        })),
      );
      await deps.relay.addRows(task.kick === 0 ? tasks : await withoutLiveTask(deps, tasks));
      context.log.info('rows opened', { phase, rows: due.length, status: job.status });
      return 'done';
    },
    failed: leftToTheSweeper,
  };
}

/** Opens what is due, decided from rows that are read after the job whose version the commit names; another try's work is left alone. */
async function opened(
  deps: CoreDeps,
  task: Task,
  job: Job,
  phase: Phase,
): Promise<readonly Row[] | 'none to prove'> {
  const by = { kind: 'attempt', fence: null, statusVersion: task.version } as const;
  let toProve = true;
  await deps.transitions.apply(task, 'rows_opened', by, async () => {
    const rows = await deps.store.rows(job);
    const due = tally(rows, phase).open === 0 ? rowsToOpen(rows, phase) : [];
    toProve = due.length > 0 || tally(rows, phase).open > 0;
    if (due.length === 0) return null;
    const now = deps.clock.now();
    const after = rows.map((row) => (due.includes(row) ? openedRow(row, phase, now) : row));
    const changed = after.filter((row, index) => row !== rows[index]);
    return {
      rows: changed,
      tally: tally(after, phase),
      detail: { phase, consumers: due.map((row) => row.consumer_id) },
    };
  });
  // What a person confirmed or skipped stands as it is. The table asks once more whether nothing is open.
  if (phase === 'prove' && !toProve) {
    await deps.transitions.apply(task, 'proofs_stand', by, () => ({
      detail: { reason: 'no row was proven by Velvet itself' },
    }));
    return 'none to prove';
  }
  return deps.store.rows(job);
}

function openedRow(row: Row, phase: Phase, now: number): Row {
  const open = withStatus(
    { ...row, opened_at: now, updated_at: now },
    phase,
    rowStep(statusIn(row, phase), 'open') ?? 'in_progress',
  );
  // Without an endpoint nothing can be asked: a person must look.
  return phase !== 'distribute' && row.pinned.healthcheck_endpoint === null
    ? withStatus(open, phase, 'manual_required')
    : open;
}

/** Which tasks an open row needs. A consumer that answered without proof also needs its destination read back. */
function rowEffects(row: Row, phase: Phase): readonly Effect[] {
  if (phase === 'distribute') return ['push_row'];
  return needsReadBack(row) ? ['probe_row', 'read_back_row'] : ['probe_row'];
}

export function needsReadBack(row: Row): boolean {
  return row.probe?.class === 'ok' && row.read_back_at === null;
}

/** After a kick: tasks of this or an earlier kick that still wait or run need no second one. */
async function withoutLiveTask(deps: CoreDeps, tasks: readonly Task[]): Promise<readonly Task[]> {
  const earlier = tasks.flatMap((task) =>
    Array.from({ length: task.kick }, (_, kick) => ({ ...task, kick })),
  );
  const alive = await deps.relay.alive(earlier);
  return tasks.filter(
    (task) =>
      !Array.from({ length: task.kick }, (_, kick) => taskId({ ...task, kick })).some((id) => alive.has(id)),
  );
}

// Fan-out touches Redis alone, so what fails here is unforeseen and logged; the job is still automatic, and the sweeper orders the step again.
const leftToTheSweeper: Handler['failed'] = () => Promise.resolve();
