// Heroku's Platform API v3, as far as Velvet and its consumers use it. Law: status codes, error ids and the echo of live tokens are Heroku's own.
import { systemClock } from '../../shared/lib/clock.ts';
import type { Clock } from '../../shared/lib/clock.ts';
import { createAccounts, herokuScopes } from './heroku-accounts.ts';
import type { AccountOptions, HerokuAccount, HerokuAccounts, HerokuScope } from './heroku-accounts.ts';
import { admitCaller, scoped, tooMany } from './heroku-admission.ts';
import type { Caller, Handler } from './heroku-admission.ts';
import { createHerokuApp } from './heroku-apps.ts';
import type { AppOptions, HerokuApp, Pace } from './heroku-apps.ts';
import {
  accountJson,
  appJson,
  authorizationJson,
  dynoJson,
  herokuError,
  releaseJson,
} from './heroku-json.ts';
import { page } from './heroku-paging.ts';
import { startSim } from './server.ts';
import type { Answer, Call, Sim } from './server.ts';
import type { SimRequest } from './requests.ts';
import { createSteps, type Steps } from './steps.ts';

export interface HerokuOptions {
  /** From a dyno's start until it is up; 0 (unless given): at once. */
  readonly bootMs?: number;
  /** How long a release is `pending`; 0 (unless given): it has succeeded before the PATCH is answered. */
  readonly releaseMs?: number;
  /** Whether a PATCH that changes nothing makes a release; true unless given, since what Heroku does is not documented. */
  readonly releaseOnNoChange?: boolean;
  readonly clock?: Clock;
  /** How time passes for releases and boots; with timers of its own unless given. */
  readonly steps?: Steps;
  /** Where it can be reached; on a port of its own unless given. */
  readonly start?: typeof startSim;
}

export interface HerokuSim extends Sim {
  createAccount(options?: AccountOptions): HerokuAccount;
  /** Throws where the name is taken or is none that Heroku allows. */
  createApp(account: HerokuAccount, name: string, options?: AppOptions): HerokuApp;
  /** From now on the app is `not_found`. */
  deleteApp(app: HerokuApp): void;
  /** Every authorization whose token works, of every account. */
  live(): readonly { readonly id: string; readonly description: string | null }[];
  isLive(token: string): boolean;
  /** Completes pending releases and boots now. */
  hurry(): void;
}

interface World {
  readonly accounts: HerokuAccounts;
  readonly apps: HerokuApp[];
}

const APP_NAME = /^[a-z][a-z0-9-]{1,28}[a-z0-9]$/;
/** Heroku documents 32 kB for all config vars of an app together. */
const CONFIG_BYTES_MAX = 32_768;
const readers: readonly HerokuScope[] = ['global', 'read', 'write', 'read-protected', 'write-protected'];
const configReaders: readonly HerokuScope[] = ['global', 'read-protected', 'write-protected'];
const configWriters: readonly HerokuScope[] = ['global', 'write-protected'];

/** Starts a Heroku of its own, with no account and no app. */
export async function startHeroku(options: HerokuOptions = {}): Promise<HerokuSim> {
  const clock = options.clock ?? systemClock;
  const { bootMs = 0, releaseMs = 0, releaseOnNoChange = true } = options;
  const pace: Pace = { clock, steps: options.steps ?? createSteps(), bootMs, releaseMs, releaseOnNoChange };
  const world: World = { accounts: createAccounts(clock), apps: [] };
  const sim = await (options.start ?? startSim)<Caller>({
    routes: { ...accountRoutes(), ...authorizationRoutes(), ...appRoutes(world) },
    authorize: (request, authorization) => admitCaller(world.accounts, request, authorization),
    notFound: herokuError(404, 'not_found', 'The requested API endpoint was not found.'),
    badBody: herokuError(400, 'bad_request', 'Request body is not valid JSON.'),
    rateLimited: (retryAfterS) => tooMany(0, retryAfterS),
    headers: (caller) => ({
      'request-id': crypto.randomUUID(),
      ...(caller === null ? {} : { 'ratelimit-remaining': String(caller.account.remaining()) }),
    }),
  });
  const { close: closeServer } = sim;
  const close = async () => {
    pace.steps.cancel();
    await closeServer();
  };
  // In place, not as a copy: `faults` is a getter and has to stay one.
  return Object.assign(sim, { ...controls(world, pace), close, [Symbol.asyncDispose]: close });
}

function controls({ accounts, apps }: World, pace: Pace): Omit<HerokuSim, keyof Sim> {
  return {
    createAccount: (options) => accounts.create(options),
    createApp(account, name, options) {
      if (!APP_NAME.test(name)) throw new TypeError(`Heroku allows no app named ${name}`);
      if (apps.some((app) => app.name === name)) throw new TypeError(`the app ${name} exists already`);
      const app = createHerokuApp(pace, account, name, options);
      apps.push(app);
      return app;
    },
    deleteApp(app) {
      const at = apps.indexOf(app);
      if (at >= 0) apps.splice(at, 1);
    },
    live: () => accounts.live().map(({ id, description }) => ({ id, description })),
    isLive: (token) => accounts.find(token) !== null,
    hurry: () => pace.steps.hurry(),
  };
}

// --- routes ---

function accountRoutes(): Record<string, Handler> {
  return {
    'GET /account': scoped(['global', 'identity'], ({ caller }) => ({
      status: 200,
      body: accountJson(caller.account),
    })),
    'GET /account/rate-limits': ({ caller }) => ({
      status: 200,
      body: { remaining: caller.account.remaining() },
    }),
  };
}

function authorizationRoutes(): Record<string, Handler> {
  const missing = herokuError(404, 'not_found', "Couldn't find that authorization.");
  const global: readonly HerokuScope[] = ['global'];
  return {
    'POST /oauth/authorizations': scoped(global, mint),
    'GET /oauth/authorizations': scoped(global, ({ request, caller }) =>
      page(caller.account.authorizations(), {
        range: request.headers['range'],
        by: { id: ({ id }) => id },
        write: authorizationJson,
      }),
    ),
    'GET /oauth/authorizations/:id': scoped(global, ({ request, caller }) => {
      const found = caller.account.authorizations().find(({ id }) => id === request.params['id']);
      return found === undefined ? missing : { status: 200, body: authorizationJson(found) };
    }),
    'DELETE /oauth/authorizations/:id': scoped(global, ({ request, caller }) => {
      const gone = caller.account.revoke(request.params['id'] ?? '');
      return gone === null ? missing : { status: 200, body: authorizationJson(gone) };
    }),
  };
}

function mint({ request, caller }: Call<Caller>): Answer {
  const body = request.body ?? {};
  if (!isRecord(body)) return invalid('The body must be an object.');
  const { description = null, scope = ['global'], expires_in: expiresInS = null } = body;
  if (description !== null && typeof description !== 'string')
    return invalid('description must be a string.');
  if (!Array.isArray(scope) || scope.length === 0 || !scope.every(isScope))
    return invalid('scope is not known.');
  if (expiresInS !== null && !(Number.isSafeInteger(expiresInS) && Number(expiresInS) > 0))
    return invalid('expires_in must be a number of seconds.');
  const seconds = expiresInS === null ? null : Number(expiresInS);
  return {
    status: 201,
    body: authorizationJson(caller.account.authorize({ description, scope, expiresInS: seconds })),
  };
}

function appRoutes({ apps }: World): Record<string, Handler> {
  const withApp = (
    scopes: readonly HerokuScope[],
    handler: (app: HerokuApp, request: SimRequest) => Answer,
  ): Handler =>
    scoped(scopes, ({ request, caller }) => {
      const wanted = request.params['app'];
      const app = apps.find(({ id, name }) => id === wanted || name === wanted);
      if (app === undefined) return herokuError(404, 'not_found', "Couldn't find that app.");
      if (app.account !== caller.account)
        return herokuError(403, 'forbidden', 'You do not have access to the app.');
      return handler(app, request);
    });
  return {
    'GET /apps/:app': withApp(readers, (app) => ({ status: 200, body: appJson(app) })),
    'GET /apps/:app/config-vars': withApp(configReaders, (app) => ({ status: 200, body: app.config })),
    'PATCH /apps/:app/config-vars': withApp(configWriters, patchConfigVars),
    'GET /apps/:app/releases': withApp(readers, (app, request) =>
      page(app.releases, {
        range: request.headers['range'],
        by: { version: ({ version }) => version, id: ({ id }) => id },
        write: (release) => releaseJson(app, release),
      }),
    ),
    'GET /apps/:app/releases/:release': withApp(readers, (app, request) => {
      const release = findRelease(app, request);
      return release === undefined ? noRelease : { status: 200, body: releaseJson(app, release) };
    }),
    'GET /apps/:app/releases/:release/config-vars': withApp(configReaders, (app, request) => {
      const release = findRelease(app, request);
      return release === undefined ? noRelease : { status: 200, body: release.config };
    }),
    'GET /apps/:app/dynos': withApp(readers, (app, request) =>
      page(app.dynos, {
        range: request.headers['range'],
        by: { name: ({ name }) => name, id: ({ id }) => id },
        write: (dyno) => dynoJson(app, dyno),
      }),
    ),
  };
}

const noRelease = herokuError(404, 'not_found', "Couldn't find that release.");

function findRelease(app: HerokuApp, { params }: SimRequest) {
  return app.releases.find(
    ({ id, version }) => id === params['release'] || String(version) === params['release'],
  );
}

function patchConfigVars(app: HerokuApp, { body }: SimRequest): Answer {
  if (!isRecord(body) || !Object.entries(body).every(isConfigChange)) {
    return invalid('Config vars are a hash of names to strings, or to null.');
  }
  const changes = body as Readonly<Record<string, string | null>>;
  if (Buffer.byteLength(JSON.stringify({ ...app.config, ...changes })) > CONFIG_BYTES_MAX) {
    return invalid('Config vars are larger than 32 kB.');
  }
  app.patchConfig(changes);
  return { status: 200, body: app.config };
}

function invalid(message: string): Answer {
  return herokuError(422, 'invalid_params', message);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isScope(value: unknown): value is HerokuScope {
  return herokuScopes.some((scope) => scope === value);
}

function isConfigChange([key, value]: readonly [string, unknown]): boolean {
  return /^\w+$/.test(key) && (value === null || typeof value === 'string');
}
