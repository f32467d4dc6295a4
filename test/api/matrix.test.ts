// Route × scope × credential limit: what each token gets at each route of the app. The routes are the router's own, so that a new one without an expectation fails.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { credentialKeys } from '../../shared/redis/keys.ts';
import type { Scope } from '../../shared/redis/system-store.ts';
import { buildWorld, CREDENTIAL, ENV, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { creation, paths } from './asking.ts';

let redis: RedisServer;
let world: World;
beforeAll(async () => {
  redis = await startRedis();
  world = await buildWorld(redis.url, { families: ['stage'] });
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await redis.stop();
});

interface Asked {
  readonly path: string;
  readonly body?: unknown;
}

interface Expectation {
  /** What is asked that the route's name does not say. */
  readonly when?: string;
  /** The scope that it takes; null: it is open to all. */
  readonly needs: Scope | null;
  /** Whether it is about the one credential that its path names. */
  readonly aboutCredential: boolean;
  readonly good: number;
  /** Where what goes through is refused for another reason. */
  readonly code?: string;
  readonly ask: () => Asked | Promise<Asked>;
}

const open = (path: string): Expectation => ({
  needs: null,
  aboutCredential: false,
  good: 200,
  ask: () => ({ path }),
});
const reading = (path: () => string | Promise<string>, more: Partial<Expectation> = {}): Expectation => ({
  needs: 'read',
  aboutCredential: true,
  good: 200,
  ask: async () => ({ path: await path() }),
  ...more,
});
const administering = (good: number, ask: Expectation['ask']): Expectation => ({
  needs: 'admin',
  aboutCredential: false,
  good,
  ask,
});
const about = (path: string) => () => `/tokens/${CREDENTIAL}${path}`;
const aJob = () => world.create();
const general = { aboutCredential: false };

async function anEmergency(): Promise<string> {
  const jobId = await world.create();
  const job = credentialKeys(CREDENTIAL, ENV).job(jobId);
  await world.redis.hset(job, { status: 'rev_init', flow_type: 'revocation' });
  return jobId;
}

async function aTokenToDelete(): Promise<Asked> {
  const token = await world.token(['read'], { owner: 'gone' });
  return { path: `/service-tokens/${token.slice(4, 16)}` };
}

const newToken = { name: 'ci', owner: 'ci', scopes: ['read'], expires_in: 3600, credentials: [CREDENTIAL] };

const expectations: Readonly<Record<string, readonly Expectation[]>> = {
  'GET /healthz': [open('/healthz'), reading(() => '/healthz?deep=1', { ...general, when: 'deep' })],
  'GET /health': [open('/health'), reading(() => '/health?deep=1', { ...general, when: 'deep' })],
  'GET /flags': [open('/flags')],
  'GET /openapi.json': [open('/openapi.json')],
  'GET /docs/errors.md': [open('/docs/errors.md')],
  'GET /docs/runbook': [open('/docs/runbook')],
  'GET /docs/sop/:page': [reading(() => `/docs/sop/${CREDENTIAL}.md`)],
  'GET /tokens': [reading(() => '/tokens', general)],
  'GET /tokens/:name/subscribers': [reading(about('/subscribers'))],
  'GET /tokens/:name/rotations': [reading(about('/rotations'))],
  'GET /tokens/:name/rotations/:job_id': [reading(async () => paths.job(await aJob()))],
  'GET /tokens/:name/rotations/:job_id/stream': [reading(async () => paths.stream(await aJob()))],
  'GET /tokens/:name/audit': [reading(about('/audit'))],
  'GET /audit/verify': [
    reading(() => '/audit/verify', general),
    reading(() => `/audit/verify?credential=${CREDENTIAL}`, { when: 'of one credential' }),
  ],
  'GET /metrics': [reading(() => '/metrics', general)],
  'POST /tokens/:name/rotate': [
    {
      needs: 'rotate',
      aboutCredential: true,
      good: 202,
      ask: () => ({ path: paths.rotate, body: creation(crypto.randomUUID()) }),
    },
  ],
  'POST /tokens/:name/rotations/:job_id/stage': [
    {
      needs: 'rotate',
      aboutCredential: true,
      good: 202,
      ask: async () => ({ path: paths.stage(await aJob()), body: { action: 'abort' } }),
    },
    {
      when: 'of a revocation',
      needs: 'revoke',
      aboutCredential: true,
      good: 409,
      code: 'action_not_allowed',
      ask: async () => ({ path: paths.stage(await anEmergency()), body: { action: 'verify' } }),
    },
  ],
  'POST /alarm/test': [administering(202, () => ({ path: '/alarm/test', body: {} }))],
  'PUT /flags/:name': [
    administering(200, () => ({ path: '/flags/velvet_v2_rotation', body: { enabled: true } })),
  ],
  'GET /service-tokens': [administering(200, () => ({ path: '/service-tokens' }))],
  'POST /service-tokens': [
    {
      ...administering(201, () => ({ path: '/service-tokens', body: newToken })),
      when: 'for one credential',
      aboutCredential: true,
    },
  ],
  'DELETE /service-tokens/:id': [administering(204, aTokenToDelete)],
};

/** What each scope brings along, typed in from the specification. */
const brings: Readonly<Record<Scope, readonly Scope[]>> = {
  read: ['read'],
  rotate: ['rotate', 'revoke', 'read'],
  revoke: ['revoke', 'read'],
  admin: ['admin', 'read'],
};
const everyScope = Object.keys(brings) as Scope[];
const limitsOf = {
  unlimited: undefined,
  'this credential': ['HK_*'],
  'another credential': ['PM_*'],
} as const;

interface Cell {
  readonly is: string;
  readonly token: () => Promise<string | null>;
  readonly scopes: readonly Scope[];
  readonly limit: keyof typeof limitsOf;
  readonly accepted: boolean;
}

const cells: readonly Cell[] = [
  { is: 'no token', token: () => Promise.resolve(null), scopes: [], limit: 'unlimited', accepted: false },
  ...[[], ...everyScope.map((scope) => [scope])].flatMap((scopes) =>
    (Object.keys(limitsOf) as (keyof typeof limitsOf)[]).map((limit): Cell => {
      const credentials = limitsOf[limit];
      return {
        is: `${scopes[0] ?? 'no scope'}, ${limit}`,
        token: () => world.token(scopes, credentials === undefined ? {} : { credentials }),
        scopes,
        limit,
        accepted: true,
      };
    }),
  ),
  {
    is: 'every scope, expired',
    token: () => world.token(everyScope, { expiresInMs: 0 }),
    scopes: everyScope,
    limit: 'unlimited',
    accepted: false,
  },
  {
    is: 'every scope, deleted',
    token: async () => {
      const token = await world.token(everyScope);
      expect(await world.system.deleteToken(token.slice(4, 16))).toBe(true);
      return token;
    },
    scopes: everyScope,
    limit: 'unlimited',
    accepted: false,
  },
];

function wanted({ needs, aboutCredential, good, code }: Expectation, cell: Cell): readonly unknown[] {
  if (needs !== null) {
    if (!cell.accepted) return [401, 'unauthenticated'];
    if (!cell.scopes.some((scope) => brings[scope].includes(needs))) return [403, 'forbidden'];
    if (aboutCredential && cell.limit === 'another credential') return [403, 'forbidden'];
  }
  return [good, code];
}

async function seen(route: string, expectation: Expectation, cell: Cell): Promise<readonly unknown[]> {
  const [token, { path, body }] = [await cell.token(), await expectation.ask()];
  const response = await world.app.request(path, {
    method: route.split(' ')[0] ?? 'GET',
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (response.headers.get('content-type') === 'application/problem+json')
    return [response.status, ((await response.json()) as { code: string }).code];
  // A stream that is opened ends with its reader.
  await response.body?.cancel();
  return [response.status, undefined];
}

test('every route of the app has its expectations, and none is expected that there is not', () => {
  const real = world.app.routes
    .filter(({ method }) => method !== 'ALL')
    .map(({ method, path }) => `${method} ${path}`);
  expect(new Set(real).size).toBeGreaterThanOrEqual(20);
  expect(Object.keys(expectations).toSorted()).toEqual([...new Set(real)].toSorted());
});

describe.each(Object.entries(expectations))('%s', (route, all) => {
  test.each(all.map((expectation) => [expectation.when ?? 'as it is', expectation] as const))(
    '%s',
    async (_, expectation) => {
      const table: [string, readonly unknown[]][] = [];
      for (const cell of cells) table.push([cell.is, await seen(route, expectation, cell)]);
      expect(table).toHaveLength(18);
      expect(Object.fromEntries(table)).toEqual(
        Object.fromEntries(cells.map((cell) => [cell.is, wanted(expectation, cell)])),
      );
    },
  );
});
