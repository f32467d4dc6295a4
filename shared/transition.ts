// apply(): load → decide → commit → relay. Law: the only way in which a job's status, or a row's, changes.
import type { Clock } from './lib/clock.ts';
import { VelvetError, isVelvetError } from './lib/errors.ts';
import type { Relay } from './queue/enqueue.ts';
import { refusal } from './refusal.ts';
import {
  alarmOf,
  changeOf,
  closingsOf,
  jobAfter,
  moverPatch,
  operatorFields,
  ownMove,
  personOf,
  preempted,
  type Applied,
  type RowRead,
  type Speaker,
} from './changes.ts';
import { rowEventOf } from './redis/events.ts';
import type { JobStore } from './redis/job-store.ts';
import type { JobRef, Task } from './rotation/effects.ts';
import { isOver, type Job } from './rotation/job.ts';
import { decide, operatorActions, type JobEvent } from './rotation/machine.ts';
import type { Move } from './rotation/move.ts';
import { statusIn, tallyDelta, type Outcome, type Row } from './rotation/rows.ts';

/** How one row is to be written; null leaves it alone. */
export interface RowChange {
  readonly row: Row;
  readonly event: string;
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly tasks?: readonly Task[];
  /** What this step of a row is to its job, where the table has a word for it: it moves the job by itself. */
  readonly on?: JobEvent;
}

export interface Transitions {
  /** Throws `action_not_allowed`, the code of the guard that refused, `version_moved`, `claimed`, or `stale_*` to an attempt. */
  apply(
    ref: JobRef,
    on: JobEvent,
    by: Speaker,
    how?: (job: Job) => Applied | null | Promise<Applied | null>,
  ): Promise<Job>;
  /** Writes one row as the caller says from what it reads, and moves the job where that closes the phase. Null: left alone. */
  settleRow(
    ref: JobRef,
    consumerId: string,
    by: Speaker,
    change: (row: Row, job: Job) => RowChange | null,
  ): Promise<Outcome | null>;
}

/** Two people or two row tasks meet now and then; twenty times in a row is a fault. */
const REPEATS_MAX = 20;

export function createTransitions(
  store: JobStore,
  relay: Relay,
  clock: Clock,
  tell: (move: Move) => void = () => undefined,
): Transitions {
  async function apply(
    ref: JobRef,
    on: JobEvent,
    by: Speaker,
    how: (job: Job) => Applied | null | Promise<Applied | null> = () => ({}),
  ): Promise<Job> {
    return again(async () => {
      const job = await present(store, ref, by);
      const applied = await how(job);
      if (applied === null) return job;
      const decision = decide(job, on, {
        ...applied.facts,
        ...(by.kind === 'operator' ? { actor: by.actor } : {}),
      });
      if (decision.verdict !== 'go') throw refusal(job, on, decision);
      const patch = { ...decision.patch, ...applied.patch, ...moverPatch(by) };
      const now = clock.now();
      const version = job.version + 1 + (applied.forgotten ?? 0);
      const change = changeOf({ job, on, by, decision, now, version }, patch, applied.detail ?? {});
      const rows = (applied.rows ?? []).map((row) => ({ ...row, updated_at: now }));
      const closes = isOver(jobAfter(job, decision, patch));
      const preempts = applied.preempts && preempted(applied.preempts, { by, now });
      await store.commit({
        ...change,
        events: [
          ...change.events,
          ...rows.map((row) =>
            rowEventOf({ job, operatorId: personOf(by), now }, 'row_changed', {
              to: decision.to,
              row,
              detail: { because: on },
            }),
          ),
        ],
        rows,
        job,
        fence: by.kind === 'attempt' ? by.fence : null,
        claim: decision.claim,
        raiseFence: decision.raiseFence,
        closes,
        enters: decision.enters,
        now,
        keepsTasks: decision.keepsTasks,
        ...alarmOf(decision, now),
        ...(preempts === undefined ? {} : { preempts }),
        ...(applied.tally === undefined ? {} : { tally: applied.tally }),
      });
      const stopped = preempts?.stops ?? null;
      if (stopped?.status !== undefined)
        tell({ job: stopped.job, to: stopped.status, on: 'preempted', operatorId: personOf(by), now });
      if (decision.enters) tell({ job, to: decision.to, on, operatorId: personOf(by), now });
      await relay.relay([...change.tasks, ...(stopped?.tasks ?? [])]);
      return (await store.load(ref)) ?? job;
    }, by);
  }

  async function settleRow(
    ref: JobRef,
    consumerId: string,
    by: Speaker,
    change: (row: Row, job: Job) => RowChange | null,
  ): Promise<Outcome | null> {
    let read = by.kind === 'attempt' ? by.read : undefined;
    return again(async () => {
      const { job, row: before } = read ?? (await readRow(store, ref, consumerId, by));
      read = undefined;
      const changed = change(before, job);
      if (changed === null) return null;
      const phase = job.phase ?? 'distribute';
      const now = clock.now();
      const after = { ...changed.row, updated_at: now };
      const { detail = {} } = changed;
      const event = rowEventOf({ job, operatorId: personOf(by), now }, changed.event, {
        to: job.status,
        row: after,
        detail,
      });
      const own = changed.on === undefined ? null : ownMove(changed.on, { job, by, now });
      // Where the row's own step leads elsewhere, its phase closes nothing here any more.
      const closings = once(() => (own?.enters === true ? {} : closingsOf({ job, by, now })));
      const outcome = await store.writeRow({
        job,
        before,
        after,
        delta: tallyDelta(statusIn(before, phase), statusIn(after, phase)),
        fence: by.kind === 'attempt' ? by.fence : null,
        events: [event],
        tasks: changed.tasks ?? [],
        fields: by.kind === 'operator' ? operatorFields(job, by.actor, now) : {},
        ...(own === null ? {} : own.writes),
        closings,
      });
      if (outcome === null) throw new VelvetError('stale_version', `row ${consumerId} moved in between`);
      const closing = outcome === 'open' ? undefined : closings()[outcome];
      const to = closing?.status;
      if (own?.enters === true && own.to !== undefined)
        tell({ job, to: own.to, on: own.on, operatorId: personOf(by), now });
      if (to !== undefined) tell({ job, to, on: 'rows_closed', operatorId: personOf(by), now });
      await relay.relay([
        ...(changed.tasks ?? []),
        ...(own?.writes.moves?.tasks ?? []),
        ...(closing?.tasks ?? []),
      ]);
      return outcome;
    }, by);
  }

  return { apply, settleRow };
}

// A version that moved means: read again, decide again. An attempt whose own ground has moved is told by `present`.
async function again<T>(attempt: () => Promise<T>, by: Speaker): Promise<T> {
  for (let n = 1; ; n++) {
    try {
      return await attempt();
    } catch (error) {
      if (!isVelvetError(error) || error.code !== 'stale_version' || n === REPEATS_MAX) throw error;
      if (by.kind === 'attempt' && error.extra['ground'] === 'moved') throw error;
    }
  }
}

async function readRow(store: JobStore, ref: JobRef, consumerId: string, by: Speaker): Promise<RowRead> {
  const job = await present(store, ref, by);
  const row = await store.row(ref, consumerId);
  if (row !== null) return { job, row };
  throw new VelvetError('not_found', `no row ${consumerId}`, {
    detail: `The job has no consumer named ${consumerId}. Read the job: \`consumers\` has their names.`,
  });
}

function once<T>(make: () => T): () => T {
  let made: { readonly it: T } | undefined;
  return () => (made ??= { it: make() }).it;
}

async function present(store: JobStore, ref: JobRef, by: Speaker): Promise<Job> {
  const job = await store.load(ref);
  if (job === null)
    throw new VelvetError('not_found', `no job ${ref.jobId}`, {
      detail: `${ref.credential} has no job ${ref.jobId}; \`GET /tokens/<name>/rotations\` lists them.`,
    });
  if (by.kind === 'attempt' && job.statusVersion !== by.statusVersion) {
    throw new VelvetError(
      'stale_version',
      `job ${ref.jobId} is at ${job.statusVersion}, not ${by.statusVersion}`,
      { extra: { ground: 'moved' } },
    );
  }
  if (by.kind === 'operator' && by.version !== undefined && by.version !== job.version) {
    throw new VelvetError('version_moved', 'version moved', {
      detail: `The job is at version ${job.version}, not ${by.version}. Read it again, decide again, and send version ${job.version}.`,
      extra: { version: job.version, job_status: job.status, allowed_actions: operatorActions(job) },
    });
  }
  return job;
}
