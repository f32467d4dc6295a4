// /healthz, /health and /flags: public, true, and quick also when Redis is not there.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildApp } from '../../api/app.ts';
import { connect } from '../../shared/redis/connection.ts';
import { createFeed } from '../../shared/redis/feed.ts';
import { createJobStore } from '../../shared/redis/job-store.ts';
import { systemKeys } from '../../shared/redis/keys.ts';
import { createSystemStore, workerFamilies } from '../../shared/redis/system-store.ts';
import { buildWorld, CREDENTIAL, ENV, type Answer, type World } from '../harness.ts';
import { freePort, startRedis, type RedisServer } from '../redis-server.ts';
import { creation, isProblem, paths } from './asking.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
const idle = (): Promise<World> => buildWorld(redis.url, { families: [] });
const open = { token: null };

describe.each(['/healthz', '/health'])('%s', (path) => {
  test('200 ok, without a token', async () => {
    await using world = await idle();
    const answer = await world.api('GET', path, undefined, open);
    expect([answer.status, answer.body]).toEqual([200, { status: 'ok' }]);
    expect(answer.headers.get('x-velvet-env')).toBe(ENV);
  });

  test.each(workerFamilies)('503 degraded while %s is silent', async (family) => {
    await using world = await idle();
    await world.redis.del(systemKeys.beat(family));
    const answer = await world.api('GET', path, undefined, open);
    const failing = [`${family}: no process of this family has beaten for 30 s`];
    expect([answer.status, answer.body]).toEqual([503, { status: 'degraded', failing }]);
  });

  test('503 degraded names all that fails at once', async () => {
    await using world = await idle();
    await world.redis.del(systemKeys.beat('stage'), systemKeys.beat('notifier'));
    await world.redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
    await world.redis.config('SET', 'appendonly', 'no');
    try {
      const { status, body } = await world.api('GET', path, undefined, open);
      expect([status, body['failing']]).toEqual([
        503,
        [
          expect.stringMatching(/^redis: maxmemory-policy is 'allkeys-lru'.*noeviction/),
          expect.stringMatching(/^redis: appendonly is off.*appendonly yes/),
          expect.stringMatching(/^stage: /),
          expect.stringMatching(/^notifier: /),
        ],
      ]);
    } finally {
      await world.redis.config('SET', 'maxmemory-policy', 'noeviction');
      await world.redis.config('SET', 'appendonly', 'yes');
    }
  });

  test('an unavailable credential is a warning, not a fault', async () => {
    await using world = await idle();
    await world.system.setUnavailable({ [CREDENTIAL]: 'authority refused' });
    const answer = await world.api('GET', path, undefined, open);
    expect([answer.status, answer.body]).toEqual([
      200,
      { status: 'ok', warnings: { [CREDENTIAL]: 'unavailable; GET /tokens says why' } },
    ]);
  });
});

test('families that really beat keep the fleet whole; one that was stopped is missed', async () => {
  await using world = await buildWorld(redis.url, { times: { beatMs: 20, beatTtlMs: 100 } });
  for (const family of workerFamilies) await world.redis.del(systemKeys.beat(family));
  const failing = async () => (await world.api('GET', '/healthz', undefined, open)).body['failing'];
  await expect.poll(failing).toBeUndefined();
  await world.stop('distribute');
  await expect.poll(failing).toEqual([expect.stringMatching(/^distribute: /)]);
  world.start('distribute');
  await expect.poll(failing).toBeUndefined();
});

test('/flags: public, every flag with its value', async () => {
  await using world = await idle();
  expect((await world.api('GET', '/flags', undefined, open)).body).toEqual({ velvet_v2_rotation: true });
  await world.system.setFlag('velvet_v2_rotation', false);
  expect((await world.api('GET', '/flags', undefined, open)).body).toEqual({ velvet_v2_rotation: false });
});

/** The same API on another Redis, with the connection that the web process has. */
function onRedis(world: World, url: string) {
  const address = { url, rejectUnauthorized: true };
  const connection = connect(address, 'asking', world.deps.times, () => undefined);
  const subscriber = connect(address, 'asking', world.deps.times, () => undefined);
  const system = createSystemStore(connection);
  const app = buildApp({
    ...world.deps,
    redis: connection,
    system,
    store: createJobStore(connection, 1_000),
    feed: createFeed(connection, subscriber),
  });
  const ask = async (
    method: string,
    path: string,
    options: { token?: string; body?: unknown } = {},
  ): Promise<Answer> => {
    const response = await app.request(path, {
      method,
      headers: {
        ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
        ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: JSON.parse(text) as Answer['body'],
    };
  };
  return {
    connection,
    system,
    ask,
    [Symbol.dispose]() {
      connection.disconnect();
      subscriber.disconnect();
    },
  };
}

const everyRequest = (token: string) =>
  [
    ['GET', '/tokens', { token }],
    ['GET', `/tokens/${CREDENTIAL}/subscribers`, { token }],
    ['GET', paths.rotations, { token }],
    ['GET', paths.job('c3f4cf4e'), { token }],
    ['GET', paths.stream('c3f4cf4e'), { token }],
    ['POST', paths.rotate, { token, body: creation('k') }],
    ['POST', paths.stage('c3f4cf4e'), { token, body: { action: 'verify' } }],
    ['PUT', '/flags/velvet_v2_rotation', { token, body: { enabled: false } }],
    ['GET', '/flags', {}],
    ['GET', '/service-tokens', { token }],
  ] as const;
const away = {
  http: 503,
  code: 'store_unavailable',
  detail: 'Redis was not reached. Wait for Redis; work goes on by itself when it is back.',
} as const;

describe('with Redis out of reach', () => {
  test('503 from the first moment on: the health says so, every request too, while Redis is still away', async () => {
    await using world = await idle();
    using api = onRedis(world, `redis://127.0.0.1:${await freePort()}`);
    const health = await api.ask('GET', '/healthz');
    expect([health.status, health.body]).toEqual([
      503,
      { status: 'degraded', failing: ['redis: unreachable'] },
    ]);
    for (const [method, path, options] of everyRequest(world.operator))
      await isProblem(world, await api.ask(method, path, options), away);
    expect((await api.ask('GET', '/tokens')).status).toBe(401);
  });

  test('503 when it dies in the middle, and 200 again when it is back', async () => {
    await using world = await idle();
    await using dying = await startRedis();
    using api = onRedis(world, dying.url);
    await expect.poll(() => api.connection.status).toBe('ready');
    const record = {
      name: 't',
      owner: 'ada',
      scopes: ['rotate' as const, 'admin' as const],
      credentials: null,
      slack_user_id: null,
    };
    const { token } = await api.system.createToken({
      ...record,
      created_at: 0,
      expires_at: Number.MAX_SAFE_INTEGER,
    });
    for (const family of workerFamilies) await api.system.beat(family, 60_000);
    expect((await api.ask('GET', '/tokens', { token })).status).toBe(200);
    expect((await api.ask('GET', '/healthz')).status).toBe(200);

    await dying.stop();
    for (const [method, path, options] of everyRequest(token))
      await isProblem(world, await api.ask(method, path, options), away);
    expect((await api.ask('GET', '/healthz')).body['failing']).toEqual(['redis: unreachable']);

    await using back = await startRedis([], Number(new URL(dying.url).port));
    expect(back.url).toBe(dying.url);
    await expect.poll(async () => (await api.ask('GET', '/flags')).status, { timeout: 5_000 }).toBe(200);
  });
});
