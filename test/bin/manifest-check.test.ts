import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { committed, edited, good } from '../core/manifest-text.ts';
import { velvet } from './commands.ts';

let cwd: string;
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'velvet-manifest-'));
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

test('a good manifest is counted: the file that is named, else the one of the installation', async () => {
  await writeFile(join(cwd, 'm.yml'), good);

  const named = await velvet(['manifest', 'check', 'm.yml'], { cwd });
  const own = await velvet(['manifest', 'check'], { cwd, env: { VELVET_MANIFEST: committed } });

  expect(named).toEqual({ code: 0, stdout: 'ok: 1 credential, 2 rows\n', stderr: '' });
  expect(own).toEqual({ code: 0, stdout: 'ok: 4 credentials, 9 rows\n', stderr: '' });
});

test('every mistake is told at once, each with file, line and column', async () => {
  const bad = edited('    scope: shared', '    scope: shard', edited('    wave: 2', '    wave: 0'));
  await writeFile(join(cwd, 'bad.yml'), bad);

  const { code, stdout, stderr } = await velvet(['manifest', 'check', 'bad.yml'], { cwd });

  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  const lines = stderr.trim().split('\n');
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatch(/^bad\.yml:6:12: `scope` must be shared or per_env/);
  expect(lines[1]).toMatch(/^bad\.yml:21:11: `wave` must be at least 1/);
});

test('loopback addresses pass where the installation allows them', async () => {
  const local = edited('https://first.example.com/healthz', 'http://127.0.0.1:8080/healthz');
  await writeFile(join(cwd, 'local.yml'), local);

  const strict = await velvet(['manifest', 'check', 'local.yml'], { cwd });
  const allowed = await velvet(['manifest', 'check', 'local.yml'], {
    cwd,
    env: { VELVET_ALLOW_LOOPBACK: '1' },
  });

  expect(strict.code).toBe(1);
  expect(strict.stderr).toContain('VELVET_ALLOW_LOOPBACK=1');
  expect(allowed.code).toBe(0);
});

test('a file that is not there is a sentence', async () => {
  const { code, stderr } = await velvet(['manifest', 'check', 'nowhere.yml'], { cwd });

  expect(code).toBe(1);
  expect(stderr).toBe(
    'nowhere.yml:1:1: the manifest cannot be read (ENOENT); check the path, which VELVET_MANIFEST sets\n',
  );
});
