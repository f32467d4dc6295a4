// The baseline: as many tasks as a fan-out has, on BullMQ with nothing of Velvet around it.
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { systemClock } from '../../shared/lib/clock.ts';
import { keepTasks, queueTable } from '../../shared/queue/queues.ts';
import { taskId, type Task } from '../../shared/rotation/effects.ts';
import { times } from '../../shared/times.ts';

const NAME = 'bare';

/** Milliseconds from the first task's add to the last one's end, with the options that Velvet's row tasks have. */
export async function bareQueue(redisUrl: string, count: number): Promise<number> {
  // BullMQ's own demand, and nothing else.
  const connection = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const queue = new Queue(NAME, { connection, skipVersionCheck: true });
  const { attempts, concurrency } = queueTable.distribute;
  const worker = new Worker(NAME, () => Promise.resolve(), {
    connection,
    concurrency,
    lockDuration: times.taskLockMs,
    stalledInterval: times.stalledCheckMs,
  });
  try {
    await worker.waitUntilReady();
    const allDone = new Promise<void>((resolve) => {
      let left = count;
      worker.on('completed', () => {
        left -= 1;
        if (left === 0) resolve();
      });
    });
    const options = { attempts, backoff: { type: 'fixed', delay: times.retryBackoffMs }, ...keepTasks };
    const tasks = Array.from({ length: count }, (_, n) => bareTask(n));
    const startedAt = systemClock.monotonic();
    await queue.addBulk(
      tasks.map((task) => ({ name: task.effect, data: task, opts: { jobId: taskId(task), ...options } })),
    );
    await allDone;
    return systemClock.monotonic() - startedAt;
  } finally {
    await worker.close();
    await queue.close();
    connection.disconnect();
  }
}

function bareTask(n: number): Task {
  return {
    effect: 'push_row',
    credential: 'HK_PLATFORM_FULL',
    env: 'development',
    jobId: '6c0f2a3e-0000-4000-8000-000000000000',
    version: 6,
    kick: 0,
    fence: '1-abcdefgh',
    consumerId: `heroku-config-app-${n}`,
  };
}
