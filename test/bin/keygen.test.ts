import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { problemsOf } from '../core/env-fixture.ts';
import { onTerminal, velvet } from './commands.ts';

let cwd: string;
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'velvet-keygen-'));
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

const APP = { APP_ENV: 'development', REDIS_URL: 'redis://127.0.0.1:6379' };

test('keys in a file are for its owner alone, and are all that a new installation needs', async () => {
  const { code, stdout, stderr } = await velvet(['keygen', '--out', 'new.env'], { cwd });

  expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
  const file = join(cwd, 'new.env');
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const keys = parseEnv(await readFile(file, 'utf8')) as Record<string, string>;
  expect(Object.keys(keys).toSorted()).toEqual([
    'VELVET_AUDIT_SIGNING_KEY',
    'VELVET_FILE_VAULT_KEY',
    'VELVET_FINGERPRINT_KEY',
    'VELVET_PROBE_KEY',
    'VELVET_SEAL_PRIVATE_KEY',
    'VELVET_SEAL_PUBLIC_KEY',
  ]);
  expect(new Set(Object.values(keys)).size).toBe(6);
  expect(problemsOf('release', { ...APP, ...keys })).toEqual([]);
  for (const key of Object.values(keys)) expect(stderr).not.toContain(key);
});

test('a file that is there is never overwritten', async () => {
  const file = join(cwd, 'old.env');
  await writeFile(file, 'precious');

  const { code, stderr } = await velvet(['keygen', '--out', 'old.env'], { cwd });

  expect(code).toBe(1);
  expect(stderr).toContain('old.env is there already');
  expect(await readFile(file, 'utf8')).toBe('precious');
});

test('a folder that may not be written to is named, without a stack', async () => {
  const { code, stderr } = await velvet(['keygen', '--out', join('missing', 'new.env')], { cwd });

  expect(code).toBe(1);
  expect(stderr).toMatch(/^missing\/new\.env could not be made \(ENOENT\)\. .*\n$/);
});

test('a pipe gets no key, but what to do instead', async () => {
  const { code, stdout, stderr } = await velvet(['keygen'], { cwd });

  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain('keygen prints to a terminal only');
  expect(stderr).toContain('npx velvet keygen --out <file>');
});

test('a terminal gets the keys as .env lines', async () => {
  const { code, screen } = await onTerminal(['keygen'], { cwd });

  expect(code).toBe(0);
  const keys = parseEnv(screen.replaceAll('\r', '')) as Record<string, string>;
  expect(problemsOf('release', { ...APP, ...keys })).toEqual([]);
});
