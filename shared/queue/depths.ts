// How long the queues are, and since when the first in each waits. Only looks.
import type { Clock } from '../lib/clock.ts';
import { queueNames, type QueueName } from '../rotation/effects.ts';
import type { Queues } from './queues.ts';

/** `failed` are tasks that ended in a way that nobody foresaw; the step's own failure is a task that is done. */
export const depthStates = ['waiting', 'active', 'delayed', 'failed'] as const;
export type DepthState = (typeof depthStates)[number];

export interface QueueDepth {
  readonly queue: QueueName;
  readonly counts: Readonly<Record<DepthState, number>>;
  /** Since the task was made that waits at the head; 0 where none waits. A task that waits for its time is not counted. */
  readonly oldestMs: number;
}

export async function queueDepths(queues: Queues, clock: Clock): Promise<readonly QueueDepth[]> {
  return Promise.all(
    queueNames.map(async (queue) => {
      const [counts, [oldest]] = await Promise.all([
        queues[queue].getJobCounts(...depthStates),
        queues[queue].getJobs(['waiting'], 0, 0, true),
      ]);
      const entries = depthStates.map((state) => [state, counts[state] ?? 0] as const);
      return {
        queue,
        counts: Object.fromEntries(entries) as Record<DepthState, number>,
        oldestMs: oldest === undefined ? 0 : Math.max(0, clock.now() - oldest.timestamp),
      };
    }),
  );
}
