// A worker process: `node workers/main.ts <stage|distribute|healthcheck|notifier|all>`. SIGTERM: let go within 25 s.
import { systemClock } from '../shared/lib/clock.ts';
import { readEnv } from '../shared/lib/env.ts';
import { createLog, logfields } from '../shared/lib/log.ts';
import { connect, demandFit } from '../shared/redis/connection.ts';
import { workerFamilies, type WorkerFamily } from '../shared/redis/system-store.ts';
import { times } from '../shared/times.ts';
import { startFamily } from './families.ts';
import { noOtherFetch } from './vendors/http.ts';

const asked = process.argv[2] ?? '';
const families = asked === 'all' ? workerFamilies : workerFamilies.filter((family) => family === asked);

/** With Redis away letting go never ends by itself, and SIGKILL comes 30 s after SIGTERM. */
const GRACE_MS = 1_000;

const fetchForTheDoor = globalThis.fetch;
globalThis.fetch = noOtherFetch;

async function main(): Promise<void> {
  if (families.length === 0) throw new Error(`say which family: ${workerFamilies.join(', ')} or all`);
  const envs = families.map((family) => [family, readEnv(family)] as const);
  const [, first] = envs[0] as (typeof envs)[number];
  const log = createLog({ env: first.appEnv, family: asked });
  const redis = connect(first.redis, 'working', times, (error) =>
    log.warn('redis connection failed', logfields(error)),
  );
  await demandFit(redis, first.allowVolatileRedis);
  const running = envs.map(([family, env]) => start(family, env));

  let stopping = false;
  const stop = async (signal: string) => {
    if (stopping) return;
    stopping = true;
    log.info('stopping', { signal });
    setTimeout(() => process.exit(1), times.drainMs + times.closeMs + GRACE_MS).unref();
    await Promise.all(running.map((family) => family.stop()));
    redis.disconnect();
    log.info('stopped');
    // A task that does not let go would keep the process, and with it its own lock, alive.
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      stop(signal).catch((error: unknown) => {
        log.error('stopping failed', {}, { cause: error });
        process.exit(1);
      });
    });
  }
  // Whoever reads this line may stop the process from then on, and be sure that it lets go of its tasks.
  await Promise.all(running.map((family) => family.ready));
  log.info('ready', { pid: process.pid });

  function start(family: WorkerFamily, env: (typeof envs)[number][1]) {
    return startFamily(family, env as never, {
      redis,
      fetch: fetchForTheDoor,
      clock: systemClock,
      times,
      log: createLog({ env: env.appEnv, family }),
    });
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : 'unknown failure'}\n`);
  process.exit(1);
});
