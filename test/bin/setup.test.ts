// bin/setup in a checkout of its own: what it must never touch.
import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

test('modules that are shared through a link are never emptied: it refuses, and says what to do', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'velvet-setup-'));
  const [checkout, shared] = [join(dir, 'checkout'), join(dir, 'shared')];
  await mkdir(join(checkout, 'bin'), { recursive: true });
  await mkdir(join(shared, 'a-module'), { recursive: true });
  await cp(fileURLToPath(new URL('../../bin/setup', import.meta.url)), join(checkout, 'bin/setup'));
  await writeFile(join(checkout, 'package.json'), '{}');
  await writeFile(join(checkout, 'package-lock.json'), '{ "lockfileVersion": 3, "packages": {} }');
  await symlink(shared, join(checkout, 'node_modules'));

  const { status, stderr } = spawnSync('bash', [join(checkout, 'bin/setup')], { encoding: 'utf8' });

  const left = await readdir(shared);
  await rm(dir, { recursive: true, force: true });
  expect(status).toBe(1);
  expect(stderr).toContain(`node_modules is a link to ${shared}`);
  expect(left).toEqual(['a-module']);
});
