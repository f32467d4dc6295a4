// /openapi.json and /docs/errors.md: every route is documented, every document holds together, and real answers are as they say.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { jobAnswer, problemSchema } from '../../api/schemas.ts';
import { errorTable } from '../../shared/lib/errors.ts';
import { operatorActionNames } from '../../shared/rotation/machine.ts';
import { buildWorld, CREDENTIAL, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { creation, paths } from './asking.ts';

type Json = Readonly<Record<string, unknown>>;
interface Operation extends Json {
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly security?: readonly Json[];
  readonly parameters?: readonly { name: string; in: string; required?: boolean }[];
  readonly responses: Readonly<Record<string, { description?: string; content?: Json }>>;
  readonly requestBody?: { required?: boolean; content: Readonly<Record<string, { schema: Json }>> };
}

let redis: RedisServer;
let world: World;
let document: Json & { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> };
beforeAll(async () => {
  redis = await startRedis();
  world = await buildWorld(redis.url, { families: [] });
  document = (await world.api('GET', '/openapi.json', undefined, { token: null }))
    .body as unknown as typeof document;
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await redis.stop();
});

/** Documents about the API are no part of it. */
const undocumented = [
  'GET /openapi.json',
  'GET /docs/errors.md',
  'GET /docs/runbook',
  'GET /docs/sop/{page}',
];
const openToAll = ['GET /healthz', 'GET /health', 'GET /flags'];

function operations(): readonly (readonly [string, Operation, string])[] {
  return Object.entries(document.paths).flatMap(([path, verbs]) =>
    Object.entries(verbs).map(
      ([method, operation]) => [`${method.toUpperCase()} ${path}`, operation, path] as const,
    ),
  );
}

test('is OpenAPI 3.1 with a title, a version and a way to sign in', () => {
  expect(document).toMatchObject({
    openapi: expect.stringMatching(/^3\.1\.\d+$/) as string,
    info: { title: 'Velvet', version: expect.stringMatching(/^\d+\.\d+\.\d+$/) as string },
    security: [{ serviceToken: [] }],
    components: { securitySchemes: { serviceToken: { type: 'http', scheme: 'bearer' } } },
  });
});

test('each route of the app is in it, and nothing else', () => {
  const routes = world.app.routes
    .filter(({ method }) => method !== 'ALL')
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
  const real = [...new Set(routes)].filter((route) => !undocumented.includes(route));
  expect(real.length).toBeGreaterThanOrEqual(14);
  expect(new Set(operations().map(([name]) => name))).toEqual(new Set(real));
});

test('each operation says what it does, where it belongs, what it answers and how it refuses', () => {
  for (const [name, operation, path] of operations()) {
    expect([name, operation.summary?.length]).toEqual([name, expect.any(Number)]);
    expect([name, operation.tags]).toEqual([name, [expect.any(String)]]);
    const good = Object.keys(operation.responses).filter((status) => status.startsWith('2'));
    expect([name, good.length]).not.toEqual([name, 0]);
    for (const response of Object.values(operation.responses)) expect(response.description).toBeTruthy();
    const inPath = (operation.parameters ?? []).filter((one) => one.in === 'path');
    expect(inPath.map((one) => `{${one.name}}`)).toEqual(path.match(/\{\w+\}/g) ?? []);
    expect(inPath.every((one) => one.required)).toBe(true);
    expect([name, operation.security]).toEqual([name, openToAll.includes(name) ? [] : undefined]);
    const problem = Object.keys(operation.responses['default']?.content ?? {});
    expect([name, problem]).toEqual([name, openToAll.includes(name) ? [] : ['application/problem+json']]);
    const writes = /^(POST|PUT)/.test(name);
    expect([name, operation.requestBody?.required === true]).toEqual([name, writes]);
  }
});

test('each reference leads somewhere', () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map((match) =>
    String(match[1]),
  );
  expect(references.length).toBeGreaterThan(5);
  for (const reference of new Set(references)) {
    const found = reference
      .split('/')
      .reduce<unknown>((at, key) => (at as Json | undefined)?.[key], document);
    expect([reference, found]).toEqual([reference, expect.any(Object)]);
  }
});

test('unknown fields are ruled out, and each action has a shape of its own', () => {
  const schemas = (document['components'] as { schemas: Readonly<Record<string, Json>> }).schemas;
  expect(schemas['CreateRotation']).toMatchObject({
    additionalProperties: false,
    required: ['flow_type', 'idempotency_key'],
  });
  const shapes = (schemas['StageAction']?.['oneOf'] ?? schemas['StageAction']?.['anyOf']) as readonly Json[];
  const actions = shapes.map((shape) => {
    expect(shape['additionalProperties']).toBe(false);
    const { action } = shape['properties'] as { action: { const?: string; enum?: readonly string[] } };
    return action.const ?? action.enum?.[0];
  });
  expect(new Set(actions)).toEqual(new Set<unknown>(operatorActionNames));
  expect(actions).toHaveLength(operatorActionNames.length);
});

test('the examples of the document are good requests', async () => {
  const bodies = operations().flatMap(([, operation]) => Object.values(operation.requestBody?.content ?? {}));
  expect(bodies.length).toBeGreaterThan(2);
  const schemas = (document['components'] as { schemas: Readonly<Record<string, { example?: unknown }>> })
    .schemas;
  const created = await world.api('POST', paths.rotate, schemas['CreateRotation']?.example);
  expect(created.status).toBe(202);
  const moved = await world.stage(String(created.body.job_id), schemas['StageAction']?.example as Json);
  expect(moved.status).toBe(202);
});

describe('real answers are as the document says', () => {
  const fits = (schema: z.ZodType, value: unknown) => schema.safeParse(value).error?.issues ?? [];

  test('a job, as it is read, listed and moved', async () => {
    const jobId = await world.create();
    const list = (await world.api('GET', paths.rotations)).body['rotations'] as readonly unknown[];
    const answers = [
      (await world.api('GET', paths.job(jobId))).body,
      list[0],
      (await world.stage(jobId, { action: 'abort' })).body,
    ];
    for (const answer of answers) expect(fits(jobAnswer, answer)).toEqual([]);
  });

  test('every kind of refusal', async () => {
    const jobId = await world.create();
    const asked = [
      await world.api('GET', '/tokens', undefined, { token: null }),
      await world.api('GET', '/nowhere'),
      await world.api('POST', paths.rotate, {}),
      await world.api('POST', paths.rotate, creation('k', { force_revoke: 'yes' })),
      await world.stage(jobId, { action: 'proceed_revoke' }),
      await world.stage(jobId, { action: 'verify', version: 9 }),
    ];
    expect(new Set(asked.map((answer) => answer.body.code)).size).toBe(5);
    for (const { body } of asked) expect(fits(problemSchema, body)).toEqual([]);
  });
});

test('/docs/errors.md has a section for every code, with its status, what it means and what to do', async () => {
  const page = await world.api('GET', '/docs/errors.md', undefined, { token: null });
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/markdown; charset=utf-8']);
  const headings = [...page.text.matchAll(/^### (\w+)$/gm)].map((match) => match[1]);
  expect(new Set(headings)).toEqual(new Set(Object.keys(errorTable)));
  const sections = page.text.split(/^### /m).slice(1);
  for (const section of sections)
    expect(section).toMatch(/^\w+\n\nHTTP [45]\d\d [^]+\n\n\*\*What to do:\*\* .{10,}/);
});

test("/docs/sop has the rotation by hand of this very manifest, for who may read the credential's rows", async () => {
  const page = await world.api('GET', `/docs/sop/${CREDENTIAL}.md`);
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/markdown; charset=utf-8']);
  expect(page.text).toContain(`# Rotate ${CREDENTIAL} by hand`);
  expect(page.text).toContain('heroku-config-raxx-api-prod');
  const bootstrap = await world.api('GET', '/docs/sop/HK_VELVET_BOOTSTRAP.md');
  expect(bootstrap.text).toContain('heroku authorizations:revoke');

  const limited = await world.token(['read'], { credentials: ['PM_*'] });
  const asked = await Promise.all([
    world.api('GET', `/docs/sop/${CREDENTIAL}.md`, undefined, { token: null }),
    world.api('GET', `/docs/sop/${CREDENTIAL}.md`, undefined, { token: limited }),
    world.api('GET', '/docs/sop/HK_NOBODY.md'),
    world.api('GET', '/docs/sop/..%2Ferrors.md'),
  ]);
  expect(asked.map(({ status }) => status)).toEqual([401, 403, 404, 404]);
});
