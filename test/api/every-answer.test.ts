// What holds for every answer, good or bad: it says which Velvet it is, has a request id that the log has too, and tells nothing it should not.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { buildApp } from '../../api/app.ts';
import { buildWorld, CREDENTIAL, ENV, type Answer, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { creation, isProblem, paths } from './asking.ts';
import { listen } from './listen.ts';

let redis: RedisServer;
let world: World;
let jobId: string;
beforeAll(async () => {
  redis = await startRedis();
});
beforeEach(async () => {
  world = await buildWorld(redis.url, { families: [] });
  jobId = await world.create();
  return () => world[Symbol.asyncDispose]();
});
afterAll(() => redis.stop());

type Request = readonly [method: string, path: string, body?: unknown, token?: null];
const requests = (): readonly Request[] => [
  ['GET', '/healthz', undefined, null],
  ['GET', '/health', undefined, null],
  ['GET', '/flags', undefined, null],
  ['GET', '/openapi.json', undefined, null],
  ['GET', '/docs/errors.md', undefined, null],
  ['GET', `/docs/sop/${CREDENTIAL}.md`],
  ['GET', '/docs/runbook', undefined, null],
  ['GET', '/metrics'],
  ['GET', '/healthz?deep=1', undefined, null],
  ['GET', '/tokens'],
  ['GET', '/tokens', undefined, null],
  ['GET', `/tokens/${CREDENTIAL}/subscribers`],
  ['GET', '/tokens/HK_NOBODY/subscribers'],
  ['GET', paths.rotations],
  ['GET', paths.job(jobId)],
  ['GET', paths.job('nothing')],
  ['POST', paths.rotate, creation('k1')],
  ['POST', paths.rotate, { colour: 'red' }],
  ['POST', paths.rotate, 'x'.repeat(70_000)],
  ['POST', paths.stage(jobId), { action: 'proceed_revoke' }],
  ['POST', paths.stage(jobId), { action: 'verify' }],
  ['PUT', '/flags/velvet_v2_rotation', { enabled: true }],
  ['PUT', '/flags/none', { enabled: true }],
  ['POST', '/alarm/test', {}],
  ['GET', '/service-tokens'],
  ['POST', '/service-tokens', { name: 'a', owner: 'b', scopes: ['read'], expires_in: 60 }],
  ['DELETE', '/service-tokens/000000000000'],
  ['GET', '/nowhere', undefined, null],
  ['DELETE', '/tokens'],
  ['OPTIONS', '/tokens'],
  ['PATCH', paths.job(jobId), {}],
];

async function askAll(
  headers: Readonly<Record<string, string>> = {},
): Promise<readonly (readonly [Request, Answer])[]> {
  const answers: (readonly [Request, Answer])[] = [];
  for (const request of requests()) {
    const [method, path, body, token] = request;
    answers.push([
      request,
      await world.api(method, path, body, { headers, ...(token === null ? { token } : {}) }),
    ]);
  }
  return answers;
}

test('carries the environment, and in the body too where it is about a credential', async () => {
  const answers = await askAll();
  for (const [[, path], { headers }] of answers)
    expect([path, headers.get('x-velvet-env')]).toEqual([path, ENV]);
  const good = answers.filter(([[, path], { status }]) => path.startsWith('/tokens') && status < 300);
  expect(good.length).toBeGreaterThan(5);
  for (const [[, path], { body }] of good) expect([path, body['env']]).toEqual([path, ENV]);
});

test('carries a request id of its own, by which a refusal is found in the log', async () => {
  const answers = await askAll();
  const ids = answers.map(([, { headers }]) => headers.get('x-request-id') ?? '');
  for (const id of ids) expect(id).toMatch(/^[\w-]{20,}$/);
  expect(new Set(ids).size).toBe(answers.length);
  for (const [[, path], { status, headers, body }] of answers) {
    if (status < 400) continue;
    const line = world.log.findLast((one) => one.includes(`request_id=${headers.get('x-request-id')}`)) ?? '';
    expect([path, line]).toEqual([path, expect.stringContaining(`code=${body.code}`)]);
    expect(line.includes(`job_id=${jobId}`)).toBe(path.includes(jobId));
  }
});

test("a caller's own request id is kept, a harmful one is replaced", async () => {
  for (const [, { headers }] of await askAll({ 'x-request-id': 'from-the-router-0001' }))
    expect(headers.get('x-request-id')).toBe('from-the-router-0001');
  for (const harmful of ['a b', '<script>', 'x'.repeat(256), 'ü', 'a=b msg="done"'])
    for (const [, { headers }] of await askAll({
      'x-request-id': encodeURI(harmful) === harmful ? harmful : encodeURI(harmful),
    }))
      expect(headers.get('x-request-id')).not.toBe(harmful);
});

test('is never put into a frame, never guessed at, and never kept by a proxy', async () => {
  for (const [[, path], { headers }] of await askAll()) {
    expect([path, headers.get('x-content-type-options'), headers.get('x-frame-options')]).toEqual([
      path,
      'nosniff',
      'SAMEORIGIN',
    ]);
    expect([path, headers.get('cache-control')]).toEqual([path, 'no-store']);
  }
});

test.each([
  ['a record that is no job', 'invariant_broken', /Keep the logs of this job \(`job_id=`\) and report it/],
  ['what nobody foresaw', 'internal', /Keep the `request_id` and the logs, and report it\.$/],
] as const)('%s is bland outside, and an error with its cause in the log', async (_, code, detail) => {
  const job = `velvet:{${CREDENTIAL}.${ENV}}:job:${jobId}`;
  if (code === 'invariant_broken') await world.redis.hset(job, 'status', 'a-status-that-is-none');
  else
    await world.redis.hset(
      'velvet:{system}:service-tokens',
      world.operator.slice(4, 16),
      '{"a-status-that-is-none":1}',
    );
  const answer = await world.api('GET', paths.job(jobId));
  await isProblem(world, answer, { http: 500, code, detail });
  expect(answer.text).not.toMatch(/a-status-that-is-none|Zod|node_modules|\.ts/);
  const line = world.log.find((one) => one.includes(String(answer.body['request_id']))) ?? '';
  expect(line).toMatch(/level=error/);
  expect(line).toContain(`job_id=${jobId}`);
});

test('where people reach it, the type of a refusal is a whole address', async () => {
  const app = buildApp({ ...world.deps, publicUrl: 'https://velvet.example.com' });
  const body = (await (await app.request('/nowhere')).json()) as Record<string, unknown>;
  expect(body['type']).toBe('https://velvet.example.com/docs/runbook#not_found');
  expect((await world.api('GET', '/nowhere')).body['type']).toBe('/docs/runbook#not_found');
});

test('on a socket, too: HEAD has the head alone, and a method that is none is refused', async () => {
  await using socket = await listen(world.app);
  const head = await fetch(`${socket.url}/healthz`, { method: 'HEAD' });
  expect([head.status, await head.text(), head.headers.get('x-velvet-env')]).toEqual([200, '', ENV]);
  const traced = await fetch(`${socket.url}/tokens/..%2f..%2fhealthz`, {
    headers: { authorization: `Bearer ${world.operator}` },
  });
  expect(traced.status).toBe(404);
});
