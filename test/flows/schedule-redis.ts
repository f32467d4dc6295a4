// The Redis of a file of schedules: one server, one connection, reached by a socket of the file system where there is one.
import { join } from 'node:path';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { Redis } from 'ioredis';
import { ready } from 'libsodium-wrappers';
import { startRedis } from '../redis-server.ts';
import { loadScripts } from '../schedule/doors.ts';

export interface ScheduleRedis extends AsyncDisposable {
  readonly redis: Redis;
  readonly url: string;
}

/** Schedules ask Redis some hundred thousand times; without the network's layers each question is a good deal cheaper. */
export async function scheduleRedis({ durable = true } = {}): Promise<ScheduleRedis> {
  const dir = mkdtempSync(join(tmpdir(), 'velvet-socket-'));
  const path = join(dir, 'redis.sock');
  const server = await startRedis(['--unixsocket', path, ...(durable ? [] : ['--appendonly', 'no'])]);
  const redis = new Redis(path, { enableAutoPipelining: true });
  await loadScripts(redis);
  // Its library is loaded once, and takes longer than the promises that a schedule waits for.
  await ready;
  return {
    redis,
    url: server.url,
    async [Symbol.asyncDispose]() {
      redis.disconnect();
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
