// A phase that waits for a person alone: the operator is told, once, with what is asked of them.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { quickTimes, until, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { started } from './started.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const apps = [
  { name: 'good-app' },
  { name: 'mute-app', endpoint: false },
  { name: 'deaf-app', endpoint: false },
] as const;
const idOf = (app: string) => `heroku-config-${app}`;
const waitsFor = (world: World) =>
  world.slack.messages.filter(({ text }) => text?.startsWith('Waiting for you') === true);
const confirm = (app: string) => ({ action: 'confirm_consumer', consumer_id: idOf(app), note: 'looked' });

test('the operator who moved the job last hears which consumers wait for a person, and what to send', async () => {
  const { world, jobId } = await started(redis.url, { apps });
  await using _ = world;
  const message = await until(() => waitsFor(world)[0] ?? null);
  expect(message.channel).toBe(world.slack.dm('U0OPERATOR'));
  for (const part of [jobId, idOf('mute-app'), idOf('deaf-app'), 'confirm_consumer', 'skip_consumer'])
    expect(message.text).toContain(part);
  expect(message.text).not.toContain(idOf('good-app'));
  expect((await world.job(jobId)).status).toBe('validating');

  // One of two is not the end of it, and no reason to say it again.
  await world.stage(jobId, confirm('mute-app'));
  const since = Date.now();
  await until(() => (Date.now() - since > 10 * quickTimes.sweepMs ? true : null));
  await world.stage(jobId, confirm('deaf-app'));
  await world.reaches(jobId, 'validated');
  expect(waitsFor(world)).toHaveLength(1);
});

test('a job that waits so again, after a retry, says so again', async () => {
  const { world, jobId } = await started(redis.url, { apps: [apps[0], apps[1]] });
  await using _ = world;
  await until(() => waitsFor(world)[0] ?? null);
  await world.stage(jobId, { action: 'skip_consumer', consumer_id: idOf('mute-app'), reason: 'by mistake' });
  await world.reaches(jobId, 'validated');
  await world.stage(jobId, { action: 'retry', consumer_ids: [idOf('mute-app')] });
  await until(() => waitsFor(world)[1] ?? null);
  await world.stage(jobId, confirm('mute-app'));
  await world.reaches(jobId, 'validated');
});

test('nobody is told while Velvet itself still looks at a row', async () => {
  const { world, jobId } = await started(redis.url, {
    apps: [{ name: 'slow-app', kind: 'never_restarts', answersChallenge: false }, apps[1]],
  });
  await using _ = world;
  await world.reaches(jobId, 'validating');
  const open = async () =>
    (await world.job(jobId)).consumers.some((row) => row['validate_status'] === 'in_progress');
  while (await open()) expect(waitsFor(world)).toEqual([]);
  await until(() => waitsFor(world)[0] ?? null);
});
