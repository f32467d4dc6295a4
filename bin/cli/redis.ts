// Redis as commands need it: a connection that is fit, or a sentence that says why not; and a redis-server of one's own.
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { Redis } from 'ioredis';
import { systemClock } from '../../shared/lib/clock.ts';
import { connect, demandFit, type RedisAddress } from '../../shared/redis/connection.ts';
import { times } from '../../shared/times.ts';
import { refuse } from './say.ts';

export interface RedisPart {
  readonly redis: RedisAddress;
  readonly allowVolatileRedis: boolean;
}

/** Does something with a connection that is ready and fit, and lets go of it. */
export async function withRedis<T>(env: RedisPart, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = await reach(env.redis);
  try {
    await demandFit(redis, env.allowVolatileRedis);
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

const REACH_MS = 10_000;

/** A ready connection; throws, naming the host and never the password, where there is none within 10 s. */
export async function reach(address: RedisAddress): Promise<Redis> {
  let failed: (error: Error) => void = () => undefined;
  const redis = connect(address, 'asking', times, (error) => failed(error));
  try {
    await new Promise<void>((resolve, reject) => {
      failed = reject;
      const timer = setTimeout(() => reject(new Error(`no answer in ${REACH_MS / 1000} s`)), REACH_MS);
      redis.once('ready', () => resolve());
      redis.once('end', () => clearTimeout(timer));
    });
    return redis;
  } catch (error) {
    redis.disconnect();
    return refuse(
      `Redis at ${new URL(address.url).host} was not reached (${reasonOf(error)}). Check REDIS_URL, and that the server runs; \`npm start\` brings one of its own.`,
    );
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return error.message === '' && 'code' in error ? String(error.code) : error.message;
}

/** Throws, saying what to do, where no redis-server can be started on this machine. */
export function demandRedisServer(): void {
  if (spawnSync('redis-server', ['--version'], { stdio: 'ignore' }).error === undefined) return;
  refuse(
    'There is no redis-server on the PATH: install Redis 7, or set REDIS_URL to one that has appendonly yes and maxmemory-policy noeviction.',
  );
}

/** How a redis-server is started that Velvet calls fit, reachable from this machine alone. */
export function redisCommand(port: number, dir: string): readonly string[] {
  const durable = ['--appendonly', 'yes', '--maxmemory-policy', 'noeviction', '--save', ''];
  return ['redis-server', '--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--loglevel', 'warning', ...durable]; // prettier-ignore
}

/** Waits until a server has read its data and answers. */
export async function answering(url: string, ms: number): Promise<void> {
  const redis = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
  redis.on('error', () => undefined);
  const end = systemClock.monotonic() + ms;
  try {
    while (!(await Promise.race([redis.ping().then(isPong, () => false), pause(1_000)]))) {
      if (systemClock.monotonic() > end)
        refuse(`redis-server did not answer in ${ms / 1000} s; its own lines say why.`);
    }
  } finally {
    redis.disconnect();
  }
}

function isPong(answer: string): boolean {
  return answer === 'PONG';
}

async function pause(ms: number): Promise<false> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(false), ms).unref();
  });
}

/** Whether the server at this address keeps its data in this folder: then it is ours, still running. */
export async function servesFolder(url: string, dir: string): Promise<boolean> {
  const redis = new Redis(url, { maxRetriesPerRequest: 0, retryStrategy: () => null, connectTimeout: 1_000 });
  redis.on('error', () => undefined);
  try {
    const [, found] = (await redis.config('GET', 'dir')) as readonly string[];
    return found === dir;
  } catch (error) {
    // Whatever listens there, if anything does, is no Redis of ours.
    if (error instanceof Error) return false;
    throw error;
  } finally {
    redis.disconnect();
  }
}

/** A port on which nothing listens now; the wanted one if it is free. */
export async function freePort(wanted = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => (wanted === 0 ? reject(error) : resolve(freePort())));
    server.listen(wanted, '127.0.0.1', () => {
      const address = server.address();
      const port = address !== null && typeof address === 'object' ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
