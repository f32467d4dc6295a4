// GET /tokens/:name/audit and GET /audit/verify: pages without a gap, and a verdict that the stage worker gives, or nobody.
import { rename } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { auditPageAnswer, auditVerdictAnswer } from '../../api/audit-schemas.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { buildWorld, CREDENTIAL, ENV, until, type Answer, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { isProblem, note, paths, toVerified } from './asking.ts';
import { follow } from './sse.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const rowsPath = `/tokens/${CREDENTIAL}/audit`;
const idle = (times = {}): Promise<World> => buildWorld(redis.url, { families: [], times });
interface Row {
  readonly seq: string;
  readonly event: string;
}
const rowsOf = (answer: Answer) => answer.body['rows'] as readonly Row[];

/** Every row, page by page, in the direction of the cursor. */
async function walk(world: World, limit: number, direction: 'before' | 'after'): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (let cursor = direction === 'after' ? '&after=0' : ''; ;) {
    const page = await world.api('GET', `${rowsPath}?limit=${limit}${cursor}`);
    expect([page.status, auditPageAnswer.safeParse(page.body).error]).toEqual([200, undefined]);
    rows.push(...rowsOf(page));
    if (page.body['next'] === null) return rows;
    cursor = `&${direction}=${page.body['next'] as string}`;
  }
}

describe('rows', () => {
  test('newest first, each with the id that the stream gives it, and nothing that is secret', async () => {
    await using world = await buildWorld(redis.url);
    const jobId = await toVerified(world);
    const answer = await world.api('GET', rowsPath);
    expect(answer.body).toMatchObject({ env: ENV, credential: CREDENTIAL, next: null });
    expect(rowsOf(answer)[0]).toMatchObject({
      env: ENV,
      job_id: jobId,
      credential: CREDENTIAL,
      operator_id: 'system',
      from_state: 'verifying',
      to_state: 'verified',
      event: 'verify_succeeded',
    });
    await using following = await follow(world.app, paths.stream(jobId), { token: world.operator });
    const ids = [];
    for (const _ of rowsOf(answer)) ids.push((await following.next())?.id);
    expect(rowsOf(answer).map((row) => row.seq)).toEqual(ids.toReversed());
    for (const value of [world.firstToken, world.bootstrapToken]) expect(answer.text).not.toContain(value);
  });

  test.each([1, 2, 3, 7, 200])('%i at a time, either way: all of them, once, in order', async (limit) => {
    await using world = await idle();
    const jobId = await world.create();
    for (let n = 0; n < 13; n++) await note(world, jobId, `noted ${n}`);
    const epoch = await world.system.epoch();
    const all = Array.from({ length: 14 }, (_, n) => `${epoch}.${n + 1}`);
    expect((await walk(world, limit, 'after')).map((row) => row.seq)).toEqual(all);
    expect((await walk(world, limit, 'before')).map((row) => row.seq)).toEqual(all.toReversed());
  });

  test('a cursor may be a bare number, and one from an earlier epoch still names its place', async () => {
    await using world = await idle();
    const jobId = await world.create();
    await note(world, jobId, 'second');
    for (const cursor of ['1', 'cafebabe.1'])
      expect(rowsOf(await world.api('GET', `${rowsPath}?after=${cursor}`)).map((row) => row.event)).toEqual([
        'second',
      ]);
  });

  test('of a credential in which nothing has happened: none', async () => {
    await using world = await idle();
    expect((await world.api('GET', rowsPath)).body).toMatchObject({ rows: [], next: null });
    expect((await world.api('GET', `${rowsPath}?after=0`)).body).toMatchObject({ rows: [], next: null });
    expect((await world.api('GET', `${rowsPath}?before=1`)).body).toMatchObject({ rows: [], next: null });
  });

  test.each([
    ['limit=0', /'limit' must be at least 1/],
    ['limit=201', /'limit' must be at most 200/],
    ['limit=x', /'limit' must be a number/],
    ['before=x', /'before' must be a row's `seq`/],
    ['before=1&after=1', /'after' must not be sent together with `before`/],
    ['offset=1', /unknown field 'offset'/],
  ])('?%s is refused by name', async (query, detail) => {
    await using world = await idle();
    const answer = await world.api('GET', `${rowsPath}?${query}`);
    await isProblem(world, answer, { http: 400, code: 'invalid_request', detail });
  });

  test('the same refusals as its neighbours: no token, another credential’s, not registered', async () => {
    await using world = await idle();
    const token = await world.token(['read'], { credentials: ['PM_*'] });
    const asked = [
      await world.api('GET', rowsPath, undefined, { token: null }),
      await world.api('GET', rowsPath, undefined, { token }),
      await world.api('GET', '/tokens/HK_NOBODY/audit'),
    ];
    expect(asked.map(({ status, body }) => [status, body.code])).toEqual([
      [401, 'unauthenticated'],
      [403, 'forbidden'],
      [404, 'not_registered'],
    ]);
  });
});

describe('the verdict', () => {
  const settled = (world: World) =>
    until(async () => {
      const { body } = await world.api('GET', '/audit/verify');
      return body['unsealed'] === 0 && body['anchored_to'] === body['sealed_to'] ? body : null;
    });

  test('after a rotation: everything sealed, anchored and intact, for all and for each', async () => {
    await using world = await buildWorld(redis.url);
    await toVerified(world);
    const body = await settled(world);
    expect(auditVerdictAnswer.safeParse(body).error).toBeUndefined();
    const { last } = await world.feed.bounds(CREDENTIAL, ENV);
    const numbers = { sealed_to: last, unsealed: 0, anchored_to: last, verdict: 'intact' };
    expect(body).toMatchObject({ env: ENV, ...numbers });
    expect(body['credentials']).toContainEqual({
      credential: CREDENTIAL,
      env: ENV,
      ...numbers,
      losses: [],
      finding: null,
    });
    const alone = await world.api('GET', `/audit/verify?credential=${CREDENTIAL}`);
    expect(alone.body).toMatchObject(numbers);
    expect(alone.body['credentials']).toHaveLength(1);
  });

  test('altered where a row was changed, saying where', async () => {
    await using world = await buildWorld(redis.url);
    await toVerified(world);
    await settled(world);
    const keys = credentialKeys(CREDENTIAL, ENV);
    const entries = await world.redis.xrange(keys.events, '-', '+');
    await world.redis.del(keys.events);
    for (const [id, [field = '', row = '']] of entries)
      await world.redis.xadd(
        keys.events,
        id,
        field,
        row.replace('"operator_id":"ada"', '"operator_id":"eve"'),
      );
    expect((await world.api('GET', '/audit/verify')).body).toMatchObject({
      verdict: 'altered',
      credentials: expect.arrayContaining([
        expect.objectContaining({
          credential: CREDENTIAL,
          finding: expect.stringMatching(/^Among the events \d+ to \d+ something was changed\.$/) as string,
        }),
      ]) as unknown,
    });
  });

  test('a caller that is limited to some credentials hears of no other', async () => {
    await using world = await buildWorld(redis.url);
    await toVerified(world);
    const token = await world.token(['read'], { credentials: ['PM_*'] });
    expect((await world.api('GET', '/audit/verify', undefined, { token })).body).toEqual({
      env: ENV,
      sealed_to: 0,
      unsealed: 0,
      anchored_to: 0,
      verdict: 'intact',
      credentials: [],
    });
    const one = await world.api('GET', `/audit/verify?credential=${CREDENTIAL}`, undefined, { token });
    expect([one.status, one.body.code]).toEqual([403, 'forbidden']);
  });

  test('503 with what to do where no stage worker answers, and nothing is left behind', async () => {
    await using world = await idle({ answerMs: 300 });
    const answer = await world.api('GET', '/audit/verify');
    await isProblem(world, answer, {
      http: 503,
      code: 'degraded',
      detail:
        'No stage worker answered within 0.3 s, and it alone can. See `GET /healthz` for whether one runs; start one (`node workers/main.ts stage`) or wait for it, then ask again. Nothing was changed.',
    });
    expect(answer.headers.get('retry-after')).toBe('1');
    expect(await world.redis.keys('*verify_audit*')).toEqual([]);
  });

  test('503 where the vault is away: without the anchors nobody can say `intact`', async () => {
    await using world = await buildWorld(redis.url, { families: ['stage'] });
    const gone = `${world.vaultDir}.gone`;
    await rename(world.vaultDir, gone);
    const answer = await world.api('GET', '/audit/verify');
    await isProblem(world, answer, { http: 503, code: 'vault_unavailable', detail: /^File vault/ });
    await rename(gone, world.vaultDir);
    expect((await world.api('GET', '/audit/verify')).status).toBe(200);
  });

  test('401 without a token', async () => {
    await using world = await idle();
    expect((await world.api('GET', '/audit/verify', undefined, { token: null })).status).toBe(401);
  });
});
