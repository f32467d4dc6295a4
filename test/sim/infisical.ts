// Infisical, as far as Velvet uses it: logins, folders, and secrets by v3 raw (its SDK's) and v4. Law: its traps are kept, above all a 200 for a change that was not made.
import { systemClock } from '../../shared/lib/clock.ts';
import type { Clock } from '../../shared/lib/clock.ts';
import { createIdentities } from './infisical-identities.ts';
import type { Identities, IdentityOptions, MachineIdentity, Right } from './infisical-identities.ts';
import { infisicalError, secretJson, tooMany } from './infisical-json.ts';
import { createProject, expanded, trimmed } from './infisical-projects.ts';
import type { InfisicalProject, StoredFolder } from './infisical-projects.ts';
import { startSim } from './server.ts';
import type { Answer, Call, Sim } from './server.ts';

export interface InfisicalOptions {
  /** How long an access token lives, in seconds; 30 days unless given, 0: for ever. */
  readonly tokenSeconds?: number;
  readonly clock?: Clock;
}

export interface InfisicalSim extends Sim {
  createProject(environments?: readonly string[]): InfisicalProject;
  createIdentity(options?: IdentityOptions): MachineIdentity;
  endTokens(): void;
  /** Every access token that was issued, as it must never appear. */
  readonly tokens: readonly string[];
  /** How often somebody tried to log in. */
  logins(): number;
}

type Caller = MachineIdentity | null;
type Handler = (call: Call<Caller>) => Answer;

export const loginRoute = 'POST /api/v1/auth/universal-auth/login';

/** Starts an Infisical of its own, with no project and no identity. */
export async function startInfisical(options: InfisicalOptions = {}): Promise<InfisicalSim> {
  const clock = options.clock ?? systemClock;
  const identities = createIdentities(clock, () => options.tokenSeconds ?? 2_592_000);
  const projects: InfisicalProject[] = [];
  const sim = await startSim<Caller>({
    routes: {
      [loginRoute]: ({ request }) => identities.login(request.body),
      ...folderRoutes(projects),
      ...secretRoutes(projects, '/api/v3/secrets/raw', 'workspaceId'),
      ...batchRoute(projects),
      ...secretRoutes(projects, '/api/v4/secrets', 'projectId'),
    },
    authorize: (request, authorization) => identities.admit(request, authorization),
    // The web framework's own words, not Infisical's.
    notFound: {
      status: 404,
      body: { message: 'Route not found', error: 'Not Found', statusCode: 404 },
    },
    badBody: infisicalError(400, 'BadRequest', 'Body is not valid JSON'),
    rateLimited: tooMany,
  });
  return Object.assign(sim, controls(sim, identities, projects));
}

function controls(
  sim: Sim,
  identities: Identities,
  projects: InfisicalProject[],
): Omit<InfisicalSim, keyof Sim> {
  return {
    createProject(environments = ['development', 'staging', 'prod']) {
      const project = createProject(environments);
      projects.push(project);
      return project;
    },
    createIdentity: (options) => identities.create(options),
    endTokens: () => identities.endTokens(),
    tokens: identities.tokens,
    logins: () => sim.requests.filter((request) => request.route === loginRoute).length,
  };
}

// --- routes ---

type Fields = Readonly<Record<string, unknown>>;

interface Asked {
  readonly folder: StoredFolder;
  readonly fields: Fields;
  readonly name: string;
  readonly sees: boolean;
}

/** The folder that is asked about, once the caller may be there; or the refusal. */
function entered(
  projects: readonly InfisicalProject[],
  { request, caller }: Call<Caller>,
  projectKey: string,
  right: Right,
): Asked | Answer {
  const fields = (request.method === 'GET' ? request.query : (request.body ?? {})) as Fields;
  const text = (key: string) => (typeof fields[key] === 'string' ? fields[key] : '');
  const project = projects.find((one) => one.id === text(projectKey));
  if (project === undefined) return infisicalError(404, 'NotFound', 'Project not found');
  const path = text('secretPath') || '/';
  if (!mayEnter(caller, path, right))
    return infisicalError(403, 'PermissionDenied', 'You are not allowed to access this secret');
  const folder = project.find(text('environment'), path);
  if (folder === null)
    return infisicalError(404, 'CreateSecret', `Folder with path '${path}' in the environment not found`);
  const name = decodeURIComponent(request.params['name'] ?? '');
  return { folder, fields, name, sees: caller?.rights.includes('see') === true };
}

function mayEnter(caller: Caller, path: string, right: Right): boolean {
  if (caller === null || !caller.rights.includes(right)) return false;
  return caller.paths.some((one) => one === '/' || path === one || path.startsWith(`${one}/`));
}

function isAnswer(asked: Asked | Answer): asked is Answer {
  return 'status' in asked;
}

function folderRoutes(projects: readonly InfisicalProject[]): Record<string, Handler> {
  return {
    'GET /api/v1/folders': ({ request: { query }, caller }) => {
      const project = projects.find((one) => one.id === query['workspaceId']);
      if (caller?.rights.includes('read') !== true)
        return infisicalError(403, 'PermissionDenied', 'You are not allowed to read folders');
      const names = project?.below(query['environment'] ?? '', query['path'] ?? '/') ?? null;
      if (names === null) return infisicalError(404, 'NotFound', 'Folder not found');
      return { status: 200, body: { folders: names.map((name) => ({ id: crypto.randomUUID(), name })) } };
    },
  };
}

function secretRoutes(
  projects: readonly InfisicalProject[],
  base: string,
  projectKey: string,
): Record<string, Handler> {
  const at =
    (right: Right, handler: (asked: Asked) => Answer): Handler =>
    (call) => {
      const asked = entered(projects, call, projectKey, right);
      return isAnswer(asked) ? asked : handler(asked);
    };
  // v3 expands unless told otherwise by its SDK; v4 only where it is asked to.
  const expands = (fields: Fields) => fields['expandSecretReferences'] === 'true';
  return {
    [`GET ${base}`]: (call) => {
      const asked = entered(projects, call, projectKey, 'read');
      // A folder that is not there lists as empty.
      if (isAnswer(asked)) return asked.status === 404 ? { status: 200, body: { secrets: [] } } : asked;
      const value = asked.sees && asked.fields['viewSecretValue'] !== 'false';
      const secrets = [...asked.folder.secrets.values()].map((one) =>
        secretJson(asked.folder, one, { value }),
      );
      return { status: 200, body: { secrets, imports: [] } };
    },
    [`GET ${base}/:name`]: at('read', ({ folder, fields, name, sees }) => {
      const secret = folder.secrets.get(name);
      if (secret === undefined) return missing(name);
      const value = sees && fields['viewSecretValue'] !== 'false';
      const version = typeof fields['version'] === 'string' ? fields['version'] : undefined;
      const expand = (text: string) => (expands(fields) ? expanded(folder, text) : text);
      return { status: 200, body: { secret: secretJson(folder, secret, { value, version, expand }) } };
    }),
    [`POST ${base}/:name`]: at('write', (asked) =>
      asked.folder.secrets.has(asked.name)
        ? infisicalError(400, 'BadRequest', 'Secret already exist')
        : stored(asked),
    ),
    [`PATCH ${base}/:name`]: at('write', (asked) =>
      asked.folder.secrets.has(asked.name) ? stored(asked) : missing(asked.name),
    ),
    [`DELETE ${base}/:name`]: at('write', ({ folder, name }) => {
      const secret = folder.secrets.get(name);
      if (secret === undefined) return missing(name);
      if (folder.approvals) return waits(folder, name, null);
      folder.secrets.delete(name);
      return { status: 200, body: { secret: secretJson(folder, secret, { value: true }) } };
    }),
  };
}

/** The only atomic create-or-update, which the SDK lacks. */
function batchRoute(projects: readonly InfisicalProject[]): Record<string, Handler> {
  return {
    'PATCH /api/v4/secrets/batch': (call) => {
      const asked = entered(projects, call, 'projectId', 'write');
      if (isAnswer(asked)) return asked;
      const { folder, fields } = asked;
      const items = (fields['secrets'] ?? []) as readonly Fields[];
      const unknown = items.find((item) => !folder.secrets.has(String(item['secretKey'])));
      if (unknown !== undefined && fields['mode'] !== 'upsert') return missing(String(unknown['secretKey']));
      const answers = items.map((item) =>
        stored({ ...asked, name: String(item['secretKey']), fields: item }),
      );
      const refused = answers.find(({ body }) => !Object.hasOwn(Object(body), 'secret'));
      if (refused !== undefined) return refused;
      return {
        status: 200,
        body: { secrets: answers.map(({ body }) => (body as { readonly secret: object }).secret) },
      };
    },
  };
}

function missing(name: string): Answer {
  return infisicalError(404, 'NotFound', `Secret with name '${name}' not found`);
}

function waits(folder: StoredFolder, key: string, value: string | null): Answer {
  folder.waiting.push({ key, value });
  return { status: 200, body: { approval: { id: crypto.randomUUID(), status: 'open', hasMerged: false } } };
}

function stored({ folder, fields, name }: Asked): Answer {
  const { secretValue } = fields;
  if (typeof secretValue !== 'string')
    return infisicalError(422, 'ValidationFailure', [
      { code: 'invalid_type', path: ['secretValue'], message: 'Required' },
    ]);
  if (folder.approvals) return waits(folder, name, secretValue);
  const secret = folder.secrets.get(name) ?? { id: crypto.randomUUID(), key: name, versions: [] };
  secret.versions.push(trimmed(secretValue));
  folder.secrets.set(name, secret);
  return { status: 200, body: { secret: secretJson(folder, secret, { value: true }) } };
}
