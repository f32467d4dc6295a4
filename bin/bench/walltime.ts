// Wall time: fifty consumers at a vendor that answers after 200 ms, beside the least that so many calls take at this concurrency.
import { queueTable } from '../../shared/queue/queues.ts';
import { times } from '../../shared/times.ts';
import { buildWorld, CREDENTIAL, ENV, type World } from '../../test/harness.ts';
import { median, repeatedly, rounded, type Report } from './measure.ts';
import { pause, type Place } from './place.ts';

const CONSUMERS = 50;
const LATENCY_MS = 200;
const TOO_LONG_MS = 60_000;

interface Walk {
  readonly ms: number;
  readonly calls: number;
}

export async function walltime(place: Place, report: Report): Promise<void> {
  const walks = await repeatedly(() => distributed(place));
  const ms = median(walks.map((walk) => walk.ms));
  const calls = median(walks.map((walk) => walk.calls));
  const { concurrency } = queueTable.distribute;
  const ideal = (calls / concurrency) * LATENCY_MS;
  report(
    {
      bench: 'walltime',
      metric: `${CONSUMERS} consumers, ${calls} calls of ${LATENCY_MS} ms`,
      value: Math.round(ms),
      unit: 'ms',
      baseline: Math.round(ideal),
      ratio: rounded(ms / ideal),
    },
    { of: 'ratio', bound: 'at most', is: 1.3 },
  );
}

/** One distribute process, the real Heroku handler over loopback HTTP, and times as in production. */
async function distributed(place: Place): Promise<Walk> {
  const apps = Array.from({ length: CONSUMERS }, (_, n) => ({ name: `bench-app-${n}` }));
  await using world = await buildWorld(place.redisUrl, {
    apps,
    times: { ...times, availabilityMs: 600_000 },
    families: ['stage', 'distribute'],
    releaseMs: 0,
  });
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  world.heroku.script({ on: '*', times: Infinity, do: { delay_ms: LATENCY_MS } });
  await world.stage(jobId, { action: 'proceed_mint' });
  const [from, to] = await phaseOf(world);
  const calls = world.heroku.requests.filter(
    ({ at, path }) => path.startsWith('/apps/') && at >= from && at <= to,
  );
  return { ms: to - from, calls: calls.length };
}

/** When the phase began and ended by the audit trail, looked at seldom: this process has work to do. */
async function phaseOf(world: World): Promise<readonly [from: number, to: number]> {
  for (let waited = 0; waited < TOO_LONG_MS; waited += LATENCY_MS) {
    const events = await world.feed.read(CREDENTIAL, ENV, 0, 1_000);
    const at = (event: string) => Date.parse(events.find((one) => one.event === event)?.at ?? '');
    if (events.some((one) => one.event === 'rows_closed')) return [at('fan_out_started'), at('rows_closed')];
    await pause(LATENCY_MS);
  }
  throw new Error(`the rows were not written within ${TOO_LONG_MS / 1_000} s`);
}
