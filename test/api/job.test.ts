// GET …/rotations and …/rotations/:job_id: what a job shows, what each scope may do with it, and garbage for an id is a 404, never a 500.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { jobAnswer } from '../../api/schemas.ts';
import { buildWorld, CREDENTIAL, ENV, until, type World, type WorldOptions } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { paths, place, refused, toVerified } from './asking.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
const idle = (more: WorldOptions = {}): Promise<World> => buildWorld(redis.url, { families: [], ...more });

describe('one job', () => {
  test('shows every member of the specification, and no value, at the gate and at the end', async () => {
    await using world = await buildWorld(redis.url);
    const jobId = await world.toValidated();
    const gate = await world.api('GET', paths.job(jobId));
    await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
    await world.reaches(jobId, 'done');
    const end = await world.api('GET', paths.job(jobId));

    for (const { text, body } of [gate, end]) {
      expect(jobAnswer.parse(body)).toMatchObject({
        job_id: jobId,
        credential: CREDENTIAL,
        env: ENV,
        flow_type: 'operational',
      });
      const minted = world.apps[0]?.config['HEROKU_API_KEY'] ?? '';
      expect(minted).not.toBe('');
      for (const value of [world.firstToken, minted, world.bootstrapToken, world.operator])
        expect(text).not.toContain(value);
    }
    expect(gate.body).toMatchObject({
      status: 'validated',
      stuck: false,
      stuck_reason: null,
      waiting_since: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string,
      allowed_actions: ['retry', 'proceed_revoke', 'abort'],
      error: null,
      residual: [],
    });
    expect(gate.body['old_auth_id']).not.toBe(gate.body['new_auth_id']);
    expect(end.body).toMatchObject({
      status: 'done',
      allowed_actions: [],
      ticket_id: 'ROT-1',
      waiting_since: null,
    });
    expect(end.body['version']).toBeGreaterThan(Number(gate.body['version']));
  });

  test('what may be done now depends on who asks: without the scope nothing is offered', async () => {
    await using world = await idle();
    const jobId = await world.create();
    const offered = async (scope: 'read' | 'revoke' | 'admin' | 'rotate') =>
      (await world.api('GET', paths.job(jobId), undefined, { token: await world.token([scope]) })).body
        .allowed_actions;
    expect(await offered('rotate')).toEqual(['verify', 'abort']);
    for (const scope of ['read', 'revoke', 'admin'] as const) expect(await offered(scope)).toEqual([]);
  });

  test('a parked job is stuck at once and says why in words; a gate never is', async () => {
    await using world = await buildWorld(redis.url);
    const jobId = await world.create();
    world.heroku.script({
      on: 'GET /oauth/authorizations',
      times: 1,
      do: { status: 403, body: { id: 'forbidden' } },
    });
    await world.stage(jobId, { action: 'verify' });
    const failed = await world.reaches(jobId, 'verify_failed');
    expect(failed.error).toMatchObject({ code: expect.stringMatching(/^[a-z_]+$/) as string });
    expect(failed).toMatchObject({
      stuck: true,
      stuck_reason: expect.stringMatching(/^parked in verify_failed since \d{4}-.*: .{20,}/) as string,
    });
    await world.stage(jobId, { action: 'retry' });
    expect(await world.reaches(jobId, 'verified')).toMatchObject({
      stuck: false,
      stuck_reason: null,
      error: null,
    });
  });

  test('an automatic status is stuck when nothing has moved for five minutes', async () => {
    await using world = await idle();
    const jobId = await world.create();
    const ago = (ms: number) => String(world.deps.clock.now() - ms);
    await place(world, jobId, 'minting', { updated_at: ago(290_000), status_since: ago(290_000) });
    expect(await world.job(jobId)).toMatchObject({ stuck: false });
    await place(world, jobId, 'minting', { updated_at: ago(301_000), status_since: ago(301_000) });
    const rows = await world.redis.keys('velvet:*:rows:*');
    for (const [id, json] of Object.entries(await world.redis.hgetall(String(rows[0]))))
      await world.redis.hset(
        String(rows[0]),
        id,
        JSON.stringify({ ...(JSON.parse(json) as object), updated_at: 1 }),
      );
    expect(await world.job(jobId)).toMatchObject({
      stuck: true,
      stuck_reason: expect.stringMatching(/^nothing has moved in minting since /) as string,
    });
  });
});

describe('the list', () => {
  const ids = async (world: World, query = '') =>
    ((await world.api('GET', `${paths.rotations}${query}`)).body['rotations'] as { job_id: string }[]).map(
      ({ job_id }) => job_id,
    );

  test('is newest first, five unless asked otherwise, each with its consumers', async () => {
    await using world = await idle();
    const made: string[] = [];
    for (let n = 0; n < 7; n++) {
      made.unshift(await world.create());
      const last = world.deps.clock.now();
      await until(() => (world.deps.clock.now() > last ? true : null));
    }
    expect(await ids(world)).toEqual(made.slice(0, 5));
    expect(await ids(world, '?limit=2')).toEqual(made.slice(0, 2));
    expect(await ids(world, '?limit=100')).toEqual(made);
    const [first] = (await world.api('GET', paths.rotations)).body['rotations'] as unknown[];
    expect(jobAnswer.parse(first).consumers).toHaveLength(2);
  });

  test('is empty for a credential that was never rotated', async () => {
    await using world = await idle();
    const answer = await world.api('GET', paths.rotations);
    expect([answer.status, answer.body]).toEqual([200, { env: ENV, rotations: [] }]);
  });

  test.each([['0'], ['-1'], ['101'], ['1.5'], ['many'], [''], ['1&limit=2'], ['1e9']])(
    '400 limit=%s names the field',
    async (limit) => {
      await using world = await idle();
      await refused(world, () => world.api('GET', `${paths.rotations}?limit=${limit}`), {
        http: 400,
        code: 'invalid_request',
        detail: /^'limit' must .*; nothing was changed\.$/,
        extra: { fields: ['limit'] },
      });
    },
  );

  test('404 of a credential that is not registered', async () => {
    await using world = await idle();
    const ask = () => world.api('GET', '/tokens/HK_NOBODY/rotations');
    await refused(world, ask, { http: 404, code: 'not_registered', detail: /^HK_NOBODY has no subscribers/ });
  });
});

const garbage = [
  'nothing',
  '0',
  '%',
  '%%%',
  '%00',
  '%0a',
  '%ff%fe',
  '..%2f..%2f..%2fetc%2fpasswd',
  '..%5c..',
  '%2e%2e',
  '*',
  '{velvet}',
  ':claim',
  'a b',
  "' OR 1=1 --",
  '%F0%9F%94%91',
  '__proto__',
  'constructor',
  'x'.repeat(10_000),
  '%2f'.repeat(3_000),
].map((id) => [id.slice(0, 30), id] as const);

describe('garbage', () => {
  test.each(garbage)('404 for the job id %s', async (_, id) => {
    await using world = await idle();
    for (const ask of [
      () => world.api('GET', paths.job(id)),
      () => world.api('GET', paths.stream(id)),
      () => world.api('POST', paths.stage(id), { action: 'verify' }),
    ]) {
      const body = await refused(world, ask, {
        http: 404,
        code: 'not_found',
        detail: /(has no job|There is nothing)/,
      });
      expect(String(body.detail).length).toBeLessThan(400);
    }
  });

  test.each(garbage)('404 for the credential %s', async (_, name) => {
    await using world = await idle();
    for (const ask of [
      () => world.api('GET', `/tokens/${name}/rotations`),
      () => world.api('GET', `/tokens/${name}/subscribers`),
      () => world.api('GET', `/tokens/${name}/rotations/c3f4cf4e-0000-4000-8000-000000000000`),
      () => world.api('POST', `/tokens/${name}/rotate`, { flow_type: 'operational', idempotency_key: 'k' }),
    ]) {
      const answer = await ask();
      expect([answer.status, ['not_registered', 'not_found'].includes(String(answer.body.code))]).toEqual([
        404,
        true,
      ]);
      expect(String(answer.body.detail).length).toBeLessThan(400);
    }
    expect(Math.max(...world.log.map((line) => line.length))).toBeLessThan(1_000);
  });

  test("404 another credential's job", async () => {
    await using world = await idle({ more: other });
    const jobId = await world.create();
    await refused(world, () => world.api('GET', `/tokens/HK_OTHER/rotations/${jobId}`), {
      http: 404,
      code: 'not_found',
      detail: `HK_OTHER has no job '${jobId}' in ${ENV}. \`GET /tokens/HK_OTHER/rotations\` lists them.`,
    });
  });

  test('a job stays readable after its credential has left the manifest', async () => {
    await using world = await idle();
    const jobId = await world.create();
    const { buildApp } = await import('../../api/app.ts');
    const app = buildApp({ ...world.deps, manifest: { version: 2, credentials: [], subscribers: [] } });
    const headers = { authorization: `Bearer ${world.operator}` };
    expect((await app.request(paths.job(jobId), { headers })).status).toBe(200);
  });
});

const other = {
  credentials: [
    {
      token_name: 'HK_OTHER',
      issuer: 'heroku-oauth',
      issuer_auth_token_name: 'HK_VELVET_BOOTSTRAP',
      entropy: 'high',
    },
  ],
};

test('a job at a gate is not moved by reading it', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await toVerified(world);
  const before = await world.job(jobId);
  expect(await world.job(jobId)).toEqual(before);
});
