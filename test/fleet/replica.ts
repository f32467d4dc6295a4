// A replica that was cut off from its Redis and is made the new one, as a failover does: what the old one took meanwhile is lost.
import { Redis } from 'ioredis';
import { until } from '../harness.ts';
import type { Fleet } from './fleet.ts';
import type { RedisNode } from './redis-node.ts';
import { startTcpProxy } from './tcp-proxy.ts';

export interface Replica {
  readonly node: RedisNode;
  /** It knows what its master knows now, and from here on hears nothing more of it. */
  cutOff(): Promise<void>;
  /** Kills the master and makes this one what Velvet and the test talk to. */
  promote(): Promise<void>;
  close(): Promise<void>;
}

const IN_STEP_MS = 20_000;

/** Resolves when the replica is in step with the fleet's Redis. */
export async function startReplica(fleet: Fleet): Promise<Replica> {
  const master = fleet.server;
  const line = await startTcpProxy(() => [master.port]);
  const node = await fleet.newServer(['--replicaof', '127.0.0.1', String(line.port)]);
  const redis = new Redis(node.url, { maxRetriesPerRequest: null, retryStrategy: () => 100 });
  redis.on('error', () => undefined);
  await until(
    async () => (/master_link_status:up/.test(await redis.info('replication')) ? true : null),
    IN_STEP_MS,
  );
  return {
    node,
    async cutOff() {
      // What was written up to now has arrived there: on a busy machine it may be on its way.
      await fleet.redis.wait(1, IN_STEP_MS);
      await line.mode('refusing');
    },
    async promote() {
      await redis.call('REPLICAOF', 'NO', 'ONE');
      await master.kill();
      fleet.moveTo(node);
    },
    async close() {
      redis.disconnect();
      await line.close();
    },
  };
}
