// The Heroku simulator's objects against Heroku's published hyper-schema, where VENDOR_SCHEMAS_DIR names its folder.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { herokuClient } from './ask.ts';
import { startHeroku } from './heroku.ts';

type Schema = Readonly<Record<string, unknown>>;

/** Every property that the hyper-schema declares (it is strict: none is optional), with a type and a pattern that it allows. */
function misfits(root: Schema, schema: Schema, value: unknown, at: string): string[] {
  const resolved = resolve(root, schema);
  const types = resolved['type'] as readonly string[] | undefined;
  if (types !== undefined && !types.includes(typeName(value)))
    return [`${at} is ${typeName(value)}, not ${types.join('|')}`];
  const pattern = resolved['pattern'];
  if (typeof pattern === 'string' && typeof value === 'string' && !new RegExp(pattern).test(value))
    return [`${at} is not ${pattern}`];
  const allowed = resolved['enum'] as readonly unknown[] | undefined;
  if (allowed !== undefined && !allowed.includes(value)) return [`${at} is none of ${allowed.join(', ')}`];
  const properties = resolved['properties'] as Readonly<Record<string, Schema>> | undefined;
  if (properties === undefined || typeName(value) !== 'object') return [];
  const object = value as Schema;
  // The schema forgets it among the properties, though its own POST takes it and every client reads it.
  const unknown = Object.keys(object).filter(
    (key) => key !== 'description' && !Object.hasOwn(properties, key),
  );
  return [
    ...unknown.map((key) => `${at}.${key} is not in the schema`),
    ...Object.entries(properties).flatMap(([key, property]) =>
      misfits(root, property, object[key], `${at}.${key}`),
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

function first(answer: { readonly body: unknown }): unknown {
  return Array.isArray(answer.body) ? (answer.body[0] as unknown) : answer.body;
}

test("every answer has what Heroku's published schema promises (VENDOR_SCHEMAS_DIR names its folder)", async () => {
  await using heroku = await startHeroku();
  const account = heroku.createAccount();
  heroku.createApp(account, 'raxx-web');
  const api = herokuClient(heroku.url, account.authorize().token);
  const answers: Record<string, unknown> = {
    'oauth-authorization': first(await api('GET /oauth/authorizations')),
    account: first(await api('GET /account')),
    'rate-limit': first(await api('GET /account/rate-limits')),
    app: first(await api('GET /apps/raxx-web')),
    release: first(await api('GET /apps/raxx-web/releases')),
    dyno: first(await api('GET /apps/raxx-web/dynos')),
  };
  for (const answer of Object.values(answers)) expect(typeName(answer)).toBe('object');

  const directory = process.env['VENDOR_SCHEMAS_DIR'];
  if (directory === undefined) return;
  const root = JSON.parse(
    readFileSync(join(directory, 'heroku-platform-api.hyper-schema.json'), 'utf8'),
  ) as Schema;
  const definitions = root['definitions'] as Readonly<Record<string, Schema>>;
  const found = Object.entries(answers).flatMap(([name, answer]) =>
    misfits(root, definitions[name] ?? {}, answer, name),
  );
  expect(found).toEqual([]);
  // It has to bite: an answer with nothing in it misses every property.
  expect(misfits(root, definitions['release'] ?? {}, {}, 'release').length).toBeGreaterThan(10);
});
