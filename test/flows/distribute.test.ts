// Distribution: wave by wave, one write per consumer, and what happens where one of them cannot take it.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildWorld } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const idOf = (app: string) => `heroku-config-${app}`;
const statuses = (view: { consumers: readonly Record<string, unknown>[] }) =>
  Object.fromEntries(view.consumers.map((row) => [row['consumer_id'], row['distribute_status']]));

async function toMinting(world: Awaited<ReturnType<typeof buildWorld>>): Promise<string> {
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'proceed_mint' });
  return jobId;
}

test('the second wave is written only after the first was written and answered with success', async () => {
  await using world = await buildWorld(redis.url, {
    apps: [
      { name: 'first-app', wave: 1 },
      { name: 'second-app', wave: 2 },
      { name: 'third-app', wave: 3 },
    ],
  });
  const jobId = await toMinting(world);
  await world.reaches(jobId, 'validated');
  const story = (await world.feed.read('HK_PLATFORM_FULL', 'development', 0, 1_000)).map((event) =>
    `${event.event} ${event.consumer_id ?? ''}`.trim(),
  );
  const at = (line: string) => story.indexOf(line);
  expect(at(`row_written ${idOf('first-app')}`)).toBeLessThan(at(`push_started ${idOf('second-app')}`));
  expect(at(`row_written ${idOf('second-app')}`)).toBeLessThan(at(`push_started ${idOf('third-app')}`));
  expect(world.apps.map((app) => app.releases.length)).toEqual([2, 2, 2]);
});

test('a failed row holds back later waves, says why, and goes on alone after retry', async () => {
  await using world = await buildWorld(redis.url, {
    apps: [
      { name: 'first-app', wave: 1 },
      { name: 'twin-app', wave: 1 },
      { name: 'second-app', wave: 2 },
    ],
  });
  world.apps[0]?.failNextRelease();
  const jobId = await toMinting(world);
  const parked = await world.reaches(jobId, 'distribute_partial');
  expect(statuses(parked)).toEqual({
    [idOf('first-app')]: 'failed',
    [idOf('twin-app')]: 'succeeded',
    [idOf('second-app')]: 'pending',
  });
  expect(parked.consumers.find((row) => row['consumer_id'] === idOf('first-app'))?.['error']).toMatchObject({
    code: 'write_not_effective',
    detail: expect.stringContaining('heroku releases --app first-app'),
  });
  expect(parked.allowed_actions).toEqual(['retry', 'confirm_consumer', 'skip_consumer', 'abort']);

  await world.stage(jobId, { action: 'retry', consumer_ids: [idOf('first-app')] });
  await world.reaches(jobId, 'validated');
  expect(world.apps.map((app) => app.releases.length)).toEqual([3, 2, 2]);
});

test('an app that is gone fails its own row alone; skipping it opens the next wave', async () => {
  await using world = await buildWorld(redis.url, {
    apps: [
      { name: 'gone-app', wave: 1 },
      { name: 'twin-app', wave: 1 },
      { name: 'second-app', wave: 2 },
    ],
  });
  const gone = world.apps[0];
  if (gone === undefined) throw new Error('no app');
  world.heroku.deleteApp(gone);
  const jobId = await toMinting(world);
  const parked = await world.reaches(jobId, 'distribute_partial');
  expect(parked.consumers.find((row) => row['consumer_id'] === idOf('gone-app'))?.['error']).toMatchObject({
    code: 'vendor_target_missing',
  });
  const after = await world.stage(jobId, {
    action: 'skip_consumer',
    consumer_id: idOf('gone-app'),
    reason: 'the app was deleted',
  });
  expect([after.status, after.body.status]).toEqual([202, 'distributing']);
  const gate = await world.reaches(jobId, 'validated');
  expect(gate.consumers.find((row) => row['consumer_id'] === idOf('gone-app'))).toMatchObject({
    distribute_status: 'skipped',
    validate_status: 'skipped',
    note: 'the app was deleted',
  });
});

test('a row written by hand is confirmed with a note and still has to be proven', async () => {
  await using world = await buildWorld(redis.url, { apps: [{ name: 'hand-app' }, { name: 'twin-app' }] });
  world.heroku.script({
    on: 'PATCH /apps/:app/config-vars',
    times: 100,
    where: (request) => request.params['app'] === 'hand-app',
    do: { status: 422, body: { id: 'invalid_params' } },
  });
  const jobId = await toMinting(world);
  await world.reaches(jobId, 'distribute_partial');
  const value = world.apps[1]?.config['HEROKU_API_KEY'] ?? '';
  world.apps[0]?.patchConfig({ HEROKU_API_KEY: value });
  await world.stage(jobId, {
    action: 'confirm_consumer',
    consumer_id: idOf('hand-app'),
    note: 'set with heroku config:set',
  });
  const gate = await world.reaches(jobId, 'validated');
  expect(gate.consumers.find((row) => row['consumer_id'] === idOf('hand-app'))).toMatchObject({
    proof: 'possession',
    distribute_status: 'succeeded',
  });
});

test('when no consumer can be written the job is distribute_failed, and other config stays untouched', async () => {
  await using world = await buildWorld(redis.url);
  world.heroku.script({
    on: 'PATCH /apps/:app/config-vars',
    times: 100,
    do: { status: 403, body: { id: 'forbidden' } },
  });
  const jobId = await toMinting(world);
  const parked = await world.reaches(jobId, 'distribute_failed');
  expect(parked.consumers.map((row) => (row['error'] as { code: string }).code)).toEqual([
    'vendor_forbidden',
    'vendor_forbidden',
  ]);
  world.heroku.clearFaults();
  await world.stage(jobId, { action: 'retry' });
  await world.reaches(jobId, 'validated');
  expect(world.apps.map((app) => app.config['OTHER'])).toEqual(['left alone', 'left alone']);
});
