// What is written to a job in one piece, and how it is encoded for the scripts.
import { randomBytes } from 'node:crypto';
import type { Fence } from '../lib/lease.ts';
import { taskId, type JobRef, type Task } from '../rotation/effects.ts';
import { encodePatch, type JobPatch } from '../rotation/job-record.ts';
import { takesClaim, type Job } from '../rotation/job.ts';
import { tallyKeys, type Outcome, type Row, type Tally } from '../rotation/rows.ts';
import type { Status } from '../rotation/statuses.ts';
import type { AuditEvent } from './events.ts';
import { credentialKeys, type CredentialKeys } from './keys.ts';
import type { ScriptArg } from './scripts.ts';

export type ClaimMode = 'take' | 'keep' | 'free' | 'none';

/** That somebody is to be alarmed, or brought up to date, since when (wall clock, ms); `fresh`: by a new episode; `known`: only where they were alarmed before. */
export interface Alarming {
  readonly at: number;
  readonly fresh: boolean;
  readonly known?: boolean;
}

/** What one status change writes: fields, events and tasks, all or nothing. */
export interface Change {
  /** What the job's version becomes: the next one, unless it must not be one that somebody may have seen. */
  readonly version?: number;
  readonly patch: JobPatch;
  readonly status?: Status;
  readonly events: readonly AuditEvent[];
  readonly tasks: readonly Task[];
  /** The tasks of before go on: they speak of the same rows, whatever the status is called now. */
  readonly keepsTasks?: boolean;
}

export interface CommitRequest extends Change {
  readonly job: Job;
  /** The attempt that speaks; null for an operator, whom the version alone holds back. */
  readonly fence: Fence | null;
  readonly claim: ClaimMode;
  readonly raiseFence: boolean;
  /** Whether the job is over for good: it leaves the sweeper's list, and its idempotency key begins to expire. */
  readonly closes: boolean;
  readonly rows?: readonly Row[];
  readonly tally?: Tally;
  readonly enters: boolean;
  readonly now: number;
  readonly alarm?: Alarming;
  /** Whose claim may be taken: a job that is stopped by this very commit, or an adoption. */
  readonly preempts?: Preempted;
}

export interface Preempted {
  readonly claimant: string;
  /** Null where the claimant is no job. */
  readonly stops: (Change & { readonly job: Job; readonly closes: boolean; readonly enters: boolean }) | null;
}

/** Where a job goes when the row that is written closes its phase. */
export interface Closing extends Change {
  readonly fields: Readonly<Record<string, string>>;
  readonly frees: boolean;
  readonly closes: boolean;
  readonly alarm?: Alarming;
}

export interface RowWrite {
  readonly job: Job;
  readonly before: Row;
  readonly after: Row;
  readonly delta: Tally;
  readonly fence: Fence | null;
  readonly events: readonly AuditEvent[];
  readonly tasks: readonly Task[];
  /** Of the job, whatever the outcome. An operator's action raises the version here. */
  readonly fields: Readonly<Record<string, string>>;
  /** Where the job goes by this very step of the row, whatever else is open. */
  readonly moves?: Change & { readonly fields: Readonly<Record<string, string>> };
  readonly alarm?: Alarming;
  /** Where the job goes, should this close the phase. Asked for only where it does, or may: few writes of many do. */
  readonly closings: () => Readonly<Partial<Record<Outcome, Closing>>>;
}

export interface OpenRequest {
  readonly ref: JobRef;
  readonly fields: JobPatch & { readonly status: Status };
  readonly rows: readonly Row[];
  readonly tally: Tally;
  readonly event: AuditEvent;
  readonly idem: { readonly hash: string; readonly bodyHash: string };
  readonly now: number;
}

const thisProcess = randomBytes(9).toString('base64url');
let calls = 0;

/** Names one call to a script. ioredis sends a call again whose answer was lost; by this it is known again. */
export function commitId(): string {
  calls += 1;
  return `${thisProcess}.${calls.toString(36)}`;
}

/** Eight characters that tell two attempts with an equal counter apart, e.g. after a restore of an older Redis. */
export function fenceSuffix(): string {
  return randomBytes(6).toString('base64url').replaceAll(/[-_]/g, 'x');
}

/** The fields that a status change writes, beside the record's own patch: status, times, versions. */
export function changeFields(
  job: Job,
  change: Change & { readonly enters: boolean; readonly now: number },
): Record<string, string> {
  const version = String(change.version ?? job.version + 1);
  const orders = change.keepsTasks !== true && (change.enters || change.tasks.length > 0);
  return {
    ...encodePatch(change.patch),
    version,
    updated_at: String(change.now),
    ...(change.status === undefined ? {} : { status: change.status }),
    ...(change.enters ? { status_since: String(change.now) } : {}),
    // Work that is ordered anew gets task ids of its own, else the queue would take it for what it already did.
    ...(orders ? { status_version: version, kick: '0' } : {}),
  };
}

export function encodeTasks(tasks: readonly Task[]): readonly (readonly [string, string])[] {
  return tasks.map((task) => [taskId(task), JSON.stringify(task)]);
}

/** What `commit.lua` is told of whose claim is taken. */
export function preemptArg(preempts: Preempted | undefined, now: number, closeMs: number): ScriptArg {
  if (preempts === undefined) return { over: '' };
  const { claimant, stops } = preempts;
  if (stops === null) return { over: claimant };
  return {
    over: claimant,
    other: {
      job_id: stops.job.jobId,
      version: String(stops.job.version),
      fields: changeFields(stops.job, { ...stops, now }),
      tasks: encodeTasks(stops.tasks),
      close_ms: stops.closes ? closeMs : 0,
    },
  };
}

function encodeClosing(closing: Closing, closeMs: number): Record<string, unknown> {
  return {
    fields: closing.fields,
    events: closing.events.map((event) => JSON.stringify(event)),
    tasks: encodeTasks(closing.tasks),
    frees: closing.frees,
    ...(closing.alarm === undefined ? {} : { alarm: closing.alarm }),
    close_ms: closing.closes ? closeMs : 0,
  };
}

/** Fences, claims and counts that a row's write is held against, and what it changes beside the row itself. */
export function rowArg(request: RowWrite): ScriptArg {
  const { job, before, after } = request;
  return {
    job_id: job.jobId,
    commit_id: commitId(),
    consumer_id: before.consumer_id,
    version: String(job.version),
    fence: request.fence ?? '',
    claim: takesClaim(job) ? 'keep' : 'none',
    rev: String(before.rev),
    wake: credentialKeys(job.credential, job.env).wake,
    delta: Object.fromEntries(Object.entries(request.delta).filter(([, by]) => by !== 0)),
    fields: request.fields,
    tasks: encodeTasks(request.tasks),
    ...(request.moves === undefined
      ? {}
      : {
          moves: {
            fields: request.moves.fields,
            events: request.moves.events.map((event) => JSON.stringify(event)),
            tasks: encodeTasks(request.moves.tasks),
          },
        }),
    ...(request.alarm === undefined ? {} : { alarm: request.alarm }),
    texts: [rowText(after, before.rev + 1), ...request.events.map((event) => JSON.stringify(event))],
  };
}

/** A row's `rev` is its last field, where the scripts look for it first. */
export function rowText(row: Row, rev: number): string {
  return JSON.stringify({ ...row, rev });
}

export function encodeClosings(
  closings: ReturnType<RowWrite['closings']>,
  closeMs: number,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(closings).map(([outcome, closing]) => [outcome, encodeClosing(closing, closeMs)]),
  );
}

export function workingKeys(keys: CredentialKeys, job: Job): readonly string[] {
  return [
    keys.job(job.jobId),
    keys.rows(job.jobId),
    keys.claim,
    keys.fence,
    keys.events,
    keys.seq,
    keys.outbox,
    keys.open,
    keys.idem(job.idem ?? 'none'),
  ];
}

export function identity(ref: JobRef): Record<string, string> {
  return { job_id: ref.jobId, credential: ref.credential, env: ref.env };
}

export function tallyFields(tally: Tally): Record<string, string> {
  return Object.fromEntries(tallyKeys.map((key) => [`t_${key}`, String(tally[key])]));
}
