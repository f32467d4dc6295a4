// Whether a credential's record may be built upon. Law: a Redis that restarted, or a replica that took over, may have lost the last writes, so nothing is written to a vendor before somebody has looked.
import type { Redis } from 'ioredis';
import { VelvetError } from '../lib/errors.ts';
import type { JobRef } from '../rotation/effects.ts';
import { credentialKeys } from './keys.ts';
import { guarded } from './refusals.ts';

type CredentialRef = Pick<JobRef, 'credential' | 'env'>;

export interface Ground {
  /** Whether the credential was reconciled under the server that answers now. Costs nothing while the connection stands. */
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

/** The id that each start of a server gives itself; a promoted replica has its own. Not that of its history: a first replica changes it. */
export async function serverOf(redis: Redis): Promise<string> {
  const id = /^run_id:(\w+)/m.exec(await guarded(redis.info('server')))?.[1];
  if (id === undefined) throw new VelvetError('store_unavailable', 'Redis does not say its run_id');
  return id;
}
