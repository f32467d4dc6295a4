// Fan-out: how many consumers a second the engine writes and settles, beside as many empty tasks of bare BullMQ.
import { bareQueue } from './bare-queue.ts';
import { openEngine } from './engine.ts';
import { inTurns, median, rounded, type Report } from './measure.ts';
import type { Place } from './place.ts';

const SIZES = [100, 1_000, 10_000] as const;

export async function fanout(place: Place, report: Report): Promise<void> {
  const perRow = new Map<number, number>();
  for (const size of SIZES) {
    const { own, baseline } = await inTurns(
      () => velvet(place, size),
      async () => {
        await place.emptied();
        return bareQueue(place.redisUrl, size);
      },
    );
    const [ms, bareMs] = [median(own), median(baseline)];
    perRow.set(size, ms / size);
    report(
      {
        bench: 'fanout',
        metric: `${size} consumers`,
        value: Math.round((size / ms) * 1_000),
        unit: 'tasks/s',
        baseline: Math.round((size / bareMs) * 1_000),
        ratio: rounded(bareMs / ms),
      },
      { of: 'ratio', bound: 'at least', is: 0.5 },
    );
  }
  const [few, many] = [perRow.get(100) ?? 0, perRow.get(10_000) ?? 0];
  report(
    {
      bench: 'fanout',
      metric: 'cost per row at 10,000, beside that at 100',
      value: rounded(many, 3),
      unit: 'ms',
      baseline: rounded(few, 3),
      ratio: rounded(many / few),
    },
    { of: 'ratio', bound: 'at most', is: 1.2 },
  );
}

async function velvet(place: Place, size: number): Promise<number> {
  await place.emptied();
  await using engine = await openEngine(place.redisUrl, place.folder);
  // Awaited here: the engine ends with this function.
  return await engine.distributed(size);
}
