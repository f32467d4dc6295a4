// GET /tokens and …/subscribers: what is registered here, what moves now, and why something cannot be rotated.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createScheduleStore } from '../../shared/redis/schedule-store.ts';
import { buildWorld, CREDENTIAL, ENV, until, type World, type WorldOptions } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { paths, refused, toVerified } from './asking.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
const idle = (more: WorldOptions = {}): Promise<World> => buildWorld(redis.url, { families: [], ...more });

const other = (name: string, more: Readonly<Record<string, unknown>> = {}) => ({
  token_name: name,
  issuer: 'heroku-oauth',
  issuer_auth_token_name: 'HK_VELVET_BOOTSTRAP',
  entropy: 'high',
  ...more,
});
const tokens = async (world: World, token?: string) =>
  (await world.api('GET', '/tokens', undefined, token === undefined ? {} : { token })).body[
    'tokens'
  ] as Record<string, unknown>[];

test('each credential with its state, its consumers here and its last rotation', async () => {
  await using world = await buildWorld(redis.url, {
    more: { credentials: [other('HK_UNUSED', { active: false })] },
  });
  const consumers = ['heroku-config-raxx-api-prod', 'heroku-config-raxx-console-prod'];
  const undated = { due: null, overdue: false, last_check: null };
  const quiet = {
    active: true,
    rotating: false,
    last_rotation: null,
    consumers,
    unavailable: null,
    ...undated,
  };
  expect(await tokens(world)).toEqual([
    { token_name: CREDENTIAL, ...quiet },
    { ...quiet, token_name: 'HK_UNUSED', active: false, consumers: [] },
  ]);

  const jobId = await toVerified(world);
  expect((await tokens(world))[0]).toMatchObject({
    rotating: true,
    last_rotation: { job_id: jobId, status: 'verified' },
  });
  await world.stage(jobId, { action: 'abort' });
  await until(async () => ((await world.job(jobId)).cleanup === 'done' ? true : null));
  expect((await tokens(world))[0]).toMatchObject({ rotating: false, last_rotation: { status: 'aborted' } });
});

test('a dry run is listed with the rotations, and is none itself', async () => {
  await using world = await idle();
  const dryRun = (n: number) =>
    world.api('POST', paths.rotate, { flow_type: 'testing', idempotency_key: `dry run ${n}` });
  expect((await dryRun(0)).status).toBe(202);
  expect((await tokens(world))[0]).toMatchObject({ last_rotation: null });
  const jobId = await world.create();
  for (let n = 1; n < 8; n++) await dryRun(n);
  expect((await tokens(world))[0]).toMatchObject({ last_rotation: { job_id: jobId, status: 'init' } });
  const { body } = await world.api('GET', `/tokens/${CREDENTIAL}/rotations?limit=100`);
  expect(body['rotations']).toHaveLength(9);
});

test('a credential with a rotation is due so many days after its value was seen first', async () => {
  const rotation = { every_days: 90, at: '03:30', auto_until: 'verified' };
  await using world = await idle({ credential: { rotation } });
  expect((await tokens(world))[0]).toMatchObject({ due: null, overdue: false });
  const since = Date.now() - 90 * 86_400_000;
  const schedules = createScheduleStore(world.redis);
  const ref = { credential: CREDENTIAL, env: ENV };
  await schedules.note(ref, { fingerprint: 'f', since });
  const { due, overdue } = (await tokens(world))[0] ?? {};
  expect(String(due)).toMatch(/T03:30:00\.000Z$/);
  expect(Date.parse(String(due)) - since - 90 * 86_400_000).toBeLessThan(86_400_000);
  expect(overdue).toBe(false);
  await schedules.note(ref, { since: since - 3 * 86_400_000 });
  expect((await tokens(world))[0]).toMatchObject({ overdue: true });
});

test('a credential rotates while any job holds it, though a later one was made and stopped', async () => {
  await using world = await buildWorld(redis.url);
  await toVerified(world);
  const later = await world.create();
  await world.stage(later, { action: 'abort' });
  expect((await tokens(world))[0]).toMatchObject({ rotating: true });
});

test('one that is unavailable says why, in the list and in the health', async () => {
  await using world = await idle();
  const why = 'The vendor refuses the authority HK_VELVET_BOOTSTRAP.';
  await world.system.setUnavailable({ [CREDENTIAL]: why });
  expect((await tokens(world))[0]).toMatchObject({ unavailable: why });
});

test('a limited token sees its credentials alone', async () => {
  await using world = await idle({ more: { credentials: [other('HK_UNUSED'), other('PM_SERVER')] } });
  const seen = async (credentials: readonly string[]) =>
    (await tokens(world, await world.token(['read'], { credentials }))).map((one) => one['token_name']);
  expect(await seen(['*'])).toEqual([CREDENTIAL, 'HK_UNUSED', 'PM_SERVER']);
  expect(await seen(['HK_*'])).toEqual([CREDENTIAL, 'HK_UNUSED']);
  expect(await seen(['PM_SERVER'])).toEqual(['PM_SERVER']);
  expect(await seen(['HK_PLATFORM'])).toEqual([]);
});

test('the subscribers are the rows of this environment, inactive ones too, as the manifest spells them', async () => {
  await using world = await idle({
    apps: [
      { name: 'app-one', wave: 2 },
      { name: 'app-two', extra: { active: false } },
      { name: 'app-three', endpoint: false },
    ],
  });
  const answer = await world.api('GET', `/tokens/${CREDENTIAL}/subscribers`);
  expect(answer.body).toMatchObject({ env: ENV, credential: CREDENTIAL });
  expect(answer.body['subscribers']).toMatchObject([
    { consumer_id: 'heroku-config-app-three', wave: 1, healthcheck_endpoint: null, capabilities: ['update'] },
    { consumer_id: 'heroku-config-app-two', wave: 1, active: false },
    { consumer_id: 'heroku-config-app-one', wave: 2, active: true, update_method: 'HEROKU_CONFIG_PATCH' },
  ]);
});

test('404 not_registered: nowhere, or elsewhere', async () => {
  await using world = await idle({
    apps: [{ name: 'app-one', extra: { env: 'prod' } }],
    more: { credentials: [other('HK_UNUSED')] },
  });
  const ask = (name: string) => () => world.api('GET', `/tokens/${name}/subscribers`);
  const expected = { http: 404, code: 'not_registered' } as const;
  await refused(world, ask('HK_NOBODY'), {
    ...expected,
    detail: /^HK_NOBODY has no subscribers\. Check the name/,
  });
  await refused(world, ask('HK_UNUSED'), {
    ...expected,
    detail: /^HK_UNUSED has no subscribers\./,
    extra: { registered_for: [] },
  });
  const detail = `${CREDENTIAL} is registered for prod; this is development. Ask the Velvet of that environment.`;
  await refused(world, ask(CREDENTIAL), { ...expected, detail, extra: { registered_for: ['prod'] } });
  await refused(world, () => world.api('GET', paths.rotations), { ...expected, detail });
});

test('registered for two others: both are named', async () => {
  const row = (env: string) => ({ name: `app-${env}`, extra: { env } });
  await using world = await idle({ apps: [row('staging'), row('prod')], credential: { scope: 'per_env' } });
  const ask = () => world.api('GET', `/tokens/${CREDENTIAL}/subscribers`);
  await refused(world, ask, {
    http: 404,
    code: 'not_registered',
    detail: /is registered for prod and staging; this is development/,
    extra: { registered_for: ['prod', 'staging'] },
  });
});
