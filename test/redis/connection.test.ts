// Connections, and the law that Velvet works on no Redis that may evict or that forgets.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createJobStore } from '../../shared/redis/job-store.ts';
import { connect, demandFit, unfitReasons, type ConnectionKind } from '../../shared/redis/connection.ts';
import { times } from '../../shared/times.ts';
import { freePort, startRedis, type RedisServer } from '../redis-server.ts';
import { until } from '../harness.ts';
import { codeOf } from './store-world.ts';

let good: RedisServer;
let volatile: RedisServer;
beforeAll(async () => {
  [good, volatile] = await Promise.all([
    startRedis(),
    startRedis(['--appendonly', 'no', '--maxmemory-policy', 'allkeys-lru']),
  ]);
});
afterAll(() => Promise.all([good.stop(), volatile.stop()]));

function connected(url: string, kind: ConnectionKind = 'working') {
  const errors: Error[] = [];
  const redis = connect({ url, rejectUnauthorized: true }, kind, times, (error) => errors.push(error));
  return { redis, errors, [Symbol.dispose]: () => redis.disconnect() };
}

describe('a Redis', () => {
  test('that persists and never evicts is fit', async () => {
    using to = connected(good.url);
    expect(await unfitReasons(to.redis)).toEqual([]);
    expect(await codeOf(demandFit(to.redis, false))).toBeNull();
  });

  test('that may evict and forgets is refused, with both reasons and what to do about each', async () => {
    using to = connected(volatile.url);
    const reasons = await unfitReasons(to.redis);
    expect(reasons).toHaveLength(2);
    expect(reasons[0]).toContain("maxmemory-policy is 'allkeys-lru'");
    expect(reasons[0]).toContain('redis-cli config set maxmemory-policy noeviction');
    expect(reasons[0]).toContain('heroku redis:maxmemory');
    expect(reasons[1]).toContain('appendonly is off');
    expect(reasons[1]).toContain('`appendonly yes`');

    const refused = demandFit(to.redis, false);
    await expect(refused).rejects.toMatchObject({ code: 'store_unavailable' });
    for (const words of [...reasons, 'VELVET_ALLOW_VOLATILE_REDIS=1'])
      await expect(refused).rejects.toThrow(words);
  });

  test('is looked at as it is now: one reason at a time as each is mended', async () => {
    await using server = await startRedis(['--appendonly', 'no', '--maxmemory-policy', 'volatile-ttl']);
    using to = connected(server.url);
    await to.redis.config('SET', 'maxmemory-policy', 'noeviction');
    expect(await unfitReasons(to.redis)).toEqual([expect.stringContaining('appendonly')]);
    await to.redis.config('SET', 'appendonly', 'yes');
    expect(await unfitReasons(to.redis)).toEqual([]);
  });

  test('that is volatile is let through where the installation says so', async () => {
    using to = connected(volatile.url);
    expect(await codeOf(demandFit(to.redis, true))).toBeNull();
  });
});

describe('while Redis is away', () => {
  test('an asking connection fails at once, as store_unavailable, and is well again when Redis is back', async () => {
    const port = await freePort();
    const server = await startRedis([], port);
    using to = connected(server.url, 'asking');
    const store = createJobStore(to.redis, 1_000);
    await until(() => (to.redis.status === 'ready' ? true : null));
    expect(await store.credentials()).toEqual([]);
    await server.stop();

    expect(await codeOf(store.credentials())).toBe('store_unavailable');
    expect(await codeOf(store.load({ credential: 'A', env: 'prod', jobId: 'j' }))).toBe('store_unavailable');
    await until(() => (to.errors.length > 0 ? true : null));

    await using again = await startRedis([], port);
    expect(again.url).toBe(server.url);
    await until(() => (to.redis.status === 'ready' ? true : null));
    expect(await store.credentials()).toEqual([]);
  });

  test('a working connection waits, and its command is carried out when Redis comes', async () => {
    const port = await freePort();
    using to = connected(`redis://127.0.0.1:${port}`);
    const asked = to.redis.set('key', 'value');
    await until(() => (to.errors.length > 0 ? true : null));
    await using server = await startRedis([], port);
    expect(server.url).toContain(String(port));
    expect(await asked).toBe('OK');
  });
});
