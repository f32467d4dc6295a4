// Opens the rows of a phase and gives each its task. Safe to repeat: what is open stays open, what has a live task gets no second one.
import { VelvetError } from '../../shared/lib/errors.ts';
import { taskId, type Effect, type Task } from '../../shared/rotation/effects.ts';
import { takesClaim, type Job } from '../../shared/rotation/job.ts';
import {
  readied,
  recounted,
  rowStep,
  rowsToOpen,
  statusIn,
  tally,
  toBeProven,
  withStatus,
  type Phase,
  type Row,
  type Tally,
} from '../../shared/rotation/rows.ts';
import type { Handler } from '../run.ts';
import { isByHand, presentJob, speaker, type CoreDeps } from './deps.ts';

/** minted → distributing, distributed → validating, rev_revoked → rev_validating. */
export function startPhase(deps: CoreDeps, phase: 'distribute' | 'validate' | 'lockout'): Handler {
  return {
    async run(task, context) {
      const job = await presentJob(deps, task);
      if (job === null) return 'done';
      const before = await deps.store.rows(job);
      const rows = before.map((row) => readied(row, phase));
      // Of thousands of rows few change their status here; the others are readied when they are opened.
      const moved = rows.filter((row, n) => statusIn(row, phase) !== statusIn(before[n] ?? row, phase));
      await deps.transitions.apply(task, 'fan_out_started', speaker(task, context), () => ({
        // One window for all of them, from the vendor's own word on.
        ...(phase === 'lockout' ? { patch: { settle_until: job.revokedAt + job.settleMs } } : {}),
        rows: moved,
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
      // Without a claim there is no fence of the job's own: the one that is there is another job's.
      const fence = takesClaim(job) ? { fence: (await deps.store.fence(job)) ?? '' } : {};
      const due = rows.filter((row) => statusIn(row, phase) === 'in_progress');
      const tasks = due.flatMap((row) =>
        rowEffects(row, phase).map((effect): Task => ({
          ...task,
          ...fence,
          effect,
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

/** Redis does nothing else while a commit is carried out: this many rows keep it for some 10 ms. */
const OPENED_AT_ONCE = 500;

/**
 * Opens what is due, a part at a time, decided from rows that are read after the job whose version the commit names; another
 * try's work is left alone. Whoever dies between two parts leaves pending rows of an open wave, which the next try opens. None
 * of them has a task before all are open, so that no phase is closed by the part of it that was.
 */
async function opened(
  deps: CoreDeps,
  task: Task,
  job: Job,
  phase: Phase,
): Promise<readonly Row[] | 'none to prove'> {
  const by = { kind: 'attempt', fence: null, statusVersion: task.version } as const;
  let at: Opening = openingOf([], phase);
  // As the commit before left them: read again only where somebody wrote in between.
  let current = false;
  for (let due: readonly Row[] = []; ;) {
    let part: readonly Row[] = [];
    await deps.transitions.apply(task, 'rows_opened', by, async () => {
      if (!current) at = openingOf(await deps.store.rows(job), phase);
      current = false;
      const now = deps.clock.now();
      due = at.due.slice(0, OPENED_AT_ONCE);
      if (due.length === 0) return null;
      part = due.map((row) => openedRow(row, phase, now));
      const consumers = part.map((row) => row.consumer_id);
      return { rows: part, tally: recounted(at.counts, phase, due, part), detail: { phase, consumers } };
    });
    at = openedBy(at, phase, due, part);
    if (due.length < OPENED_AT_ONCE) break;
    current = true;
  }
  const rows = [...at.rows.values()];
  // What a person confirmed or skipped stands as it is. The table asks once more whether nothing is open.
  if (phase === 'prove' && at.counts.open === 0) {
    await deps.transitions.apply(task, 'proofs_stand', by, () => ({
      detail: { reason: 'no row was proven by Velvet itself' },
    }));
    return 'none to prove';
  }
  if (phase === 'lockout' && at.counts.open === 0 && at.counts.failed === 0) {
    await deps.transitions.apply(task, 'nothing_to_prove', by, () => ({
      detail: { reason: 'nobody is left who should be locked out' },
    }));
    return 'none to prove';
  }
  return rows;
}

/** Of thousands of rows a part is opened at a time: what is known of all of them is brought up to date, not made anew. */
interface Opening {
  readonly rows: Map<string, Row>;
  readonly due: readonly Row[];
  readonly counts: Tally;
}

function openingOf(rows: readonly Row[], phase: Phase): Opening {
  const byName = new Map(rows.map((row) => [row.consumer_id, row]));
  return { rows: byName, due: rowsToOpen(rows, phase), counts: tally(rows, phase) };
}

function openedBy(at: Opening, phase: Phase, before: readonly Row[], after: readonly Row[]): Opening {
  for (const row of after) at.rows.set(row.consumer_id, { ...row, rev: row.rev + 1 });
  return {
    rows: at.rows,
    due: at.due.slice(after.length),
    counts: recounted(at.counts, phase, before, after),
  };
}

function openedRow(row: Row, phase: Phase, now: number): Row {
  const ready = phase === 'distribute' ? row : toBeProven(row);
  const open = withStatus(
    { ...ready, opened_at: now, updated_at: now },
    phase,
    rowStep(statusIn(row, phase), 'open') ?? 'in_progress',
  );
  // From now on a person may be writing there.
  if (phase === 'distribute' && isByHand(row))
    return { ...withStatus(open, phase, 'manual_required'), touched: true };
  // Without an endpoint nothing can be asked: a person must look.
  return asksTheConsumer.includes(rowEffect[phase]) && row.pinned.healthcheck_endpoint === null
    ? withStatus(open, phase, 'manual_required')
    : open;
}

const asksTheConsumer: readonly Effect[] = ['probe_row', 'lockout_row'];

/** What each row of a phase is opened for. */
export const rowEffect: Readonly<Record<Phase, Effect>> = {
  distribute: 'push_row',
  validate: 'probe_row',
  prove: 'probe_row',
  inspect: 'inspect_row',
  lockout: 'lockout_row',
};

/** Which tasks an open row needs. A consumer that answered without proof also needs its destination read back. */
function rowEffects(row: Row, phase: Phase): readonly Effect[] {
  const effect = rowEffect[phase];
  return effect === 'probe_row' && needsReadBack(row) ? [effect, 'read_back_row'] : [effect];
}

export function needsReadBack(row: Row): boolean {
  return row.probe?.class === 'ok' && row.read_back_at === null && !isByHand(row);
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
