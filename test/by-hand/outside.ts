// Everything outside Velvet that the rows of one credential need, simulated; nothing of Velvet runs.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { githubPlaceOf, herokuAppOf, infisicalFolderOf } from '../../shared/manifest/addresses.ts';
import { rowsOf } from '../../shared/manifest/load.ts';
import type { Manifest } from '../../shared/manifest/schema.ts';
import { fileVault, type FileVault } from '../../workers/vault/file.ts';
import { startConsumer, type ConsumerSim } from '../sim/consumer.ts';
import type { Authorization } from '../sim/heroku-accounts.ts';
import type { HerokuApp } from '../sim/heroku-apps.ts';
import { startHeroku, type HerokuSim } from '../sim/heroku.ts';
import { startGithub, type GithubSim } from '../sim/github.ts';
import type { GithubOwner, SecretStore } from '../sim/github-places.ts';
import type { InfisicalProject } from '../sim/infisical-projects.ts';
import { startInfisical, type InfisicalSim } from '../sim/infisical.ts';

export const APP_ENV = 'development';

export interface Outside extends AsyncDisposable {
  readonly cwd: string;
  readonly heroku: HerokuSim;
  readonly infisical: InfisicalSim;
  readonly project: InfisicalProject;
  readonly github: GithubSim;
  readonly first: Authorization;
  readonly bootstrap: Authorization;
  readonly vault: FileVault;
  /** By consumer: what it runs on now. */
  readonly holds: Readonly<Record<string, () => string | null>>;
  readonly apps: Readonly<Record<string, HerokuApp>>;
  readonly consumers: Readonly<Record<string, ConsumerSim>>;
  readonly names: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
  readonly typed: Readonly<Record<string, string>>;
  /** What must be shown nowhere. */
  readonly secrets: () => readonly string[];
}

export interface OutsideOptions {
  readonly manifest: Manifest;
  readonly manifestPath: string;
  readonly credential: string;
  readonly redisUrl: string;
}

/** The folder of an installation with its `.env`, and every consumer of the credential on its first token. */
export async function openOutside(options: OutsideOptions): Promise<Outside> {
  const [cwd, heroku, infisical, github] = await Promise.all([
    mkdtemp(join(tmpdir(), 'velvet-by-hand-')),
    startHeroku(),
    startInfisical(),
    startGithub(),
  ]);
  const account = heroku.createAccount();
  const bootstrap = account.authorize({ description: 'velvet bootstrap' });
  const first = account.authorize({ description: 'made long ago' });
  const project = infisical.createProject();
  const identity = infisical.createIdentity();
  project.folder('prod', '/velvet');
  const ghApp = github.createApp();
  const holds: Record<string, () => string | null> = {};
  const apps: Record<string, HerokuApp> = {};
  const consumers: Record<string, ConsumerSim> = {};
  const names: Record<string, string> = {};
  const owners = new Map<string, GithubOwner>();
  let githubToken = '';

  for (const row of rowsOf(options.manifest, options.credential)) {
    if (row.update_method === 'HEROKU_CONFIG_PATCH') {
      const app = heroku.createApp(account, herokuAppOf(row.update_endpoint) ?? '', {
        config: { [row.update_key]: first.token, OTHER: 'a value of its own' },
      });
      apps[row.consumer_id] = app;
      holds[row.consumer_id] = () => app.env()[row.update_key] ?? null;
      if (row.healthcheck_endpoint === null) continue;
      const { origin, pathname } = new URL(row.healthcheck_endpoint);
      const consumer = await startConsumer({
        heroku: heroku.url,
        app,
        key: row.update_key,
        path: pathname,
        answersChallenge: true,
      });
      consumers[row.consumer_id] = consumer;
      names[origin] = consumer.url;
    } else if (row.update_method === 'INFISICAL_WRITE') {
      const folder = project.folder(row.env, infisicalFolderOf(row.update_endpoint)?.path ?? '/');
      holds[row.consumer_id] = () => folder.secrets.get(row.update_key)?.versions.at(-1) ?? null;
    } else if (row.update_method === 'GITHUB_SECRET_PUT') {
      const place = githubPlaceOf(row.update_endpoint);
      if (place === null || place.scope === 'organisation')
        throw new Error(`no such place here: ${row.update_endpoint}`);
      const owner = owners.get(place.owner) ?? (await github.createOwner(place.owner));
      owners.set(place.owner, owner);
      const environments = place.scope === 'environment' ? [place.environment] : [];
      const repo = await github.createRepo(owner, place.repo, environments);
      const store: SecretStore =
        place.scope === 'environment' ? (repo.environments.get(place.environment) ?? repo) : repo;
      store.set(row.update_key, first.token);
      holds[row.consumer_id] = () => store.values()[row.update_key] ?? null;
      const installation = github.install(ghApp, owner);
      githubToken = github.apps.issue(installation, {
        permissions: installation.permissions,
        repositories: null,
      }).token;
    }
  }

  const key = Buffer.alloc(32, 5);
  const env = {
    APP_ENV,
    REDIS_URL: options.redisUrl,
    VELVET_MANIFEST: options.manifestPath,
    VELVET_ALLOW_LOOPBACK: '1',
    VELVET_FILE_VAULT_KEY: key.toString('base64'),
    VELVET_FILE_VAULT_DIR: 'vault',
    HEROKU_API_URL: heroku.url,
    HK_VELVET_BOOTSTRAP: bootstrap.token,
  };
  await writeFile(
    join(cwd, '.env'),
    Object.entries(env)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
    {
      mode: 0o600,
    },
  );
  return {
    cwd,
    heroku,
    infisical,
    project,
    github,
    first,
    bootstrap,
    vault: fileVault({ dir: join(cwd, 'vault'), key, folder: '/velvet', env: APP_ENV }),
    holds,
    apps,
    consumers,
    names,
    env: {
      HEROKU_API_URL: heroku.url,
      INFISICAL_SITE_URL: infisical.url,
      INFISICAL_PROJECT_ID: project.id,
      GH_API_URL: github.url,
      GH_TOKEN: githubToken,
    },
    typed: {
      HK_VELVET_BOOTSTRAP: bootstrap.token,
      INFISICAL_CLIENT_ID: identity.clientId,
      INFISICAL_CLIENT_SECRET: identity.clientSecret,
    },
    secrets: () => [
      first.token,
      bootstrap.token,
      identity.clientSecret,
      ...infisical.tokens,
      ...account.authorizations().map(({ token }) => token),
    ],
    async [Symbol.asyncDispose]() {
      await Promise.all([heroku, infisical, github, ...Object.values(consumers)].map((sim) => sim.close()));
      await rm(cwd, { recursive: true, force: true });
    },
  };
}
