// The only caller of Queue.add. Law: a task is taken off the outbox only after the queue acknowledged it; adding it twice is adding it once.
import { VelvetError } from '../lib/errors.ts';
import type { JobStore } from '../redis/job-store.ts';
import { effects, queueNames, taskId, type QueueName, type Task } from '../rotation/effects.ts';
import { keepTasks, queueTable, type Queues } from './queues.ts';

export interface Relay {
  /** Puts decided tasks on their queues and acknowledges them. What fails stays on the outbox; the sweeper relays it later. */
  relay(tasks: readonly Task[]): Promise<void>;
  /** Puts row tasks on their queues, without an outbox: whoever opens rows repeats it until each has one. Throws `store_unavailable`. */
  addRows(tasks: readonly Task[]): Promise<void>;
  /** Which of these tasks wait, are delayed or run. Throws `store_unavailable`. */
  alive(tasks: readonly Task[]): Promise<ReadonlySet<string>>;
}

const liveStates = new Set(['waiting', 'active', 'delayed', 'prioritized', 'waiting-children']);

export function createRelay(
  queues: Queues,
  store: JobStore,
  onFailure: (error: unknown, task: Task) => void,
): Relay {
  return {
    async relay(tasks) {
      for (const task of tasks) {
        try {
          await queues[queueOf(task)].add(task.effect, task, optionsOf(task));
          await store.acknowledge(task);
        } catch (error) {
          onFailure(error, task);
        }
      }
    },

    async addRows(tasks) {
      for (const name of queueNames) {
        const own = tasks.filter((task) => queueOf(task) === name);
        for (const part of inParts(own))
          await asked(
            queues[name].addBulk(
              part.map((task) => ({ name: task.effect, data: task, opts: optionsOf(task) })),
            ),
          );
      }
    },

    async alive(tasks) {
      const living = new Set<string>();
      for (const part of inParts(tasks)) {
        const looking = part.map(async (task) => {
          const id = taskId(task);
          if (liveStates.has(await asked(queues[queueOf(task)].getJobState(id)))) living.add(id);
        });
        await Promise.all(looking);
      }
      return living;
    },
  };
}

/** A queue that does not answer is Redis being away: it says nothing about the step, which must not fail for it. */
async function asked<T>(asking: Promise<T>): Promise<T> {
  try {
    return await asking;
  } catch (error) {
    const says = error instanceof Error ? error.message : 'unknown';
    throw new VelvetError('store_unavailable', `the queue did not answer: ${says}`, {
      kind: 'ConnectionError',
    });
  }
}

/** So many at once that nobody else on the connection waits long for an answer. */
const AT_ONCE = 500;

function inParts<T>(all: readonly T[]): readonly (readonly T[])[] {
  const count = Math.ceil(all.length / AT_ONCE);
  return Array.from({ length: count }, (_, n) => all.slice(n * AT_ONCE, (n + 1) * AT_ONCE));
}

export function queueOf(task: Task): QueueName {
  return effects[task.effect].queue;
}

function optionsOf(task: Task) {
  const { attempts } = queueTable[queueOf(task)];
  return { jobId: taskId(task), attempts, backoff: { type: 'velvet' }, ...keepTasks };
}
