// /healthz?deep=1: the stage worker logs in to the vault and to every vendor; each result in words, and none of it secret.
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildApp } from '../../api/app.ts';
import { slots } from '../../workers/vault/contract.ts';
import { buildWorld, CREDENTIAL, ENV, setUpCall, type Answer, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { isProblem } from './asking.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly says: string;
}
const deep = (world: World, token?: string): Promise<Answer> =>
  world.api('GET', '/healthz?deep=1', undefined, token === undefined ? {} : { token });
const checksOf = (answer: Answer) => answer.body['checks'] as readonly Check[];
const ISSUING = 'heroku-oauth as HK_VELVET_BOOTSTRAP';
const WRITING = 'HEROKU_CONFIG_PATCH as HK_VELVET_BOOTSTRAP';

test('200 where every log-in goes well; each is said, and nothing is changed anywhere', async () => {
  await using world = await buildWorld(redis.url);
  const before = world.heroku.requests.length;
  const answer = await deep(world);
  expect([answer.status, answer.body['status'], answer.body['failing']]).toEqual([200, 'ok', undefined]);
  expect(checksOf(answer)).toEqual([
    { name: 'vault (file)', ok: true, says: 'reached, and its folder is there' },
    { name: ISSUING, ok: true, says: 'logged in, and may mint' },
    { name: WRITING, ok: true, says: 'logged in; heroku-config-raxx-api-prod was looked at' },
  ]);
  const asked = world.heroku.requests.slice(before);
  expect(asked.length).toBeGreaterThan(1);
  expect(asked.filter(({ method }) => method !== 'GET')).toEqual([]);
  for (const value of [world.firstToken, world.bootstrapToken]) expect(answer.text).not.toContain(value);
});

describe('503 where one does not, with the reason and what to do', () => {
  test('an authority that the vendor refuses', async () => {
    await using world = await buildWorld(redis.url);
    world.heroku.script({ on: '*', times: Infinity, do: { status: 401, body: { id: 'unauthorized' } } });
    const answer = await deep(world);
    expect([answer.status, answer.body['status']]).toEqual([503, 'degraded']);
    expect(checksOf(answer).map(({ name, ok }) => [name, ok])).toEqual([
      ['vault (file)', true],
      [ISSUING, false],
      [WRITING, false],
    ]);
    for (const says of answer.body['failing'] as readonly string[])
      expect(says).toMatch(/HK_VELVET_BOOTSTRAP: heroku .*answered 401.*Put a good one in place/);
    expect(answer.text).not.toContain(world.bootstrapToken);
  });

  test('a vendor that never answers holds up nothing else, and no longer than its time', async () => {
    await using world = await buildWorld(redis.url, { times: { vendorCallMs: 5_000 } });
    world.heroku.script({ on: '*', times: Infinity, do: 'hang_before' });
    const answer = await deep(world);
    expect(answer.status).toBe(503);
    expect(checksOf(answer).map(({ name, ok }) => [name, ok])).toEqual([
      ['vault (file)', true],
      [ISSUING, false],
      [WRITING, false],
    ]);
    expect(checksOf(answer)[1]?.says).toMatch(/No answer within|let go before the answer came/);
  });

  test('a vault that is gone', async () => {
    await using world = await buildWorld(redis.url);
    await rm(world.vaultDir, { recursive: true });
    const answer = await deep(world);
    expect(answer.status).toBe(503);
    expect(checksOf(answer)[0]).toEqual({
      name: 'vault (file)',
      ok: false,
      says: expect.stringMatching(/VELVET_FILE_VAULT_DIR/) as string,
    });
  });

  test('an authority that is missing is named with what to do, and the rows beside it are looked at', async () => {
    const row = {
      token_name: CREDENTIAL,
      consumer_id: 'github-raxx',
      env: ENV,
      update_method: 'GITHUB_SECRET_PUT',
      update_endpoint: 'https://api.github.com/repos/raxx/app/actions/secrets',
      update_key: 'HEROKU_API_KEY',
      update_auth_token_name: 'GH_APP_OPS_BOT',
      healthcheck_endpoint: null,
      capabilities: ['update'],
    };
    await using world = await buildWorld(redis.url, {
      more: { subscribers: [row] },
      authorities: { GH_APP_OPS_BOT: 'any' },
    });
    await world.vault.remove(setUpCall(), slots.current('GH_APP_OPS_BOT'));
    const answer = await deep(world);
    expect(answer.status).toBe(503);
    expect(answer.body['failing']).toEqual([
      expect.stringMatching(
        /^GITHUB_SECRET_PUT as GH_APP_OPS_BOT: The authority GH_APP_OPS_BOT is missing: .*npx velvet adopt/,
      ),
    ]);
  });

  test('no stage worker: said so, in time', async () => {
    await using world = await buildWorld(redis.url, { times: { deepHealthMs: 300 } });
    await world.stop('stage');
    const answer = await deep(world);
    expect([answer.status, checksOf(answer)]).toEqual([503, []]);
    expect(answer.body['failing']).toContainEqual(expect.stringMatching(/^stage: No stage worker answered/));
  });
});

describe('who may ask', () => {
  test.each(['/healthz', '/health'])(
    '401 %s without a token; any token that may read is enough',
    async (path) => {
      await using world = await buildWorld(redis.url, { families: ['stage'] });
      await isProblem(world, await world.api('GET', `${path}?deep=1`, undefined, { token: null }), {
        http: 401,
        code: 'unauthenticated',
        detail: /Authorization: Bearer/,
      });
      const token = await world.token(['read']);
      expect((await world.api('GET', `${path}?deep=1`, undefined, { token })).status).toBe(200);
      expect((await world.api('GET', path, undefined, { token: null })).body['checks']).toBeUndefined();
    },
  );

  test('a limited token hears of the vault and of what its own credentials need', async () => {
    await using world = await buildWorld(redis.url, { families: ['stage'] });
    const [other, own] = [
      await world.token(['read'], { credentials: ['PM_*'] }),
      await world.token(['read'], { credentials: ['HK_*'] }),
    ];
    expect(checksOf(await deep(world, other)).map(({ name }) => name)).toEqual(['vault (file)']);
    expect(checksOf(await deep(world, own))).toHaveLength(3);
  });

  test('why a credential is unavailable is said to those who may touch it', async () => {
    await using world = await buildWorld(redis.url, { families: ['stage'] });
    await world.system.setUnavailable({ [CREDENTIAL]: 'The authority is missing.', PM_X: 'Another one.' });
    const own = await world.token(['read'], { credentials: ['HK_*'] });
    expect((await deep(world, own)).body['warnings']).toEqual({ [CREDENTIAL]: 'The authority is missing.' });
  });

  test('so many in a minute: each logs in everywhere', async () => {
    await using world = await buildWorld(redis.url, { families: ['stage'] });
    const app = buildApp({
      ...world.deps,
      limits: { ...world.deps.limits, deepHealth: { most: 1, windowMs: 60_000 } },
    });
    const ask = () =>
      app.request('/healthz?deep=1', { headers: { authorization: `Bearer ${world.operator}` } });
    expect([(await ask()).status, (await ask()).status]).toEqual([200, 429]);
    expect((await app.request('/healthz')).status).toBe(200);
  });

  test.each(['0', 'true', ''])('400 deep=%s', async (value) => {
    await using world = await buildWorld(redis.url, { families: [] });
    await isProblem(world, await world.api('GET', `/healthz?deep=${value}`), {
      http: 400,
      code: 'invalid_request',
      detail: "'deep' must be 1, or left out. Mend it and send it again; nothing was changed.",
    });
  });
});
