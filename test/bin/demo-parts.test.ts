import { readFile } from 'node:fs/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { demoManifest, type Outside } from '../../bin/demo/outside.ts';
import { redisDump, search } from '../../bin/demo/secrets.ts';
import { parseManifest } from '../../shared/manifest/load.ts';
import type { Subscriber } from '../../shared/manifest/schema.ts';
import { committed } from '../core/manifest-text.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const outside: Outside = {
  heroku_url: 'http://127.0.0.1:4001',
  github_url: 'http://127.0.0.1:4003',
  github_authority: '{}',
  slack_url: 'http://127.0.0.1:4002/api/',
  slack_token: 'xoxb-x',
  operator_slack_user: 'U0X',
  operator_channel: 'C0X',
  alert_channel: 'C0Y',
  mail: { host: '127.0.0.1', port: 2525, user: 'u', password: 'p' },
  desk_url: 'http://127.0.0.1:4004',
  bootstrap_token: 'b',
  credential: { name: 'HK_PLATFORM_FULL', token: 't' },
  apps: ['raxx-console-prod', 'raxx-api-prod', 'raxx-console-staging', 'raxx-api-staging'].map(
    (app, index) => ({
      app,
      health_url: `http://127.0.0.1:${5001 + index}/healthz/heroku`,
    }),
  ),
};

/** Where the demo has an active row lead; null: it stays as it is. */
function leadsTo(row: Subscriber): object | null {
  if (row.token_name !== 'HK_PLATFORM_FULL' || !row.active || !('update_endpoint' in row)) return null;
  const { pathname } = new URL(row.update_endpoint);
  if (row.update_method === 'GITHUB_SECRET_PUT')
    return { update_endpoint: `http://127.0.0.1:4003${pathname}` };
  const app = outside.apps.find((one) => pathname === `/apps/${one.app}/config-vars`);
  return { update_endpoint: `http://127.0.0.1:4001${pathname}`, healthcheck_endpoint: app?.health_url };
}

test("the demo's manifest is the committed one with hosts and env replaced, comments and all else kept", async () => {
  const text = await readFile(committed, 'utf8');
  const derived = demoManifest(text, outside);

  const before = parseManifest(text, 'm.yml', { allowLoopback: false });
  const after = parseManifest(derived, 'd.yml', { allowLoopback: true });
  expect(after.credentials).toEqual(before.credentials);
  const led = before.subscribers.map((row) => ({ ...row, env: 'development', ...leadsTo(row) }));
  expect(after.subscribers).toEqual(led);
  expect(before.subscribers.filter((row) => leadsTo(row) !== null)).toHaveLength(5);
  const comments = text
    .split('\n')
    .filter((line) => line.trim().startsWith('#') && !line.includes('$schema'));
  for (const comment of comments) expect(derived).toContain(comment.trim());
});

test('in haste it waits less for what settles, and nothing else is another', async () => {
  const text = await readFile(committed, 'utf8');
  const asIs = parseManifest(demoManifest(text, outside), 'm.yml', { allowLoopback: true });
  const haste = { settle_seconds: 3, healthcheck_after: 4 };
  const hasty = parseManifest(demoManifest(text, outside, haste), 'm.yml', { allowLoopback: true });

  const settles = (one: { settle_seconds: number; token_name: string }) =>
    one.token_name === 'HK_PLATFORM_FULL' ? { ...one, settle_seconds: 3 } : one;
  expect(hasty.credentials).toEqual(asIs.credentials.map(settles));
  const waits = (row: Subscriber) =>
    row.update_method === 'HEROKU_CONFIG_PATCH' ? { ...row, healthcheck_after: 4 } : row;
  expect(hasty.subscribers).toEqual(asIs.subscribers.map(waits));
  expect(hasty.subscribers).not.toEqual(asIs.subscribers);
});

test('a consumer that nobody simulates is told', async () => {
  const text = await readFile(committed, 'utf8');

  expect(() => demoManifest(text, { ...outside, apps: outside.apps.slice(1) })).toThrow(
    /No simulated app answers for .*raxx-console-prod/,
  );
});

const value = 'HRKU-"quoted"/and+more?';
const forms: readonly (readonly [string, string])[] = [
  ['raw', value],
  ['percent-encoded', encodeURIComponent(value)],
  ['JSON-escaped', JSON.stringify({ value })],
  ...['', 'u', 'us', 'use', 'user:'].flatMap((before) =>
    (['base64', 'base64url'] as const).map(
      (encoding) =>
        [`${encoding} behind '${before}'`, Buffer.from(`${before}${value}:x`).toString(encoding)] as const,
    ),
  ),
];

test.each(forms)('a value is found %s', (_name, text) => {
  const found = search({ log: Buffer.from(`job-1 ${text} end`) }, [value], 'job-1');

  expect(found.hits).toBeGreaterThan(0);
  expect(found.where).toEqual([`log: ${found.hits}`]);
  expect(found.where.join()).not.toContain(value);
});

test('each appearance counts, in each place; what is clean counts nothing', () => {
  const places = {
    log: Buffer.from('job-1 abc-value abc-value'),
    stream: Buffer.from('job-1'),
    dump: Buffer.from('abc-value job-1'),
  };

  expect(search(places, ['abc-value', 'abc-value', 'other'], 'job-1')).toEqual({
    hits: 3,
    where: ['log: 2', 'dump: 1'],
  });
  expect(search(places, ['nowhere-value'], 'job-1')).toEqual({ hits: 0, where: [] });
});

test('a place that was not read fails the search instead of passing it', () => {
  expect(() => search({ log: Buffer.from('job-1'), stream: Buffer.alloc(0) }, ['x'], 'job-1')).toThrow(
    'saw nothing in: stream',
  );
});

test('the dump holds every key of every type', async () => {
  const redis = new Redis(server.url);
  await redis.set('s', 'in-string');
  await redis.hset('h', 'in-field', 'in-hash');
  await redis.rpush('l', 'in-list');
  await redis.sadd('set', 'in-set');
  await redis.zadd('z', 1, 'in-zset');
  await redis.xadd('x', '*', 'e', JSON.stringify({ deep: '"in-stream"' }));
  redis.disconnect();

  const dump = (await redisDump(server.url)).toString('utf8');

  for (const part of [
    'in-string',
    'in-field',
    'in-hash',
    'in-list',
    'in-set',
    'in-zset',
    String.raw`\"in-stream\"`,
  ])
    expect(dump).toContain(part);
});
