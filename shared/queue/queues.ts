// The queues in one table: what travels on them, how often it is tried, how many at once. BullMQ moves work; it remembers nothing.
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { effects, queueNames, type Effect, type QueueName, type Task } from '../rotation/effects.ts';
import { queuePrefix } from '../redis/keys.ts';

interface QueueRow {
  /** How many tries a task has before its failure becomes the job's or the row's. */
  readonly attempts: number;
  /** Tasks at once in one process. */
  readonly concurrency: number;
  readonly says: string;
}

// oxfmt-ignore
export const queueTable: Readonly<Record<QueueName, QueueRow>> = {
  stage:       { attempts: 3, concurrency: 8,  says: 'rare and serial per credential; eight credentials may move at once' },
  distribute:  { attempts: 3, concurrency: 25, says: 'waits for vendors nearly all the time; fifty consumers are two rounds' },
  healthcheck: { attempts: 3, concurrency: 50, says: 'short requests; an emergency probes every consumer together' },
  notify:      { attempts: 12, concurrency: 4, says: 'Slack takes about one post a second and channel, and may be away for an hour' },
};

/** What is left of a task in Redis when it is over: enough for a look at the board, nothing that answers a later task's id. */
export const keepTasks = {
  removeOnComplete: { age: 3_600, count: 1_000 },
  removeOnFail: { age: 86_400, count: 1_000 },
} as const;

export const taskSchema: z.ZodType<Task> = z.strictObject({
  effect: z.enum(Object.keys(effects) as [Effect, ...Effect[]]),
  credential: z.string(),
  env: z.string(),
  jobId: z.string(),
  version: z.number().int(),
  kick: z.number().int(),
  fence: z.string().optional(),
  consumerId: z.string().optional(),
}) as z.ZodType<Task>;

export type Queues = Readonly<Record<QueueName, Queue>>;

/** One producer per queue on a connection of the caller's; closing that is the caller's business too. */
export function openQueues(connection: Redis, onError: (error: Error) => void): Queues {
  const entries = queueNames.map((name) => {
    const queue = new Queue(name, { connection, prefix: queuePrefix, skipVersionCheck: true });
    queue.on('error', onError);
    return [name, queue] as const;
  });
  return Object.fromEntries(entries) as Record<QueueName, Queue>;
}
