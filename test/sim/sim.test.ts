// The base of the simulators: each fault does exactly what it is named for. And the demo's process, which is all of them at once.
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, test, vi } from 'vitest';
import { herokuClient } from './ask.ts';
import type { Deed } from './faults.ts';
import { startHeroku } from './heroku.ts';
import type { HerokuOptions } from './heroku.ts';

const MINT = 'POST /oauth/authorizations';

async function herokuWorld(options: HerokuOptions = {}) {
  const heroku = await startHeroku(options);
  const account = heroku.createAccount();
  const old = account.authorize({ description: 'old' });
  const api = herokuClient(heroku.url, old.token);
  /** One mint under this fault: what came back, and how many tokens live afterwards. */
  const mintUnder = async (deed: Deed, timeoutMs = 200) => {
    heroku.script({ on: MINT, do: deed });
    const answer = await api(MINT, { body: { description: 'new' }, timeoutMs }).catch((error: unknown) =>
      error instanceof Error && error.name === 'TimeoutError'
        ? ('no answer' as const)
        : ('broken off' as const),
    );
    return { answer, live: heroku.live().length, request: heroku.requests.at(-1) };
  };
  return { heroku, account, old, api, mintUnder, [Symbol.asyncDispose]: () => heroku.close() };
}

describe('faults', () => {
  test('a status is sent as scripted, and nothing is applied unless the script says so', async () => {
    await using w = await herokuWorld();
    const plain = await w.mintUnder({ status: 503, body: 'oh no', headers: { 'x-a': 'b' } });
    const applied = await w.mintUnder({ status: 502, applied: true });

    expect(plain).toMatchObject({
      answer: { status: 503, body: 'oh no' },
      live: 1,
      request: { outcome: null, status: 503 },
    });
    expect(plain.answer).toHaveProperty('headers');
    expect(applied).toMatchObject({
      answer: { status: 502 },
      live: 2,
      request: { outcome: 201, status: 502 },
    });
  });

  test('malformed is a success status with half of the JSON, and applied', async () => {
    await using w = await herokuWorld();
    const { answer, live } = await w.mintUnder('malformed');
    if (typeof answer === 'string') throw new Error(answer);
    expect([answer.status, typeof answer.body, live]).toEqual([201, 'string', 2]);
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
  });

  test.each<[Deed, string, number]>([
    ['hang_before', 'no answer', 1],
    ['hang_after', 'no answer', 2],
    ['hang_mid_body', 'no answer', 2],
    ['drop_mid_body', 'broken off', 2],
  ])('%s: %s, and %i tokens live', async (deed, seen, count) => {
    await using w = await herokuWorld();
    const { answer, live } = await w.mintUnder(deed);
    expect([answer, live]).toEqual([seen, count]);
    expect((await w.api('GET /account')).status).toBe(200);
  });

  test('applies_late: the socket breaks at once, the change comes later, authorised on arrival', async () => {
    await using w = await herokuWorld();
    const { answer, live, request } = await w.mintUnder({ applies_late_ms: 80 });
    w.account.revoke(w.old.id);
    expect([answer, live]).toEqual(['broken off', 1]);
    expect(w.heroku.live()).toEqual([]);
    await vi.waitUntil(() => request?.outcome === 201);
    expect(w.heroku.live()).toMatchObject([{ description: 'new' }]);
    expect(request?.status).toBeNull();
  });

  test('what is to be applied late is forgotten when the simulator closes', async () => {
    const w = await herokuWorld();
    await w.mintUnder({ applies_late_ms: 20 });
    await w.heroku.close();
    await w.heroku.close();
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(w.heroku.live()).toHaveLength(1);
  });

  test('delay: applied at once, answered as always, later', async () => {
    await using w = await herokuWorld();
    const asked = performance.now();
    const { answer, live } = await w.mintUnder({ delay_ms: 60 }, 5_000);
    expect([answer, live]).toMatchObject([{ status: 201 }, 2]);
    expect(performance.now() - asked).toBeGreaterThanOrEqual(58);
  });

  test('a redirect is not applied, and whoever follows it is recorded with what they showed', async () => {
    await using w = await herokuWorld();
    const { answer, live } = await w.mintUnder('redirect');
    expect([answer, live]).toMatchObject([{ status: 302 }, 1]);
    expect(w.heroku.redirects).toEqual([]);

    w.heroku.script({ on: 'GET /account', do: 'redirect' });
    await w.api('GET /account', { redirect: 'follow' });
    expect(w.heroku.redirects).toMatchObject([{ method: 'GET', hadAuthorization: true }]);
  });

  test("edge is an HTML 403; rate_limited is Heroku's 429, with Retry-After only where asked for", async () => {
    await using w = await herokuWorld();
    const edge = await w.mintUnder('edge');
    const limited = await w.mintUnder('rate_limited');
    const timed = await w.mintUnder({ rate_limited: { retry_after_s: 7 } });
    if (
      typeof edge.answer === 'string' ||
      typeof limited.answer === 'string' ||
      typeof timed.answer === 'string'
    )
      throw new Error('no answer');

    expect([edge.answer.status, edge.answer.headers.get('content-type')]).toEqual([
      403,
      'text/html; charset=UTF-8',
    ]);
    expect(limited.answer).toMatchObject({ status: 429, body: { id: 'rate_limit' } });
    expect(
      [limited, timed].map(({ answer }) => typeof answer === 'object' && answer.headers.get('retry-after')),
    ).toEqual([null, '7']);
    expect(timed.live).toBe(1);
  });

  test('skip, times, where and order decide whom a fault hits; an unknown route is refused', async () => {
    await using w = await herokuWorld();
    const second = w.heroku.script({ on: 'GET /account', skip: 1, do: { status: 500 } });
    const always = w.heroku.script({
      on: '*',
      times: Infinity,
      where: ({ path }) => path === '/apps/a-b',
      do: { status: 418 },
    });
    const statuses: number[] = [];
    for (const line of ['GET /account', 'GET /account', 'GET /account', 'GET /apps/a-b', 'GET /apps/a-b']) {
      statuses.push((await w.api(line)).status);
    }

    expect(statuses).toEqual([200, 500, 200, 418, 418]);
    expect([second.fired, always.fired, w.heroku.faults.length]).toEqual([1, 2, 2]);
    w.heroku.clearFaults();
    expect((await w.api('GET /apps/a-b')).status).toBe(404);
    expect(() => w.heroku.script({ on: 'GET /acount', do: 'edge' })).toThrow('no such route');
  });
});

const proofOf = (token: string, nonce: string) =>
  `v1=${createHmac('sha256', token).update(nonce).digest('base64url')}`;

test('the demo process prints one line, serves what it names, and ends on SIGTERM', async () => {
  const child = spawn(process.execPath, [fileURLToPath(new URL('main.ts', import.meta.url))], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  try {
    await once(reader, 'line');
    const told = JSON.parse(lines[0] ?? '') as {
      heroku_url: string;
      slack_url: string;
      bootstrap_token: string;
      credential: { name: string; token: string };
      apps: { app: string; health_url: string }[];
    };
    const proofs = await Promise.all(
      told.apps.map(({ health_url: url }) =>
        fetch(url, { headers: { 'velvet-challenge': 'n' } }).then(({ status, headers }) => [
          status,
          headers.get('velvet-proof'),
        ]),
      ),
    );
    const listed = await herokuClient(told.heroku_url, told.bootstrap_token)('GET /oauth/authorizations');

    const proof = proofOf(told.credential.token, 'n');
    expect(told.apps.map(({ app }) => app)).toEqual([
      'raxx-console-prod',
      'raxx-api-prod',
      'raxx-console-staging',
      'raxx-api-staging',
    ]);
    expect(proofs).toEqual([
      [200, proof],
      [200, null],
      [200, proof],
      [200, proof],
    ]);
    expect(JSON.stringify(listed.body)).toContain(told.credential.token);
    expect([told.credential.name, told.slack_url.endsWith('/api/')]).toEqual(['HK_PLATFORM_FULL', true]);
  } finally {
    child.kill('SIGTERM');
  }
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect(lines).toHaveLength(1);
});
