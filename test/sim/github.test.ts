// The simulated GitHub is as strict as the real one: whom it believes, what a token reaches, what it opens.
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import type { Clock } from '../../shared/lib/clock.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { publicKeyBytes, sealed } from '../../shared/lib/sealed-box.ts';
import { ask, jwtOf } from './ask.ts';
import { makeApp } from './github-apps.ts';
import { startGithub, type GithubSim } from './github.ts';

const nowS = (): number => Math.floor(systemClock.now() / 1000);

async function started(clock: Clock = systemClock) {
  const github = await startGithub({ clock });
  const owner = await github.createOwner('acme');
  const repo = await github.createRepo(owner, 'console');
  const other = await github.createRepo(owner, 'other');
  const app = github.createApp();
  const installation = github.install(app, owner, { permissions: { secrets: 'write' } });
  return { github, owner, repo, other, app, installation };
}

function client(github: GithubSim, token: string, headers: Readonly<Record<string, string>> = {}) {
  return (line: string, body?: object) =>
    ask(github.url, line, {
      headers: { authorization: `Bearer ${token}`, 'user-agent': 'test', ...headers },
      ...(body === undefined ? {} : { body }),
    });
}

const LOOKUP = 'GET /repos/acme/console/installation';
const SECRETS = '/repos/acme/console/actions/secrets';

describe('an App', () => {
  test('is believed by its signature and by claims that are good now', async () => {
    const { github, app } = await started();
    await using _ = github;
    const stranger = { ...app, privateKey: makeApp(8).privateKey };
    const status = async (jwt: string) => (await client(github, jwt)(LOOKUP)).status;
    expect(await status(jwtOf(app))).toBe(200);
    expect(await status(jwtOf(app, { iss: String(app.id) }))).toBe(200);
    for (const jwt of [
      jwtOf(stranger),
      jwtOf(app, { iss: 'Iv23liNobody' }),
      jwtOf(app, { iat: nowS() + 30 }),
      jwtOf(app, { iat: 'now' }),
      jwtOf(app, { exp: nowS() - 1 }),
      jwtOf(app, { exp: nowS() + 660 }),
      jwtOf(app, {}, { alg: 'none' }),
      `${jwtOf(app)}.x`,
      'a.b.c',
    ])
      expect(await status(jwt)).toBe(401);
  });

  test('is asked for a version that exists, and for its name', async () => {
    const { github, app } = await started();
    await using _ = github;
    const version = (it: string) => client(github, jwtOf(app), { 'x-github-api-version': it })(LOOKUP);
    expect((await version('2022-11-28')).status).toBe(200);
    expect((await version('2021-01-01')).status).toBe(410);
  });
});

describe('a token', () => {
  const token = async (
    { github, app }: Awaited<ReturnType<typeof started>>,
    body: object,
  ): Promise<string> => {
    const answer = await client(github, jwtOf(app))('POST /app/installations/50000/access_tokens', body);
    return (answer.body as { token: string }).token;
  };

  test('reaches what it was narrowed to, and nothing else', async () => {
    const all = await started();
    await using _ = all.github;
    const read = client(
      all.github,
      await token(all, { repositories: ['console'], permissions: { secrets: 'read' } }),
    );
    expect((await read(`GET ${SECRETS}/public-key`)).status).toBe(200);
    expect((await read('GET /repos/acme/other/actions/secrets/public-key')).status).toBe(404);
    expect((await read(`PUT ${SECRETS}/A`, {})).status).toBe(403);
    expect((await read('GET /repos/acme/console/environments/x/secrets/public-key')).status).toBe(403);
    expect((await read(LOOKUP)).status).toBe(401);
  });

  test('ends after an hour, or when it is given back', async () => {
    let by = 0;
    const all = await started({ ...systemClock, now: () => systemClock.now() + by });
    await using _ = all.github;
    const [one, two] = [client(all.github, await token(all, {})), client(all.github, await token(all, {}))];
    expect((await one('DELETE /installation/token')).status).toBe(204);
    expect((await one(`GET ${SECRETS}/public-key`)).status).toBe(401);
    expect((await two(`GET ${SECRETS}/public-key`)).status).toBe(200);
    by = 3_600_000;
    expect((await two(`GET ${SECRETS}/public-key`)).status).toBe(401);
  });

  test('writes what its scope’s key opens alone', async () => {
    const all = await started();
    await using _ = all.github;
    const put = client(all.github, await token(all, {}));
    const box = async (key: string) => sealed(new Secret('a value'), publicKeyBytes(key) ?? new Uint8Array());
    const body = { encrypted_value: await box(all.repo.key), key_id: all.repo.keyId };
    expect((await put(`PUT ${SECRETS}/A`, body)).status).toBe(201);
    expect((await put(`PUT ${SECRETS}/a`, body)).status).toBe(204);
    expect(all.repo.values()).toEqual({ A: 'a value' });

    const urlSafe = body.encrypted_value.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
    for (const wrong of [
      { ...body, encrypted_value: await box(all.other.key) },
      { ...body, encrypted_value: urlSafe },
      { ...body, key_id: all.other.keyId },
      { encrypted_value: 'a value' },
    ])
      expect((await put(`PUT ${SECRETS}/A`, wrong)).status).toBe(422);
    expect((await put(`PUT ${SECRETS}/GITHUB_X`, body)).status).toBe(422);
  });
});

test('a former name leads on: permanently for a look, for a write with the request kept', async () => {
  const { github, repo, owner, app } = await started();
  await using _ = github;
  github.moveRepo(repo, owner, 'elsewhere');
  const asApp = client(github, jwtOf(app));
  const look = await asApp(LOOKUP);
  expect([look.status, look.headers.get('location')]).toEqual([
    301,
    `https://api.github.com/repositories/${repo.id}/installation`,
  ]);
  expect((await asApp(`PUT ${SECRETS}/A`, {})).status).toBe(307);
  expect((await asApp(`GET /repositories/${repo.id}/installation`)).status).toBe(200);
});

test('the hour’s quota is one for all, and its end is told', async () => {
  const { github, app } = await started();
  await using _ = github;
  github.limits.remaining = 1;
  const asApp = client(github, jwtOf(app));
  expect((await asApp(LOOKUP)).headers.get('x-ratelimit-remaining')).toBe('0');
  const over = await asApp(LOOKUP);
  expect([over.status, over.headers.get('x-ratelimit-remaining')]).toEqual([403, '0']);
  expect(Number(over.headers.get('x-ratelimit-reset'))).toBeGreaterThan(nowS());
});
