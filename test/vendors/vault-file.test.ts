import { randomBytes } from 'node:crypto';
import { chmod, cp, mkdir, readFile, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Secret } from '../../shared/lib/secret.ts';
import { slots } from '../../workers/vault/contract.ts';
import { fileVault, slotOfRef } from '../../workers/vault/file.ts';
import { contractTest } from '../contract/contract-test.ts';
import { fileVaultWorld } from '../contract/file-vault-world.ts';
import { callWith, vaultChecks } from '../contract/vault.ts';

contractTest(vaultChecks, fileVaultWorld);

describe('a file that is not what it was', () => {
  const value = new Secret('value-in-question');

  test.for([
    ['a flipped bit at its end', (bytes: Buffer) => flipped(bytes, bytes.length - 1)],
    ['a flipped bit in its nonce', (bytes: Buffer) => flipped(bytes, 20)],
    ['another version in its header', (bytes: Buffer) => bytes.with(13, 0x32)],
    ['a cut end', (bytes: Buffer) => bytes.subarray(0, -3)],
    ['a cut after the header', (bytes: Buffer) => bytes.subarray(0, 15)],
    ['no bytes', () => Buffer.alloc(0)],
  ] as const)("is refused by its slot's name: %s", async ([, change]) => {
    await using world = await fileVaultWorld();
    await world.vault.write(callWith(), 'PM_SERVER', value);
    const file = join(world.place, 'PM_SERVER.slot');
    await writeFile(file, change(await readFile(file)));

    const error = await world.vault.read('PM_SERVER').catch((thrown: unknown) => thrown);

    expect(error).toMatchObject({
      code: 'vault_unavailable',
      detail: expect.stringContaining('slot PM_SERVER'),
    });
    expect(value.appearsIn(String(error))).toBe(false);
  });

  test("two slots' files cannot be swapped", async () => {
    await using world = await fileVaultWorld();
    await world.vault.write(callWith(), slots.current('A'), value);
    await world.vault.write(callWith(), slots.pending('A', '2-k2m9x4qa'), new Secret('another'));

    await rename(join(world.place, 'A__PENDING_2-k2m9x4qa.slot'), join(world.place, 'A.slot'));

    await expect(world.vault.read('A')).rejects.toMatchObject({ code: 'vault_unavailable' });
  });

  test.for([
    ['environment', { folder: '/velvet', env: 'prod' }],
    ['folder', { folder: '/other', env: 'development' }],
  ] as const)('a slot does not open in another %s, the key being the same', async ([, other]) => {
    await using world = await fileVaultWorld();
    await world.vault.write(callWith(), 'A', value);
    await cp(world.place, join(world.dir, other.folder, other.env), { recursive: true });

    const vault = fileVault({ dir: world.dir, key: world.key, ...other });

    await expect(vault.read('A')).rejects.toMatchObject({ code: 'vault_unavailable' });
    await expect(vault.check()).rejects.toMatchObject({ code: 'vault_unavailable' });
  });

  test('the same value twice gives different bytes', async () => {
    await using world = await fileVaultWorld();
    const file = join(world.place, 'A.slot');
    await world.vault.write(callWith(), 'A', value);
    const before = await readFile(file);

    await world.vault.write(callWith(), 'A', value);

    expect((await readFile(file)).equals(before)).toBe(false);
  });
});

const unavailable = (detail: RegExp) => ({
  code: 'vault_unavailable',
  detail: expect.stringMatching(detail),
});

describe('check', () => {
  test('says how to make a folder that is missing, and does not make it', async () => {
    await using world = await fileVaultWorld();
    await rm(world.place, { recursive: true });

    await expect(world.vault.check()).rejects.toMatchObject(unavailable(/ENOENT.*npx velvet adopt/));
    await expect(stat(world.place)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('refuses a path that is not a folder', async () => {
    await using world = await fileVaultWorld();
    await rm(world.place, { recursive: true });
    await writeFile(world.place, '');

    await expect(world.vault.check()).rejects.toMatchObject(unavailable(/ENOTDIR/));
  });

  test('refuses a folder that was never made ready', async () => {
    await using world = await fileVaultWorld();
    await rm(join(world.place, 'canary'));

    await expect(world.vault.check()).rejects.toMatchObject(unavailable(/never made ready/));
  });

  test("refuses a key that is not the vault's, as does initialise", async () => {
    await using world = await fileVaultWorld();
    const other = fileVault({ dir: world.dir, key: randomBytes(32), folder: '/velvet', env: 'development' });

    await expect(other.check()).rejects.toMatchObject(unavailable(/VELVET_FILE_VAULT_KEY/));
    await expect(other.initialise()).rejects.toMatchObject(unavailable(/VELVET_FILE_VAULT_KEY/));
  });

  test('refuses a folder that this process cannot write to', async () => {
    await using world = await fileVaultWorld();
    await chmod(world.dir, 0o755);
    await chmod(join(world.dir, 'velvet'), 0o755);
    await chmod(world.place, 0o555);
    await chmod(join(world.place, 'canary'), 0o444);

    // Nothing is forbidden to root, so the check is made as nobody where the tests run as root.
    const found = await asNobody(() => world.vault.check()).catch((error: unknown) => error);

    expect(found).toMatchObject(unavailable(/EACCES.*read and write the folder/));
  });

  test('removes half-written files older than an hour and leaves younger ones', async () => {
    await using world = await fileVaultWorld();
    const names = ['old.tmp', 'young.tmp'];
    for (const name of names) await writeFile(join(world.place, name), 'x');
    const clock = { now: () => 1_800_000_000_000, monotonic: () => 0 };
    await utimes(join(world.place, 'old.tmp'), 0, (clock.now() - 3_600_001) / 1000);
    await utimes(join(world.place, 'young.tmp'), 0, (clock.now() - 3_599_000) / 1000);

    await fileVault({ dir: world.dir, key: world.key, folder: '/velvet', env: 'development', clock }).check();

    expect((await readdir(world.place)).toSorted()).toEqual(['canary', 'young.tmp']);
  });
});

test('a missing folder is never an empty vault', async () => {
  await using world = await fileVaultWorld();
  await rm(world.dir, { recursive: true });

  const refused = { code: 'vault_unavailable' };
  await expect(world.vault.read('A')).rejects.toMatchObject(refused);
  await expect(world.vault.list('')).rejects.toMatchObject(refused);
  await expect(world.vault.remove(callWith(), 'A')).rejects.toMatchObject(refused);
  await expect(world.vault.write(callWith(), 'A', new Secret('x'))).rejects.toMatchObject(refused);
  await expect(world.vault.create(callWith(), 'A', new Secret('x'))).rejects.toMatchObject(refused);
});

test('only the owner can read the folder and its files, whatever they were before', async () => {
  await using world = await fileVaultWorld();
  await mkdir(join(world.dir, 'velvet', 'prod'), { mode: 0o777 });
  const vault = fileVault({ dir: world.dir, key: world.key, folder: '/velvet', env: 'prod' });

  await vault.initialise();
  await vault.write(callWith(), 'A', new Secret('x'));

  const modeOf = async (...path: string[]) =>
    (await stat(join(world.dir, 'velvet', 'prod', ...path))).mode & 0o777;
  expect(await modeOf()).toBe(0o700);
  expect(await modeOf('A.slot')).toBe(0o600);
  expect(await modeOf('canary')).toBe(0o600);
});

test('nothing but slots and the canary stays behind, whatever failed', async () => {
  await using world = await fileVaultWorld();
  await world.vault.write(callWith(), 'A', new Secret('x'));
  await world.vault.create(callWith(), 'A', new Secret('y'));
  await world.vault
    .write(callWith({ lease: world.leaseThatEndsMidway() }), 'A', new Secret('z'))
    .catch(() => null);
  await world.vault.initialise();

  expect((await readdir(world.place)).toSorted()).toEqual(['A.slot', 'canary']);
});

test('odd names stay in the folder and apart from its other files', async () => {
  await using world = await fileVaultWorld();
  const names = ['.', '..', '.tmp', 'canary', 'x.tmp', 'x.slot'];
  for (const name of names) await world.vault.write(callWith(), name, new Secret(`value of ${name}`));

  await world.vault.check();

  expect(await world.vault.list('')).toEqual(names.toSorted());
  for (const name of names)
    expect((await world.vault.read(name))?.equals(new Secret(`value of ${name}`))).toBe(true);
});

test('a reference can be taken apart again, and nothing else can', () => {
  const vault = fileVault({ dir: '/nowhere', key: randomBytes(32), folder: '/team/velvet', env: 'prod' });

  const ref = vault.ref('HK_PLATFORM_FULL');

  expect(ref).toBe('file:/team/velvet/prod/HK_PLATFORM_FULL');
  expect(slotOfRef(ref)).toEqual({ folder: '/team/velvet', env: 'prod', slot: 'HK_PLATFORM_FULL' });
  for (const other of [
    '',
    'HK_PLATFORM_FULL',
    'file:HK',
    'file:/velvet/prod/',
    'ssm:/velvet/prod/HK',
    'file:/v/prod/a b',
  ])
    expect(() => slotOfRef(other)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
});

function flipped(bytes: Buffer, index: number): Uint8Array {
  return bytes.with(index, (bytes[index] ?? 0) ^ 1);
}

async function asNobody<T>(work: () => Promise<T>): Promise<T> {
  const isRoot = process.getuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  try {
    return await work();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}
