// A fleet's own redis-server, durable as the product demands it: killed, stopped and started again on the same port and data.
import { mkdirSync } from 'node:fs';
import { answering, freePort, redisCommand } from '../../bin/cli/redis.ts';
import type { Member, Members } from './members.ts';

export interface RedisNode {
  readonly port: number;
  readonly url: string;
  readonly dir: string;
  /** SIGKILL, and nothing is saved. Resolves when it is gone; answers when it was killed (wall clock, ms). */
  kill(): Promise<number>;
  /** SIGTERM, on which it writes out what it has, as a process manager stops it. */
  quit(): Promise<number>;
  /** Starts it on what its folder holds; resolves when it answers. */
  start(): Promise<void>;
}

const ANSWERING_MS = 20_000;

/** Makes the folder and starts the server in it. `extra`: further arguments of redis-server. */
export async function startRedisNode(
  members: Members,
  dir: string,
  extra: readonly string[] = [],
): Promise<RedisNode> {
  mkdirSync(dir, { recursive: true });
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}`;
  // everysec is what Redis itself begins with and hosted ones have; said here so that no later default changes the test.
  const command = [...redisCommand(port, dir), '--appendfsync', 'everysec', ...extra];
  let server: Member | null = null;

  async function start(): Promise<void> {
    server = members.start({ kind: 'redis', command, env: {} });
    await answering(url, ANSWERING_MS);
    if (server.ended !== null) throw new Error(`redis-server ended:\n${server.log()}`);
  }
  async function end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number> {
    if (server === null) throw new Error('redis-server does not run');
    const at = server.signal(signal);
    await server.gone;
    return at;
  }
  await start();
  return { port, url, dir, start, kill: () => end('SIGKILL'), quit: () => end('SIGTERM') };
}
