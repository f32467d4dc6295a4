// Who may do what: each route for each scope, credentials that a token is limited to, and tokens that are no longer good.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { buildApp } from '../../api/app.ts';
import { scopes, type Scope } from '../../shared/redis/system-store.ts';
import { buildWorld, CREDENTIAL, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { creation, isProblem, paths, refused } from './asking.ts';

let redis: RedisServer;
let world: World;
let jobId: string;
beforeAll(async () => {
  redis = await startRedis();
});
beforeEach(async () => {
  world = await buildWorld(redis.url, { families: [] });
  jobId = await world.create();
  return () => world[Symbol.asyncDispose]();
});
afterAll(() => redis.stop());

const read: readonly Scope[] = ['read', 'rotate', 'revoke', 'admin'];
const rotate: readonly Scope[] = ['rotate'];
const admin: readonly Scope[] = ['admin'];

interface Route {
  readonly is: string;
  readonly method: string;
  readonly path: () => string;
  readonly body?: unknown;
  /** The scopes with which it goes through, the one that it names first. */
  readonly needs: readonly Scope[];
  readonly aboutCredential: boolean;
}

const newToken = { name: 'ci', owner: 'ci', scopes: ['read'], expires_in: 3600 };
// oxfmt-ignore
const routes: readonly Route[] = [
  { is: 'GET /tokens', method: 'GET', path: () => '/tokens', needs: read, aboutCredential: false },
  { is: 'GET subscribers', method: 'GET', path: () => `/tokens/${CREDENTIAL}/subscribers`, needs: read, aboutCredential: true },
  { is: 'GET rotations', method: 'GET', path: () => paths.rotations, needs: read, aboutCredential: true },
  { is: 'GET job', method: 'GET', path: () => paths.job(jobId), needs: read, aboutCredential: true },
  { is: 'GET stream', method: 'GET', path: () => paths.stream(jobId), needs: read, aboutCredential: true },
  { is: 'POST rotate', method: 'POST', path: () => paths.rotate, body: creation('k1'), needs: rotate, aboutCredential: true },
  { is: 'POST stage', method: 'POST', path: () => paths.stage(jobId), body: { action: 'verify' }, needs: rotate, aboutCredential: true },
  { is: 'POST stage, a later action', method: 'POST', path: () => paths.stage(jobId), body: { action: 'restore' }, needs: rotate, aboutCredential: true },
  { is: 'PUT flag', method: 'PUT', path: () => '/flags/velvet_v2_rotation', body: { enabled: true }, needs: admin, aboutCredential: false },
  { is: 'POST drill', method: 'POST', path: () => '/alarm/test', body: {}, needs: admin, aboutCredential: false },
  { is: 'GET service tokens', method: 'GET', path: () => '/service-tokens', needs: admin, aboutCredential: false },
  { is: 'POST service token', method: 'POST', path: () => '/service-tokens', body: newToken, needs: admin, aboutCredential: false },
  { is: 'DELETE service token', method: 'DELETE', path: () => '/service-tokens/000000000000', needs: admin, aboutCredential: false },
];

function ask(
  { method, path, body }: Route,
  token: string | null,
  headers: Readonly<Record<string, string>> = {},
) {
  return async () => {
    if (!path().endsWith('/stream')) return world.api(method, path(), body, { token, headers });
    // A stream that is opened ends with its reader.
    const app = await world.app.request(path(), {
      headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...headers },
    });
    const text = app.ok ? '' : await app.text();
    if (app.ok) await app.body?.cancel();
    return {
      status: app.status,
      headers: app.headers,
      text,
      body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>),
    };
  };
}

describe.each(routes)('$is', (route) => {
  const unauthenticated = {
    http: 401,
    code: 'unauthenticated',
    detail:
      'No service token, or one that is unknown, deleted or expired. Send `Authorization: Bearer <service token>`; make one with `npx velvet token create`.',
  } as const;

  test('401 without a good token, whatever stands in its place', async () => {
    const [id, secret] = [world.operator.slice(4, 16), world.operator.slice(17)];
    const bad = [
      ['no header', null, {}],
      ['basic', null, { authorization: `Basic ${btoa('ada:x')}` }],
      ['nothing after it', null, { authorization: 'Bearer' }],
      ['two words', null, { authorization: `Bearer ${world.operator} x` }],
      ['garbage', 'garbage', {}],
      ['another secret', `vlt_${id}_${'0'.repeat(64)}`, {}],
      ['another id', `vlt_000000000000_${secret}`, {}],
      ['a bit of it', world.operator.slice(0, -1), {}],
      ['__proto__', 'vlt___proto_____', {}],
    ] as const;
    for (const [, token, headers] of bad) {
      const answer = await ask(route, token, headers)();
      await isProblem(world, answer, unauthenticated);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    }
    await refused(world, ask(route, null), unauthenticated);
  });

  test.each(route.needs)('the scope %s goes through', async (scope) => {
    expect([401, 403]).not.toContain((await ask(route, await world.token([scope]))()).status);
  });

  test.each(scopes.filter((scope) => !route.needs.includes(scope)))('403 the scope %s', async (scope) => {
    const token = await world.token([scope]);
    const has = {
      read: 'read',
      rotate: 'rotate, revoke, read',
      revoke: 'revoke, read',
      admin: 'admin, read',
    }[scope];
    await refused(world, ask(route, token), {
      http: 403,
      code: 'forbidden',
      detail: `This needs a service token with the scope '${route.needs[0]}'; yours has ${has}. Use another one, or ask an admin for it.`,
      extra: { missing_scope: route.needs[0] },
    });
  });
});

describe('a token that is limited to credentials', () => {
  const about = routes.filter((route) => route.aboutCredential);
  const others = routes.filter((route) => !route.aboutCredential);

  test.each(about)('403 $is of another credential', async (route) => {
    const token = await world.token([...rotate, ...admin], { credentials: ['PM_*', 'HK_PLATFORM'] });
    await refused(world, ask(route, token), {
      http: 403,
      code: 'forbidden',
      detail: `This service token is limited to PM_*, HK_PLATFORM, and ${CREDENTIAL} is not among them. Use another one, or ask an admin for it.`,
      extra: { missing_credential: CREDENTIAL },
    });
  });

  test.each(about)('$is of one that its patterns name goes through', async (route) => {
    for (const credentials of [['*'], ['HK_*'], [CREDENTIAL], ['PM_*', 'HK_PLATFORM_FULL*']]) {
      const token = await world.token([...rotate, ...admin], { credentials });
      expect([401, 403]).not.toContain((await ask(route, token)()).status);
    }
  });

  test.each(others)('$is, which is about no credential, goes through', async (route) => {
    const credentials = ['PM_*'];
    const token = await world.token([...rotate, ...admin], { credentials });
    // What it makes reaches no further than it does itself.
    const within = route.body === newToken ? { ...route, body: { ...newToken, credentials } } : route;
    expect((await ask(within, token)()).status).not.toBe(403);
  });
});

test('a limited token cannot find out which credentials there are', async () => {
  const token = await world.token(['rotate'], { credentials: ['PM_*'] });
  for (const name of [CREDENTIAL, 'HK_NOBODY']) {
    const answer = await world.api('GET', `/tokens/${name}/rotations`, undefined, { token });
    expect([answer.status, answer.body.code]).toEqual([403, 'forbidden']);
  }
  expect((await world.api('GET', '/tokens', undefined, { token })).body['tokens']).toEqual([]);
});

test('a deleted token is refused from the next request on; others stay good', async () => {
  const [ada, grace] = [await world.token(['read']), await world.token(['read'], { owner: 'grace' })];
  expect((await world.api('GET', '/tokens', undefined, { token: grace })).status).toBe(200);
  await world.api('DELETE', `/service-tokens/${grace.slice(4, 16)}`);
  expect((await world.api('GET', '/tokens', undefined, { token: grace })).status).toBe(401);
  expect((await world.api('GET', '/tokens', undefined, { token: ada })).status).toBe(200);
});

test('an expired token is refused from the millisecond on at which it expires', async () => {
  let now = world.deps.clock.now();
  const token = await world.token(['read'], { expiresInMs: 10_000 });
  const expires = (await world.system.tokens()).at(-1)?.expires_at ?? 0;
  const app = buildApp({ ...world.deps, clock: { ...world.deps.clock, now: () => now } });
  const status = async () =>
    (await app.request('/tokens', { headers: { authorization: `Bearer ${token}` } })).status;
  expect(await status()).toBe(200);
  now = expires - 1;
  expect(await status()).toBe(200);
  now = expires;
  expect(await status()).toBe(401);
});

test('the scheme is read in any case, as RFC 9110 has it', async () => {
  const headers = { authorization: `bearer ${world.operator}` };
  expect((await world.api('GET', '/tokens', undefined, { token: null, headers })).status).toBe(200);
});

test('no service token, and nothing that was presented as one, is ever logged or stored', async () => {
  const [good, bad] = [await world.token(['read']), `vlt_0123456789ab_${'f'.repeat(64)}`];
  for (const token of [good, bad]) {
    await world.api('GET', '/tokens', undefined, { token });
    await world.api('POST', paths.rotate, creation('k'), { token });
  }
  const keys = await world.redis.keys('*');
  const dump = await Promise.all(keys.map((key) => world.redis.dumpBuffer(key)));
  const everything = [world.log.join('\n'), keys.join('\n'), ...dump.map(String), await records()].join('\n');
  for (const token of [good, bad, world.operator]) expect(everything).not.toContain(token.slice(17));
});

async function records(): Promise<string> {
  return JSON.stringify(await world.redis.hgetall('velvet:{system}:service-tokens'));
}
