// One attempt of a task, whatever the queue: what its handler throws becomes a wait, another attempt, or the failure of the job or row.
import { VelvetError, isVelvetError } from '../shared/lib/errors.ts';
import { logfields } from '../shared/lib/log.ts';
import { effects, type Effect, type Task } from '../shared/rotation/effects.ts';
import type { Times } from '../shared/times.ts';
import type { Handler, TaskContext, Verdict } from './run.ts';

/** Throws where the queue is to try again, after `backoffMs`; an error that is not a VelvetError never leaves. */
export async function attempt(
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
  if (error.code === 'store_unavailable') {
    context.log.warn('put off until Redis answers', logfields(error));
    return { laterMs: times.retryBackoffMs };
  }
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
  context.failed = true;
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

/** The queue's pause before it tries again, in milliseconds. */
export function backoffMs(times: Times, attempts: number, error: Error | undefined): number {
  const asked = isVelvetError(error) ? error.retryAfterMs : undefined;
  return Math.max(asked ?? 0, Math.min(times.retryBackoffMs * 2 ** (attempts - 1), times.retryBackoffMaxMs));
}
