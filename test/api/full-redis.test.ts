// A Redis whose memory runs short: nothing new is begun while there is room for what is under way, which goes on.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildWorld, CREDENTIAL, ENV, until } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { creation, paths, refused, toVerified } from './asking.ts';

const MAX_MIB = 24;
let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis(['--maxmemory', `${MAX_MIB}mb`]);
});
afterAll(() => redis.stop());

test('503 degraded from 80 % of maxmemory on, with what to do; a rotation that is under way is completed', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await toVerified(world);
  const used = async () =>
    Number(/^used_memory:(\d+)/m.exec(await world.redis.info('memory'))?.[1]) / 2 ** 20 / MAX_MIB;
  // What fills it is none of Velvet's: half a megabyte at a time, to between 80 and 90 %.
  for (let n = 0; (await used()) < 0.8; n++) await world.redis.setrange(`filler:${n}`, 500_000, 'x');
  expect(await used()).toBeLessThan(0.9);

  const answer = await world.api('GET', '/healthz', undefined, { token: null });
  const says = /^redis: 8\d % of its maxmemory \(24 MiB\) is used; .* from 80 % on\. .*config set maxmemory/;
  expect([answer.status, answer.body['failing']]).toEqual([503, [expect.stringMatching(says)]]);
  await world.stage(jobId, { action: 'proceed_mint' });
  await world.reaches(jobId, 'validated');
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
  await world.reaches(jobId, 'done');
  expect(await world.store.claimant({ credential: CREDENTIAL, env: ENV })).toBeNull();

  await world.stop('stage');
  await refused(world, () => world.api('POST', paths.rotate, creation('k2')), {
    http: 503,
    code: 'degraded',
    detail: /^Nothing new is started while the fleet is degraded: redis: 8\d % of its maxmemory/,
  });
  await world.redis.del(await world.redis.keys('filler:*'));
  await until(async () => ((await used()) < 0.8 ? true : null));
  expect((await world.api('POST', paths.rotate, creation('k2'))).status).toBe(202);
});
