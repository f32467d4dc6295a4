import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { full } from '../core/env-fixture.ts';
import { edited, good } from '../core/manifest-text.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { run } from './commands.ts';

let server: RedisServer;
let cwd: string;
beforeAll(async () => {
  [server, cwd] = await Promise.all([startRedis(), mkdtemp(join(tmpdir(), 'velvet-release-'))]);
  await writeFile(join(cwd, 'good.yml'), good);
  await writeFile(join(cwd, 'bad.yml'), edited('    wave: 2', '    wave: 0'));
});
afterAll(async () => {
  await server.stop();
  await rm(cwd, { recursive: true, force: true });
});

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
