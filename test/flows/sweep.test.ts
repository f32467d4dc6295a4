// The rescuer: what was decided and not queued is relayed, what went silent is ordered once more, and nothing else is touched.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import { createLog } from '../../shared/lib/log.ts';
import { createRelay, type Relay } from '../../shared/queue/enqueue.ts';
import { openQueues, type Queues } from '../../shared/queue/queues.ts';
import { createClaims } from '../../shared/redis/claim.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { taskId, type Effect, type Task } from '../../shared/rotation/effects.ts';
import type { Job } from '../../shared/rotation/job.ts';
import type { Times } from '../../shared/times.ts';
import type { Speaker } from '../../shared/changes.ts';
import { createTransitions } from '../../shared/transition.ts';
import type { CoreDeps } from '../../workers/stages/deps.ts';
import { openRows } from '../../workers/stages/fan-out.ts';
import { sweep, type SweepReport } from '../../workers/stages/sweep.ts';
import { CREDENTIAL, ENV, buildWorld, quickTimes, until, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const ada: Speaker = {
  kind: 'operator',
  actor: { operatorId: 'ada', slackUserId: null },
  version: undefined,
};
/** The families' own sweeper looks once, when it starts; from then on the test sweeps. */
const byHand: Partial<Times> = { sweepMs: 600_000 };
const log = createLog({ env: ENV, family: 'test', write: () => undefined });

interface Sweeping extends AsyncDisposable {
  readonly core: CoreDeps;
  readonly queues: Queues;
  sweep(): Promise<SweepReport>;
  job(jobId: string): Promise<Job>;
  /** Takes a task out of its queue, as if it had never been there. */
  lose(task: Task): Promise<void>;
}

/** A sweeper of the world's, which takes every job for silent. */
function sweeping(world: World): Sweeping {
  const queues = openQueues(world.redis, () => undefined);
  const relay = createRelay(queues, world.store, () => undefined);
  const core: CoreDeps = {
    store: world.store,
    relay,
    claims: createClaims(world.redis, systemClock, quickTimes.leaseMs),
    transitions: createTransitions(world.store, relay, systemClock),
    clock: systemClock,
    times: { ...quickTimes, silentMs: 0 },
  };
  return {
    core,
    queues,
    sweep: () => sweep(core, log),
    async job(jobId) {
      const job = await world.store.load(refOf(jobId));
      if (job === null) throw new Error(`no job ${jobId}`);
      return job;
    },
    async lose(task) {
      const queue = task.effect === 'push_row' ? queues.distribute : queues.stage;
      const lost = await queue.getJob(taskId(task));
      if (lost === undefined) throw new Error(`no task ${taskId(task)}`);
      await lost.remove();
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(Object.values(queues).map((queue) => queue.close()));
    },
  };
}

const refOf = (jobId: string) => ({ credential: CREDENTIAL, env: ENV, jobId });
function taskOf(job: Job, effect: Effect, consumerId?: string): Task {
  const own = { effect, ...refOf(job.jobId), version: job.statusVersion, kick: 0 };
  return consumerId === undefined ? own : { ...own, consumerId };
}
const eventsOf = async (world: World, event: string) =>
  (await world.feed.read(CREDENTIAL, ENV, 0, 1_000)).filter((one) => one.event === event).length;
const waiting = (queues: Queues, name: 'stage' | 'distribute', count: number) =>
  until(async () => ((await queues[name].getWaitingCount()) === count ? true : null));
const nothing: SweepReport = { relayed: 0, kicked: 0 };

test('what was decided by a process that died before it queued it is relayed, by two sweepers once', async () => {
  await using world = await buildWorld(redis.url, { times: byHand });
  await using by = sweeping(world);
  const jobId = await world.create();
  const died: Relay = { ...by.core.relay, relay: () => Promise.resolve() };
  await createTransitions(world.store, died, systemClock).apply(refOf(jobId), 'verify', ada);
  expect(await world.store.outbox(CREDENTIAL, ENV)).toHaveLength(1);
  expect((await by.job(jobId)).status).toBe('verifying');

  const reports = await Promise.all([by.sweep(), by.sweep()]);
  await world.reaches(jobId, 'verified');

  expect(reports.map((report) => report.relayed)).toEqual([1, 1]);
  await until(async () => ((await world.store.outbox(CREDENTIAL, ENV)).length === 0 ? true : null));
  expect([await eventsOf(world, 'verify'), await eventsOf(world, 'verify_succeeded')]).toEqual([1, 1]);
  expect(await by.sweep()).toEqual(nothing);
});

test('a silent job is kicked once by five sweepers, and goes on', async () => {
  await using world = await buildWorld(redis.url, { times: byHand, families: [] });
  await using by = sweeping(world);
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await by.lose(taskOf(await by.job(jobId), 'enqueue_verify'));

  const reports = await Promise.all(Array.from({ length: 5 }, () => by.sweep()));
  expect(reports.map((report) => report.kicked).toSorted((a, b) => a - b)).toEqual([0, 0, 0, 0, 1]);
  const job = await by.job(jobId);
  expect(job.kick).toBe(1);
  expect((await by.queues.stage.getWaiting()).map((task) => task.id)).toEqual([
    taskId({ ...taskOf(job, 'enqueue_verify'), kick: 1 }),
  ]);
  expect(await by.sweep()).toEqual(nothing);

  await world.start('stage').ready;
  await world.reaches(jobId, 'verified');
});

test('a job is not silent before its time', async () => {
  await using world = await buildWorld(redis.url, { times: byHand, families: [] });
  await using by = sweeping(world);
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await by.lose(taskOf(await by.job(jobId), 'enqueue_verify'));
  const patient = { ...by.core, times: { ...quickTimes, silentMs: 60_000 } };
  expect(await sweep(patient, log)).toEqual(nothing);
  expect((await by.sweep()).kicked).toBe(1);
});

test('a job of which one row lost its task is kicked: that row alone gets another one, and the job completes', async () => {
  await using world = await buildWorld(redis.url, {
    times: byHand,
    families: ['stage', 'healthcheck', 'notifier'],
  });
  await using by = sweeping(world);
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'proceed_mint' });
  await world.reaches(jobId, 'distributing');
  await waiting(by.queues, 'distribute', 2);
  await by.lose(taskOf(await by.job(jobId), 'push_row', 'heroku-config-raxx-api-prod'));

  await world.start('distribute').ready;
  await until(async () => ((await by.job(jobId)).tally.open === 1 ? true : null));
  expect((await by.job(jobId)).status).toBe('distributing');
  const reports = [await by.sweep(), await by.sweep()];
  await world.reaches(jobId, 'validated');

  expect(reports[0]).toEqual({ relayed: 0, kicked: 1 });
  expect([await eventsOf(world, 'row_written'), await eventsOf(world, 'push_started')]).toEqual([2, 2]);
  // The release with which the app was made, and one for the new value.
  expect(world.apps.map((app) => app.releases.length)).toEqual([2, 2]);
});

test('nothing is kicked at gates, in failed statuses and at the end', async () => {
  await using world = await buildWorld(redis.url, { times: byHand });
  await using by = sweeping(world);
  const jobId = await world.create();
  const seen: string[] = [];
  const restsAt = async (status: string) => {
    await world.reaches(jobId, status);
    const before = await by.job(jobId);
    const reports = [await by.sweep(), await by.sweep()];
    expect([reports, await by.job(jobId)]).toEqual([[nothing, nothing], before]);
    seen.push(status);
  };

  await restsAt('init');
  world.heroku.script({ on: 'GET /account', times: 1, do: { status: 401, body: { id: 'unauthorized' } } });
  await world.stage(jobId, { action: 'verify' });
  await restsAt('verify_failed');
  await world.stage(jobId, { action: 'retry' });
  await restsAt('verified');
  world.apps[0]?.failNextRelease();
  await world.stage(jobId, { action: 'proceed_mint' });
  await restsAt('distribute_partial');
  await world.stage(jobId, { action: 'retry' });
  await restsAt('validated');
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
  await restsAt('done');
  expect(seen).toHaveLength(6);
  expect(await eventsOf(world, 'revoke_succeeded')).toBe(1);
});

test('a job whose rows all wait for a person is at a gate', async () => {
  await using world = await buildWorld(redis.url, {
    times: byHand,
    apps: [{ name: 'raxx-console-prod', endpoint: false }],
  });
  await using by = sweeping(world);
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'proceed_mint' });
  await world.reaches(jobId, 'validating');
  await until(async () => ((await by.job(jobId)).tally.manual === 1 ? true : null));
  expect(await by.sweep()).toEqual(nothing);
});

test('nothing is kicked while a task waits, runs, or is put off', async () => {
  await using world = await buildWorld(redis.url, {
    times: { ...byHand, provePollMs: 60_000, proveForMs: 60_000 },
    apps: [{ name: 'raxx-console-prod', kind: 'never_restarts' }],
    families: ['stage'],
  });
  await using by = sweeping(world);
  const states: string[] = [];
  const leavesAlone = async (state: string, ready: () => Promise<boolean>) => {
    await until(async () => ((await ready()) ? true : null));
    const reports = [await by.sweep(), await by.sweep()];
    expect([state, reports]).toEqual([state, [nothing, nothing]]);
    states.push(state);
  };
  const jobId = await world.create();

  world.heroku.script({ on: 'GET /account', times: 1, do: { delay_ms: 200 } });
  await world.stage(jobId, { action: 'verify' });
  await leavesAlone('runs', async () => (await by.queues.stage.getActiveCount()) === 1);
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'proceed_mint' });
  await leavesAlone('a row waits', async () => (await by.queues.distribute.getWaitingCount()) === 1);
  await world.start('distribute').ready;
  await world.start('healthcheck').ready;
  await leavesAlone('a row is put off', async () => (await by.queues.healthcheck.getDelayedCount()) === 1);

  expect(states).toHaveLength(3);
  expect((await by.job(jobId)).status).toBe('validating');
});

test('one credential that cannot be swept does not hold up the others', async () => {
  await using world = await buildWorld(redis.url, { times: byHand, families: [] });
  await using by = sweeping(world);
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await by.lose(taskOf(await by.job(jobId), 'enqueue_verify'));
  for (const name of ['A_BROKEN_ONE', 'ZZ_BROKEN_ONE']) {
    const keys = credentialKeys(name, ENV);
    await world.redis.sadd('velvet:{system}:credentials', `${name} ${ENV}`);
    await world.redis.sadd(keys.open, 'job-x');
    await world.redis.hset(keys.job('job-x'), 'status', 'resting');
  }
  expect((await by.sweep()).kicked).toBe(1);
});

test('opening the rows twice at once opens each of them once', async () => {
  await using world = await buildWorld(redis.url, { times: byHand, families: ['stage'] });
  await using by = sweeping(world);
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  await world.stop('stage');
  await world.redis.hset(credentialKeys(CREDENTIAL, ENV).job(jobId), {
    status: 'distributing',
    phase: 'distribute',
  });
  const task = taskOf(await by.job(jobId), 'open_rows');
  const context = { signal: new AbortController().signal, log, fence: null };

  const running = Array.from({ length: 4 }, () => openRows(by.core).run(task, context));
  const ends = await Promise.allSettled(running);

  expect(ends.filter((end) => end.status === 'fulfilled').length).toBeGreaterThan(0);
  expect(await eventsOf(world, 'rows_opened')).toBe(1);
  expect((await world.store.rows(refOf(jobId))).map((row) => [row.distribute_status, row.rev])).toEqual([
    ['in_progress', 1],
    ['in_progress', 1],
  ]);
  await waiting(by.queues, 'distribute', 2);
});
