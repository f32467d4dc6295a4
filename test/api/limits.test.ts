// Too many requests: counted per address and per token, together by all web processes, and never against an emergency.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { buildApp } from '../../api/app.ts';
import { limits as productLimits, type Limits } from '../../api/limits.ts';
import type { App } from '../../api/router.ts';
import { connect } from '../../shared/redis/connection.ts';
import { createRateLimits } from '../../shared/redis/rate-limits.ts';
import { buildWorld, CREDENTIAL, ENV, until, type Answer, type World } from '../harness.ts';
import { freePort, startRedis, type RedisServer } from '../redis-server.ts';
import { creation, isProblem, paths, place } from './asking.ts';
import { listen } from './listen.ts';

let redis: RedisServer;
let world: World;
beforeAll(async () => {
  redis = await startRedis();
});
beforeEach(async () => {
  world = await buildWorld(redis.url, { families: [] });
  return () => world[Symbol.asyncDispose]();
});
afterAll(() => redis.stop());

const many = { most: 1e9, windowMs: 60_000 };
const three = { most: 3, windowMs: 60_000 };
const plenty: Limits = { address: many, token: many, failedLogin: many, deepHealth: many };

/** A web process with limits of its own, behind a router that says where requests come from. */
function web(own: Partial<Limits>, more: Partial<World['deps']> = {}): App {
  return buildApp({ ...world.deps, behindRouter: true, limits: { ...plenty, ...own }, ...more });
}

interface From {
  readonly address?: string;
  readonly token?: string | null;
  readonly body?: unknown;
}

async function ask(
  app: App,
  line: string,
  { address = '203.0.113.7', token = world.operator, body }: From = {},
): Promise<Answer> {
  const [method = 'GET', path = '/'] = line.split(' ');
  const response = await app.request(path, {
    method,
    headers: {
      'x-forwarded-for': address,
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = path.endsWith('/stream') && response.ok ? '' : await response.text();
  if (path.endsWith('/stream')) await response.body?.cancel().catch(() => undefined);
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: text.startsWith('{') ? (JSON.parse(text) as Answer['body']) : {},
  };
}

async function statuses(times: number, asking: () => Promise<Answer>): Promise<readonly number[]> {
  const seen: number[] = [];
  for (let n = 0; n < times; n += 1) seen.push((await asking()).status);
  return seen;
}

describe('per address', () => {
  test('the fourth of three is 429, says how long to wait, and another address is served', async () => {
    const app = web({ address: three });
    expect(await statuses(3, () => ask(app, 'GET /flags', { token: null }))).toEqual([200, 200, 200]);
    const over = await ask(app, 'GET /flags', { token: null });
    await isProblem(world, over, {
      http: 429,
      code: 'rate_limited',
      detail:
        /^Too many requests from this address: 3 in 60 s are taken\. Wait \d+ s \(`Retry-After`\), then go on; nothing was changed\.$/,
    });
    const wait = Number(over.headers.get('retry-after'));
    expect(wait).toBeGreaterThan(0);
    expect(wait).toBeLessThanOrEqual(60);
    expect((await ask(app, 'GET /flags', { token: null, address: '203.0.113.8' })).status).toBe(200);
  });

  test('the log says once in a window who is limited, however many come', async () => {
    const app = web({ address: three });
    await statuses(9, () => ask(app, 'GET /flags', { token: null }));
    const lines = world.log.filter((line) => /limited|refused/.test(line));
    expect(lines).toEqual([
      expect.stringMatching(/msg="requests are limited" .*limit=address who=203\.0\.113\.7/),
    ]);
  });

  test('two web processes count together', async () => {
    const [one, other] = [web({ address: three }), web({ address: three })];
    const seen = [];
    for (const app of [one, other, one, other, one])
      seen.push((await ask(app, 'GET /flags', { token: null })).status);
    expect(seen).toEqual([200, 200, 200, 429, 429]);
  });

  test('when the window is over it begins anew', async () => {
    const app = web({ address: { most: 1, windowMs: 80 } });
    expect(await statuses(2, () => ask(app, 'GET /flags'))).toEqual([200, 429]);
    await until(async () => ((await ask(app, 'GET /flags')).status === 200 ? true : null));
  });

  test("behind the router its own word counts, the last entry: what a client writes before it doesn't", async () => {
    const app = web({ address: three });
    const spoofed = (n: number) => ask(app, 'GET /flags', { address: `198.51.100.${n}, 203.0.113.7` });
    const seen = [];
    for (const n of [1, 2, 3, 4]) seen.push((await spoofed(n)).status);
    expect(seen).toEqual([200, 200, 200, 429]);
  });

  test('without a router nothing is believed that a client writes, and the socket counts', async () => {
    const app = web({ address: three }, { behindRouter: false });
    await using socket = await listen(app);
    const seen = [];
    for (const n of [1, 2, 3, 4])
      seen.push(
        (await fetch(`${socket.url}/flags`, { headers: { 'x-forwarded-for': `198.51.100.${n}` } })).status,
      );
    expect(seen).toEqual([200, 200, 200, 429]);
  });

  test.each([
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff:ffff:ffff:ffff', true],
    ['2001:db8:1:2::1', '2001:db8:1:3::1', false],
    ['::ffff:203.0.113.9', '203.0.113.9', true],
    ['203.0.113.9', '203.0.113.10', false],
  ])('%s and %s are one: %s', async (a, b, same) => {
    const app = web({ address: { most: 1, windowMs: 60_000 } });
    await ask(app, 'GET /flags', { address: a });
    expect((await ask(app, 'GET /flags', { address: b })).status).toBe(same ? 429 : 200);
  });

  test('neither health nor a stream is choked', async () => {
    const app = web({ address: { most: 0, windowMs: 60_000 }, token: { most: 0, windowMs: 60_000 } });
    const jobId = await world.create();
    expect((await ask(app, 'GET /flags')).status).toBe(429);
    for (const path of ['/healthz', '/health', paths.stream(jobId)])
      expect([path, await statuses(5, () => ask(app, `GET ${path}`))]).toEqual([
        path,
        [200, 200, 200, 200, 200],
      ]);
  });

  test('no address stands in Redis', async () => {
    await ask(web({ address: three }), 'GET /flags');
    expect((await world.redis.keys('*')).join('\n')).not.toContain('203.0.113.7');
  });
});

describe('per token', () => {
  test('the fourth of three is 429 from wherever it comes; another token is served from there', async () => {
    const app = web({ token: three });
    const grace = await world.token(['read'], { owner: 'grace' });
    const asking = (n: number) => ask(app, 'GET /tokens', { address: `203.0.113.${n}` });
    const seen = [];
    for (const n of [1, 2, 3, 4]) seen.push((await asking(n)).status);
    expect(seen).toEqual([200, 200, 200, 429]);
    await isProblem(world, await asking(1), {
      http: 429,
      code: 'rate_limited',
      detail: /^Too many requests with this service token: 3 in 60 s .*`\/stream`.* Wait \d+ s/,
    });
    expect((await ask(app, 'GET /tokens', { address: '203.0.113.1', token: grace })).status).toBe(200);
  });

  test('a request that was one too many changed nothing', async () => {
    const app = web({ token: { most: 0, windowMs: 60_000 } });
    expect((await ask(app, `POST ${paths.rotate}`, { body: creation('k') })).status).toBe(429);
    expect(await world.store.list(CREDENTIAL, ENV, 5)).toEqual([]);
  });
});

describe('failed log-ins', () => {
  const bad = (n: number) => `vlt_${String(n).padStart(12, '0')}_${'0'.repeat(64)}`;

  test('the fourth of three is 429 whatever token it brings; another address has its own', async () => {
    const app = web({ failedLogin: three });
    const seen = [];
    for (const n of [1, 2, 3, 4]) seen.push((await ask(app, 'GET /tokens', { token: bad(n) })).status);
    expect(seen).toEqual([401, 401, 401, 429]);
    await isProblem(world, await ask(app, 'GET /tokens', { token: bad(5) }), {
      http: 429,
      code: 'rate_limited',
      detail: /^Too many log-ins from this address failed: 3 in 60 s .*Wait \d+ s/,
    });
    expect((await ask(app, 'GET /tokens', { token: bad(6), address: '203.0.113.8' })).status).toBe(401);
  });

  test('a good token is let in from there all the same, and counts as no failure', async () => {
    const app = web({ failedLogin: three });
    await statuses(9, () => ask(app, 'GET /tokens', { token: bad(1) }));
    expect(await statuses(5, () => ask(app, 'GET /tokens'))).toEqual([200, 200, 200, 200, 200]);
  });

  test('a request without any token is no log-in', async () => {
    const app = web({ failedLogin: three });
    expect(await statuses(5, () => ask(app, 'GET /tokens', { token: null }))).toEqual([
      401, 401, 401, 401, 401,
    ]);
  });
});

describe('the emergency', () => {
  const nothing = { most: 0, windowMs: 60_000 };

  test('a revocation is created however many requests there were', async () => {
    const app = web({ address: nothing, token: nothing });
    const body = { flow_type: 'revocation', idempotency_key: 'k', ticket_id: 'T', confirm: CREDENTIAL };
    expect(
      (await ask(app, `POST ${paths.rotate}`, { body: { ...body, flow_type: 'operational' } })).status,
    ).toBe(429);
    expect((await ask(app, `POST ${paths.rotate}`, { body })).status).not.toBe(429);
  });

  test('one that runs can be read and moved; an operational job beside it waits', async () => {
    const app = web({ address: nothing, token: nothing });
    const [emergency, ordinary] = [await world.create(), await world.create()];
    await place(world, emergency, 'rev_validating', { flow_type: 'revocation' });
    for (const [jobId, choked] of [
      [emergency, false],
      [ordinary, true],
    ] as const) {
      const seen = [
        await ask(app, `GET ${paths.job(jobId)}`),
        await ask(app, `POST ${paths.stage(jobId)}`, { body: { action: 'abort' } }),
      ];
      expect(seen.map(({ status }) => status === 429)).toEqual([choked, choked]);
    }
  });

  test('without a token it is no emergency', async () => {
    const app = web({ address: nothing });
    const body = { flow_type: 'revocation', idempotency_key: 'k' };
    expect((await ask(app, `POST ${paths.rotate}`, { body, token: null })).status).toBe(401);
  });
});

describe('where nothing can be counted nobody is refused for it', () => {
  test('Redis is away: the answer is that, or the answer', async () => {
    const address = { url: `redis://127.0.0.1:${await freePort()}`, rejectUnauthorized: true };
    const away = connect(address, 'asking', world.deps.times, () => undefined);
    const app = web({ address: three, token: three }, { rateLimits: createRateLimits(away) });
    expect(await statuses(5, () => ask(app, 'GET /tokens'))).toEqual([200, 200, 200, 200, 200]);
    away.disconnect();
  });

  test('Redis is full and takes no count any more', async () => {
    const app = web({ address: three, token: three });
    const jobId = await world.create();
    await world.redis.config('SET', 'maxmemory', '1');
    try {
      expect(await statuses(5, () => ask(app, `GET ${paths.job(jobId)}`))).toEqual([200, 200, 200, 200, 200]);
    } finally {
      await world.redis.config('SET', 'maxmemory', '0');
    }
  });
});

test('the product takes what a console, a monitor and a script ask that wait between two questions', () => {
  const perSecond = Object.entries(productLimits).map(
    ([name, { most, windowMs }]) => [name, (most * 1_000) / windowMs] as const,
  );
  expect(Object.fromEntries(perSecond)).toEqual({
    address: 120,
    token: 60,
    failedLogin: 20 / 60,
    deepHealth: 0.1,
  });
});
