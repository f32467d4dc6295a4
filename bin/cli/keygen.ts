// The keys of a new installation. Law: they go to a terminal or into a file of mode 600 that did not exist, and nowhere else.
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { newSealKeys } from '../../shared/lib/seal-keys.ts';
import { note, refuse } from './say.ts';

/** Every key that this release reads, with what it is for. */
const keyMeanings = {
  VELVET_FILE_VAULT_KEY:
    "stage, distribute, healthcheck: opens the vault. Lost, and every value in it is lost; keep a copy apart from the vault's folder.",
  VELVET_FINGERPRINT_KEY:
    'stage, distribute, healthcheck: the same for all three, and never changed while a rotation is open.',
  VELVET_AUDIT_SIGNING_KEY:
    'stage alone: the seed of the Ed25519 key that seals the audit trail. Nobody who can write to Redis may have it.',
  VELVET_SEAL_PUBLIC_KEY:
    'web: seals what operators type. Only needed, like the next one, where a credential is minted by hand.',
  VELVET_SEAL_PRIVATE_KEY: 'stage alone: opens what web sealed with the line above. The two belong together.',
  VELVET_PROBE_KEY:
    'healthcheck, and consumers that answer a challenge only to those who send it. Leave it out where none does.',
} as const;

export type Keys = Readonly<Record<keyof typeof keyMeanings, string>>;

/** 32 bytes each, in base64; all but the pair are random. */
export function newKeys(): Keys {
  const names = Object.keys(keyMeanings) as (keyof Keys)[];
  const random = Object.fromEntries(names.map((name) => [name, randomBytes(32).toString('base64')])) as Keys;
  const { publicKey, privateKey } = newSealKeys();
  return { ...random, VELVET_SEAL_PUBLIC_KEY: publicKey, VELVET_SEAL_PRIVATE_KEY: privateKey };
}

/** Prints new keys as .env lines, or puts them into a new file. Throws where others could read them, or a file would be replaced. */
export function keygen(out: string | undefined): void {
  const text = linesOf(newKeys());
  if (out !== undefined) {
    writeNew(out, text);
    note(`Wrote ${Object.keys(keyMeanings).length} keys to ${out}, readable by you alone. Add them to .env.`);
    return;
  }
  if (!process.stdout.isTTY) {
    refuse(
      'keygen prints to a terminal only: a pipe or a redirected file could be read by others. Use `npx velvet keygen --out <file>`, which makes the file with mode 600.',
    );
  }
  process.stdout.write(text);
}

function writeNew(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    if (code === 'EEXIST')
      refuse(
        `${file} is there already, and keys are never overwritten: what they opened would be lost. Name a new file.`,
      );
    refuse(`${file} could not be made (${code}). Name a file in a folder that you may write to.`);
  }
}

function linesOf(keys: Keys): string {
  const entries = Object.entries(keys) as [keyof Keys, string][];
  return entries.map(([name, key]) => `# ${keyMeanings[name]}\n${name}=${key}\n`).join('');
}
