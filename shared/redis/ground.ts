// Whether a credential's record may be built upon. Law: a Redis that restarted, or a replica that took over, may have lost the last writes, so nothing is written to a vendor before somebody has looked.
import type { Redis } from 'ioredis';
import { VelvetError } from '../lib/errors.ts';
import type { JobRef } from '../rotation/effects.ts';
import { credentialKeys } from './keys.ts';
import { guarded } from './refusals.ts';

type CredentialRef = Pick<JobRef, 'credential' | 'env'>;

export interface Ground {
  /** Whether the credential was reconciled under the server (and the history) that answers now. Costs nothing while the connection stands. */
  sure(ref: CredentialRef): Promise<boolean>;
  /** What is looked at from here on is looked at under this server: hand it to `reconciled` when it is done. */
  server(): Promise<string>;
  reconciled(ref: CredentialRef, server: string): Promise<void>;
}

/** `redis` is the connection that the scripts go over: when it breaks, another server may answer next. */
export function createGround(redis: Redis): Ground {
  let connection = 0;
  const sureOf = new Set<string>();
  redis.on('close', () => {
    connection += 1;
    sureOf.clear();
  });

  const server = () => serverOf(redis);

  return {
    server,

    async sure({ credential, env }) {
      const keys = credentialKeys(credential, env);
      if (sureOf.has(keys.server)) return true;
      const asked = connection;
      const [now, last] = await Promise.all([server(), guarded(redis.get(keys.server))]);
      if (now !== last) return false;
      if (asked === connection) sureOf.add(keys.server);
      return true;
    },

    async reconciled({ credential, env }, looked) {
      await guarded(redis.set(credentialKeys(credential, env).server, looked));
    },
  };
}

/**
 * Which server answers, and which history it has: the id that each start gives itself, and the id of the history that each
 * promotion begins. A master that was cut off and is promoted again has kept the first.
 */
export async function serverOf(redis: Redis): Promise<string> {
  const [server, replication] = await guarded(Promise.all([redis.info('server'), redis.info('replication')]));
  const start = /^run_id:(\w+)/m.exec(server)?.[1];
  const history = /^master_replid:(\w+)/m.exec(replication)?.[1];
  if (start === undefined || history === undefined)
    throw new VelvetError('store_unavailable', 'Redis does not say its run_id and master_replid');
  return `${start}.${history}`;
}
