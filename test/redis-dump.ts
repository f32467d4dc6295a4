// Everything that a Redis database holds, as text: what a search for leaked values has to look through.
import type { Redis } from 'ioredis';

/** Each key with its name, type and whole content. Throws on a type that it does not know, since that would go unread. */
export async function dumpRedis(redis: Redis): Promise<string> {
  const lines: string[] = [];
  let cursor = '0';
  do {
    const [next, keys]: [string, string[]] = await redis.scan(cursor, 'COUNT', 500);
    cursor = next;
    lines.push(...(await Promise.all(keys.map((key) => dumpKey(redis, key)))));
  } while (cursor !== '0');
  return lines.join('\n');
}

type Reader = (redis: Redis, key: string) => Promise<unknown>;

const readers: Readonly<Record<string, Reader>> = {
  string: (redis, key) => redis.get(key),
  hash: (redis, key) => redis.hgetall(key),
  list: (redis, key) => redis.lrange(key, 0, -1),
  set: (redis, key) => redis.smembers(key),
  zset: (redis, key) => redis.zrange(key, 0, '-1', 'WITHSCORES'),
  stream: (redis, key) => redis.xrange(key, '-', '+'),
  // Gone between SCAN and TYPE.
  none: () => Promise.resolve(null),
};

async function dumpKey(redis: Redis, key: string): Promise<string> {
  const type = await redis.type(key);
  const read = readers[type];
  if (read === undefined) throw new TypeError(`${key} is a ${type}, which this dump cannot read`);
  return `${key} (${type}) ${JSON.stringify(await read(redis, key))}`;
}
