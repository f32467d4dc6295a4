// A queue and its workers with handlers of the test's own, on a real Redis.
import { Redis } from 'ioredis';
import { systemClock } from '../../shared/lib/clock.ts';
import { createLog } from '../../shared/lib/log.ts';
import { createRelay, type Relay } from '../../shared/queue/enqueue.ts';
import { openQueues, type Queues } from '../../shared/queue/queues.ts';
import { createJobStore } from '../../shared/redis/job-store.ts';
import { taskId, type Task } from '../../shared/rotation/effects.ts';
import type { Times } from '../../shared/times.ts';
import {
  startWorker,
  type Handler,
  type RunningWorker,
  type TaskContext,
  type Verdict,
} from '../../workers/run.ts';
import { quickTimes, until } from '../harness.ts';
import { dumpRedis } from '../redis-dump.ts';

export const runTimes: Times = {
  ...quickTimes,
  taskLockMs: 400,
  stalledCheckMs: 100,
  drainMs: 150,
  closeMs: 400,
  retryBackoffMs: 5,
  rateLimitWaitMaxMs: 1_000,
};

export interface TaskWorld extends AsyncDisposable {
  readonly redis: Redis;
  readonly queues: Queues;
  readonly relay: Relay;
  readonly log: string[];
  /** A process of its own as far as Redis can tell: a worker of the queue `distribute` with this handler of `push_row`. */
  worker(handler: Handler, times?: Partial<Times>): Promise<RunningWorker>;
  /** Puts a task on the queue. */
  give(task?: Task): Promise<Task>;
  /** How the queue sees the task. */
  stateOf(task: Task): Promise<string>;
  ended(task: Task, state?: string): Promise<void>;
  /** Every string that Redis holds, in one text. */
  everything(): Promise<string>;
}

let number = 0;
export function aTask(different: Partial<Task> = {}): Task {
  number += 1;
  return {
    effect: 'push_row',
    credential: 'HK_PLATFORM_FULL',
    env: 'development',
    jobId: `job-${number}`,
    version: 3,
    kick: 0,
    fence: '1-abcdefgh',
    consumerId: 'consumer-1',
    ...different,
  };
}

export async function taskWorld(url: string): Promise<TaskWorld> {
  const connections: Redis[] = [];
  const connection = () => {
    const redis = new Redis(url, { maxRetriesPerRequest: null });
    redis.on('error', () => undefined);
    connections.push(redis);
    return redis;
  };
  const redis = connection();
  await redis.flushall();
  const queues = openQueues(redis, () => undefined);
  const relay = createRelay(queues, createJobStore(redis, 1_000), () => undefined);
  const log: string[] = [];
  const running: RunningWorker[] = [];
  const stateOf = (task: Task): Promise<string> => queues.distribute.getJobState(taskId(task));
  return {
    redis,
    queues,
    relay,
    log,
    stateOf,
    async worker(handler, times = {}) {
      const started = startWorker({
        queue: 'distribute',
        connection: connection(),
        handlers: { push_row: handler },
        times: { ...runTimes, ...times },
        clock: systemClock,
        log: createLog({ env: 'test', family: 'distribute', write: (line) => log.push(line) }),
      });
      running.push(started);
      await started.ready;
      return started;
    },
    async give(task = aTask()) {
      await relay.addRows([task]);
      return task;
    },
    async ended(task, state = 'completed') {
      await until(
        async () => ((await stateOf(task)) === state ? true : null),
        8_000,
        async () => `${state}; it is ${await stateOf(task)}\n${log.join('\n')}`,
      );
    },
    everything: () => dumpRedis(redis),
    async [Symbol.asyncDispose]() {
      await Promise.all(running.map((one) => one.stop()));
      await Promise.all(Object.values(queues).map((queue) => queue.close()));
      connections.forEach((one) => one.disconnect());
    },
  };
}

/** What a handler did: its runs, and what it was told had failed. */
export interface Recorded extends Handler {
  readonly runs: TaskContext[];
  readonly failures: { readonly code: string; readonly message: string }[];
}

/** A handler that does as it is told for its nth run, counted from 1. */
export function handler(run: (n: number, context: TaskContext) => unknown): Recorded {
  const [runs, failures]: [TaskContext[], Recorded['failures'][number][]] = [[], []];
  return {
    runs,
    failures,
    async run(_, context) {
      runs.push(context);
      return (await run(runs.length, context)) as Verdict;
    },
    async failed(_, error) {
      failures.push({ code: error.code, message: error.message });
    },
  };
}

/** Done when the signal is aborted, with its reason. */
export function aborted(signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(String(signal.reason));
    signal.addEventListener('abort', () => resolve(String(signal.reason)), { once: true });
  });
}
