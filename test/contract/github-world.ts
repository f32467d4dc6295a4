// The contract's world over a GitHub repository, with the destination of this product or one that a test breaks on purpose.
import { times } from '../../shared/times.ts';
import { systemClock } from '../../shared/lib/clock.ts';
import type { Clock } from '../../shared/lib/clock.ts';
import { Secret } from '../../shared/lib/secret.ts';
import type { Target } from '../../shared/manifest/schema.ts';
import type { Destination } from '../../workers/vendors/contract.ts';
import { createDoor } from '../../workers/vendors/http.ts';
import { createRegistry } from '../../workers/vendors/registry.ts';
import { makeApp } from '../sim/github-apps.ts';
import type { GithubApp, Installation } from '../sim/github-apps.ts';
import type { GithubOwner, GithubRepo, GithubSecret, SecretStore } from '../sim/github-places.ts';
import { startGithub } from '../sim/github.ts';
import type { GithubSim } from '../sim/github.ts';
import type { DestinationStep, DestinationWorld } from './destination-world.ts';

export type GithubScope = 'repository' | 'environment' | 'organisation';

export interface GithubKit {
  readonly sim: GithubSim;
  readonly app: GithubApp;
  readonly owner: GithubOwner;
  readonly repo: GithubRepo;
  readonly installation: Installation;
  /** Where the target's secret lies. */
  readonly store: SecretStore;
  readonly secret: () => GithubSecret | null;
}

export interface GithubWorldOptions {
  readonly scope?: GithubScope;
  /** GitHub's clock. */
  readonly clock?: Clock;
  /** Velvet's clock. */
  readonly ownClock?: Clock;
}

/** A visit is seven requests and a signature: on a busy machine one of them may take longer than a single request elsewhere. */
const patienceMs = 1_000;

/** `eu/prod one`: a name that an address must escape. */
export const ENVIRONMENT = 'eu/prod one';

const folders: Readonly<Record<GithubScope, (name: string) => string>> = {
  repository: (name) => `/repos/acme/${name}/actions/secrets`,
  environment: (name) => `/repos/acme/${name}/environments/${encodeURIComponent(ENVIRONMENT)}/secrets`,
  organisation: (name) => `/orgs/${name}/actions/secrets`,
};
const routes: Readonly<Record<GithubScope, string>> = {
  repository: '/repos/:owner/:repo/actions/secrets/:name',
  environment: '/repos/:owner/:repo/environments/:env/secrets/:name',
  organisation: '/orgs/:org/actions/secrets/:name',
};

const previous = 'HRKU-previous-3a1f';
const next = 'HRKU-next-9c2e';
const sibling = 'a-sibling-value';

export function githubTarget(folder: string, key: string): Target {
  return {
    update_method: 'GITHUB_SECRET_PUT',
    update_endpoint: `https://api.github.com${folder}`,
    update_key: key,
    update_auth_token_name: 'GH_APP_OPS_BOT',
  };
}

/** A place that holds `previous` beside another secret; the App is installed there, and another one that may write nothing. */
export async function githubWorld({
  scope = 'repository',
  clock = systemClock,
  ownClock = systemClock,
}: GithubWorldOptions = {}): Promise<DestinationWorld & GithubKit> {
  const sim = await startGithub({ clock });
  const owner = await sim.createOwner('acme');
  const repo = await sim.createRepo(owner, 'console', [ENVIRONMENT]);
  const [app, weak] = [sim.createApp(), sim.createApp()];
  const installation = sim.install(app, owner);
  sim.install(weak, owner, { permissions: { metadata: 'read' } });
  const dead = { ...JSON.parse(app.authority), private_key: makeApp(9).privateKey } as object;
  const door = createDoor({ fetch, clock: ownClock, times: { vendorCallMs: patienceMs } });
  const registry = createRegistry({
    door,
    clock: ownClock,
    times,
    herokuApiUrl: sim.url,
    githubApiUrl: sim.url,
  });
  const stores = { repository: repo, environment: repo.environments.get(ENVIRONMENT), organisation: owner };
  const store: SecretStore = stores[scope] ?? repo;
  store.set('HEROKU_API_KEY', previous);
  store.set('OTHER', sibling);
  const here = scope === 'organisation' ? 'acme' : 'console';
  const step: Readonly<Record<DestinationStep, string>> = {
    write: `PUT ${routes[scope]}`,
    read: `GET ${routes[scope]}`,
    effect: `GET ${routes[scope]}`,
  };
  const destination: Destination = registry.destination('GITHUB_SECRET_PUT');
  const writes = () => sim.requests.filter((request) => request.method === 'PUT');
  return {
    sim,
    app,
    owner,
    repo,
    installation,
    store,
    secret: () => store.find('HEROKU_API_KEY'),
    destination,
    target: githubTarget(folders[scope](here), 'HEROKU_API_KEY'),
    beside: githubTarget(folders[scope](here), 'ANOTHER_KEY'),
    missing: githubTarget(folders[scope]('deleted'), 'HEROKU_API_KEY'),
    authority: new Secret(app.authority),
    deadAuthority: new Secret(JSON.stringify(dead)),
    weakAuthority: new Secret(weak.authority),
    previous: new Secret(previous),
    next: new Secret(next),
    get values() {
      return [previous, next, sibling, ...keyLines(app), ...sim.apps.tokens.map((one) => one.token)];
    },
    held: () => ({ ...store.values() }),
    put: (target, value) => void store.set(target.update_key, value),
    // The consumer starts its jobs by the value alone: another write of the same one is no change for it.
    versions: () => changesOf(store),
    hurry: () => undefined,
    nextWriteFails: () => undefined,
    fault: (at, deed) => void sim.script({ on: step[at], do: deed }),
    requests: () => writes().length,
    changes: () => writes().length,
    followedRedirects: () => sim.redirects.length,
    refusalSaying: (text) => ({ status: 422, body: { message: text, documentation_url: text } }),
    writeHasNoBody: true,
    patienceMs,
    [Symbol.asyncDispose]: () => sim[Symbol.asyncDispose](),
  };
}

function changesOf(store: SecretStore): number {
  return store.secrets.reduce((sum, one) => sum + one.changes, 0);
}

/** A line of the private key is as secret as all of it. */
function keyLines({ privateKey }: GithubApp): readonly string[] {
  return privateKey.split('\n').filter((line) => line.length > 40);
}
