// The GitHub simulator's answers against GitHub's published OpenAPI description, where VENDOR_SCHEMAS_DIR names its folder.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Secret } from '../../shared/lib/secret.ts';
import { publicKeyBytes, sealed } from '../../shared/lib/sealed-box.ts';
import { ask, jwtOf, type Asked } from './ask.ts';
import { startGithub } from './github.ts';

type Schema = Readonly<Record<string, unknown>>;

/** Everything that the schema demands, with a type, a value and a pattern that it allows. What it does not name is let through, as GitHub does. */
function misfits(root: Schema, schema: Schema, value: unknown, at: string): string[] {
  const resolved = resolve(root, schema);
  if (value === null) return resolved['nullable'] === true ? [] : [`${at} is null`];
  const choices = (resolved['anyOf'] ?? resolved['oneOf']) as readonly Schema[] | undefined;
  if (choices !== undefined) {
    const each = choices.map((choice) => misfits(root, choice, value, at));
    return each.find((one) => one.length === 0) ?? each[0] ?? [];
  }
  const all = ((resolved['allOf'] ?? []) as readonly Schema[]).flatMap((one) =>
    misfits(root, one, value, at),
  );
  return [...all, ...misfitsOfType(resolved, value, at), ...misfitsWithin(root, resolved, value, at)];
}

function misfitsOfType(schema: Schema, value: unknown, at: string): string[] {
  const type = schema['type'];
  const is = typeName(value);
  if (typeof type === 'string' && type !== is && !(type === 'number' && is === 'integer'))
    return [`${at} is ${is}, not ${type}`];
  const allowed = schema['enum'] as readonly unknown[] | undefined;
  if (allowed !== undefined && !allowed.includes(value)) return [`${at} is none of ${allowed.join(', ')}`];
  const pattern = schema['pattern'];
  if (typeof pattern === 'string' && !new RegExp(pattern).test(String(value)))
    return [`${at} is not ${pattern}`];
  const time = schema['format'] === 'date-time';
  return time && Number.isNaN(Date.parse(String(value))) ? [`${at} is no time`] : [];
}

function misfitsWithin(root: Schema, schema: Schema, value: unknown, at: string): string[] {
  if (Array.isArray(value)) {
    const items = (schema['items'] ?? {}) as Schema;
    return value.flatMap((item, index) => misfits(root, items, item, `${at}[${index}]`));
  }
  if (typeName(value) !== 'object') return [];
  const object = value as Schema;
  const properties = (schema['properties'] ?? {}) as Readonly<Record<string, Schema>>;
  const required = (schema['required'] ?? []) as readonly string[];
  return [
    ...required.filter((key) => !Object.hasOwn(object, key)).map((key) => `${at}.${key} is missing`),
    ...Object.entries(properties).flatMap(([key, property]) =>
      Object.hasOwn(object, key) ? misfits(root, property, object[key], `${at}.${key}`) : [],
    ),
  ];
}

function resolve(root: Schema, schema: Schema): Schema {
  const ref = schema['$ref'];
  if (typeof ref !== 'string') return schema;
  const found = ref
    .slice(2)
    .split('/')
    .reduce<unknown>((node, part) => (node as Schema)[part], root);
  return resolve(root, found as Schema);
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}

interface Seen {
  /** As the description names it: `get /repos/{owner}/{repo}/installation`. */
  readonly operation: string;
  readonly answer: Asked;
}

/** One of each answer that the product lives on. */
async function everyAnswer(): Promise<readonly Seen[]> {
  await using github = await startGithub();
  const owner = await github.createOwner('acme');
  const repo = await github.createRepo(owner, 'console', ['prod']);
  const app = github.createApp();
  github.install(app, owner, { repositories: [repo] });
  owner.set('ORG', 'x', { visibility: 'selected', selected: [repo.id] });
  repo.set('OLD', 'x');
  const seen: Seen[] = [];
  const as = (token: string) => async (line: string, operation: string, body?: object) => {
    const headers = { authorization: `Bearer ${token}`, 'user-agent': 'test' };
    const answer = await ask(github.url, line, { headers, ...(body === undefined ? {} : { body }) });
    seen.push({ operation, answer });
    return answer.body as Readonly<Record<string, string>>;
  };
  const asApp = as(jwtOf(app));
  await asApp('GET /repos/acme/console/installation', 'get /repos/{owner}/{repo}/installation');
  await asApp('GET /repos/acme/nothing/installation', 'get /repos/{owner}/{repo}/installation');
  const issue = 'post /app/installations/{installation_id}/access_tokens';
  const tokens = 'POST /app/installations/50000/access_tokens';
  await asApp(tokens, issue, { repositories: ['console', 'gone'] });
  await as('not-a-jwt')(tokens, issue, {});
  const { token = '' } = await asApp(tokens, issue, { repositories: ['console'] });

  const asToken = as(token);
  const scopes = [
    ['/repos/acme/console/actions/secrets', '/repos/{owner}/{repo}/actions/secrets', {}],
    [
      '/repos/acme/console/environments/prod/secrets',
      '/repos/{owner}/{repo}/environments/{environment_name}/secrets',
      {},
    ],
    ['/orgs/acme/actions/secrets', '/orgs/{org}/actions/secrets', { visibility: 'all' }],
  ] as const;
  for (const [path, operation, more] of scopes) {
    const { key = '', key_id } = await asToken(`GET ${path}/public-key`, `get ${operation}/public-key`);
    const encrypted_value = await sealed(new Secret('x'), publicKeyBytes(key) ?? new Uint8Array());
    for (let time = 0; time < 2; time++)
      await asToken(`PUT ${path}/A`, `put ${operation}/{secret_name}`, { encrypted_value, key_id, ...more });
    await asToken(`GET ${path}/A`, `get ${operation}/{secret_name}`);
  }
  await asToken('GET /orgs/acme/actions/secrets/ORG', 'get /orgs/{org}/actions/secrets/{secret_name}');
  await asToken(
    'GET /orgs/acme/actions/secrets/ORG/repositories',
    'get /orgs/{org}/actions/secrets/{secret_name}/repositories',
  );
  await asToken('DELETE /installation/token', 'delete /installation/token');
  github.moveRepo(repo, owner, 'moved');
  await asApp('GET /repos/acme/console/installation', 'get /repos/{owner}/{repo}/installation');
  return seen;
}

function misfitsOf(root: Schema, { operation, answer }: Seen): string[] {
  const [method = '', path = ''] = operation.split(' ');
  const paths = root['paths'] as Readonly<Record<string, Readonly<Record<string, Schema>>>>;
  const responses = paths[path]?.[method]?.['responses'] as Readonly<Record<string, Schema>> | undefined;
  const declared = responses?.[String(answer.status)];
  const at = `${operation} ${answer.status}`;
  if (declared === undefined) return [`${at} is not in the description`];
  const content = resolve(root, declared)['content'] as Readonly<Record<string, Schema>> | undefined;
  const schema = content?.['application/json']?.['schema'] as Schema | undefined;
  if (schema === undefined) return answer.body === '' ? [] : [`${at} has a body`];
  return misfits(root, schema, answer.body, at);
}

test("every answer is one of GitHub's published description (VENDOR_SCHEMAS_DIR names its folder)", async () => {
  const seen = await everyAnswer();
  const statuses = seen.map(({ answer }) => answer.status);
  expect(new Set(statuses)).toEqual(new Set([200, 201, 204, 301, 401, 404, 422]));

  const directory = process.env['VENDOR_SCHEMAS_DIR'];
  if (directory === undefined) return;
  const file = join(directory, 'github-actions-secrets.openapi.json');
  const root = JSON.parse(readFileSync(file, 'utf8')) as Schema;
  expect(seen.flatMap((one) => misfitsOf(root, one))).toEqual([]);
});
