// Where a value that an operator typed waits for the stage worker. Law: it is a sealed box, it is there for minutes, and it is read once.
import type { Redis } from 'ioredis';
import type { Fence } from '../lib/lease.ts';
import type { JobRef } from '../rotation/effects.ts';
import { credentialKeys } from './keys.ts';
import { guarded, refuse } from './refusals.ts';
import { runScript } from './scripts.ts';

export interface TypedValues {
  /** Under an id of its own, so that no later value takes its place. */
  put(ref: JobRef, id: string, box: string): Promise<void>;
  /**
   * The box, which is gone from then on; null where none is there (any more). Throws `stale_fence` where a later attempt has
   * begun. An answer that is lost on its way is a value that is lost.
   */
  take(ref: JobRef, fence: Fence, id: string): Promise<string | null>;
}

export function createTypedValues(redis: Redis, keepMs: number): TypedValues {
  return {
    async put({ credential, env }, id, box) {
      await guarded(redis.set(credentialKeys(credential, env).value(id), box, 'PX', keepMs));
    },

    async take(ref, fence, id) {
      const keys = credentialKeys(ref.credential, ref.env);
      const own = [keys.job(ref.jobId), keys.claim, keys.fence, keys.value(id)];
      const answer = await runScript(redis, 'takeValue', own, { job_id: ref.jobId, fence });
      refuse(ref, answer);
      const box = String(answer[1]);
      return box === '' ? null : box;
    },
  };
}
