// Reads a credential's events after a number, and wakes those who wait for more. Data always comes from the stream; pub/sub only wakes.
import type { Redis } from 'ioredis';
import type { AuditEvent, NumberedEvent } from './events.ts';
import { credentialKeys } from './keys.ts';

export interface Feed {
  /** Events with a number above `after`, oldest first, `limit` at most. */
  read(credential: string, env: string, after: number, limit: number): Promise<readonly NumberedEvent[]>;
  /** The numbers of the oldest event kept and of the last one; 0 where there is none. */
  bounds(credential: string, env: string): Promise<{ readonly oldest: number; readonly last: number }>;
  /** Calls back when the credential has new events, until the returned function is called. */
  follow(credential: string, env: string, wake: () => void): Promise<() => void>;
}

/** `subscriber` is used for pub/sub alone; one connection serves every stream of the process. */
export function createFeed(redis: Redis, subscriber: Redis): Feed {
  const followers = new Map<string, Set<() => void>>();
  subscriber.on('message', (channel: string) => followers.get(channel)?.forEach((wake) => wake()));
  // What was published while the connection was away is in the stream: everybody looks.
  subscriber.on('ready', () => followers.forEach((set) => set.forEach((wake) => wake())));

  return {
    async read(credential, env, after, limit) {
      const entries = await redis.xrange(
        credentialKeys(credential, env).events,
        `(${after}-0`,
        '+',
        'COUNT',
        limit,
      );
      return entries.map(([id, fields]) => ({
        seq: Number(id.split('-')[0]),
        ...(JSON.parse(fields[1] ?? '{}') as AuditEvent),
      }));
    },

    async bounds(credential, env) {
      const keys = credentialKeys(credential, env);
      const [first, last] = await Promise.all([
        redis.xrange(keys.events, '-', '+', 'COUNT', 1),
        redis.get(keys.seq),
      ]);
      return { oldest: Number(first[0]?.[0].split('-')[0] ?? 0), last: Number(last ?? 0) };
    },

    async follow(credential, env, wake) {
      const channel = credentialKeys(credential, env).wake;
      const set = followers.get(channel) ?? new Set();
      followers.set(channel, set.add(wake));
      if (set.size === 1) await subscriber.subscribe(channel);
      return () => {
        set.delete(wake);
        if (set.size > 0) return;
        followers.delete(channel);
        // Nobody waits for the answer: the next subscription works either way.
        subscriber.unsubscribe(channel).catch(() => undefined);
      };
    },
  };
}
