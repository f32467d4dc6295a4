// The one BullMQ worker: parses the task, calls its handler, maps the outcome, lets go in time. Law: an unknown outcome is a fault, never a success.
import { DelayedError, Worker, type Job as BullTask } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Clock } from '../shared/lib/clock.ts';
import type { VelvetError } from '../shared/lib/errors.ts';
import type { Fence } from '../shared/lib/lease.ts';
import { logfields, type Log } from '../shared/lib/log.ts';
import { queueTable, taskSchema } from '../shared/queue/queues.ts';
import { queuePrefix } from '../shared/redis/keys.ts';
import type { Effect, QueueName, Task } from '../shared/rotation/effects.ts';
import type { Times } from '../shared/times.ts';
import { attempt, backoffMs } from './attempt.ts';

export interface TaskContext {
  /** Aborted when the process must let go, or the task was given to another one. */
  readonly signal: AbortSignal;
  readonly log: Log;
  /** The fence of this attempt, once it has one: its failure is committed under it. */
  fence: Fence | null;
  /** How its row is written, once it is known: what is measured is told apart by it. */
  updateMethod?: string;
  /** Set where the failure became the job's or the row's. */
  failed?: true;
}

/** One run of a task, for metrics: ok, later (it waits), again (it failed and is tried again), failed. */
export interface TaskRun {
  readonly task: Effect;
  readonly updateMethod: string | undefined;
  readonly outcome: 'ok' | 'later' | 'again' | 'failed';
  readonly ms: number;
}

/** done: nothing more to do here · later: the same task again after a wait, without using up an attempt. */
export type Verdict = 'done' | { readonly laterMs: number };

export interface Handler {
  run(task: Task, context: TaskContext): Promise<Verdict>;
  /** Called once, when the last attempt failed or another one would fail the same way: makes the failure the job's or the row's. */
  failed(task: Task, error: VelvetError, context: TaskContext): Promise<void>;
  /** Called when a vendor asked for a pause, before the task waits it out. */
  paced?(task: Task, waitMs: number): Promise<void>;
}

export type Handlers = Partial<Record<Effect, Handler>>;

export interface WorkerOptions {
  readonly queue: QueueName;
  readonly connection: Redis;
  readonly handlers: Handlers;
  readonly times: Times;
  readonly clock: Clock;
  readonly log: Log;
  readonly onRan?: (run: TaskRun) => void;
}

export interface RunningWorker {
  readonly ready: Promise<unknown>;
  /** Takes no new task, waits for the running ones, then aborts them; what is left is run again by whoever finds it. */
  stop(): Promise<void>;
}

const SHUTDOWN = 'shutdown';

export function startWorker({
  queue,
  connection,
  handlers,
  times,
  clock,
  log,
  onRan,
}: WorkerOptions): RunningWorker {
  // BullMQ hands over the signal only to a function that declares three parameters.
  const processor = async (job: BullTask, token: string | undefined, signal: AbortSignal | undefined) => {
    const task = taskSchema.parse(job.data);
    const standing = {
      job_id: task.jobId,
      credential: task.credential,
      consumer_id: task.consumerId,
      task: task.effect,
      attempt: job.attemptsMade + 1,
    };
    const context: TaskContext = {
      signal: signal ?? new AbortController().signal,
      log: log.with(standing),
      fence: null,
    };
    const last = job.attemptsMade + 1 >= (job.opts.attempts ?? 1);
    const began = clock.monotonic();
    const ran = (outcome: TaskRun['outcome']) =>
      onRan?.({
        task: task.effect,
        updateMethod: context.updateMethod,
        outcome,
        ms: clock.monotonic() - began,
      });
    const verdict = await attempt(task, context, handlers[task.effect], { last, times }).catch(
      (error: unknown) => {
        ran('again');
        throw error;
      },
    );
    ran(context.failed === true ? 'failed' : verdict === 'done' ? 'ok' : 'later');
    if (verdict === 'done') return;
    await job.moveToDelayed(clock.now() + Math.max(1, verdict.laterMs), token);
    throw new DelayedError();
  };
  const worker = new Worker(queue, processor, {
    connection,
    prefix: queuePrefix,
    concurrency: queueTable[queue].concurrency,
    lockDuration: times.taskLockMs,
    stalledInterval: times.stalledCheckMs,
    maxStalledCount: 10,
    settings: { backoffStrategy: (attempts, _type, error) => backoffMs(times, attempts ?? 1, error) },
  });
  worker.on('error', (error) => log.warn('queue connection failed', { queue, ...logfields(error) }));
  worker.on('stalled', (id) =>
    log.warn('task taken over from a process that went silent', { queue, task_id: id }),
  );
  worker.on('lockRenewalFailed', (ids) => ids.forEach((id) => worker.cancelJob(id, 'lock lost')));
  return { ready: worker.waitUntilReady(), stop: () => stopWorker(worker, times, log) };
}

/** Takes nothing new, waits for what runs, then aborts it, each for its time. */
export async function stopWorker(worker: Worker, times: Times, log: Log): Promise<void> {
  await worker.pause(true);
  const closed = worker.close();
  if (await within(closed, times.drainMs)) return;
  worker.cancelAllJobs(SHUTDOWN);
  if (await within(closed, times.closeMs)) return;
  // close(true) would only join the close that is under way. The lock lapses with the process; then the task is run elsewhere.
  log.error('not closed in time; a task that still runs is left to be found', { queue: worker.name });
}

async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
