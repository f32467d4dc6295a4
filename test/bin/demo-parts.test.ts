import { readFile } from 'node:fs/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { demoManifest, type Outside } from '../../bin/demo/outside.ts';
import { redisDump, search } from '../../bin/demo/secrets.ts';
import { parseManifest } from '../../shared/manifest/load.ts';
import { committed } from '../core/manifest-text.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const outside: Outside = {
  heroku_url: 'http://127.0.0.1:4001',
  slack_url: 'http://127.0.0.1:4002/api/',
  slack_token: 'xoxb-x',
  operator_slack_user: 'U0X',
  operator_channel: 'C0X',
  bootstrap_token: 'b',
  credential: { name: 'HK_PLATFORM_FULL', token: 't' },
  apps: ['raxx-console-prod', 'raxx-api-prod', 'raxx-console-staging', 'raxx-api-staging'].map(
    (app, index) => ({
      app,
      health_url: `http://127.0.0.1:${5001 + index}/healthz/heroku`,
    }),
  ),
};

test("the demo's manifest is the committed one with hosts and env replaced, comments and all else kept", async () => {
  const text = await readFile(committed, 'utf8');
  const derived = demoManifest(text, outside);

  const before = parseManifest(text, 'm.yml', { allowLoopback: false });
  const after = parseManifest(derived, 'd.yml', { allowLoopback: true });
  expect(after.credentials).toEqual(before.credentials);
  expect(after.subscribers).toHaveLength(before.subscribers.length);
  const same = (row: object) => ({ ...row, env: '', update_endpoint: '', healthcheck_endpoint: '' });
  expect(after.subscribers.map(same)).toEqual(before.subscribers.map(same));
  for (const row of after.subscribers) {
    expect(row.env).toBe('development');
    const endpoint = 'update_endpoint' in row ? row.update_endpoint : '';
    const app = outside.apps.find((one) => endpoint === `http://127.0.0.1:4001/apps/${one.app}/config-vars`);
    expect(row.healthcheck_endpoint).toBe(app?.health_url);
  }
  const comments = text
    .split('\n')
    .filter((line) => line.trim().startsWith('#') && !line.includes('$schema'));
  for (const comment of comments) expect(derived).toContain(comment.trim());
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
