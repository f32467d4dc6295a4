// Reads and writes job records. Law: the only caller of scripts that touch a job; every write names what it read.
import { randomBytes, randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { VelvetError } from '../lib/errors.ts';
import type { Fence } from '../lib/lease.ts';
import { taskId, type JobRef, type Task } from '../rotation/effects.ts';
import { encodePatch, parseJob, type Job, type JobPatch } from '../rotation/job.ts';
import { parseRow, tallyKeys, type Outcome, type Row, type Tally } from '../rotation/rows.ts';
import type { Status } from '../rotation/statuses.ts';
import type { AuditEvent } from './events.ts';
import { credentialKeys, systemKeys, type CredentialKeys } from './keys.ts';
import { answers, runScript } from './scripts.ts';

export type ClaimMode = 'take' | 'keep' | 'free' | 'none';

/** What one status change writes: fields, events and tasks, all or nothing. */
export interface Change {
  readonly patch: JobPatch;
  readonly status?: Status;
  readonly events: readonly AuditEvent[];
  readonly tasks: readonly Task[];
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
  readonly closings: Readonly<
    Partial<Record<Outcome, Change & { readonly fields: Readonly<Record<string, string>> }>>
  >;
}

export interface JobStore {
  /** Creates the job, or answers with the one that the idempotency key names. Throws `idempotency_mismatch`. */
  open(request: OpenRequest): Promise<{ readonly jobId: string; readonly existed: boolean }>;
  /** The job that an idempotency key names, if any. Throws `idempotency_mismatch` where it was used with another body. */
  byKey(ref: Pick<JobRef, 'credential' | 'env'>, idem: OpenRequest['idem']): Promise<string | null>;
  load(ref: JobRef): Promise<Job | null>;
  rows(ref: JobRef): Promise<readonly Row[]>;
  row(ref: JobRef, consumerId: string): Promise<Row | null>;
  /** Throws `stale_version`, `stale_fence`, `claimed` (naming the claimant) or `store_unavailable` (unknown: read again). */
  commit(request: CommitRequest): Promise<void>;
  /** Null where the row moved since it was read, so that the caller reads it again. Throws as `commit` does. */
  writeRow(request: RowWrite): Promise<Outcome | null>;
  kick(job: Job, task: Task): Promise<boolean>;
  fence(ref: Pick<JobRef, 'credential' | 'env'>): Promise<Fence | null>;
  claimant(ref: Pick<JobRef, 'credential' | 'env'>): Promise<string | null>;
  /** Newest first. */
  list(credential: string, env: string, limit: number): Promise<readonly Job[]>;
  openJobs(credential: string, env: string): Promise<readonly Job[]>;
  /** Whether something was done once already for the job (a message delivered), and the note that it was. */
  hasReceipt(ref: JobRef, key: string): Promise<boolean>;
  recordReceipt(ref: JobRef, key: string, at: number): Promise<void>;
  outbox(credential: string, env: string): Promise<readonly Task[]>;
  acknowledge(task: Task): Promise<void>;
  credentials(): Promise<readonly Pick<JobRef, 'credential' | 'env'>[]>;
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

export function createJobStore(redis: Redis, idempotencyKeepMs: number): JobStore {
  const keysOf = (ref: Pick<JobRef, 'credential' | 'env'>) => credentialKeys(ref.credential, ref.env);

  async function load(ref: JobRef): Promise<Job | null> {
    const hash = await guarded(redis.hgetall(keysOf(ref).job(ref.jobId)));
    return Object.keys(hash).length === 0 ? null : parseJob(hash);
  }

  async function loadAll(
    ref: Pick<JobRef, 'credential' | 'env'>,
    ids: readonly string[],
  ): Promise<readonly Job[]> {
    const jobs = await Promise.all(ids.map((jobId) => load({ ...ref, jobId })));
    return jobs.filter((job) => job !== null);
  }

  return {
    load,

    async open({ ref, fields, rows, tally, event, idem, now }) {
      const keys = keysOf(ref);
      // First the directory: a credential without jobs in it is harmless, a job that the sweeper cannot find is not.
      await guarded(redis.sadd(systemKeys.credentials, `${ref.credential} ${ref.env}`));
      const arg = {
        job_id: ref.jobId, commit_id: randomUUID(), now, body_hash: idem.bodyHash, wake: keys.wake,
        fields: { ...encodePatch({ ...fields, idem: idem.hash }), ...identity(ref), status: fields.status, version: '1', ...tallyFields(tally) },
        rows: rows.map((row) => [row.consumer_id, JSON.stringify(row)]),
        events: [JSON.stringify(event)],
      }; // prettier-ignore
      const own = [
        keys.job(ref.jobId),
        keys.rows(ref.jobId),
        keys.jobs,
        keys.open,
        keys.events,
        keys.seq,
        keys.idem(idem.hash),
      ];
      const [code, jobId] = await runScript(redis, 'openJob', own, arg);
      if (code === answers.otherBody) throw keyMismatch();
      return { jobId: String(jobId), existed: code === answers.existed };
    },

    async byKey(ref, idem) {
      const known = await guarded(redis.get(keysOf(ref).idem(idem.hash)));
      if (known === null) return null;
      const [bodyHash, jobId] = known.split(' ');
      if (bodyHash !== idem.bodyHash) throw keyMismatch();
      return jobId ?? null;
    },

    async rows(ref) {
      const hash = await guarded(redis.hgetall(keysOf(ref).rows(ref.jobId)));
      const rows = Object.values(hash).map(parseRow);
      return rows.toSorted(
        (a, b) => a.pinned.wave - b.pinned.wave || a.consumer_id.localeCompare(b.consumer_id),
      );
    },

    async row(ref, consumerId) {
      const json = await guarded(redis.hget(keysOf(ref).rows(ref.jobId), consumerId));
      return json === null ? null : parseRow(json);
    },

    async commit(request) {
      const { job } = request;
      const keys = keysOf(job);
      const commitId = randomUUID();
      const arg = {
        job_id: job.jobId, commit_id: commitId, version: String(job.version), fence: request.fence ?? '',
        claim: request.claim, raise: request.raiseFence ? fenceSuffix() : '', wake: keys.wake,
        fields: { ...changeFields(job, request), ...(request.tally === undefined ? {} : tallyFields(request.tally)) },
        rows: (request.rows ?? []).map((row) => [row.consumer_id, JSON.stringify({ ...row, rev: row.rev + 1, commit_id: commitId })]),
        events: request.events.map((event) => JSON.stringify(event)),
        tasks: request.tasks.map((task) => [taskId(task), JSON.stringify(task)]),
        close_ms: request.closes ? idempotencyKeepMs : 0,
      }; // prettier-ignore
      const own = [...workingKeys(keys, job), keys.open, keys.idem(job.idem ?? 'none')];
      refuse(job, await runScript(redis, 'commit', own, arg));
    },

    async writeRow(request) {
      const { job, before } = request;
      const keys = keysOf(job);
      const commitId = randomUUID();
      const arg = {
        job_id: job.jobId, commit_id: commitId, consumer_id: before.consumer_id, version: String(job.version),
        fence: request.fence ?? '', claim: job.flowType === 'testing' ? 'none' : 'keep', rev: String(before.rev), wake: keys.wake,
        row: JSON.stringify({ ...request.after, rev: before.rev + 1, commit_id: commitId }),
        delta: request.delta, fields: request.fields,
        events: request.events.map((event) => JSON.stringify(event)),
        tasks: request.tasks.map((task) => [taskId(task), JSON.stringify(task)]),
        closings: Object.fromEntries(Object.entries(request.closings).map(([outcome, closing]) => [outcome, encodeClosing(closing)])),
      }; // prettier-ignore
      const answer = await runScript(redis, 'writeRow', workingKeys(keys, job), arg);
      if (answer[0] === answers.rowMoved) return null;
      refuse(job, answer);
      return String(answer[1]) as Outcome;
    },

    async kick(job, task) {
      const keys = keysOf(job);
      const arg = {
        status_version: String(job.statusVersion),
        kick: String(job.kick),
        task_id: taskId(task),
        task: JSON.stringify(task),
      };
      const [code] = await runScript(redis, 'kick', [keys.job(job.jobId), keys.outbox], arg);
      return code === answers.applied;
    },

    fence: (ref) => guarded(redis.get(keysOf(ref).fence)),
    claimant: (ref) => guarded(redis.get(keysOf(ref).claim)),

    async list(credential, env, limit) {
      const ids = await guarded(redis.zrange(keysOf({ credential, env }).jobs, 0, String(limit - 1), 'REV'));
      return loadAll({ credential, env }, ids);
    },

    async openJobs(credential, env) {
      return loadAll({ credential, env }, await guarded(redis.smembers(keysOf({ credential, env }).open)));
    },

    async hasReceipt(ref, key) {
      return (await guarded(redis.hexists(keysOf(ref).job(ref.jobId), `receipt_${key}`))) === 1;
    },

    async recordReceipt(ref, key, at) {
      await guarded(redis.hset(keysOf(ref).job(ref.jobId), `receipt_${key}`, String(at)));
    },

    async outbox(credential, env) {
      const tasks = await guarded(redis.hvals(keysOf({ credential, env }).outbox));
      return tasks.map((json) => JSON.parse(json) as Task);
    },

    async acknowledge(task) {
      await guarded(redis.hdel(keysOf(task).outbox, taskId(task)));
    },

    async credentials() {
      const names = await guarded(redis.smembers(systemKeys.credentials));
      return names.map((name) => ({ credential: name.split(' ')[0] ?? '', env: name.split(' ')[1] ?? '' }));
    },
  };
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
  const version = String(job.version + 1);
  const orders = change.enters || change.tasks.length > 0;
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

function encodeClosing(
  closing: Change & { readonly fields: Readonly<Record<string, string>> },
): Record<string, unknown> {
  return {
    fields: closing.fields,
    events: closing.events.map((event) => JSON.stringify(event)),
    tasks: closing.tasks.map((task) => [taskId(task), JSON.stringify(task)]),
  };
}

function workingKeys(keys: CredentialKeys, job: JobRef): readonly string[] {
  return [
    keys.job(job.jobId),
    keys.rows(job.jobId),
    keys.claim,
    keys.fence,
    keys.events,
    keys.seq,
    keys.outbox,
  ];
}

function identity(ref: JobRef): Record<string, string> {
  return { job_id: ref.jobId, credential: ref.credential, env: ref.env };
}

function tallyFields(tally: Tally): Record<string, string> {
  return Object.fromEntries(tallyKeys.map((key) => [`t_${key}`, String(tally[key])]));
}

function keyMismatch(): VelvetError {
  return new VelvetError('idempotency_mismatch', 'idempotency key used with another body');
}

/** The one place where a script's refusal becomes an error. */
export function refuse(ref: JobRef, [code, rest]: readonly (string | number)[]): void {
  if (code === answers.staleVersion)
    throw new VelvetError('stale_version', `job ${ref.jobId} moved in between`);
  if (code === answers.staleFence)
    throw new VelvetError('stale_fence', `job ${ref.jobId} belongs to a later attempt`);
  if (code === answers.noSuchRecord) throw new VelvetError('not_found', `no job ${ref.jobId}`);
  if (code === answers.claimed) throw claimedBy(String(rest));
}

/** The second `verify`, and an adoption while a job is open. */
export function claimedBy(claimant: string): VelvetError {
  const adopting = claimant.startsWith('adopt.');
  const detail = adopting
    ? 'An adoption of this credential was begun and not finished. Run `npx velvet adopt <NAME>` again, then retry.'
    : `active rotation already in progress: job ${claimant}. It must end (done, or aborted with its cleanup done) before another can be verified.`;
  return new VelvetError('claimed', `claimed by ${claimant}`, {
    detail,
    extra: { active_job_id: adopting ? null : claimant },
  });
}

// A read that fails is Redis being away; what else could be wrong is not the caller's to tell apart.
async function guarded<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    const says = error instanceof Error ? error.message : 'unknown';
    throw new VelvetError('store_unavailable', `Redis did not answer: ${says}`, { kind: 'ConnectionError' });
  }
}
