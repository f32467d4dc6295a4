// GitHub's routes: installations and their tokens, and the secrets of the three scopes.
import type { Caller } from './github-admission.ts';
import type { Installation, InstallationToken, Level, Permissions } from './github-apps.ts';
import {
  githubError,
  installationJson,
  orgSecretJson,
  repoJson,
  secretJson,
  tokenJson,
} from './github-json.ts';
import type { GithubOwner, GithubRepo, PutBody, SecretStore } from './github-places.ts';
import type { GithubWorld } from './github.ts';
import type { SimRequest } from './requests.ts';
import type { Answer, Call } from './server.ts';

type Handler = (call: Call<Caller>) => Answer;
type Routes = Record<string, Handler>;

const notFound = githubError(404, 'Not Found');
const badCredentials = githubError(401, 'Bad credentials');
const noAccess = githubError(403, 'Resource not accessible by integration');

// --- the App itself ---

export function appRoutes(world: GithubWorld): Routes {
  const installed = (owner: GithubOwner, caller: Caller, repo: GithubRepo | null): Answer => {
    if (!('app' in caller)) return badCredentials;
    const found = world.apps.installations.find(
      (one) => one.app === caller.app && one.owner === owner && (repo === null || reaches(one, repo)),
    );
    return found === undefined ? notFound : { status: 200, body: installationJson(found) };
  };
  return {
    'GET /repos/:owner/:repo/installation': ({ request, caller }) =>
      inRepo(world, request, (repo) => installed(repo.owner, caller, repo)),
    'GET /repositories/:id/installation': ({ request, caller }) => {
      const repo = world.repos.find((one) => String(one.id) === request.params['id']);
      return repo === undefined ? notFound : installed(repo.owner, caller, repo);
    },
    'GET /orgs/:org/installation': ({ request, caller }) => {
      const owner = ownerOf(world, request.params['org']);
      return owner === undefined ? notFound : installed(owner, caller, null);
    },
    'POST /app/installations/:id/access_tokens': ({ request, caller }) => issue(world, request, caller),
    'DELETE /installation/token': ({ caller }) => {
      if (!('token' in caller)) return badCredentials;
      caller.token.revoked = true;
      return { status: 204 };
    },
  };
}

interface TokenBody {
  readonly repositories?: readonly string[];
  readonly repository_ids?: readonly number[];
  readonly permissions?: Permissions;
}

function issue(world: GithubWorld, request: SimRequest, caller: Caller): Answer {
  if (!('app' in caller)) return badCredentials;
  const installation = world.apps.installations.find(
    (one) => String(one.id) === request.params['id'] && one.app === caller.app,
  );
  if (installation === undefined) return notFound;
  if (installation.suspended) return githubError(403, 'This installation has been suspended');
  const { repositories, repository_ids: ids, permissions } = (request.body ?? {}) as TokenBody;
  const asked = permissions ?? installation.permissions;
  if (
    !Object.entries(asked).every(([name, level]) => grants(installation.permissions, name, level ?? 'write'))
  )
    return githubError(422, 'The permissions requested are not granted to this installation.');
  const reachable = world.repos.filter(
    (repo) => repo.owner === installation.owner && reaches(installation, repo),
  );
  const wanted: readonly unknown[] | undefined = ids ?? repositories;
  const chosen = wanted?.map((one) => reachable.find((repo) => repo.id === one || repo.name === one));
  if (chosen?.includes(undefined) === true)
    return githubError(
      422,
      'There is at least one repository that does not exist or is not accessible to the parent installation.',
    );
  const narrowed = chosen?.filter((repo) => repo !== undefined) ?? installation.repositories;
  const token = world.apps.issue(installation, { permissions: asked, repositories: narrowed });
  return { status: 201, body: tokenJson(token) };
}

// --- secrets ---

export function secretRoutes(world: GithubWorld): Routes {
  const inRepository =
    (name: string, level: Level, does: (repo: GithubRepo, request: SimRequest) => Answer): Handler =>
    ({ request, caller }) =>
      inRepo(world, request, (repo) => {
        if (!('token' in caller)) return badCredentials;
        if (!reachesByToken(caller.token, repo)) return notFound;
        return grants(caller.token.permissions, name, level) ? does(repo, request) : noAccess;
      });
  const inEnvironment = (level: Level, does: (store: SecretStore, request: SimRequest) => Answer): Handler =>
    inRepository('environments', level, (repo, request) => {
      const store = repo.environments.get(decodeURIComponent(request.params['env'] ?? ''));
      return store === undefined ? notFound : does(store, request);
    });
  const repository = '/repos/:owner/:repo/actions/secrets';
  const environment = '/repos/:owner/:repo/environments/:env/secrets';
  return {
    [`GET ${repository}/public-key`]: inRepository('secrets', 'read', keyAnswer),
    [`GET ${repository}/:name`]: inRepository('secrets', 'read', secretAnswer),
    [`PUT ${repository}/:name`]: inRepository('secrets', 'write', putAnswer),
    [`GET ${environment}/public-key`]: inEnvironment('read', keyAnswer),
    [`GET ${environment}/:name`]: inEnvironment('read', secretAnswer),
    [`PUT ${environment}/:name`]: inEnvironment('write', putAnswer),
    ...orgRoutes(world),
  };
}

function orgRoutes(world: GithubWorld): Routes {
  const inOrg =
    (level: Level, does: (owner: GithubOwner, request: SimRequest) => Answer): Handler =>
    ({ request, caller }) => {
      if (!('token' in caller)) return badCredentials;
      const owner = ownerOf(world, request.params['org']);
      if (owner === undefined || caller.token.installation.owner !== owner) return notFound;
      return grants(caller.token.permissions, 'organization_secrets', level)
        ? does(owner, request)
        : noAccess;
    };
  const secrets = '/orgs/:org/actions/secrets';
  return {
    [`GET ${secrets}/public-key`]: inOrg('read', keyAnswer),
    [`GET ${secrets}/:name`]: inOrg('read', (owner, { params }) => {
      const found = owner.find(params['name'] ?? '');
      return found === null ? notFound : { status: 200, body: orgSecretJson(owner, found) };
    }),
    [`GET ${secrets}/:name/repositories`]: inOrg('read', (owner, { params, query }) => {
      const all = owner.find(params['name'] ?? '')?.selected ?? [];
      const per = Number(query['per_page'] ?? '30');
      const from = (Number(query['page'] ?? '1') - 1) * per;
      const listed = world.repos.filter((repo) => all.slice(from, from + per).includes(repo.id));
      return { status: 200, body: { total_count: all.length, repositories: listed.map(repoJson) } };
    }),
    [`PUT ${secrets}/:name`]: inOrg('write', (owner, request) => {
      const { visibility } = (request.body ?? {}) as PutBody;
      if (visibility !== 'all' && visibility !== 'private' && visibility !== 'selected')
        return githubError(422, 'Invalid request. "visibility" wasn\'t supplied.');
      return putAnswer(owner, request);
    }),
  };
}

function keyAnswer({ keyId, key }: SecretStore): Answer {
  return { status: 200, body: { key_id: keyId, key } };
}

function secretAnswer(store: SecretStore, { params }: SimRequest): Answer {
  const found = store.find(params['name'] ?? '');
  return found === null ? notFound : { status: 200, body: secretJson(found) };
}

function putAnswer(store: SecretStore, { params, body }: SimRequest): Answer {
  const name = params['name'] ?? '';
  if (!/^[A-Z_]\w*$/i.test(name) || /^GITHUB_/i.test(name))
    return githubError(422, 'Secret names must not start with GITHUB_ or a digit.', { errors: [] });
  const outcome = store.put(name, body ?? {});
  if (outcome === 'refused')
    return githubError(422, 'Bad request: the encrypted value cannot be opened.', { errors: [] });
  return outcome === 'created' ? { status: 201, body: {} } : { status: 204 };
}

// --- who reaches what ---

/** The repository of that name; for a former name the way to it, as a redirect that nobody has to follow. */
function inRepo(world: GithubWorld, request: SimRequest, does: (repo: GithubRepo) => Answer): Answer {
  const full = `${request.params['owner']}/${request.params['repo']}`.toLowerCase();
  const repo = world.repos.find((one) => `${one.owner.login}/${one.name}`.toLowerCase() === full);
  if (repo !== undefined) return does(repo);
  const moved = world.repos.find((one) => one.formerly.has(full));
  if (moved === undefined) return notFound;
  const rest = request.path.split('/').slice(4).join('/');
  const url = `https://api.github.com/repositories/${moved.id}/${rest}`;
  const permanent = request.method === 'GET';
  const answer = githubError(permanent ? 301 : 307, permanent ? 'Moved Permanently' : 'Temporary Redirect', {
    url,
  });
  return { ...answer, headers: { location: url } };
}

function ownerOf({ owners }: GithubWorld, login: string | undefined): GithubOwner | undefined {
  return owners.find((one) => one.login.toLowerCase() === login?.toLowerCase());
}

function reaches({ owner, repositories }: Installation, repo: GithubRepo): boolean {
  return repo.owner === owner && (repositories === null || repositories.includes(repo));
}

function reachesByToken({ installation, repositories }: InstallationToken, repo: GithubRepo): boolean {
  return reaches(installation, repo) && (repositories === null || repositories.includes(repo));
}

function grants(permissions: Permissions, name: string, level: Level): boolean {
  const given = permissions[name];
  return given === 'write' || given === level;
}
