// The web process: environment → manifest → Redis → listen. SIGTERM: stop accepting, end the streams, close. It has no vault and no vendor's token.
import { serve } from '@hono/node-server';
import type { Server } from 'node:http';
import { systemClock } from '../shared/lib/clock.ts';
import { readEnv } from '../shared/lib/env.ts';
import { createLog, logfields, type Log } from '../shared/lib/log.ts';
import { loadManifest } from '../shared/manifest/load.ts';
import { demandSealKey } from '../shared/manifest/minted-by-hand.ts';
import { createTypedValues } from '../shared/redis/typed-values.ts';
import { createRelay } from '../shared/queue/enqueue.ts';
import { openQueues } from '../shared/queue/queues.ts';
import { createAsker } from '../shared/queue/questions.ts';
import { createAlarmStore } from '../shared/redis/alarm-store.ts';
import { createAnswers } from '../shared/redis/answers.ts';
import { connect, demandFit } from '../shared/redis/connection.ts';
import { createFeed } from '../shared/redis/feed.ts';
import { createGround } from '../shared/redis/ground.ts';
import { createJobStore } from '../shared/redis/job-store.ts';
import { createMetrics } from '../shared/redis/metrics.ts';
import { createRateLimits } from '../shared/redis/rate-limits.ts';
import { createSystemStore } from '../shared/redis/system-store.ts';
import { tellMoves } from '../shared/moves.ts';
import { times } from '../shared/times.ts';
import { createTransitions } from '../shared/transition.ts';
import { buildApp } from './app.ts';
import { limits } from './limits.ts';
import { lookThrough, ticketsThrough } from './router.ts';

/** Router 2.0 keeps connections for 90 s and asks for more than that; Node's default of 5 s shows as random H13. */
const KEEP_ALIVE_MS = 95_000;
const CLOSE_MS = 8_000;

async function main(): Promise<void> {
  const env = readEnv('web');
  const log = createLog({ env: env.appEnv, family: 'web' });
  const manifest = loadManifest(env.manifestPath, {
    allowLoopback: env.allowLoopback,
    velvetApp: env.velvetApp,
    infisicalPlace: env.infisicalPlace,
  });
  demandSealKey('VELVET_SEAL_PUBLIC_KEY', env.sealKey, { manifest, env: env.appEnv });
  const onError = (error: Error) => log.warn('redis connection failed', logfields(error));
  const boot = connect(env.redis, 'working', times, onError);
  await demandFit(boot, env.allowVolatileRedis);
  boot.disconnect();
  const redis = connect(env.redis, 'asking', times, onError);
  const subscriber = connect(env.redis, 'working', times, onError);
  await new Promise<void>((resolve) =>
    redis.status === 'ready' ? resolve() : redis.once('ready', () => resolve()),
  );
  const store = createJobStore(redis, times.idempotencyKeepMs);
  const queues = openQueues(redis, onError);
  const relay = createRelay(queues, store, (error, task) =>
    log.warn('task stays on the outbox', { task: task.effect, job_id: task.jobId, ...logfields(error) }),
  );
  const asker = createAsker({
    connection: redis,
    answers: createAnswers(redis),
    clock: systemClock,
    times,
    onError,
  });
  const stopping = new AbortController();
  const metrics = createMetrics(redis, times.metricsMs);
  const app = buildApp({
    asker,
    env: env.appEnv,
    allowVolatileRedis: env.allowVolatileRedis,
    behindRouter: env.behindRouter,
    publicUrl: env.publicUrl,
    manifest,
    redis,
    store,
    system: createSystemStore(redis),
    alarms: createAlarmStore(redis, env.appEnv, store),
    rateLimits: createRateLimits(redis),
    limits,
    queues,
    feed: createFeed(redis, subscriber),
    ground: createGround(redis),
    transitions: createTransitions(store, relay, systemClock, tellMoves(log, metrics)),
    look: lookThrough(asker),
    typedValues: createTypedValues(redis, times.valueKeepMs),
    sealKey: env.sealKey,
    lookUpTicket: ticketsThrough(asker, times),
    clock: systemClock,
    times,
    log,
    stopping: stopping.signal,
  });
  const server = serve({ fetch: app.fetch, port: env.port, hostname: env.host }, (address) =>
    log.info('ready', { port: address.port, pid: process.pid }),
  ) as Server;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.headersTimeout = KEEP_ALIVE_MS + 5_000;

  const letGo = async (signal: string) => {
    if (stopping.signal.aborted) return;
    log.info('stopping', { signal });
    stopping.abort();
    await closed(server, log);
    await Promise.all([asker, metrics, ...Object.values(queues)].map((one) => one.close()));
    redis.disconnect();
    subscriber.disconnect();
    log.info('stopped');
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      letGo(signal).catch((error: unknown) => {
        log.error('stopping failed', {}, { cause: error });
        process.exit(1);
      });
    });
  }
}

/** server.close() waits for ever while a stream is open; the streams were told to end, and what does not is cut. */
async function closed(server: Server, log: Log): Promise<void> {
  const cut = setTimeout(() => {
    log.warn('connections cut');
    server.closeAllConnections();
  }, CLOSE_MS);
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
  clearTimeout(cut);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : 'unknown failure'}\n`);
  process.exit(1);
});
