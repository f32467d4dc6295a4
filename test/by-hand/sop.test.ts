// The pages of docs/sop: they are what the manifest says, and whoever follows one, with nothing of Velvet running, has rotated the credential.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadManifest, parseManifest } from '../../shared/manifest/load.ts';
import { sopNames, sopPage } from '../../shared/manifest/sop/page.ts';
import type { VaultKind } from '../../shared/manifest/sop/shell.ts';
import { run } from '../bin/commands.ts';
import { committed, strict } from '../core/manifest-text.ts';
import { until } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { follow, surprises, type Followed } from './follow.ts';
import { openOutside, type Outside } from './outside.ts';

const CREDENTIAL = 'HK_PLATFORM_FULL';
const folder = new URL('../../docs/sop/', import.meta.url);
const manifest = loadManifest(committed, strict);

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const outside = async (
  more: { readonly manifest: typeof manifest; readonly path: string } = { manifest, path: committed },
) => {
  const redis = new Redis(server.url);
  await redis.flushdb();
  redis.disconnect();
  return openOutside({
    manifest: more.manifest,
    manifestPath: more.path,
    credential: CREDENTIAL,
    redisUrl: server.url,
  });
};
const followHere = (page: string, at: Outside, vault: VaultKind) => {
  const { INFISICAL_PROJECT_ID = '', INFISICAL_SITE_URL = '', ...env } = at.env;
  // In an installation whose vault is of files nothing of Infisical is set.
  const own = vault === 'file' ? env : { ...env, INFISICAL_PROJECT_ID, INFISICAL_SITE_URL };
  return follow(page, { vault, cwd: at.cwd, env: own, typed: at.typed, names: at.names });
};

/** What the page promises at its end, whichever the vault. */
async function expectRotated(at: Outside, followed: Followed, vault: VaultKind): Promise<void> {
  expect(surprises(followed)).toEqual([]);
  expect(followed.code).toBe(0);
  const made = at.first.account.authorizations().filter(({ id }) => id !== at.bootstrap.id);
  expect(made).toHaveLength(1);
  const [next] = made;
  expect(next?.description).toBe(`${CREDENTIAL} by hand`);
  expect(at.heroku.isLive(at.first.token)).toBe(false);
  for (const [consumer, holds] of Object.entries(at.holds))
    expect([consumer, holds()]).toEqual([consumer, next?.token]);
  const inVault = async (slot: string) =>
    vault === 'file'
      ? ((await at.vault.read(slot))?.reveal() ?? null)
      : (at.project.folder('prod', '/velvet').secrets.get(slot)?.versions.at(-1) ?? null);
  expect(await inVault(CREDENTIAL)).toBe(next?.token);
  expect(await inVault(`${CREDENTIAL}__AUTH_ID`)).toBe(next?.id);
  for (const secret of [...at.secrets(), next?.token ?? '']) {
    expect(followed.screen).not.toContain(secret);
    expect(followed.arguments).not.toContain(secret);
  }
  expect(followed.arguments).toContain('curl ');
}

describe('docs/sop', () => {
  test('has a page for every credential of the manifest, and each is what the manifest says', async () => {
    const files = await readdir(folder);
    expect(files.toSorted()).toEqual(
      sopNames(manifest)
        .map((name) => `${name}.md`)
        .toSorted(),
    );
    for (const name of sopNames(manifest))
      expect(await readFile(new URL(`${name}.md`, folder), 'utf8')).toBe(sopPage(manifest, name));
  });

  test('npm run sop writes the pages of another manifest elsewhere, and removes those of its own that have no credential any more', async () => {
    const cwd = await mkdtemp(join(tmpdir(), 'velvet-sop-'));
    await writeFile(join(cwd, 'm.yml'), withEveryMethod);
    await writeFile(join(cwd, 'own.md'), 'a page that somebody wrote');
    const env = { VELVET_MANIFEST: 'm.yml', APP_ENV: 'prod' };
    const first = await run('sop.ts', [cwd], { cwd, env });
    await writeFile(join(cwd, 'm.yml'), withEveryMethod.replaceAll(CREDENTIAL, 'HK_OTHER'));
    const second = await run('sop.ts', [cwd], { cwd, env });
    const files = await readdir(cwd);
    await rm(cwd, { recursive: true, force: true });

    expect([first.code, second.code]).toEqual([0, 0]);
    expect(second.stderr).toContain(`removed ${CREDENTIAL}.md`);
    expect(files).toEqual(expect.arrayContaining(['HK_OTHER.md', 'PM_SERVER_MAIL.md', 'own.md']));
    expect(files).not.toContain(`${CREDENTIAL}.md`);
  });
});

describe('followed by hand, with Velvet stopped', () => {
  test.for(['infisical', 'file'] as const)(
    'the committed page rotates the credential, vault: %s',
    { timeout: 60_000 },
    async (vault) => {
      await using at = await outside();
      const page = await readFile(new URL(`${CREDENTIAL}.md`, folder), 'utf8');

      const followed = await followHere(page, at, vault);

      await expectRotated(at, followed, vault);
    },
  );

  test(
    'a page with every kind of row rotates all of them; an inactive one is written, too',
    { timeout: 60_000 },
    async () => {
      const every = parseManifest(withEveryMethod, 'm.yml', strict);
      await using at = await outside({ manifest: every, path: committed });

      const followed = await followHere(sopPage(every, CREDENTIAL) ?? '', at, 'infisical');

      await expectRotated(at, followed, 'infisical');
      expect(Object.keys(at.holds).toSorted()).toEqual([
        'actions',
        'actions-env',
        'first',
        'second',
        'shared-secret',
      ]);
    },
  );

  test(
    'an app that answers 200 on its old value is not taken for proven: the page waits until it was restarted',
    { timeout: 60_000 },
    async () => {
      await using at = await outside();
      const [name = ''] = Object.keys(at.apps);
      const [app, consumer] = [at.apps[name], at.consumers[name]];
      if (app === undefined || consumer === undefined) throw new Error('no app');
      app.kind = 'never_restarts_looks_new';
      const page = await readFile(new URL(`${CREDENTIAL}.md`, folder), 'utf8');

      const following = followHere(page, at, 'infisical');
      // It was asked three times, and said 200 each time.
      await until(() => (consumer.requests.length >= 3 ? true : null), 30_000);
      expect(consumer.requests.filter(({ status }) => status === 200).length).toBeGreaterThan(1);
      const others = Object.entries(at.holds).filter(([one]) => one !== name);
      expect(others.map(([, holds]) => holds())).toEqual(others.map(() => at.first.token));
      app.restart();

      await expectRotated(at, await following, 'infisical');
    },
  );

  test('a dead authority is seen at the first step, and the lines say so', async () => {
    await using at = await outside();
    const page = await readFile(new URL(`${CREDENTIAL}.md`, folder), 'utf8');
    const lines = page.slice(0, page.indexOf('## 3.'));

    const followed = await follow(lines, {
      vault: 'file',
      cwd: at.cwd,
      env: at.env,
      typed: { ...at.typed, HK_VELVET_BOOTSTRAP: 'HRKU-mistyped' },
      names: at.names,
    });

    expect(surprises(followed)).toHaveLength(2);
    expect(followed.screen).toContain('401');
    expect(followed.screen).not.toContain('HRKU-mistyped');
  });
});

const withEveryMethod = `version: 2
credentials:
  - { token_name: ${CREDENTIAL}, issuer: heroku-oauth, issuer_auth_token_name: HK_VELVET_BOOTSTRAP, scope: shared, entropy: high }
  - { token_name: PM_SERVER_MAIL, issuer: postmark, entropy: high, active: false }
subscribers:
  - token_name: ${CREDENTIAL}
    consumer_id: first
    env: prod
    update_method: HEROKU_CONFIG_PATCH
    update_endpoint: https://api.heroku.com/apps/first-app/config-vars
    update_key: API_KEY
    update_auth_token_name: HK_VELVET_BOOTSTRAP
    healthcheck_endpoint: https://first.example.com/healthz
    capabilities: [update, healthcheck]
  - token_name: ${CREDENTIAL}
    consumer_id: second
    env: prod
    active: false
    update_method: HEROKU_CONFIG_PATCH
    update_endpoint: https://api.heroku.com/apps/second-app/config-vars
    update_key: API_KEY
    update_auth_token_name: HK_VELVET_BOOTSTRAP
    healthcheck_endpoint: null
    capabilities: [update]
  - token_name: ${CREDENTIAL}
    consumer_id: actions
    env: prod
    wave: 2
    update_method: GITHUB_SECRET_PUT
    update_endpoint: https://api.github.com/repos/acme/console/actions/secrets
    update_key: HEROKU_API_KEY
    update_auth_token_name: GH_APP_OPS_BOT
    healthcheck_endpoint: null
    capabilities: [update]
  - token_name: ${CREDENTIAL}
    consumer_id: actions-env
    env: prod
    wave: 2
    update_method: GITHUB_SECRET_PUT
    update_endpoint: https://api.github.com/repos/acme/deploy/environments/prod%20eu/secrets
    update_key: HEROKU_API_KEY
    update_auth_token_name: GH_APP_OPS_BOT
    healthcheck_endpoint: null
    capabilities: [update]
  - token_name: ${CREDENTIAL}
    consumer_id: shared-secret
    env: prod
    wave: 3
    update_method: INFISICAL_WRITE
    update_endpoint: https://app.infisical.com/api/v4/secrets?secretPath=/apps/deploy
    update_key: HEROKU_API_KEY
    healthcheck_endpoint: null
    capabilities: [update]
  - token_name: ${CREDENTIAL}
    consumer_id: on-paper
    env: prod
    wave: 4
    active: false
    update_method: OPERATOR_MANUAL
    instructions: Type it into the machine in the basement.
    healthcheck_endpoint: null
    capabilities: [update]
`;
