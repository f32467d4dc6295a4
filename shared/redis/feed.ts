// Reads a credential's events after a number, and wakes those who wait for more. Data always comes from the stream; pub/sub only wakes.
import type { Redis } from 'ioredis';
import type { AuditEvent, NumberedEvent } from './events.ts';
import { credentialKeys } from './keys.ts';
import { guarded } from './refusals.ts';

export interface Feed {
  /** Events with a number above `after`, oldest first, `limit` at most. */
  read(credential: string, env: string, after: number, limit: number): Promise<readonly NumberedEvent[]>;
  /** Events with a number below `before`, newest first, `limit` at most. */
  readBack(credential: string, env: string, before: number, limit: number): Promise<readonly NumberedEvent[]>;
  /** The numbers of the oldest event kept and of the last one; 0 where there is none. */
  bounds(credential: string, env: string): Promise<{ readonly oldest: number; readonly last: number }>;
  /** Calls back when the credential has new events, until the returned function is called. */
  follow(credential: string, env: string, wake: () => void): Promise<() => void>;
}

/** `subscriber` is used for pub/sub alone; one connection serves every stream of the process. */
export function createFeed(redis: Redis, subscriber: Redis): Feed {
  const channels = new Map<string, Followed>();
  subscriber.on('message', (channel: string) => channels.get(channel)?.wakes.forEach((wake) => wake()));
  // What was published while the connection was away is in the stream: everybody looks.
  subscriber.on('ready', () => channels.forEach(({ wakes }) => wakes.forEach((wake) => wake())));

  function opened(channel: string): Followed {
    const followed = channels.get(channel) ?? { wakes: new Set(), subscribed: subscriber.subscribe(channel) };
    channels.set(channel, followed);
    return followed;
  }

  return {
    async read(credential, env, after, limit) {
      // Nothing is numbered 0 or less; Redis refuses to be asked for it.
      const from = `(${Math.max(0, after)}-0`;
      const { events } = credentialKeys(credential, env);
      const entries = await guarded(redis.xrange(events, from, '+', 'COUNT', limit));
      return entries.map(numbered);
    },

    async readBack(credential, env, before, limit) {
      if (before <= 1) return [];
      const { events } = credentialKeys(credential, env);
      const entries = await guarded(redis.xrevrange(events, `(${before}-0`, '-', 'COUNT', limit));
      return entries.map(numbered);
    },

    async bounds(credential, env) {
      const keys = credentialKeys(credential, env);
      const [first, last] = await Promise.all([
        guarded(redis.xrange(keys.events, '-', '+', 'COUNT', 1)),
        guarded(redis.get(keys.seq)),
      ]);
      return { oldest: Number(first[0]?.[0].split('-')[0] ?? 0), last: Number(last ?? 0) };
    },

    async follow(credential, env, wake) {
      const channel = credentialKeys(credential, env).wake;
      const followed = opened(channel);
      // One entry for each follower, also where two bring the same function.
      const own = () => wake();
      followed.wakes.add(own);
      const leave = () => {
        // Who leaves twice must not end the subscription of those who came since.
        if (!followed.wakes.delete(own) || followed.wakes.size > 0) return;
        channels.delete(channel);
        // Nobody waits for the answer: the next subscription works either way.
        subscriber.unsubscribe(channel).catch(() => undefined);
      };
      try {
        await followed.subscribed;
      } catch (error) {
        leave();
        throw error;
      }
      return leave;
    },
  };
}

function numbered([id, fields]: [string, string[]]): NumberedEvent {
  return { seq: Number(id.split('-')[0]), ...(JSON.parse(fields[1] ?? '{}') as AuditEvent) };
}

interface Followed {
  readonly wakes: Set<() => void>;
  /** Done once Redis has acknowledged the subscription; whoever follows waits for it, not the first one alone. */
  readonly subscribed: Promise<unknown>;
}
