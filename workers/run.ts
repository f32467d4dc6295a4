// The one BullMQ worker: parses the task, calls its handler, maps the outcome, lets go in time. Law: an unknown outcome is a fault, never a success.
import { DelayedError, Worker, type Job as BullTask } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Clock } from '../shared/lib/clock.ts';
import { VelvetError, isVelvetError } from '../shared/lib/errors.ts';
import type { Fence } from '../shared/lib/lease.ts';
import { logfields, type Log } from '../shared/lib/log.ts';
import { queueTable, taskSchema } from '../shared/queue/queues.ts';
import { queuePrefix } from '../shared/redis/keys.ts';
import { effects, type Effect, type QueueName, type Task } from '../shared/rotation/effects.ts';
import type { Times } from '../shared/times.ts';

export interface TaskContext {
  /** Aborted when the process must let go, or the task was given to another one. */
  readonly signal: AbortSignal;
  readonly log: Log;
  /** The fence of this attempt, once it has one: its failure is committed under it. */
  fence: Fence | null;
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
    const verdict = await attempt(task, context, handlers[task.effect], { last, times });
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
  return { ready: worker.waitUntilReady(), stop: () => stop(worker, times, log) };
}

/** One attempt: what it threw becomes a wait, another attempt (thrown on to BullMQ), or the failure of the job or row. */
async function attempt(
  task: Task,
  context: TaskContext,
  handler: Handler | undefined,
  { last, times }: { last: boolean; times: Times },
): Promise<Verdict> {
  try {
    if (handler === undefined)
      throw new VelvetError(
        'invariant_broken',
        `no handler for ${task.effect} on ${effects[task.effect].queue}`,
      );
    const verdict = await handler.run(task, context);
    if (verdict !== 'done' && !Number.isFinite(verdict?.laterMs))
      throw new VelvetError('invariant_broken', `${task.effect} answered neither done nor later`);
    return verdict;
  } catch (thrown) {
    // Whoever took over goes on; the job is where it is.
    if (isVelvetError(thrown) && (thrown.code === 'stale_fence' || thrown.code === 'stale_version')) {
      context.log.info('left to a later attempt', { code: thrown.code });
      return 'done';
    }
    if (context.signal.aborted) {
      context.log.info('let go', { reason: String(context.signal.reason) });
      return { laterMs: 0 };
    }
    return afterFailure(thrown, task, context, { handler, last, times });
  }
}

async function afterFailure(
  thrown: unknown,
  task: Task,
  context: TaskContext,
  { handler, last, times }: { handler: Handler | undefined; last: boolean; times: Times },
): Promise<Verdict> {
  const error = isVelvetError(thrown)
    ? thrown
    : new VelvetError('internal', `unforeseen: ${thrown instanceof Error ? thrown.name : typeof thrown}`);
  if (!isVelvetError(thrown)) context.log.error('unforeseen failure', {}, { cause: thrown });
  // Redis away says nothing about the step: it is taken up again, as often as it takes.
  if (error.code === 'store_unavailable') return { laterMs: times.retryBackoffMs };
  const tooLong = (error.retryAfterMs ?? 0) > times.rateLimitWaitMaxMs;
  if (error.code === 'vendor_rate_limited' && error.retryAfterMs !== undefined && !tooLong) {
    // A pause of nothing, or of a moment that a skewed clock calls past, would be a loop without a pause.
    const waitMs = Math.max(error.retryAfterMs, times.retryBackoffMs);
    context.log.warn('paced by the vendor', { wait_ms: waitMs });
    return paced(handler, task, waitMs, context);
  }
  // Another attempt would begin with the very pause that is too long to be waited for.
  if (!last && !tooLong && error.retry !== 'never') {
    context.log.warn('attempt failed', logfields(error));
    throw error;
  }
  context.log.error(`${verb(task.effect)} failed`, logfields(error));
  try {
    await handler?.failed(task, error, context);
    return 'done';
  } catch (untold) {
    return unreported(untold, context, times);
  }
}

/** That the pause could not be shown does not end it. */
async function paced(
  handler: Handler | undefined,
  task: Task,
  waitMs: number,
  context: TaskContext,
): Promise<Verdict> {
  try {
    await handler?.paced?.(task, waitMs);
  } catch (error) {
    context.log.warn('the pause is not shown', logfields(error));
  }
  return { laterMs: waitMs };
}

/** Thrown on, its text would stand in Redis and the task be tried as if the step had not failed. */
function unreported(untold: unknown, context: TaskContext, times: Times): Verdict {
  if (isVelvetError(untold) && untold.code === 'store_unavailable') return { laterMs: times.retryBackoffMs };
  const overtaken =
    isVelvetError(untold) && (untold.code === 'stale_fence' || untold.code === 'stale_version');
  // The job stands still now, so the sweeper orders its step again.
  if (!overtaken) context.log.error('failure not recorded', {}, { cause: untold });
  return 'done';
}

/** `mint failed`, as the runbook's reader greps for it. */
function verb(effect: Effect): string {
  return effect.replace(/^enqueue_/, '').replaceAll('_', ' ');
}

function backoffMs(times: Times, attempts: number, error: Error | undefined): number {
  const asked = isVelvetError(error) ? error.retryAfterMs : undefined;
  return Math.max(asked ?? 0, Math.min(times.retryBackoffMs * 2 ** (attempts - 1), times.retryBackoffMaxMs));
}

async function stop(worker: Worker, times: Times, log: Log): Promise<void> {
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
