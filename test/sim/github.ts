// GitHub's REST API, as far as an App uses it to write Actions secrets. Law: status codes and messages are GitHub's own, and it never shows a value.
import { systemClock } from '../../shared/lib/clock.ts';
import type { Clock } from '../../shared/lib/clock.ts';
import { admitCaller, limited, type Caller, type Limits } from './github-admission.ts';
import { createApps, makeApp } from './github-apps.ts';
import type { GithubApp, GithubApps, Installation, Permissions } from './github-apps.ts';
import { githubError } from './github-json.ts';
import { createStore } from './github-places.ts';
import type { GithubOwner, GithubRepo } from './github-places.ts';
import { appRoutes, secretRoutes } from './github-routes.ts';
import { startSim } from './server.ts';
import type { Sim } from './server.ts';

export interface GithubOptions {
  readonly clock?: Clock;
  readonly start?: typeof startSim;
}

export interface InstallOptions {
  /** Null (unless given): all of the owner's. */
  readonly repositories?: readonly GithubRepo[] | null;
  /** May write all three kinds of Actions secrets, unless given. */
  readonly permissions?: Permissions;
}

export interface GithubSim extends Sim {
  readonly apps: GithubApps;
  /** From 0 on every request is answered as over the hour's quota, until `resetAt` (epoch, ms). */
  readonly limits: Limits;
  createOwner(login: string): Promise<GithubOwner>;
  createRepo(owner: GithubOwner, name: string, environments?: readonly string[]): Promise<GithubRepo>;
  /** As if by a person: the old name answers 301 from now on. */
  moveRepo(repo: GithubRepo, owner: GithubOwner, name: string): void;
  createApp(): GithubApp;
  install(app: GithubApp, owner: GithubOwner, options?: InstallOptions): Installation;
}

export interface GithubWorld {
  readonly clock: Clock;
  readonly apps: GithubApps;
  readonly owners: GithubOwner[];
  readonly repos: GithubRepo[];
  readonly limits: Limits;
}

const everything: Permissions = {
  secrets: 'write',
  environments: 'write',
  organization_secrets: 'write',
};

/** Starts a GitHub of its own, with no App, no owner and no repository. */
export async function startGithub(options: GithubOptions = {}): Promise<GithubSim> {
  const clock = options.clock ?? systemClock;
  const limits: Limits = { remaining: 5_000, resetAt: clock.now() + 3_600_000 };
  const world: GithubWorld = { clock, apps: createApps(clock), owners: [], repos: [], limits };
  const sim = await (options.start ?? startSim)<Caller>({
    routes: { ...appRoutes(world), ...secretRoutes(world) },
    authorize: (request, authorization) => admitCaller(world, request, authorization),
    notFound: githubError(404, 'Not Found'),
    badBody: githubError(400, 'Problems parsing JSON'),
    rateLimited: (retryAfterS) => limited(429, retryAfterS),
    headers: () => ({
      date: new Date(clock.now()).toUTCString(),
      'x-github-request-id': crypto.randomUUID(),
      'x-ratelimit-limit': '5000',
      'x-ratelimit-remaining': String(limits.remaining),
      'x-ratelimit-reset': String(Math.floor(limits.resetAt / 1000)),
    }),
  });
  // In place, not as a copy: `faults` is a getter and has to stay one.
  return Object.assign(sim, controls(world));
}

function controls(world: GithubWorld): Omit<GithubSim, keyof Sim> {
  const { apps, owners, repos, clock, limits } = world;
  return {
    apps,
    limits,
    async createOwner(login) {
      const owner = Object.assign(await createStore(clock), { id: 70_000 + owners.length, login });
      owners.push(owner);
      return owner;
    },
    async createRepo(owner, name, environments = []) {
      const stores = await Promise.all(
        environments.map(async (one) => [one, await createStore(clock)] as const),
      );
      const id = 900_000 + repos.length;
      const more = { id, owner, name, environments: new Map(stores), formerly: new Set<string>() };
      const repo = Object.assign(await createStore(clock), more);
      repos.push(repo);
      return repo;
    },
    moveRepo(repo, owner, name) {
      repo.formerly.add(`${repo.owner.login}/${repo.name}`.toLowerCase());
      Object.assign(repo, { owner, name });
    },
    createApp() {
      const app = makeApp(apps.apps.length);
      apps.apps.push(app);
      return app;
    },
    install(app, owner, { repositories = null, permissions = everything } = {}) {
      const id = 50_000 + apps.installations.length;
      const installation = { id, app, owner, repositories, permissions, suspended: false };
      apps.installations.push(installation);
      return installation;
    },
  };
}
