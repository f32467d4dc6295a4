// The world of the file vault for the vault's contract: a folder of its own under the system's temporary one.
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileVault } from '../../workers/vault/file.ts';
import type { FileVault } from '../../workers/vault/file.ts';
import type { VaultWorld } from './vault.ts';

export interface FileVaultWorld extends VaultWorld {
  readonly vault: FileVault;
  readonly elsewhere: FileVault;
  readonly dir: string;
  /** Where the slots' files lie. */
  readonly place: string;
  readonly key: Buffer;
}

export async function fileVaultWorld(): Promise<FileVaultWorld> {
  const dir = await mkdtemp(join(tmpdir(), 'velvet-vault-'));
  const key = randomBytes(32);
  const options = { dir, key, folder: '/velvet', env: 'development' };
  const place = join(dir, 'velvet', 'development');
  const vault = fileVault(options);
  await vault.initialise();
  return {
    vault,
    elsewhere: fileVault(options),
    dir,
    place,
    key,
    leaseThatEndsMidway: () => ({
      fence: '1-aaaaaaaa',
      until: 0,
      remainingMs: () => (readdirSync(place).some((name) => name.endsWith('.tmp')) ? 0 : 15_000),
    }),
    atRest: async () => {
      const entries = await readdir(dir, { recursive: true, withFileTypes: true });
      const files = entries
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name));
      const contents = await Promise.all(files.map((file) => readFile(file)));
      return Buffer.concat([Buffer.from(files.join('\n')), ...contents]);
    },
    killMidWrite: async (slot, value) => writeFile(join(place, `${slot}-8c0e.tmp`), value.slice(0, 4)),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}
