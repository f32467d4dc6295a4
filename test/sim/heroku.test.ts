// The Heroku simulator answers as Heroku does: status codes, ids, the echo of tokens, releases that take time.
import { describe, expect, test } from 'vitest';
import { ask, herokuClient } from './ask.ts';
import { startHeroku } from './heroku.ts';
import type { HerokuOptions } from './heroku.ts';
import type { AppKind, HerokuApp } from './heroku-apps.ts';

/** A Heroku with one account, a global token and one app that holds it. Releases and boots wait for `hurry()`. */
async function world(
  options: HerokuOptions = { releaseMs: 60_000, bootMs: 60_000 },
  kind: AppKind = 'normal',
) {
  const heroku = await startHeroku(options);
  const account = heroku.createAccount();
  const old = account.authorize({ description: 'old' });
  const app = heroku.createApp(account, 'raxx-web', { config: { KEY: old.token, OTHER: 'x' }, kind });
  const close = () => heroku.close();
  return {
    heroku,
    account,
    old,
    app,
    api: herokuClient(heroku.url, old.token),
    [Symbol.asyncDispose]: close,
  };
}

const dynoView = (app: HerokuApp) => app.dynos.map(({ state, release }) => `${state} on v${release.version}`);

describe('who may ask', () => {
  test('a request without the Accept header is 406, whatever its token', async () => {
    await using w = await world();
    const answer = await w.api('GET /account', { headers: { accept: '*/*' } });
    expect(answer).toMatchObject({ status: 406, body: { id: 'not_acceptable' } });
  });

  test('an unknown, a revoked and an expired token are 401; Basic with an empty user works too', async () => {
    let now = 1_000_000;
    await using w = await world({ clock: { now: () => now, monotonic: () => now } });
    const revoked = w.account.authorize();
    w.account.revoke(revoked.id);
    const short = w.account.authorize({ expiresInS: 10 });
    const alive = await herokuClient(w.heroku.url, short.token)('GET /account');
    now += 10_000;
    const refused = await Promise.all(
      ['nonsense', revoked.token, short.token].map((token) =>
        herokuClient(w.heroku.url, token)('GET /account'),
      ),
    );
    const basic = `Basic ${Buffer.from(`:${w.old.token}`).toString('base64')}`;

    expect(alive.status).toBe(200);
    expect(refused.map(({ status, body }) => [status, (body as { id: string }).id])).toEqual(
      Array.from({ length: 3 }, () => [401, 'unauthorized']),
    );
    expect((await w.api('GET /account', { headers: { authorization: basic } })).status).toBe(200);
    expect(w.heroku.isLive(short.token)).toBe(false);
  });

  test('a scope that is too narrow is 403 forbidden, not 401', async () => {
    await using w = await world();
    const status = async (
      scope: 'identity' | 'write' | 'write-protected' | 'read-protected',
      line: string,
      body?: unknown,
    ) =>
      (await herokuClient(w.heroku.url, w.account.authorize({ scope: [scope] }).token)(line, { body }))
        .status;

    expect(await status('write', 'GET /account')).toBe(403);
    expect(await status('identity', 'GET /account')).toBe(200);
    expect(await status('write-protected', 'POST /oauth/authorizations', {})).toBe(403);
    expect(await status('write-protected', 'GET /oauth/authorizations')).toBe(403);
    expect(await status('write', 'GET /apps/raxx-web/config-vars')).toBe(403);
    expect(await status('read-protected', 'GET /apps/raxx-web/config-vars')).toBe(200);
    expect(await status('read-protected', 'PATCH /apps/raxx-web/config-vars', { A: 'b' })).toBe(403);
    expect(await status('write-protected', 'PATCH /apps/raxx-web/config-vars', { A: 'b' })).toBe(200);
    expect(await status('identity', 'GET /apps/raxx-web')).toBe(403);
  });

  test("another account's app is 403, an unknown or deleted one 404, and its authorizations are not to be seen", async () => {
    await using w = await world();
    const stranger = herokuClient(w.heroku.url, w.heroku.createAccount().authorize().token);

    expect((await stranger('GET /apps/raxx-web')).status).toBe(403);
    expect((await stranger('GET /apps/raxx-nowhere')).status).toBe(404);
    expect((await stranger(`DELETE /oauth/authorizations/${w.old.id}`)).status).toBe(404);
    expect((await stranger('GET /oauth/authorizations')).body).toHaveLength(1);
    expect(w.heroku.isLive(w.old.token)).toBe(true);
    w.heroku.deleteApp(w.app);
    expect((await w.api('GET /apps/raxx-web/config-vars')).body).toMatchObject({ id: 'not_found' });
  });

  test('a suspended account is 403 suspended, a delinquent one 402', async () => {
    await using w = await world();
    w.account.standing = 'suspended';
    expect(await w.api('GET /account')).toMatchObject({ status: 403, body: { id: 'suspended' } });
    w.account.standing = 'delinquent';
    expect(await w.api('GET /account')).toMatchObject({ status: 402, body: { id: 'delinquent' } });
  });

  test('an empty bucket is 429 without Retry-After, it refills, and asking for the limit costs nothing', async () => {
    let now = 1_000_000;
    await using w = await world({ clock: { now: () => now, monotonic: () => now } });
    w.account.setRemaining(1);
    const [last, none] = [await w.api('GET /account'), await w.api('GET /account')];
    const limits = await w.api('GET /account/rate-limits');
    now += 60_000;

    expect([last.status, last.headers.get('ratelimit-remaining')]).toEqual([200, '0']);
    expect(none).toMatchObject({ status: 429, body: { id: 'rate_limit' } });
    expect([none.headers.get('ratelimit-remaining'), none.headers.get('retry-after')]).toEqual(['0', null]);
    expect(limits.body).toEqual({ remaining: 0 });
    expect((await w.api('GET /account')).headers.get('ratelimit-remaining')).toBe('74');
  });
});

describe('authorizations', () => {
  test('a minted token works, is echoed by list and info, and dies with its authorization', async () => {
    await using w = await world();
    const body = { description: 'velvet:job-1:1-abcdefgh', scope: ['global'], expires_in: null };
    const minted = await w.api('POST /oauth/authorizations', { body });
    const {
      id,
      access_token: { token },
    } = minted.body as { id: string; access_token: { token: string } };
    const mine = herokuClient(w.heroku.url, token);

    expect(minted.status).toBe(201);
    expect(token).toMatch(/^HRKU-/);
    expect(JSON.stringify((await w.api('GET /oauth/authorizations')).body)).toContain(token);
    expect((await w.api(`GET /oauth/authorizations/${id}`)).body).toEqual(minted.body);
    expect((await mine('GET /account')).status).toBe(200);
    expect(w.heroku.live()).toContainEqual({ id, description: body.description });

    const deleted = await w.api(`DELETE /oauth/authorizations/${id}`);
    expect(deleted).toMatchObject({ status: 200, body: { id } });
    expect((await w.api(`DELETE /oauth/authorizations/${id}`)).body).toMatchObject({ id: 'not_found' });
    expect((await mine('GET /account')).status).toBe(401);
    expect(w.heroku.requests.at(-1)).toMatchObject({ caller: null, status: 401, hasAuthorization: true });
    expect(JSON.stringify(w.heroku.requests.map(({ headers }) => headers))).not.toContain(token);
  });

  test.each([{ scope: ['everything'] }, { scope: [] }, { description: 7 }, { expires_in: '5' }, []])(
    'a mint with %j is 422 and mints nothing',
    async (body) => {
      await using w = await world();
      expect(await w.api('POST /oauth/authorizations', { body })).toMatchObject({
        status: 422,
        body: { id: 'invalid_params' },
      });
      expect(w.heroku.live()).toHaveLength(1);
    },
  );

  test('a body that is no JSON is 400', async () => {
    await using w = await world();
    expect((await w.api('POST /oauth/authorizations', { body: '{"scope":' })).status).toBe(400);
  });

  test('a long list comes in pages: 206 with Next-Range until nothing is left', async () => {
    await using w = await world();
    for (let i = 0; i < 6; i += 1) w.account.authorize({ description: `n${i}` });
    const statuses: number[] = [];
    const seen = new Set<string>();
    let range: string | null = 'id ..; max=3';
    while (range !== null) {
      const answer = await w.api('GET /oauth/authorizations', { headers: { range } });
      statuses.push(answer.status);
      for (const { id } of answer.body as { id: string }[]) seen.add(id);
      range = answer.headers.get('next-range');
    }

    expect(statuses).toEqual([206, 206, 200]);
    expect(seen.size).toBe(7);
    for (let i = 0; i < 200; i += 1) w.account.authorize();
    expect((await w.api('GET /oauth/authorizations')).body).toHaveLength(200);
    expect((await w.api('GET /oauth/authorizations', { headers: { range: 'name ..' } })).status).toBe(416);
    expect((await w.api('GET /oauth/authorizations', { headers: { range: 'id ..; max=1001' } })).status).toBe(
      416,
    );
  });
});

describe('config vars, releases, dynos', () => {
  const newest = { headers: { range: 'version ..; order=desc,max=1' } };

  test('a PATCH merges, deletes on null, echoes everything, and makes a release that is pending first', async () => {
    await using w = await world();
    const patched = await w.api('PATCH /apps/raxx-web/config-vars', {
      body: { KEY: 'new', OTHER: null, MORE: 'y' },
    });
    const pending = await w.api('GET /apps/raxx-web/releases', newest);

    expect(patched).toMatchObject({ status: 200, body: { KEY: 'new', MORE: 'y' } });
    expect(patched.body).not.toHaveProperty('OTHER');
    expect(pending).toMatchObject({ status: 206, body: [{ version: 2, status: 'pending', current: false }] });
    expect(w.app.env()).toMatchObject({ KEY: w.old.token });
    expect((await w.api('GET /apps/raxx-web/releases/1/config-vars')).body).toEqual({
      KEY: w.old.token,
      OTHER: 'x',
    });
    expect((await w.api(`GET /apps/${w.app.id}/releases/2`)).body).toMatchObject({ version: 2 });
    expect((await w.api('GET /apps/raxx-web/releases/9')).status).toBe(404);
  });

  test('a release that becomes current restarts the dynos: starting, then up on it with its environment', async () => {
    await using w = await world({ releaseMs: 0, bootMs: 60_000 });
    const started: unknown[] = [];
    w.app.onRestart((env) => started.push(env));
    await w.api('PATCH /apps/raxx-web/config-vars', { body: { KEY: 'new' } });
    const booting = await w.api('GET /apps/raxx-web/dynos');
    w.heroku.hurry();
    const up = await w.api('GET /apps/raxx-web/dynos');

    expect(booting.body).toMatchObject([
      { name: 'web.1', type: 'web', state: 'starting', release: { version: 2 } },
    ]);
    expect(up.body).toMatchObject([{ name: 'web.1', state: 'up', release: { version: 2 } }]);
    expect(w.app.process()).toEqual({ state: 'up', env: { KEY: 'new', OTHER: 'x' } });
    expect(started).toHaveLength(1);
    expect(w.app.releases.map(({ current }) => current)).toEqual([false, true]);
  });

  test('a failed release leaves the config changed, the old release current and the dynos on it', async () => {
    await using w = await world({ releaseMs: 0, bootMs: 0 });
    w.app.failNextRelease();
    await w.api('PATCH /apps/raxx-web/config-vars', { body: { KEY: 'new' } });

    expect((await w.api('GET /apps/raxx-web/releases', newest)).body).toMatchObject([
      { version: 2, status: 'failed', current: false },
    ]);
    expect(w.app.config).toMatchObject({ KEY: 'new' });
    expect(w.app.env()).toMatchObject({ KEY: w.old.token });
    expect(dynoView(w.app)).toEqual(['up on v1']);

    await w.api('PATCH /apps/raxx-web/config-vars', { body: { KEY: 'new' } });
    expect(w.app.releases.map(({ status, current }) => [status, current])).toEqual([
      ['succeeded', false],
      ['failed', false],
      ['succeeded', true],
    ]);
  });

  test('two PATCHes in a row end on the newer release, though the first boot was overtaken', async () => {
    await using w = await world();
    await w.api('PATCH /apps/raxx-web/config-vars', { body: { KEY: 'first' } });
    await w.api('PATCH /apps/raxx-web/config-vars', { body: { KEY: 'second' } });
    w.heroku.hurry();
    expect(w.app.process()).toMatchObject({ state: 'up', env: { KEY: 'second' } });
    expect(w.app.releases.filter(({ current }) => current).map(({ version }) => version)).toEqual([3]);
  });

  test.each<[AppKind, string, string, string]>([
    ['normal', 'up on v2', 'up', 'new'],
    ['never_restarts', 'up on v1', 'up', 'old'],
    ['never_restarts_looks_new', 'up on v2', 'up', 'old'],
    ['crashes', 'crashed on v2', 'crashed', 'new'],
  ])(
    'a %s app: its dynos show %s, its process is %s on the %s environment',
    async (kind, shown, state, which) => {
      await using w = await world({}, kind);
      await w.api('PATCH /apps/raxx-web/config-vars', { body: { KEY: 'new' } });
      expect(w.app.releases.at(-1)).toMatchObject({ status: 'succeeded', current: true });
      expect(dynoView(w.app)).toEqual([shown]);
      expect(w.app.process()).toMatchObject({ state, env: { KEY: which === 'new' ? 'new' : w.old.token } });
    },
  );

  test('a restart by hand brings an app that never restarts onto the current release; a one-off dyno stays behind', async () => {
    await using w = await world({}, 'never_restarts');
    const oneOff = w.app.run();
    w.app.patchConfig({ KEY: 'new' });
    w.app.restart();
    expect(w.app.env()).toMatchObject({ KEY: 'new' });
    expect(dynoView(w.app)).toEqual(['up on v2', 'up on v1']);
    oneOff.stop();
    expect(dynoView(w.app)).toEqual(['up on v2']);
  });

  test('an equal value makes a release, or none where the simulator was told so; a wrong one is 422', async () => {
    await using usual = await world({});
    await using frugal = await world({ releaseOnNoChange: false });
    for (const w of [usual, frugal])
      await w.api('PATCH /apps/raxx-web/config-vars', { body: { OTHER: 'x' } });
    expect([usual.app.releases.length, frugal.app.releases.length]).toEqual([2, 1]);

    for (const body of [{ 'A-B': 'x' }, { A: 1 }, ['A'], { A: 'x'.repeat(33_000) }]) {
      expect((await usual.api('PATCH /apps/raxx-web/config-vars', { body })).status).toBe(422);
    }
    expect(usual.app.releases).toHaveLength(2);
  });
});

test('an unknown path is 404 for who is known, and 401 for who is not', async () => {
  await using w = await world();
  expect((await w.api('GET /nowhere')).status).toBe(404);
  const headers = { accept: 'application/vnd.heroku+json; version=3' };
  expect((await ask(w.heroku.url, 'GET /nowhere', { headers })).status).toBe(401);
});
