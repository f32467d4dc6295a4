import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { demandInstallation, installationEnv, rememberRedis } from '../../bin/cli/installation.ts';
import { problemsOf } from '../core/env-fixture.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'velvet-installation-'));
  for (const name of ['APP_ENV', 'REDIS_URL', ...keyNames]) vi.stubEnv(name, '');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const keyNames = [
  'VELVET_FILE_VAULT_KEY',
  'VELVET_FINGERPRINT_KEY',
  'VELVET_AUDIT_SIGNING_KEY',
  'VELVET_PROBE_KEY',
  'VELVET_SEAL_PUBLIC_KEY',
  'VELVET_SEAL_PRIVATE_KEY',
];

test('a first start makes what a development installation needs, once, readable by its owner alone', async () => {
  const first = demandInstallation(folder);
  const second = demandInstallation(folder);

  expect(first.made).toEqual(expect.arrayContaining(keyNames));
  expect(first.env['APP_ENV']).toBe('development');
  expect(problemsOf('release', { ...first.env, REDIS_URL: 'redis://127.0.0.1:1' })).toEqual([]);
  expect(second.made).toEqual([]);
  expect(second.env).toEqual(first.env);
  const file = join(folder, '.velvet', 'start.env');
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readFile(file, 'utf8')).toContain(
    `VELVET_FILE_VAULT_KEY=${first.env['VELVET_FILE_VAULT_KEY']}`,
  );
});

test('commands find the keys and the Redis of a running start; the start itself does not take it for a given one', () => {
  const { env } = demandInstallation(folder);
  rememberRedis(folder, 'redis://127.0.0.1:4711');

  expect(installationEnv(folder)).toMatchObject({ ...env, REDIS_URL: 'redis://127.0.0.1:4711' });
  const again = demandInstallation(folder);
  expect(again.env['REDIS_URL']).toBeUndefined();
  expect(again.lastRedisUrl).toBe('redis://127.0.0.1:4711');
});

test('what is set wins over .env, and .env over what was made', async () => {
  demandInstallation(folder);
  await writeFile(
    join(folder, '.env'),
    'VELVET_PROBE_KEY=mine\nHK_VELVET_BOOTSTRAP=from-file\nSL_BOT_NOTIFY=\n',
  );
  vi.stubEnv('HK_VELVET_BOOTSTRAP', 'from-shell');

  const env = installationEnv(folder);

  expect(env).toMatchObject({ VELVET_PROBE_KEY: 'mine', HK_VELVET_BOOTSTRAP: 'from-shell' });
  expect(env).not.toHaveProperty('SL_BOT_NOTIFY');
});

test('outside development nothing is made, and nothing that was made is used', async () => {
  demandInstallation(folder);
  await writeFile(join(folder, '.env'), 'APP_ENV=prod\n');

  expect(demandInstallation(folder).made).toEqual([]);
  for (const env of [demandInstallation(folder).env, installationEnv(folder)]) {
    expect(env['APP_ENV']).toBe('prod');
    expect(env).not.toHaveProperty('VELVET_FILE_VAULT_KEY');
  }
});

test('half of a pair that is given gets no other half that was made: they would not belong together', () => {
  vi.stubEnv('VELVET_SEAL_PRIVATE_KEY', 'given');

  const { made, env } = demandInstallation(folder);

  expect(made).not.toContain('VELVET_SEAL_PUBLIC_KEY');
  expect(env).not.toHaveProperty('VELVET_SEAL_PUBLIC_KEY');
});
