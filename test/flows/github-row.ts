// What a world needs to have a row at GitHub: a simulated one with an App in it, and the row as the manifest spells it.
import type { WorldOptions } from '../harness.ts';
import { CREDENTIAL, ENV } from '../harness.ts';
import type { GithubApp } from '../sim/github-apps.ts';
import type { GithubRepo } from '../sim/github-places.ts';
import { startGithub, type GithubSim } from '../sim/github.ts';

export const GITHUB_ROW = 'github-actions-heroku-api-key';

export interface GithubStage {
  readonly github: GithubSim;
  readonly app: GithubApp;
  readonly repo: GithubRepo;
  readonly options: Pick<WorldOptions, 'githubUrl' | 'authorities' | 'more'>;
}

export interface GithubRowOptions {
  /** The App's key in the vault; the right one unless given. */
  readonly authority?: (app: GithubApp) => string;
  readonly key?: string;
  readonly endpoint?: string | undefined;
}

/** A repository that the App may write to, and what `buildWorld` must be told of it. */
export async function githubStage({
  authority = (app) => app.authority,
  key = 'HEROKU_API_KEY',
  endpoint,
}: GithubRowOptions = {}): Promise<GithubStage> {
  const github = await startGithub();
  const owner = await github.createOwner('acme');
  const repo = await github.createRepo(owner, 'console');
  const app = github.createApp();
  github.install(app, owner, { repositories: [repo] });
  const row = {
    token_name: CREDENTIAL,
    consumer_id: GITHUB_ROW,
    env: ENV,
    wave: 1,
    active: true,
    update_method: 'GITHUB_SECRET_PUT',
    update_endpoint: 'https://api.github.com/repos/acme/console/actions/secrets',
    update_key: key,
    update_auth_token_name: 'GH_APP_OPS_BOT',
    healthcheck_endpoint: endpoint ?? null,
    capabilities: endpoint === undefined ? ['update'] : ['update', 'healthcheck'],
  };
  return {
    github,
    app,
    repo,
    options: {
      githubUrl: github.url,
      authorities: { GH_APP_OPS_BOT: authority(app) },
      more: { subscribers: [row] },
    },
  };
}
