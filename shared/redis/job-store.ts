// Reads and writes job records. Law: the only caller of scripts that touch a job; every write names what it read.
import type { Redis } from 'ioredis';
import type { Fence } from '../lib/lease.ts';
import { taskId, type JobRef, type Task } from '../rotation/effects.ts';
import { encodePatch } from '../rotation/job-record.ts';
import { parseJob, type Job } from '../rotation/job.ts';
import { emptyTally, parseRow, tallyKeys, type Outcome, type Row, type Tally } from '../rotation/rows.ts';
import {
  changeFields,
  commitId,
  encodeClosings,
  encodeTasks,
  preemptArg,
  fenceSuffix,
  identity,
  rowArg,
  rowText,
  tallyFields,
  workingKeys,
  type CommitRequest,
  type OpenRequest,
  type RowWrite,
} from './job-writes.ts';
import { scheduleOperator } from './events.ts';
import { credentialKeys, systemKeys, type CredentialKeys } from './keys.ts';
import { guarded, keyMismatch, refuse, understood } from './refusals.ts';
import { answers, runScript } from './scripts.ts';

export interface JobStore {
  /** Creates the job, or answers with the one that the idempotency key names. Throws `idempotency_mismatch`. */
  open(request: OpenRequest): Promise<{ readonly jobId: string; readonly existed: boolean }>;
  /** The job that an idempotency key names, if any. Throws `idempotency_mismatch` where it was used with another body. */
  byKey(ref: Pick<JobRef, 'credential' | 'env'>, idem: OpenRequest['idem']): Promise<string | null>;
  load(ref: JobRef): Promise<Job | null>;
  rows(ref: JobRef): Promise<readonly Row[]>;
  row(ref: JobRef, consumerId: string): Promise<Row | null>;
  /** Job, row and fence in one exchange, for the many tasks of a phase; null where the job or the row is not there. */
  standing(ref: JobRef, consumerId: string): Promise<Standing | null>;
  /** Throws `stale_version`, `stale_fence`, `claimed` (naming the claimant) or `store_unavailable` (unknown: read again). */
  commit(request: CommitRequest): Promise<void>;
  /** Null where the row moved since it was read, so that the caller reads it again. Throws as `commit` does. */
  writeRow(request: RowWrite): Promise<Outcome | null>;
  kick(job: Job, task: Task): Promise<boolean>;
  fence(ref: Pick<JobRef, 'credential' | 'env'>): Promise<Fence | null>;
  claimant(ref: Pick<JobRef, 'credential' | 'env'>): Promise<string | null>;
  /** The handle that the last adoption wrote down, if it knew one. */
  adopted(ref: Pick<JobRef, 'credential' | 'env'>): Promise<string | null>;
  /** Newest first; without the drift checks that the schedule made. */
  list(credential: string, env: string, limit: number): Promise<readonly Job[]>;
  /** Those, newest first. */
  checks(credential: string, env: string, limit: number): Promise<readonly Job[]>;
  openJobs(credential: string, env: string): Promise<readonly Job[]>;
  /** Whether something was done once already for the job (a message delivered), and the note that it was. */
  hasReceipt(ref: JobRef, key: string): Promise<boolean>;
  recordReceipt(ref: JobRef, key: string, at: number): Promise<void>;
  outbox(credential: string, env: string): Promise<readonly Task[]>;
  acknowledge(task: Task): Promise<void>;
  credentials(): Promise<readonly Pick<JobRef, 'credential' | 'env'>[]>;
}

export interface Standing {
  readonly job: Job;
  readonly row: Row;
  readonly fence: Fence | null;
}

/** Whatever changes a job beside its counts (and a step's lease, which no row asks for) raises its version. */
const jobMark = ['version', 'updated_at', ...tallyKeys.map((key) => `t_${key}`)] as const;
/** Jobs whose rows may be worked on at once in one process, with room; the oldest goes first. */
const KEPT = 64;

export function createJobStore(redis: Redis, idempotencyKeepMs: number): JobStore {
  const kept = new Map<string, Job>();

  async function load(ref: JobRef): Promise<Job | null> {
    const hash = await guarded(redis.hgetall(keysOf(ref).job(ref.jobId)));
    return Object.keys(hash).length === 0 ? null : understood(`job ${ref.jobId}`, () => parseJob(hash));
  }

  function keep(job: Job): void {
    kept.delete(job.jobId);
    kept.set(job.jobId, job);
    const [oldest] = kept.keys();
    if (kept.size > KEPT && oldest !== undefined) kept.delete(oldest);
  }

  async function loadAll(
    ref: Pick<JobRef, 'credential' | 'env'>,
    ids: readonly string[],
  ): Promise<readonly Job[]> {
    const jobs = await Promise.all(ids.map((jobId) => load({ ...ref, jobId })));
    return jobs.filter((job) => job !== null);
  }

  async function newest(
    ref: Pick<JobRef, 'credential' | 'env'>,
    of: 'jobs' | 'checks',
    limit: number,
  ): Promise<readonly Job[]> {
    return loadAll(ref, await guarded(redis.zrange(keysOf(ref)[of], 0, String(limit - 1), 'REV')));
  }

  return {
    load,

    async open({ ref, fields, rows, tally, event, idem, now }) {
      const keys = keysOf(ref);
      // First the directory: a credential without jobs in it is harmless, a job that the sweeper cannot find is not.
      await guarded(redis.sadd(systemKeys.credentials, `${ref.credential} ${ref.env}`));
      const arg = {
        job_id: ref.jobId,
        now,
        body_hash: idem.bodyHash,
        wake: keys.wake,
        fields: {
          ...encodePatch({ ...fields, idem: idem.hash }),
          ...identity(ref),
          status: fields.status,
          version: '1',
          ...tallyFields(tally),
        },
        rows: rows.map((row) => [row.consumer_id, JSON.stringify(row)]),
        events: [JSON.stringify(event)],
      };
      const own = [
        keys.job(ref.jobId),
        keys.rows(ref.jobId),
        fields.flow_type === 'testing' && fields.created_by === scheduleOperator ? keys.checks : keys.jobs,
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
      // Beside each row lies what write-row.lua remembers of it.
      const rows = Object.entries(hash)
        .filter(([field]) => !field.startsWith('~'))
        .map(([, json]) => understood(`a row of ${ref.jobId}`, () => parseRow(json)));
      return rows.toSorted(byWave);
    },

    async row(ref, consumerId) {
      const json = await guarded(redis.hget(keysOf(ref).rows(ref.jobId), consumerId));
      return json === null ? null : understood(`row ${consumerId} of ${ref.jobId}`, () => parseRow(json));
    },

    async standing(ref, consumerId) {
      const keys = keysOf(ref);
      // Sent together, so that they travel together.
      const [[version, updatedAt, ...counts], row, fence] = await guarded(
        Promise.all([
          redis.hmget(keys.job(ref.jobId), ...jobMark),
          redis.hget(keys.rows(ref.jobId), consumerId),
          redis.get(keys.fence),
        ]),
      );
      if ((version ?? null) === null || row === null) return null;
      const known = kept.get(ref.jobId);
      const same = known?.version === Number(version) && known.updatedAt === Number(updatedAt);
      const job = same ? { ...known, tally: tallyFrom(counts) } : await load(ref);
      if (job === null) return null;
      if (!same) keep(job);
      return { job, row: understood(`row ${consumerId} of ${ref.jobId}`, () => parseRow(row)), fence };
    },

    async commit(request) {
      const { job, rows = [] } = request;
      const keys = keysOf(job);
      const stopped = request.preempts?.stops;
      const other = stopped?.job ?? job;
      const arg = {
        job_id: job.jobId,
        commit_id: commitId(),
        version: String(job.version),
        fence: request.fence ?? '',
        claim: request.claim,
        raise: request.raiseFence ? fenceSuffix() : '',
        wake: keys.wake,
        fields: {
          ...changeFields(job, request),
          ...(request.tally === undefined ? {} : tallyFields(request.tally)),
        },
        rows: rows.map((row) => [row.consumer_id, String(row.rev)]),
        tasks: encodeTasks(request.tasks),
        close_ms: request.closes ? idempotencyKeepMs : 0,
        ...(request.alarm === undefined ? {} : { alarm: request.alarm }),
        ...preemptArg(request.preempts, request.now, idempotencyKeepMs),
        texts: [
          ...rows.map((row) => rowText(row, row.rev + 1)),
          ...[...(stopped?.events ?? []), ...request.events].map((event) => JSON.stringify(event)),
        ],
      };
      const own = [
        ...workingKeys(keys, job),
        keys.job(other.jobId),
        keys.idem(other.idem ?? 'none'),
        keys.alarms,
      ];
      refuse(job, await runScript(redis, 'commit', own, arg));
    },

    async writeRow(request) {
      const { job } = request;
      const keys = keysOf(job);
      const own = [...workingKeys(keys, job), keys.alarms];
      const arg = rowArg(request);
      const closings = () => encodeClosings(request.closings(), idempotencyKeepMs);
      // What closes the phase is worth sending along only where this may be the last open row.
      const mayClose = job.tally.open <= 1;
      let answer = await runScript(redis, 'writeRow', own, mayClose ? { ...arg, closings: closings() } : arg);
      if (answer[0] === answers.wouldClose)
        answer = await runScript(redis, 'writeRow', own, { ...arg, closings: closings() });
      if (answer[0] === answers.rowMoved) return null;
      refuse(job, answer);
      return String(answer[1]) as Outcome;
    },

    async kick(job, task) {
      const keys = keysOf(job);
      const arg = {
        commit_id: commitId(),
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
    adopted: async (ref) => (await guarded(redis.get(keysOf(ref).adopted))) || null,

    list: (credential, env, limit) => newest({ credential, env }, 'jobs', limit),
    checks: (credential, env, limit) => newest({ credential, env }, 'checks', limit),

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

/** Within a wave by name, in the same order on every machine. */
function byWave(a: Row, b: Row): number {
  if (a.pinned.wave !== b.pinned.wave) return a.pinned.wave - b.pinned.wave;
  return a.consumer_id < b.consumer_id ? -1 : Number(a.consumer_id > b.consumer_id);
}

function keysOf(ref: Pick<JobRef, 'credential' | 'env'>): CredentialKeys {
  return credentialKeys(ref.credential, ref.env);
}

function tallyFrom(counts: readonly (string | null | undefined)[]): Tally {
  const entries = tallyKeys.map((key, index) => [key, Number(counts[index] ?? 0)] as const);
  return { ...emptyTally, ...Object.fromEntries(entries) };
}
