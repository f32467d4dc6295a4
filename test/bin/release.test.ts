import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { full } from '../core/env-fixture.ts';
import { newSealKeys } from '../../shared/lib/seal-keys.ts';
import { edited, good } from '../core/manifest-text.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { run } from './commands.ts';

let server: RedisServer;
let cwd: string;
beforeAll(async () => {
  [server, cwd] = await Promise.all([startRedis(), mkdtemp(join(tmpdir(), 'velvet-release-'))]);
  await writeFile(join(cwd, 'good.yml'), good);
  await writeFile(join(cwd, 'by-hand.yml'), byHand);
  await writeFile(join(cwd, 'bad.yml'), edited('    wave: 2', '    wave: 0'));
});
afterAll(async () => {
  await server.stop();
  await rm(cwd, { recursive: true, force: true });
});

// Minted by hand.
const byHand = edited(
  'issuer: heroku-oauth\n    issuer_auth_token_name: HK_BOSS',
  'issuer: OPERATOR_MANUAL\n    verify: { url: "https://api.example.com/me", header: Authorization }',
);

const release = (env: Record<string, string | undefined>) =>
  run('release.ts', [], {
    cwd,
    env: { ...full, REDIS_URL: server.url, VELVET_MANIFEST: 'good.yml', ...env },
  });

test('a release that is fit goes out', async () => {
  const { code, stderr } = await release({});

  expect(stderr).toBe('release: environment and Redis are fit; the manifest has 1 credentials and 2 rows\n');
  expect(code).toBe(0);
});

test('every problem stops it, all told at once', async () => {
  await using volatile = await startRedis(['--appendonly', 'no', '--maxmemory-policy', 'allkeys-lru']);

  const { code, stderr } = await release({
    APP_ENV: 'production',
    VELVET_FINGERPRINT_KEY: undefined,
    VELVET_MANIFST: 'x',
    VELVET_MANIFEST: 'bad.yml',
    REDIS_URL: volatile.url,
  });

  expect(code).toBe(1);
  const parts = ['APP_ENV must be', 'VELVET_FINGERPRINT_KEY is not set', 'VELVET_MANIFST is unknown', 'bad.yml:21:11: `wave`', "maxmemory-policy is 'allkeys-lru'", 'appendonly is off']; // prettier-ignore
  for (const part of parts) expect(stderr).toContain(part);
  expect(stderr.match(/^- /gm)).toHaveLength(parts.length);
});

test('a Redis that is away stops it, without its password', async () => {
  const { code, stderr } = await release({ REDIS_URL: 'redis://:hunter2@127.0.0.1:1' });

  expect(code).toBe(1);
  expect(stderr).toContain('Redis at 127.0.0.1:1 was not reached');
  expect(stderr).not.toContain('hunter2');
});

test('a credential that is minted by hand needs the seal keys, both, and a pair; without one nobody needs them', async () => {
  const { publicKey, privateKey } = newSealKeys();
  const pair = { VELVET_SEAL_PUBLIC_KEY: publicKey, VELVET_SEAL_PRIVATE_KEY: privateKey };
  const prod = { VELVET_MANIFEST: 'by-hand.yml', APP_ENV: 'prod' };

  const [none, half, mixed, both] = await Promise.all([
    release({ ...prod }),
    release({ ...prod, VELVET_SEAL_PUBLIC_KEY: publicKey }),
    release({ ...prod, ...pair, VELVET_SEAL_PRIVATE_KEY: newSealKeys().privateKey }),
    release({ ...prod, ...pair }),
  ]);

  expect([none.code, half.code, mixed.code, both.code]).toEqual([1, 1, 1, 0]);
  for (const name of Object.keys(pair)) expect(none.stderr).toContain(`${name} is not set, and HK_ONE`);
  expect(half.stderr).not.toContain('VELVET_SEAL_PUBLIC_KEY is not set');
  expect(half.stderr).toContain(
    'VELVET_SEAL_PRIVATE_KEY is not set, and HK_ONE of the manifest is minted by hand',
  );
  expect(mixed.stderr).toContain('must be the other half');
}, 120_000);
