import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import { createSystemStore } from '../../shared/redis/system-store.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { velvet } from './commands.ts';

let server: RedisServer;
let redis: Redis;
let cwd: string;
beforeAll(async () => {
  [server, cwd] = await Promise.all([startRedis(), mkdtemp(join(tmpdir(), 'velvet-token-'))]);
  redis = new Redis(server.url);
  await writeFile(join(cwd, 'manifest.yml'), manifestOf('HK_ONE', 'PM_SERVER_MAIL'));
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
  await rm(cwd, { recursive: true, force: true });
});

const create = (args: readonly string[], env: Readonly<Record<string, string>> = { REDIS_URL: server.url }) =>
  velvet(['token', 'create', ...args], { cwd, env: { VELVET_MANIFEST: join(cwd, 'manifest.yml'), ...env } });
const manifestOf = (...names: readonly string[]) => {
  const issued = { issuer: 'heroku-oauth', issuer_auth_token_name: 'HK_VELVET_BOOTSTRAP', entropy: 'high' };
  const credentials = names.map((token_name) => ({ token_name, ...issued }));
  // JSON is YAML.
  return JSON.stringify({ version: 2, credentials, subscribers: [] });
};
const DAY = 86_400_000;

test('the token alone is on stdout, and works as it was asked for', async () => {
  const before = systemClock.now();
  const options = ['--owner', 'ada', '--scopes', 'rotate, admin', '--credentials', 'HK_ONE,PM_*', '--expires-in', '2d', '--name', 'laptop', '--slack-user', 'U012AB3CD']; // prettier-ignore
  const { code, stdout, stderr } = await create(options);

  expect(code).toBe(0);
  expect(stdout).toMatch(/^vlt_[0-9a-f]{12}_[0-9a-f]{64}\n$/);
  const record = await createSystemStore(redis).findToken(stdout.trim(), systemClock.now());
  expect(record).toMatchObject({
    owner: 'ada',
    name: 'laptop',
    scopes: ['rotate', 'admin'],
    credentials: ['HK_ONE', 'PM_*'],
    slack_user_id: 'U012AB3CD',
  });
  expect(record?.expires_at).toBeGreaterThanOrEqual(before + 2 * DAY);
  expect(record?.expires_at).toBeLessThanOrEqual(systemClock.now() + 2 * DAY);
  expect(stderr).toContain('ada');
  expect(stderr).not.toContain(stdout.trim());
});

test('without more it is for every credential, for 30 days', async () => {
  const { stdout } = await create(['--owner', 'ada', '--scopes', 'read']);

  const record = await createSystemStore(redis).findToken(stdout.trim(), systemClock.now());
  expect(record).toMatchObject({ name: 'ada', credentials: null, slack_user_id: null });
  expect(Math.round(((record?.expires_at ?? 0) - systemClock.now()) / DAY)).toBe(30);
});

test('what the API would refuse is refused, by the name of the option', async () => {
  const known = await redis.hlen('velvet:{system}:service-tokens');
  const ran = await Promise.all([
    create(['--owner', 'ada', '--scopes', 'rotate,fly']),
    create(['--owner', 'ada', '--scopes', 'read', '--expires-in', '30']),
    create(['--owner', 'ada', '--scopes', 'read', '--expires-in', '90w']),
    create(['--owner', 'ada', '--scopes', 'read', '--slack-user', 'ada']),
    create(['--scopes', 'read']),
  ]);

  expect(ran.map(({ code, stdout }) => [code, stdout])).toEqual(ran.map(() => [1, '']));
  const parts = [
    '--scopes',
    '--expires-in is a number with a unit',
    '--expires-in',
    '--slack-user',
    '--owner',
  ];
  parts.forEach((part, index) => expect(ran[index]?.stderr).toContain(part));
  expect(await redis.hlen('velvet:{system}:service-tokens')).toBe(known);
});

test('a pattern that names nothing in the manifest is refused: its token could do nothing', async () => {
  const known = await redis.hlen('velvet:{system}:service-tokens');
  const [mixed, prefix, without] = await Promise.all([
    create(['--owner', 'ada', '--scopes', 'read', '--credentials', 'HK_ONE,PM_SERVR_MAIL']),
    create(['--owner', 'ada', '--scopes', 'read', '--credentials', 'XX_*']),
    create(['--owner', 'ada', '--scopes', 'read', '--credentials', 'HK_ONE'], {
      REDIS_URL: server.url,
      VELVET_MANIFEST: join(cwd, 'none.yml'),
    }),
  ]);
  expect([mixed, prefix, without].map(({ code, stdout }) => [code, stdout])).toEqual([
    [1, ''],
    [1, ''],
    [1, ''],
  ]);
  expect(mixed.stderr).toMatch(
    /^Nothing was made\. --credentials: PM_SERVR_MAIL names no credential of .*manifest\.yml; it has HK_ONE, PM_SERVER_MAIL\.\n$/,
  );
  expect(prefix.stderr).toContain('XX_* names no credential');
  expect(without.stderr).toContain('none.yml');
  expect(await redis.hlen('velvet:{system}:service-tokens')).toBe(known);
  expect((await create(['--owner', 'ada', '--scopes', 'read', '--credentials', '*'])).code).toBe(0);
});

test('no Redis, one that is away and one that forgets are each a sentence', async () => {
  await using volatile = await startRedis(['--appendonly', 'no']);
  const args = ['--owner', 'ada', '--scopes', 'read'];

  const [unset, away, unfit, allowed] = await Promise.all([
    create(args, {}),
    create(args, { REDIS_URL: 'redis://:hunter2@127.0.0.1:1' }),
    create(args, { REDIS_URL: volatile.url }),
    create(args, { REDIS_URL: volatile.url, VELVET_ALLOW_VOLATILE_REDIS: '1' }),
  ]);

  expect(unset.stderr).toContain('REDIS_URL is not set');
  expect(away.stderr).toMatch(
    /^Redis at 127\.0\.0\.1:1 was not reached \(connect ECONNREFUSED .*\)\. Check REDIS_URL.*\n$/,
  );
  expect(away.stderr).not.toContain('hunter2');
  expect(unfit.stderr).toContain('appendonly is off');
  expect([unset, away, unfit].map(({ code }) => code)).toEqual([1, 1, 1]);
  expect(allowed.code).toBe(0);
});
