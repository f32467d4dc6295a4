// Where processes put what they measure. Law: all of them into one place, where it adds up; numbers are for graphs, and nothing waits for them.
import { ReplyError, type Redis } from 'ioredis';
import {
  bucketsOf,
  encodeKept,
  metricTable,
  parseKept,
  type Kept,
  type MetricName,
  type Metrics,
} from '../lib/metrics.ts';
import { systemKeys } from './keys.ts';
import { guarded } from './refusals.ts';

export interface KeptMetrics extends Metrics {
  /** Writes what is left. What a process that dies had not written, or that ends while Redis is away, is lost. */
  close(): Promise<void>;
}

export interface KeptNumber extends Kept {
  readonly value: number;
}

/**
 * Gathers for `flushMs` and writes then, in one exchange: a fan-out measures hundreds of calls a second. What Redis did not take,
 * because it is away or full, is kept and written with the next: it is as many numbers as there are labels, however long that lasts.
 */
export function createMetrics(redis: Redis, flushMs: number): KeptMetrics {
  let added = new Map<string, number>();
  let said = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;

  async function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    if (added.size + said.size === 0) return;
    // On a connection that waits for Redis to come back it would wait too, and what is stopping with it.
    if (redis.status !== 'ready') return later();
    const [counts, gauges] = [added, said];
    [added, said] = [new Map(), new Map()];
    const writing = redis.multi();
    for (const [field, by] of counts) writing.hincrby(systemKeys.metrics, field, by);
    for (const [field, value] of gauges) writing.hset(systemKeys.metrics, field, value);
    // All of it or nothing. Where the answer is lost it may have been taken, and nothing is counted twice.
    const refused = await writing.exec().then(
      () => false,
      (error: unknown) => error instanceof ReplyError,
    );
    if (!refused) return;
    for (const [field, by] of counts) added.set(field, by + (added.get(field) ?? 0));
    said = new Map([...gauges, ...said]);
    later();
  }

  function later(): void {
    timer ??= setTimeout(() => void flush(), flushMs).unref();
  }

  function fieldOf(metric: MetricName, labels: Readonly<Record<string, string>>, part: string): string {
    return encodeKept({
      metric,
      values: metricTable[metric].labels.map((label) => labels[label] ?? ''),
      part,
    });
  }

  function add(metric: MetricName, labels: Readonly<Record<string, string>>, part: string, by: number): void {
    const field = fieldOf(metric, labels, part);
    added.set(field, (added.get(field) ?? 0) + by);
    later();
  }

  return {
    count: (metric, labels) => add(metric, labels, 'value', 1),
    observe(metric, labels, ms) {
      const took = Math.max(0, Math.round(ms));
      const bucket = bucketsOf(metric).findIndex((upTo) => took <= upTo * 1000);
      add(metric, labels, String(bucket === -1 ? bucketsOf(metric).length : bucket), 1);
      add(metric, labels, 'sum', took);
    },
    set(metric, labels, value) {
      said.set(fieldOf(metric, labels, 'value'), value);
      later();
    },
    async close() {
      await flush();
      clearTimeout(timer);
    },
  };
}

/** All that is kept, of all processes together. */
export async function keptNumbers(redis: Redis): Promise<readonly KeptNumber[]> {
  const fields = await guarded(redis.hgetall(systemKeys.metrics));
  return Object.entries(fields).flatMap(([field, text]) => {
    const kept = parseKept(field);
    return kept === null ? [] : [{ ...kept, value: Number(text) }];
  });
}
