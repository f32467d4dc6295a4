// Which server answers, with real ones: a restart, a promotion, and a promotion back.
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { createGround } from '../../shared/redis/ground.ts';
import { until } from '../harness.ts';
import { startRedis } from '../redis-server.ts';

const ref = { credential: 'HK_PLATFORM_FULL', env: 'development' };

test('a master that was cut off and is promoted again is not the one that it was', async () => {
  const [one, two] = [
    await startRedis(['--repl-diskless-sync-delay', '0']),
    await startRedis(['--repl-diskless-sync-delay', '0']),
  ];
  const [m1, m2] = [new Redis(one.url), new Redis(two.url)];
  const inStep = (redis: Redis) =>
    until(
      async () => ((await redis.info('replication')).includes('master_link_status:up') ? true : null),
      20_000,
    );
  const port = (url: string) => Number(new URL(url).port);
  try {
    const [first, second] = [createGround(m1), createGround(m2)];
    await first.reconciled(ref, await first.server());
    expect(await createGround(m1).sure(ref)).toBe(true);

    await m2.replicaof('127.0.0.1', port(one.url));
    await inStep(m2);
    await m2.replicaof('NO', 'ONE');
    await m1.replicaof('127.0.0.1', port(two.url));
    await inStep(m1);
    // Cut off, before anybody has looked under the new master.
    await m1.replicaof('127.0.0.1', 1);
    expect(await second.sure(ref)).toBe(false);
    await second.reconciled(ref, await second.server());
    expect(await second.sure(ref)).toBe(true);

    await m1.replicaof('NO', 'ONE');
    expect(await createGround(m1).sure(ref)).toBe(false);
  } finally {
    m1.disconnect();
    m2.disconnect();
    await Promise.all([one.stop(), two.stop()]);
  }
});
