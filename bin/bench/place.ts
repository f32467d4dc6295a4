// Where a bench runs: a folder and a redis-server of its own, both gone when it ends, however it ends.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { createCrew } from '../cli/processes.ts';
import { answering, demandRedisServer, freePort, redisCommand } from '../cli/redis.ts';

export interface Place extends AsyncDisposable {
  readonly folder: string;
  readonly redisUrl: string;
  /** An empty Redis that is not busy with what was there before. */
  emptied(): Promise<void>;
}

/** Before a bench names its own. */
const outerTmp = tmpdir();
const READY_MS = 20_000;
const GRACE_MS = 2_000;

export async function openPlace(say: (text: string) => void): Promise<Place> {
  demandRedisServer();
  const folder = mkdtempSync(join(outerTmp, 'velvet-bench-'));
  const removed = () => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  const redisDir = join(folder, 'redis');
  mkdirSync(redisDir);
  const crew = createCrew({
    cwd: folder,
    onLine: () => undefined,
    onEvent: (name, text) => say(`${name} ${text}`),
  });
  // Behind the crew's own: what writes there is ended first.
  process.once('exit', removed);
  const port = await freePort();
  const redisUrl = `redis://127.0.0.1:${port}`;
  crew.start({ name: 'redis', command: redisCommand(port, redisDir), env: {}, againAfterMs: () => null });
  await answering(redisUrl, READY_MS);
  const redis = new Redis(redisUrl);
  return {
    folder,
    redisUrl,
    async emptied() {
      await redis.flushall();
      await rewritten(redis);
    },
    async [Symbol.asyncDispose]() {
      redis.disconnect();
      await crew.stop(GRACE_MS);
      process.removeListener('exit', removed);
      removed();
    },
  };
}

/** The append-only file begins anew: otherwise its rewriting, a second busy process, falls into some turns and not into others. */
async function rewritten(redis: Redis): Promise<void> {
  while (await rewriting(redis)) await pause(10);
  await redis.bgrewriteaof();
  while (await rewriting(redis)) await pause(10);
}

async function rewriting(redis: Redis): Promise<boolean> {
  return /aof_rewrite_(in_progress|scheduled):1/.test(await redis.info('persistence'));
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
