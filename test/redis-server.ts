// A real redis-server of the test file's own: on a free port, durable as Velvet demands it, gone with the file.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';

export interface RedisServer extends AsyncDisposable {
  readonly url: string;
  readonly dir: string;
  readonly process: ChildProcess;
  stop(): Promise<void>;
}

/** With a port where a client already waits for the server to come. */
export async function startRedis(extra: readonly string[] = [], at?: number): Promise<RedisServer> {
  for (;;) {
    const server = await tryToStart(extra, at ?? (await freePort()));
    if (server !== null) return server;
    // Another test's server took the port between the look and the start: its data must not be ours.
    if (at !== undefined) throw new Error(`port ${at} is taken`);
  }
}

// oxfmt-ignore
const settings = ['--bind', '127.0.0.1', '--appendonly', 'yes', '--appendfsync', 'everysec', '--maxmemory-policy', 'noeviction', '--save', ''];

async function tryToStart(extra: readonly string[], port: number): Promise<RedisServer | null> {
  const dir = await mkdtemp(join(tmpdir(), 'velvet-redis-'));
  const child = spawn('redis-server', ['--port', String(port), '--dir', dir, ...settings, ...extra], {
    stdio: 'ignore',
  });
  const url = `redis://127.0.0.1:${port}`;
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await exited;
    }
    // A child that rewrites the append-only file outlives its server by a moment.
    await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  };
  if ((await pidOf(url)) === child.pid)
    return { url, dir, process: child, stop, [Symbol.asyncDispose]: stop };
  await stop();
  return null;
}

/** The process that answers there, once one does. */
async function pidOf(url: string): Promise<number> {
  const redis = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 20 });
  redis.on('error', () => undefined);
  const info = await redis.info('server');
  redis.disconnect();
  return Number(/^process_id:(\d+)/m.exec(info)?.[1]);
}

export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        address !== null && typeof address === 'object'
          ? resolve(address.port)
          : reject(new Error('no port')),
      );
    });
  });
}
