// A store on a real Redis with nothing around it, and a clock that stands still until a test moves it.
import { Redis } from 'ioredis';
import { isoTime, type Clock } from '../../shared/lib/clock.ts';
import { createClaims, type Claims } from '../../shared/redis/claim.ts';
import type { AuditEvent } from '../../shared/redis/events.ts';
import { createFeed, type Feed } from '../../shared/redis/feed.ts';
import { createJobStore, type JobStore } from '../../shared/redis/job-store.ts';
import type { CommitRequest, OpenRequest, RowWrite } from '../../shared/redis/job-writes.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';
import type { JobRef } from '../../shared/rotation/effects.ts';
import type { JobPatch } from '../../shared/rotation/job-record.ts';
import type { Job } from '../../shared/rotation/job.ts';
import { emptyTally, newRow, tally, withStatus, type Row } from '../../shared/rotation/rows.ts';

export const CREDENTIAL = 'HK_PLATFORM_FULL';
export const ENV = 'prod';
export const LEASE_MS = 15_000;
export const KEEP_MS = 60_000;
export const keys = credentialKeys(CREDENTIAL, ENV);

export interface StoreWorld extends AsyncDisposable {
  readonly redis: Redis;
  readonly store: JobStore;
  readonly claims: Claims;
  readonly feed: Feed;
  readonly clock: StillClock;
  /** A further connection, as another process has one. */
  connection(): Redis;
  /** A job with `rows` consumers that are in progress in `distribute`, in the status that is asked for. */
  opened(options?: JobOptions): Promise<Job>;
  load(ref: JobRef): Promise<Job>;
  row(ref: JobRef, consumerId: string): Promise<Row>;
  /** Everything in Redis, key by key, as Redis itself serialises it; lifetimes as whether there is one. */
  snapshot(): Promise<Readonly<Record<string, string>>>;
}

export interface JobOptions {
  readonly jobId?: string;
  readonly rows?: number;
  readonly fields?: JobPatch & { readonly status?: Job['status'] };
  /** Whether the job holds the credential. */
  readonly claims?: boolean;
}

export type StillClock = Clock & { move(ms: number): void };

export function stillClock(): StillClock {
  let passed = 0;
  return {
    now: () => 1_700_000_000_000 + passed,
    monotonic: () => passed,
    move: (ms) => {
      passed += ms;
    },
  };
}

export async function storeWorld(url: string): Promise<StoreWorld> {
  const connections: Redis[] = [];
  const connection = () => {
    const redis = new Redis(url, { maxRetriesPerRequest: null });
    redis.on('error', () => undefined);
    connections.push(redis);
    return redis;
  };
  const redis = connection();
  await redis.flushall();
  const subscriber = connection();
  await subscriber.ping();
  const clock = stillClock();
  const store = createJobStore(redis, KEEP_MS);

  const load = async (ref: JobRef) => present(await store.load(ref), ref.jobId);
  return {
    redis,
    store,
    clock,
    connection,
    load,
    claims: createClaims(redis, clock, LEASE_MS),
    feed: createFeed(redis, subscriber),
    row: async (ref, consumerId) => present(await store.row(ref, consumerId), consumerId),
    async opened(options = {}) {
      const request = openRequest(options);
      await store.open(request);
      if (options.claims !== false) await redis.set(keys.claim, request.ref.jobId);
      return load(request.ref);
    },
    async snapshot() {
      const names = (await redis.keys('*')).toSorted();
      const entries = names.map(async (name) => {
        const [content, ttl] = await Promise.all([contentOf(redis, name), redis.ttl(name)]);
        return [name, `${content}${ttl < 0 ? '' : ' (expires)'}`] as const;
      });
      return Object.fromEntries(await Promise.all(entries));
    },
    [Symbol.asyncDispose]: async () => connections.forEach((one) => one.disconnect()),
  };
}

const byName = (a: readonly [string, unknown], b: readonly [string, unknown]) => a[0].localeCompare(b[0]);

// DUMP would do, but says nothing where two snapshots differ.
async function contentOf(redis: Redis, name: string): Promise<string> {
  const type = await redis.type(name);
  if (type === 'hash') return JSON.stringify(Object.entries(await redis.hgetall(name)).toSorted(byName));
  if (type === 'set') return JSON.stringify((await redis.smembers(name)).toSorted());
  if (type === 'zset') return JSON.stringify(await redis.zrange(name, 0, '-1', 'WITHSCORES'));
  if (type === 'stream') return JSON.stringify(await redis.xrange(name, '-', '+'));
  if (type === 'list') return JSON.stringify(await redis.lrange(name, 0, -1));
  return String(await redis.get(name));
}

export function openRequest(options: JobOptions = {}): OpenRequest {
  const jobId = options.jobId ?? 'job-1';
  const rows = Array.from({ length: options.rows ?? 2 }, (_, n) => rowInProgress(`consumer-${n}`));
  return {
    ref: { credential: CREDENTIAL, env: ENV, jobId },
    fields: {
      flow_type: 'operational',
      status: 'distributing',
      status_since: 1,
      status_version: 1,
      phase: 'distribute',
      created_at: 1,
      updated_at: 1,
      created_by: 'ada',
      issuer: 'heroku-oauth',
      authority: 'HK_VELVET_BOOTSTRAP',
      ...options.fields,
    },
    rows,
    tally: rows.length === 0 ? emptyTally : tally(rows, 'distribute'),
    event: eventOf('created', jobId),
    idem: { hash: `idem-${jobId}`, bodyHash: 'body' },
    now: 1,
  };
}

export function rowInProgress(consumerId: string): Row {
  const pinned = {
    consumer_id: consumerId,
    update_method: 'HEROKU_CONFIG_PATCH',
    wave: 1,
    healthcheck_endpoint: null,
    healthcheck_success_status: 200,
    healthcheck_after: 0,
  };
  return withStatus(newRow(pinned, 1), 'distribute', 'in_progress');
}

export function eventOf(event: string, jobId: string | null = 'job-1'): AuditEvent {
  return {
    at: isoTime(0),
    env: ENV,
    job_id: jobId,
    credential: CREDENTIAL,
    operator_id: 'ada',
    from_state: null,
    to_state: 'distributing',
    event,
    detail: {},
  };
}

/** A commit that changes little; what a test is about it says itself. */
export function commitOf(job: Job, different: Partial<CommitRequest> = {}): CommitRequest {
  return {
    job,
    patch: {},
    events: [eventOf('noted', job.jobId)],
    tasks: [],
    fence: null,
    claim: 'keep',
    raiseFence: false,
    closes: false,
    enters: false,
    now: 2,
    ...different,
  };
}

/** A write to a row that leaves the counts as they are. */
export function rowWriteOf(job: Job, before: Row, different: Partial<RowWrite> = {}): RowWrite {
  return {
    job,
    before,
    after: before,
    delta: emptyTally,
    fence: null,
    events: [eventOf('row_noted', job.jobId)],
    tasks: [],
    fields: {},
    closings: () => ({}),
    ...different,
  };
}

export function present<T>(value: T | null | undefined, what = 'it'): T {
  if (value === null || value === undefined) throw new Error(`${what} is not there`);
  return value;
}

/** What a promise was refused with: the code of its VelvetError, or null where it was not refused. */
export async function codeOf(promise: Promise<unknown>): Promise<string | null> {
  try {
    await promise;
    return null;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return String(error.code);
    throw error;
  }
}
