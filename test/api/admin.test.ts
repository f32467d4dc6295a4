// PUT /flags and /service-tokens: what admins do, at once for everybody, and written down with who did it.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { buildWorld, CREDENTIAL, ENV, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { creation, paths, refused } from './asking.ts';

let redis: RedisServer;
let world: World;
beforeAll(async () => {
  redis = await startRedis();
});
beforeEach(async () => {
  world = await buildWorld(redis.url, { families: [] });
  return () => world[Symbol.asyncDispose]();
});
afterAll(() => redis.stop());

const body = { name: 'ci', owner: 'grace', scopes: ['rotate'], expires_in: 3600 };
const make = (more: Readonly<Record<string, unknown>> = {}) =>
  world.api('POST', '/service-tokens', { ...body, ...more });
const list = async () =>
  (await world.api('GET', '/service-tokens')).body['service_tokens'] as Readonly<Record<string, unknown>>[];

describe('flags', () => {
  const put = (name: string, enabled: boolean) => world.api('PUT', `/flags/${name}`, { enabled });

  test('are switched at once for every caller, and the log says by whom', async () => {
    const answer = await put('velvet_v2_rotation', false);
    expect([answer.status, answer.body]).toEqual([200, { velvet_v2_rotation: false }]);
    expect((await world.api('POST', paths.rotate, creation('k'))).body.code).toBe('rotation_disabled');
    expect(world.log.find((line) => line.includes('flag switched'))).toMatch(
      /flag=velvet_v2_rotation .*operator_id=ada/,
    );
    expect((await put('velvet_v2_rotation', true)).body).toEqual({ velvet_v2_rotation: true });
    expect((await world.api('POST', paths.rotate, creation('k'))).status).toBe(202);
  });

  test.each([['velvet_v3'], ['__proto__'], ['%'], ['x'.repeat(10_000)]])(
    '404 %s is no flag; those that there are are named',
    async (name) => {
      await refused(world, () => put(name, false), {
        http: 404,
        code: 'not_found',
        detail: /^There is no flag '.{1,130}'\. Name one of those that there are: velvet_v2_rotation\.$/,
      });
    },
  );
});

describe('service tokens', () => {
  test('403 an admin who is limited to credentials makes none for more than those', async () => {
    const token = await world.token(['admin'], { credentials: ['HK_PLATFORM_*'] });
    const asking = (credentials?: readonly string[]) =>
      world.api('POST', '/service-tokens', { ...body, credentials }, { token });
    for (const [credentials, missing] of [
      [undefined, '*'],
      [['*'], '*'],
      [['HK_PLATFORM_FULL', 'HK_*'], 'HK_*'],
    ] as const)
      await refused(world, () => asking(credentials), {
        http: 403,
        code: 'forbidden',
        detail: /^This service token is limited to HK_PLATFORM_\*, .* ask an admin without a limit\./,
        extra: { missing_credential: missing },
      });
    expect((await asking(['HK_PLATFORM_F*'])).status).toBe(201);
  });

  test('201 shows the token this once; it works, with its scopes, for its credentials', async () => {
    const made = await make({ scopes: ['read'], credentials: ['HK_*'], slack_user_id: 'U012AB3CD' });
    expect([made.status, made.body['owner'], made.body['scopes'], made.body['credentials']]).toEqual([
      201,
      'grace',
      ['read'],
      ['HK_*'],
    ]);
    const token = String(made.body['token']);
    expect(token).toMatch(/^vlt_[0-9a-f]{12}_[0-9a-f]{64}$/);
    expect((await world.api('GET', paths.rotations, undefined, { token })).status).toBe(200);
    expect((await world.api('POST', paths.rotate, creation('k'), { token })).status).toBe(403);

    const listed = await world.api('GET', '/service-tokens');
    expect(listed.text).not.toContain(token.slice(17));
    expect(listed.text).not.toMatch(/[0-9a-f]{64}/);
    expect(listed.body['env']).toBe(ENV);
    expect((await list()).at(-1)).toEqual(
      Object.fromEntries(Object.entries(made.body).filter(([key]) => key !== 'token')),
    );
  });

  test('400 one that is limited to what the manifest does not have; each such pattern is named', async () => {
    await refused(world, () => make({ credentials: ['HK_*', 'PM_*', 'HK_PLATFORM'] }), {
      http: 400,
      code: 'invalid_request',
      detail:
        "'credentials': PM_*, HK_PLATFORM names no credential of the manifest. `GET /tokens` lists them: mend it and send it again; nothing was made.",
      extra: { fields: ['credentials'] },
    });
  });

  test('it expires when it says', async () => {
    const before = world.deps.clock.now();
    const made = await make({ expires_in: 60 });
    const expires = Date.parse(String(made.body['expires_at']));
    expect(expires - before).toBeGreaterThanOrEqual(60_000);
    expect(expires - world.deps.clock.now()).toBeLessThanOrEqual(60_000);
  });

  test('two of the same name and owner are two tokens', async () => {
    const ids = [(await make()).body['id'], (await make()).body['id']];
    expect(new Set(ids).size).toBe(2);
    expect((await list()).map((one) => one['id'])).toEqual(expect.arrayContaining(ids));
  });

  test('204 deletes one; its owner is who signs what it did before', async () => {
    const made = await make();
    const token = String(made.body['token']);
    const created = await world.api('POST', paths.rotate, creation('k'), { token });
    const gone = await world.api('DELETE', `/service-tokens/${String(made.body['id'])}`);
    expect([gone.status, gone.text, gone.headers.get('x-velvet-env')]).toEqual([204, '', ENV]);
    expect(await list()).toHaveLength(1);
    expect((await world.api('GET', '/tokens', undefined, { token })).status).toBe(401);
    const job = await world.api('GET', paths.job(String(created.body.job_id)));
    expect(job.body).toMatchObject({ credential: CREDENTIAL, created_by: 'grace' });
  });

  test.each([['000000000000'], ['__proto__'], ['%'], ['*'], ['x'.repeat(10_000)]])(
    '404 to delete %s',
    async (id) => {
      await refused(world, () => world.api('DELETE', `/service-tokens/${id}`), {
        http: 404,
        code: 'not_found',
        detail: /^There is no service token '.{1,130}'\. `GET \/service-tokens` lists them\.$/,
      });
    },
  );

  test('making and deleting one is in the log, with who did it and without the token', async () => {
    const made = await make();
    await world.api('DELETE', `/service-tokens/${String(made.body['id'])}`);
    const lines = world.log.filter((line) => /service token (made|deleted)/.test(line));
    expect(lines).toHaveLength(2);
    for (const line of lines)
      expect(line).toMatch(
        new RegExp(
          `token_id=${String(made.body['id'])}.*operator_id=ada|operator_id=ada.*token_id=${String(made.body['id'])}`,
        ),
      );
    expect(world.log.join('\n')).not.toContain(String(made.body['token']).slice(17));
  });
});
