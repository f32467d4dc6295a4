// Where the answer to a question waits for whoever asked. It is gone when nobody can be waiting any more.
import type { Redis } from 'ioredis';
import { systemKeys } from './keys.ts';
import { guarded } from './refusals.ts';

export interface Answers {
  put(id: string, json: string, ttlMs: number): Promise<void>;
  /** Null while there is none. */
  get(id: string): Promise<string | null>;
}

export function createAnswers(redis: Redis): Answers {
  return {
    async put(id, json, ttlMs) {
      await guarded(redis.set(systemKeys.answer(id), json, 'PX', ttlMs));
    },
    get: (id) => guarded(redis.get(systemKeys.answer(id))),
  };
}
