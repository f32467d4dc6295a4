// Looks for values where none may be. Law: every form in which a value could hide, every place where it could lie, and a search that sees nothing fails.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { refuse } from '../cli/say.ts';

/** Name → all of its bytes. */
export type Places = Readonly<Record<string, Buffer>>;

export interface Search {
  readonly hits: number;
  /** Where, and how often; never what. */
  readonly where: readonly string[];
}

/**
 * Counts each appearance of each value. `witness` is no secret and must be in every place: a place without it was not read, and
 * its silence would prove nothing.
 */
export function search(places: Places, values: readonly string[], witness: string): Search {
  const blind = Object.entries(places).filter(([, bytes]) => !bytes.includes(witness));
  if (blind.length > 0) refuse(`the search saw nothing in: ${blind.map(([name]) => name).join(', ')}`);
  const forms = [...new Set(values)].flatMap(formsOf);
  const counts = Object.entries(places).map(
    ([name, bytes]) => [name, forms.reduce((sum, form) => sum + countOf(bytes, form), 0)] as const,
  );
  return {
    hits: counts.reduce((sum, [, count]) => sum + count, 0),
    where: counts.filter(([, count]) => count > 0).map(([name, count]) => `${name}: ${count}`),
  };
}

/** Raw, percent-encoded, JSON-escaped, and base64 and base64url wherever in a longer text the value stands. */
function formsOf(value: string): readonly string[] {
  const shifted = [0, 1, 2].flatMap((before) => {
    const bytes = Buffer.from('\0'.repeat(before) + value);
    // The first and last characters depend on the neighbours; what is between them is the value's alone.
    const from = Math.ceil((before * 8) / 6);
    const to = Math.floor((bytes.length * 8) / 6);
    return (['base64', 'base64url'] as const).map((encoding) => bytes.toString(encoding).slice(from, to));
  });
  return [...new Set([value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1), ...shifted])];
}

function countOf(bytes: Buffer, form: string): number {
  let count = 0;
  for (let at = bytes.indexOf(form); at >= 0; at = bytes.indexOf(form, at + 1)) count += 1;
  return count;
}

/** Every key of every type, read back. */
export async function redisDump(url: string): Promise<Buffer> {
  const redis = new Redis(url);
  try {
    const parts: string[] = [];
    for await (const keys of redis.scanStream({ count: 500 }) as AsyncIterable<string[]>) {
      for (const key of keys) parts.push(key, ...stringsIn(await contentOf(redis, key)));
    }
    return Buffer.from(parts.join('\n'));
  } finally {
    redis.disconnect();
  }
}

async function contentOf(redis: Redis, key: string): Promise<unknown> {
  const type = await redis.type(key);
  switch (type) {
    case 'string':
      return redis.get(key);
    case 'hash':
      return redis.hgetall(key);
    case 'list':
      return redis.lrange(key, 0, -1);
    case 'set':
      return redis.smembers(key);
    case 'zset':
      return redis.zrange(key, '0', '-1', 'WITHSCORES');
    case 'stream':
      return redis.xrange(key, '-', '+');
    case 'none':
      return null;
    default:
      return refuse(`a key of type ${type} would not be searched`);
  }
}

// As they are: packed into JSON once more they would be escaped twice.
function stringsIn(content: unknown): readonly string[] {
  if (typeof content === 'string') return [content];
  if (typeof content !== 'object' || content === null) return [];
  return Object.entries(content).flatMap(([name, part]) => [name, ...stringsIn(part)]);
}

/** The bytes of all files below a folder; of Redis's own that is all that was ever written to it. */
export function filesBelow(folder: string): Buffer {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return Buffer.concat(files.map((entry) => readFileSync(join(entry.parentPath, entry.name))));
}
