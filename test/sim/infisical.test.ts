// The Infisical simulator against what is known of Infisical, and its answers against its schema where VENDOR_SCHEMAS_DIR names the folder.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ask, type AskOptions } from './ask.ts';
import { startInfisical } from './infisical.ts';

const login = 'POST /api/v1/auth/universal-auth/login';

async function world() {
  const sim = await startInfisical();
  const project = sim.createProject();
  const folder = project.folder('prod', '/apps/mail');
  const identity = sim.createIdentity();
  const { clientId, clientSecret } = identity;
  const logIn = (secret = clientSecret) => ask(sim.url, login, { body: { clientId, clientSecret: secret } });
  const { accessToken } = (await logIn()).body as { readonly accessToken: string };
  const where = { projectId: project.id, environment: 'prod', secretPath: '/apps/mail' };
  const api = (line: string, options: AskOptions = {}) =>
    ask(sim.url, line, { ...options, headers: { authorization: `Bearer ${accessToken}` } });
  const change = (method: string, name: string, secretValue?: string) =>
    api(`${method} /api/v4/secrets/${name}`, { body: { ...where, secretValue } });
  const get = (name: string, more = '') =>
    api(`GET /api/v4/secrets/${name}?projectId=${project.id}&environment=prod&secretPath=/apps/mail${more}`);
  return { sim, project, folder, where, logIn, api, change, get, [Symbol.asyncDispose]: sim.close };
}

const errorOf = (answer: { readonly body: unknown }) => (answer.body as { readonly error: string }).error;

describe('logins', () => {
  test('are refused with 401, and lock the client id out after three, for everybody', async () => {
    await using at = await world();
    for (let n = 0; n < 3; n += 1) expect((await at.logIn('wrong')).status).toBe(401);
    const locked = await at.logIn();
    expect([locked.status, JSON.stringify(locked.body)]).toEqual([
      401,
      expect.stringContaining('temporarily locked'),
    ]);
  });

  test('make tokens whose end is a 403, and a missing one a 401', async () => {
    await using at = await world();
    at.sim.endTokens();
    const ended = await at.get('KEY');
    expect([ended.status, errorOf(ended)]).toEqual([403, 'TokenError']);
    expect((await ask(at.sim.url, 'GET /api/v1/folders')).status).toBe(401);
  });
});

describe('secrets', () => {
  test('are made once, count their versions, and keep the earlier ones', async () => {
    await using at = await world();
    expect((await at.change('PATCH', 'KEY', 'a')).status).toBe(404);
    expect((await at.change('POST', 'KEY', 'a')).status).toBe(200);
    const again = await at.change('POST', 'KEY', 'b');
    expect([again.status, JSON.stringify(again.body)]).toEqual([
      400,
      expect.stringContaining('already exist'),
    ]);
    await at.change('PATCH', 'KEY', 'b');
    expect((await at.get('KEY')).body).toMatchObject({ secret: { secretValue: 'b', version: 2 } });
    expect((await at.get('KEY', '&version=1')).body).toMatchObject({ secret: { secretValue: 'a' } });
  });

  test('lose the white space at their ends, and are hidden or expanded where that is asked', async () => {
    await using at = await world();
    await at.change('POST', 'KEY', '  a b\n\n');
    await at.change('POST', 'OTHER', '<${KEY}>');
    expect(at.folder.secrets.get('KEY')?.versions).toEqual(['a b\n']);
    const shown = async (more: string) =>
      ((await at.get('OTHER', more)).body as { readonly secret: object }).secret;
    expect(await shown('')).toMatchObject({ secretValue: '<${KEY}>' });
    expect(await shown('&expandSecretReferences=true')).toMatchObject({ secretValue: '<a b\n>' });
    expect(await shown('&viewSecretValue=false')).toMatchObject({ secretValueHidden: true });
  });

  test('are changed by nobody where an approval is wanted, and the answer is 200', async () => {
    await using at = await world();
    await at.change('POST', 'KEY', 'a');
    at.folder.approvals = true;
    for (const [method, name] of [
      ['POST', 'NEW'],
      ['PATCH', 'KEY'],
      ['DELETE', 'KEY'],
    ] as const) {
      const answer = await at.change(method, name, 'b');
      expect([answer.status, Object.keys(Object(answer.body))]).toEqual([200, ['approval']]);
    }
    expect([...at.folder.secrets.keys()]).toEqual(['KEY']);
  });

  test('lie in folders that are there; a list of another one is empty, a write is 404', async () => {
    await using at = await world();
    const there = `projectId=${at.project.id}&environment=prod&secretPath=/gone`;
    expect((await at.api(`GET /api/v4/secrets?${there}`)).body).toEqual({ secrets: [] });
    const written = await at.api('POST /api/v4/secrets/KEY', {
      body: { ...at.where, secretPath: '/gone', secretValue: 'a' },
    });
    expect(written.status).toBe(404);
  });

  test('are made or changed in one step by the batch that may', async () => {
    await using at = await world();
    const batch = (mode: string) =>
      at.api('PATCH /api/v4/secrets/batch', {
        body: { ...at.where, mode, secrets: [{ secretKey: 'KEY', secretValue: 'a' }] },
      });
    expect((await batch('failOnNotFound')).status).toBe(404);
    expect((await batch('upsert')).body).toMatchObject({ secrets: [{ secretKey: 'KEY', version: 1 }] });
  });
});

// --- against the schema ---

type Schema = Readonly<Record<string, unknown>>;

/** What is wrong with a value, as far as this schema goes: required, types, enums, choices. */
function misfits(root: Schema, schema: Schema, value: unknown, at: string): string[] {
  const ref = schema['$ref'];
  if (typeof ref === 'string') return misfits(root, resolved(root, ref), value, at);
  const choices = schema['oneOf'] as readonly Schema[] | undefined;
  if (choices !== undefined)
    return choices.some((one) => misfits(root, one, value, at).length === 0) ? [] : [`${at} fits no choice`];
  const type = schema['type'];
  if (typeof type === 'string' && !isOfType(value, type)) return [`${at} is no ${type}`];
  const allowed = schema['enum'] as readonly unknown[] | undefined;
  if (allowed !== undefined && !allowed.includes(value)) return [`${at} is none of ${allowed.join(', ')}`];
  const object = Object(value) as Schema;
  const required = (schema['required'] ?? []) as readonly string[];
  const properties = (schema['properties'] ?? {}) as Readonly<Record<string, Schema>>;
  const items = schema['items'] as Schema | undefined;
  return [
    ...required.filter((key) => !Object.hasOwn(object, key)).map((key) => `${at}.${key} is missing`),
    ...Object.entries(properties).flatMap(([key, one]) =>
      object[key] === undefined ? [] : misfits(root, one, object[key], `${at}.${key}`),
    ),
    ...(items !== undefined && Array.isArray(value)
      ? value.flatMap((one, n) => misfits(root, items, one, `${at}[${n}]`))
      : []),
  ];
}

function resolved(root: Schema, ref: string): Schema {
  const parts = ref.slice(2).split('/');
  return parts.reduce<unknown>((node, part) => (node as Schema)[part], root) as Schema;
}

function isOfType(value: unknown, type: string): boolean {
  if (type === 'array') return Array.isArray(value);
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === type;
}

test("every answer has what Infisical's routes promise (VENDOR_SCHEMAS_DIR names the schema's folder)", async () => {
  await using at = await world();
  const one = '/api/v4/secrets/{secretName}';
  const batch = { ...at.where, mode: 'upsert', secrets: [{ secretKey: 'B', secretValue: 'b' }] };
  const answers = [
    ['/api/v1/auth/universal-auth/login', 'post', await at.logIn()],
    ['/api/v1/auth/universal-auth/login', 'post', await at.logIn('wrong')],
    ['/api/v1/auth/universal-auth/login', 'post', await ask(at.sim.url, login, { body: {} })],
    [one, 'post', await at.change('POST', 'KEY', 'a')],
    [one, 'post', await at.change('POST', 'KEY', 'a')],
    [one, 'post', await at.change('POST', 'NONE')],
    [one, 'patch', await at.change('PATCH', 'KEY', 'b')],
    [one, 'get', await at.get('KEY')],
    [one, 'get', await at.get('NONE')],
    ['/api/v4/secrets/batch', 'patch', await at.api('PATCH /api/v4/secrets/batch', { body: batch })],
    [one, 'delete', await at.change('DELETE', 'KEY')],
  ] as const;
  at.folder.approvals = true;
  const waiting = [one, 'post', await at.change('POST', 'KEY', 'a')] as const;
  expect(answers.map(([, , { status }]) => status)).toEqual([
    200, 401, 422, 200, 400, 422, 200, 200, 404, 200, 200,
  ]);

  const directory = process.env['VENDOR_SCHEMAS_DIR'];
  if (directory === undefined) return;
  const file = join(directory, 'infisical-subset.composed.openapi.json');
  const root = JSON.parse(readFileSync(file, 'utf8')) as Schema;
  const schemaOf = (path: string, method: string, status: number) =>
    [path, method, 'responses', String(status), 'content', 'application/json', 'schema'].reduce<unknown>(
      (node, part) => (node as Schema)[part],
      root['paths'],
    ) as Schema;
  const found = [...answers, waiting].flatMap(([path, method, { status, body }]) =>
    misfits(root, schemaOf(path, method, status), body, `${method} ${path} ${status}`),
  );
  expect(found).toEqual([]);
  // It has to bite.
  expect(misfits(root, schemaOf(one, 'get', 200), { secret: {} }, 'empty').length).toBe(4);
});
