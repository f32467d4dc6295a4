// apply(): load → decide → commit → relay. Law: the only way in which a job's status, or a row's, changes.
import type { Clock } from './lib/clock.ts';
import { VelvetError, isVelvetError } from './lib/errors.ts';
import type { Fence } from './lib/lease.ts';
import type { Relay } from './queue/enqueue.ts';
import { refusal } from './refusal.ts';
import { eventOf, rowEventOf, systemOperator } from './redis/events.ts';
import type { JobStore } from './redis/job-store.ts';
import { changeFields, type Change, type RowWrite } from './redis/job-writes.ts';
import { offeredActions } from './rotation/carried-out.ts';
import { tasksOf, type JobRef, type Task } from './rotation/effects.ts';
import { encodePatch, type JobPatch } from './rotation/job-record.ts';
import { isOver, type Actor, type Job } from './rotation/job.ts';
import type { Facts } from './rotation/guards.ts';
import { decide, decideClosing, type Decision, type JobEvent } from './rotation/machine.ts';
import type { Move } from './rotation/move.ts';
import { statusIn, tallyDelta, type Outcome, type Row, type Tally } from './rotation/rows.ts';

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
  /** How many versions to leave out: those that the job had in a future that Redis lost are not given to another present. */
  readonly forgotten?: number;
}

/** How one row is to be written; null leaves it alone. */
export interface RowChange {
  readonly row: Row;
  readonly event: string;
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly tasks?: readonly Task[];
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
        ...(applied.tally === undefined ? {} : { tally: applied.tally }),
      });
      if (decision.enters) tell({ job, to: decision.to, on, operatorId: personOf(by), now });
      await relay.relay(change.tasks);
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
      const closings = once(() => closingsOf({ job, by, now }));
      const outcome = await store.writeRow({
        job,
        before,
        after,
        delta: tallyDelta(statusIn(before, phase), statusIn(after, phase)),
        fence: by.kind === 'attempt' ? by.fence : null,
        events: [event],
        tasks: changed.tasks ?? [],
        fields: by.kind === 'operator' ? operatorFields(job, by.actor, now) : {},
        closings,
      });
      if (outcome === null) throw new VelvetError('stale_version', `row ${consumerId} moved in between`);
      const closing = outcome === 'open' ? undefined : closings()[outcome];
      const to = closing?.status;
      if (to !== undefined) tell({ job, to, on: 'rows_closed', operatorId: personOf(by), now });
      await relay.relay([...(changed.tasks ?? []), ...(closing?.tasks ?? [])]);
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

/** For each way in which this row can close its phase, what is written then. */
function closingsOf(at: Moment): ReturnType<RowWrite['closings']> {
  const { job, now } = at;
  const entries = Object.entries(decideClosing(job)).map(([outcome, decision]) => {
    const closing = changeOf({ ...at, on: 'rows_closed', decision }, { ...decision.patch }, { outcome });
    const fields = changeFields(job, { ...closing, enters: decision.enters, now });
    const closes = isOver(jobAfter(job, decision, decision.patch));
    return [outcome, { ...closing, fields, frees: decision.claim === 'free', closes }] as const;
  });
  return Object.fromEntries(entries);
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
      extra: { version: job.version, job_status: job.status, allowed_actions: offeredActions(job) },
    });
  }
  return job;
}

interface Moment {
  readonly job: Job;
  readonly by: Speaker;
  readonly now: number;
}

function changeOf(
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

function personOf(by: Speaker): string {
  return by.kind === 'operator' ? by.actor.operatorId : systemOperator;
}

function moverPatch(by: Speaker): JobPatch {
  return by.kind === 'operator'
    ? { moved_by: by.actor.operatorId, moved_by_slack: by.actor.slackUserId }
    : {};
}

// An operator's step on a row counts as a version, so that another operator's `version` tells them that they did not see it.
function operatorFields(job: Job, actor: Actor, now: number): Record<string, string> {
  const mover = moverPatch({ kind: 'operator', actor, version: undefined });
  return { ...encodePatch({ ...mover, updated_at: now }), version: String(job.version + 1) };
}

/** The job as the change leaves it, as far as its kind depends on it. */
function jobAfter(job: Job, decision: Decision, patch: JobPatch): Job {
  const { cleanup = job.cleanup, awaiting = job.awaiting, phase = job.phase } = patch as Partial<Job>;
  return { ...job, status: decision.to, cleanup, awaiting, phase };
}
