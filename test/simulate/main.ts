// `npm run simulate -- --seeds N [--from S] | --seed S`: seeds in two processes, each with a Redis of its own; or one seed with its trail.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { systemClock } from '../../shared/lib/clock.ts';
import { scheduleRedis } from '../flows/schedule-redis.ts';
import { createMixes } from './mixes.ts';
import { tellSeed } from './seed.ts';

const PROCESSES = 2;
const PROGRESS_MS = 5_000;
/** Enough to work on; the others are most often of the same cause. */
const FAILURES_SHOWN = 20;

interface Report {
  readonly seeds: number;
  readonly decisions: number;
  readonly rests: number;
  readonly failure: { readonly seed: number; readonly problems: readonly string[] } | null;
}

const { values: asked } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    part: { type: 'string' },
  },
});

async function replay(seed: number): Promise<void> {
  await using server = await scheduleRedis({ durable: false });
  await using mixes = createMixes(server.redis);
  const { problems, trail } = await tellSeed(mixes, seed);
  console.log(trail().join('\n'));
  console.log(problems.length === 0 ? `seed ${seed} holds` : `seed ${seed}:\n  ${problems.join('\n  ')}`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}

/** Every seed of this part, told to the parent a few at a time. */
async function tellPart(from: number, until: number, by: number): Promise<void> {
  await using server = await scheduleRedis({ durable: false });
  await using mixes = createMixes(server.redis);
  // Without a parent nobody listens, and the server of this part must not outlive it.
  for (let seed = from; seed < until && process.connected; seed += by) {
    const { problems, decisions, rests } = await tellSeed(mixes, seed);
    const failure = problems.length === 0 ? null : { seed, problems };
    if (process.connected) process.send?.({ seeds: 1, decisions, rests, failure } satisfies Report);
  }
  if (process.connected) process.disconnect();
}

async function tellAll(from: number, seeds: number): Promise<void> {
  const began = systemClock.monotonic();
  const sum = { seeds: 0, decisions: 0, rests: 0 };
  const failures: NonNullable<Report['failure']>[] = [];
  const pace = () => {
    const s = (systemClock.monotonic() - began) / 1000;
    return `${sum.seeds} of ${seeds} seeds in ${s.toFixed(0)} s, ${(sum.seeds / s).toFixed(1)} a second; ${failures.length} failed`;
  };
  const progress = setInterval(() => console.log(pace()), PROGRESS_MS);
  const parts = Array.from({ length: PROCESSES }, (_, part) =>
    told(['--part', `${from + part},${from + seeds},${PROCESSES}`], (report) => {
      sum.seeds += report.seeds;
      sum.decisions += report.decisions;
      sum.rests += report.rests;
      if (report.failure === null) return;
      failures.push(report.failure);
      if (failures.length <= FAILURES_SHOWN)
        console.log(`seed ${report.failure.seed}:\n  ${report.failure.problems.map(brief).join('\n  ')}`);
    }),
  );
  await Promise.all(parts).finally(() => clearInterval(progress));
  console.log(`${pace()}; ${sum.decisions} decisions, ${sum.rests} looks at rest`);
  if (failures.length > 0) {
    const first = failures.map((one) => one.seed).toSorted((a, b) => a - b);
    console.log(`failed: ${first.join(' ')}\nreplay one: npm run simulate -- --seed ${first[0]}`);
    process.exitCode = 1;
  }
}

/** Its trail has the rest. */
const brief = (problem: string) => problem.slice(0, 400).replaceAll(/\s+/g, ' ');

function told(args: readonly string[], hear: (report: Report) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), [...args]);
    child.on('message', (report) => hear(report as Report));
    child.once('error', reject);
    child.once('exit', (code, signal) =>
      code === 0 ? resolve() : reject(new Error(`a part ended with ${code ?? signal}`)),
    );
  });
}

if (asked.part !== undefined) {
  const [from = 0, until = 0, by = 1] = asked.part.split(',').map(Number);
  await tellPart(from, until, by);
} else if (asked.seed !== undefined) await replay(Number(asked.seed));
else await tellAll(Number(asked.from), Number(asked.seeds ?? '1000'));
