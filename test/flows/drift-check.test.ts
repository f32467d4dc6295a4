// The daily drift check beside a rotation: one that waits for a person does not keep it from looking, one that moves does.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildWorld, until } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { alerts } from './dry-run.ts';
import { scheduling } from './scheduling.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

test('a rotation that stands at its gate for weeks hides no drift; while it moves, the check waits', async () => {
  await using world = await buildWorld(redis.url, {
    apps: [{ name: 'good-app', endpoint: false }, { name: 'other-app' }],
    credential: { drift_check: 'daily' },
    families: ['stage', 'healthcheck', 'notifier'],
  });
  await using by = await scheduling(world);
  const checks = async () => (await by.begun()).filter(({ flowType }) => flowType === 'testing');
  const ended = (count: number) =>
    until(async () => {
      const all = await checks();
      return all.length === count && all[0]?.status === 'verified' ? all : null;
    });
  await by.round();
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  // Nobody distributes, so that it moves and comes to no end.
  await world.stage(jobId, { action: 'proceed_mint' });
  await world.reaches(jobId, 'distributing');
  by.pass(1);
  await by.round(2);
  expect(await checks()).toHaveLength(1);

  await world.start('distribute').ready;
  await until(async () => ((await world.job(jobId))['waiting_since'] === null ? null : true));
  await by.round(2);
  await ended(2);
  const wrong = world.account.authorize({ description: 'by hand', scope: ['global'] }).token;
  world.apps[0]?.patchConfig({ HEROKU_API_KEY: wrong });
  by.pass(1);
  await by.round(2);
  await until(() => alerts(world).find((text) => text.startsWith('Drift')) ?? null);
  expect((await world.job(jobId)).status).toBe('validating');
});
