// The record of a job: opened once, moved without gaps, counted exactly, however many write at once.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRelay } from '../../shared/queue/enqueue.ts';
import { openQueues } from '../../shared/queue/queues.ts';
import { createJobStore } from '../../shared/redis/job-store.ts';
import { isVelvetError } from '../../shared/lib/errors.ts';
import type { Job } from '../../shared/rotation/job.ts';
import {
  emptyTally,
  statusIn,
  tally,
  withStatus,
  type Row,
  type RowStatus,
} from '../../shared/rotation/rows.ts';
import type { Speaker } from '../../shared/changes.ts';
import { createTransitions } from '../../shared/transition.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import {
  CREDENTIAL,
  ENV,
  KEEP_MS,
  codeOf,
  commitOf,
  eventOf,
  keys,
  openRequest,
  present,
  rowWriteOf,
  storeWorld,
} from './store-world.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const attempt: Speaker = { kind: 'attempt', fence: null, statusVersion: 1 };
const person = (name: string): Speaker => ({
  kind: 'operator',
  actor: { operatorId: name, slackUserId: null },
  version: undefined,
});

describe('opening', () => {
  test('fifty calls with one idempotency key make one job, and all of them learn its id', async () => {
    await using world = await storeWorld(server.url);
    const stores = Array.from({ length: 5 }, () => createJobStore(world.connection(), KEEP_MS));
    const idem = { hash: 'one-key', bodyHash: 'body' };

    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        present(stores[n % 5]).open({ ...openRequest({ jobId: `job-${n}` }), idem }),
      ),
    );

    const made = answers.filter((answer) => !answer.existed);
    expect(made).toHaveLength(1);
    expect(new Set(answers.map((answer) => answer.jobId))).toEqual(new Set([made[0]?.jobId]));
    expect(await world.store.list(CREDENTIAL, ENV, 10)).toHaveLength(1);
    expect(await world.store.openJobs(CREDENTIAL, ENV)).toHaveLength(1);
    expect((await world.feed.read(CREDENTIAL, ENV, 0, 99)).map((one) => one.event)).toEqual(['created']);
    expect(await world.store.credentials()).toEqual([{ credential: CREDENTIAL, env: ENV }]);
    expect((await world.redis.keys('*:job:*')).length).toBe(1);
    expect(await world.store.byKey({ credential: CREDENTIAL, env: ENV }, idem)).toBe(made[0]?.jobId);
  });

  test('the same key with another body is refused, in both ways of asking', async () => {
    await using world = await storeWorld(server.url);
    const request = openRequest();
    await world.store.open(request);
    const other = { ...request.idem, bodyHash: 'another' };
    expect(await codeOf(world.store.open({ ...request, idem: other }))).toBe('idempotency_mismatch');
    expect(await codeOf(world.store.byKey(request.ref, other))).toBe('idempotency_mismatch');
    expect(await world.store.byKey(request.ref, { hash: 'unused', bodyHash: 'body' })).toBeNull();
  });

  test('the key lives while the job does, and a while after it', async () => {
    await using world = await storeWorld(server.url);
    const job = await world.opened();
    const key = keys.idem('idem-job-1');
    expect(await world.redis.ttl(key)).toBe(-1);
    await world.store.commit(commitOf(job, { closes: true, claim: 'free' }));
    const ttl = await world.redis.pttl(key);
    expect([ttl > KEEP_MS - 5_000, ttl <= KEEP_MS]).toEqual([true, true]);
    expect(await world.store.openJobs(CREDENTIAL, ENV)).toEqual([]);
    expect(await world.store.list(CREDENTIAL, ENV, 10)).toHaveLength(1);
  });

  test('jobs are listed newest first, and only as many as asked for', async () => {
    await using world = await storeWorld(server.url);
    for (let n = 1; n <= 4; n++) await world.store.open({ ...openRequest({ jobId: `job-${n}` }), now: n });
    const listed = await world.store.list(CREDENTIAL, ENV, 3);
    expect(listed.map((job) => job.jobId)).toEqual(['job-4', 'job-3', 'job-2']);
    expect(await world.store.load({ credential: CREDENTIAL, env: ENV, jobId: 'nobody' })).toBeNull();
  });
});

describe('many writers at once', () => {
  test('commits make versions without a gap or a repeat, and events with dense numbers', async () => {
    await using world = await storeWorld(server.url);
    const job = await world.opened();
    const stores = Array.from({ length: 4 }, () => createJobStore(world.connection(), KEEP_MS));
    let refusals = 0;

    async function write(store: (typeof stores)[number], n: number): Promise<number> {
      for (;;) {
        const read = (await store.load(job)) as Job;
        const event = { ...eventOf('noted'), detail: { n, version: read.version + 1 } };
        try {
          await store.commit(commitOf(read, { events: [event] }));
          return read.version + 1;
        } catch (error) {
          if (!isVelvetError(error) || error.code !== 'stale_version') throw error;
          refusals += 1;
        }
      }
    }
    const versions = await Promise.all(
      stores.flatMap((store, s) => [0, 1, 2, 3, 4, 5, 6, 7].map((n) => write(store, s * 8 + n))),
    );

    expect(versions.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 32 }, (_, n) => n + 2));
    expect(refusals).toBeGreaterThan(0);
    const events = await world.feed.read(CREDENTIAL, ENV, 0, 99);
    expect(events.map((one) => one.seq)).toEqual(Array.from({ length: 33 }, (_, n) => n + 1));
    expect(events.slice(1).map((one) => one.detail['version'])).toEqual(
      Array.from({ length: 32 }, (_, n) => n + 2),
    );
  });

  test('two hundred rows that end at once, some of them twice, are counted exactly and close the phase once', async () => {
    await using world = await storeWorld(server.url);
    const ROWS = 200;
    const job = await world.opened({ rows: ROWS });
    const queues = openQueues(world.redis, () => undefined);
    const transitionsOf = () => {
      const store = createJobStore(world.connection(), KEEP_MS);
      return createTransitions(
        store,
        createRelay(queues, store, () => undefined),
        world.clock,
      );
    };
    const processes = Array.from({ length: 4 }, transitionsOf);
    // Noted, then ended by two tasks of which one comes too late; every seventh fails, every tenth goes to a person first.
    const settle = async (n: number, by: (typeof processes)[number]) => {
      const to = n % 7 === 0 ? 'failed' : 'succeeded';
      const ending = () =>
        by.settleRow(job, `consumer-${n}`, attempt, (row) =>
          statusIn(row, 'distribute') === 'in_progress' ? change(row, to) : null,
        );
      await by.settleRow(job, `consumer-${n}`, attempt, (row) => ({
        row: { ...row, attempts: 1 },
        event: 'push_started',
      }));
      // Of the two the second may find the phase closed already.
      if (n % 10 !== 0) return Promise.all([codeOf(ending()), codeOf(ending())]);
      await by.settleRow(job, `consumer-${n}`, attempt, (row) => change(row, 'manual_required'));
      return by.settleRow(job, `consumer-${n}`, person('ada'), (row) => change(row, 'skipped'));
    };
    await Promise.all(Array.from({ length: ROWS }, (_, n) => settle(n, present(processes[n % 4]))));

    const [after, rows] = [await world.load(job), await world.store.rows(job)];
    expect(after.tally).toEqual(tally(rows, 'distribute'));
    expect(after.tally).toEqual({
      total: 200,
      pending: 0,
      open: 0,
      manual: 0,
      failed: 26,
      ok: 174,
      proven: 154,
    });
    expect(after.status).toBe('distribute_partial');
    expect(rows.every((row) => row.attempts === 1)).toBe(true);
    const events = await world.feed.read(CREDENTIAL, ENV, 0, 9_999);
    expect(events.map((one) => one.seq)).toEqual(events.map((_, n) => n + 1));
    expect(events.filter((one) => one.event === 'rows_closed')).toHaveLength(1);
    // created, noted and ended each, with a person's step for twenty of them, closed.
    expect(events).toHaveLength(1 + ROWS * 2 + 20 + 1);
    // A person's step that closes the phase is one version with it.
    const closer = events.find((one) => one.event === 'rows_closed')?.operator_id;
    expect(after.version).toBe(1 + 20 + (closer === 'ada' ? 0 : 1));
    await Promise.all(Object.values(queues).map((queue) => queue.close()));
  });

  test('a row that moved since it was read is left to be read again', async () => {
    await using world = await storeWorld(server.url);
    const job = await world.opened();
    const read = await world.row(job, 'consumer-0');
    expect(await world.store.writeRow(rowWriteOf(job, read, { after: { ...read, note: 'first' } }))).toBe(
      'open',
    );
    expect(
      await world.store.writeRow(rowWriteOf(job, read, { after: { ...read, note: 'second' } })),
    ).toBeNull();
    expect(await world.row(job, 'consumer-0')).toMatchObject({ note: 'first', rev: 1 });
  });

  test('a commit that brings rows does not write over what a row task wrote since they were read', async () => {
    await using world = await storeWorld(server.url);
    const job = await world.opened();
    const rows = await world.store.rows(job);
    const started = { fence: '1-attempt0', until: 99 };
    const [first] = rows as [Row];
    await world.store.writeRow(rowWriteOf(job, first, { after: { ...first, started } }));

    const reopening = commitOf(job, { rows, tally: tally(rows, 'distribute') });
    expect(await codeOf(world.store.commit(reopening))).toBe('stale_version');
    expect((await world.row(job, 'consumer-0')).started).toEqual(started);
    await world.store.commit(commitOf(job, { rows: await world.store.rows(job) }));
    expect((await world.store.rows(job)).map((row) => row.rev)).toEqual([2, 1]);
  });
});

function change(row: Row, to: RowStatus) {
  return { row: withStatus(row, 'distribute', to), event: `row_${to}` };
}

test('what is read of a job for one row is what is read of both alone, whatever was written in between', async () => {
  await using world = await storeWorld(server.url);
  const job = await world.opened({ rows: 2 });
  await world.redis.set(keys.fence, '3-current0');
  const agrees = async () => {
    const standing = await world.store.standing(job, 'consumer-0');
    expect(standing).toEqual({
      job: await world.load(job),
      row: await world.row(job, 'consumer-0'),
      fence: '3-current0',
    });
  };

  await agrees();
  const read = await world.row(job, 'consumer-0');
  await world.store.writeRow(rowWriteOf(job, read, { delta: { ...emptyTally, open: -1, ok: 1, proven: 1 } }));
  await agrees();
  await world.store.commit(commitOf(job, { patch: { phase: 'validate', error: null }, now: 3 }));
  await agrees();
  await world.store.commit(
    commitOf(await world.load(job), { patch: { phase: null }, status: 'done', enters: true, now: 3 }),
  );
  await agrees();
  expect(await world.store.standing(job, 'nobody')).toBeNull();
  await world.redis.del(keys.job('job-1'));
  expect(await world.store.standing(job, 'consumer-0')).toBeNull();
});

test('a row that closes the phase unawares brings what the closing writes with a second call, once', async () => {
  await using world = await storeWorld(server.url);
  const job = await world.opened({ rows: 2 });
  const rows = await world.store.rows(job);
  const settled = { ...emptyTally, open: -1, ok: 1, proven: 1 };
  const closings = () => ({
    all: { patch: {}, events: [], tasks: [], fields: { status: 'distributed' }, frees: false, closes: false },
  });

  const outcomes = [];
  // Both were read while two rows were open.
  for (const row of rows)
    outcomes.push(await world.store.writeRow(rowWriteOf(job, row, { delta: settled, closings })));

  expect(outcomes).toEqual(['open', 'all']);
  const after = await world.load(job);
  expect([after.status, after.tally.open, after.tally.proven]).toEqual(['distributed', 0, 2]);
});
