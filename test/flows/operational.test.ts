// The main job, end to end in one process: every status from init to done, and what is true outside afterwards.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildWorld, CREDENTIAL } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

test('a rotation from verify to done leaves exactly one new live token and the old one dead', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await world.toValidated();
  const gate = await world.job(jobId);
  expect(gate.consumers.map((row) => [row['proof'], row['holds']])).toEqual([
    ['possession', 'new'],
    ['possession', 'new'],
  ]);
  expect(world.heroku.isLive(world.firstToken)).toBe(true);

  const refused = await world.stage(jobId, { action: 'proceed_revoke' });
  expect([refused.status, refused.body.code]).toEqual([422, 'ticket_required']);
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-2026-HK_PLATFORM_FULL' });
  const done = await world.reaches(jobId, 'done');

  expect(world.heroku.isLive(world.firstToken)).toBe(false);
  const bootstrap = world.account.authorizations().find((a) => a.description === 'velvet bootstrap');
  expect(new Set(world.heroku.live().map((token) => token.id))).toEqual(
    new Set([done.new_auth_id, bootstrap?.id]),
  );
  expect(await world.store.claimant({ credential: CREDENTIAL, env: 'development' })).toBeNull();
  expect(await world.vault.list(CREDENTIAL)).toEqual([CREDENTIAL, `${CREDENTIAL}__AUTH_ID`]);
  expect((await world.vault.read(CREDENTIAL))?.reveal()).toBe(world.apps[0]?.config['HEROKU_API_KEY']);
});
