// The queue as BullMQ is one, where it matters: an id that is remembered is ignored, a task is done at least once, a lost lock ends nothing.
import { queueNames, taskId, type QueueName, type Task } from '../../shared/rotation/effects.ts';
import { queueTable, type Queues } from '../../shared/queue/queues.ts';
import type { Times } from '../../shared/times.ts';
import { backoffMs } from '../../workers/attempt.ts';
import type { Verdict } from '../../workers/run.ts';
import type { Time } from './time.ts';
import type { Process, Turns } from './turns.ts';

export interface Entry {
  readonly id: string;
  readonly task: Task;
  readonly queue: QueueName;
  state: 'waiting' | 'active' | 'delayed' | 'completed' | 'failed';
  attemptsMade: number;
  /** Who has it, and the how-manieth giving that is: whoever was given it before has lost its lock. */
  holder: Process | null;
  given: number;
}

export interface TaskQueue {
  /** What the product puts tasks on, as far as its relay uses BullMQ's. */
  readonly queues: Queues;
  readonly entries: readonly Entry[];
  waiting(): readonly Entry[];
  /** Gives a waiting task to a process; what is answered is its lock. */
  take(entry: Entry, process: Process): number;
  /** As BullMQ ends an attempt; without the lock nothing happens. `thrown` asks for another attempt. */
  finish(entry: Entry, lock: number, outcome: Verdict | { readonly thrown: unknown }): void;
  /** Its end was not heard of: nobody renews its lock any more. */
  abandon(entry: Entry, lock: number): void;
  /** Its lock is over: somebody else gets the task. */
  release(entry: Entry): void;
}

/** With what it remembers from before, e.g. in a world that begins at an earlier moment. */
export function createTaskQueue(turns: Turns, time: Time, times: Times, before: readonly Entry[]): TaskQueue {
  const entries = new Map<string, Entry>(before.map((one) => [one.id, { ...one }]));

  function add(task: Task, queue: QueueName): void {
    const id = taskId(task);
    if (entries.has(id)) return;
    entries.set(id, { id, task, queue, state: 'waiting', attemptsMade: 0, holder: null, given: 0 });
  }

  function delay(entry: Entry, ms: number): void {
    entry.state = 'delayed';
    const given = entry.given;
    time.at(time.now() + Math.max(1, ms), () => {
      if (entry.state === 'delayed' && entry.given === given) entry.state = 'waiting';
    });
  }

  function release(entry: Entry): void {
    if (entry.state !== 'active') return;
    entry.state = 'waiting';
    entry.holder = null;
  }

  const broken = () => new Error('Connection is closed.');
  const queueOf = (name: QueueName) => ({
    add: (_: string, task: Task) =>
      turns.effect(
        { door: 'queue', name: `add ${task.effect}`, change: true },
        { broken, apply: async () => add(task, name) },
      ),
    addBulk: (many: readonly { data: Task }[]) =>
      turns.effect(
        { door: 'queue', name: `add ${many.length} of ${many[0]?.data.effect}`, change: true },
        { broken, apply: async () => many.forEach(({ data }) => add(data, name)) },
      ),
    getJobState: (id: string) =>
      turns.effect(
        { door: 'queue', name: 'getJobState', change: false },
        { broken, apply: async () => entries.get(id)?.state ?? 'unknown' },
      ),
  });

  return {
    queues: Object.fromEntries(queueNames.map((name) => [name, queueOf(name)])) as unknown as Queues,
    get entries() {
      return [...entries.values()];
    },
    // Messages are no part of these worlds.
    waiting: () => [...entries.values()].filter((one) => one.state === 'waiting' && one.queue !== 'notify'),
    take(entry, process) {
      entry.state = 'active';
      entry.holder = process;
      return ++entry.given;
    },
    finish(entry, lock, outcome) {
      if (entry.state !== 'active' || entry.given !== lock) return;
      entry.holder = null;
      if (outcome === 'done') {
        entry.state = 'completed';
      } else if ('laterMs' in outcome) {
        delay(entry, outcome.laterMs);
      } else {
        entry.attemptsMade += 1;
        const { thrown } = outcome;
        if (entry.attemptsMade >= queueTable[entry.queue].attempts) entry.state = 'failed';
        else delay(entry, backoffMs(times, entry.attemptsMade, thrown instanceof Error ? thrown : undefined));
      }
    },
    release,
    abandon(entry, lock) {
      time.at(time.now() + times.taskLockMs + times.stalledCheckMs, () => {
        if (entry.given === lock) release(entry);
      });
    },
  };
}
