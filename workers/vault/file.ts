// The embedded vault: one encrypted file per slot. Law: a slot appears or changes whole, by one rename or link, and only while the lease lasts.
import { randomUUID } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../shared/lib/clock.ts';
import type { Clock } from '../../shared/lib/clock.ts';
import { VelvetError } from '../../shared/lib/errors.ts';
import { Secret } from '../../shared/lib/secret.ts';
import type { VendorCall } from '../vendors/contract.ts';
import type { Vault } from './contract.ts';
import { openSealed, sealText } from './sealed-text.ts';
import { assertMayChange, checkedName, isSlotName } from './slot-guards.ts';

export interface FileVaultOptions {
  /** Where the files lie; the folder and the environment are folders below it. */
  readonly dir: string;
  /** 32 bytes. */
  readonly key: Buffer;
  /** Velvet's own folder, e.g. `/velvet`. */
  readonly folder: string;
  readonly env: string;
  readonly clock?: Clock;
}

export interface FileVault extends Vault {
  /** Makes the folder where it is missing. Throws `vault_unavailable` where it is there and belongs to another key. */
  initialise(): Promise<void>;
}

export function fileVault(options: FileVaultOptions): FileVault {
  const at = siteOf(options);
  return {
    kind: 'file',
    ...upkeep(at, options.clock ?? systemClock),
    ...reads(at),
    ...changes(at),
    ref: (slot) => `file:${options.folder}/${options.env}/${checkedName(slot)}`,
  };
}

/** What a `vault_ref` of the file vault names. Throws `invalid_request` for anything else. */
export function slotOfRef(ref: string): {
  readonly folder: string;
  readonly env: string;
  readonly slot: string;
} {
  const [, folder, env, slot] = /^file:(\/.+)\/([^/]+)\/([^/]+)$/.exec(ref) ?? [];
  if (folder === undefined || env === undefined || slot === undefined || !isSlotName(slot))
    throw new VelvetError('invalid_request', 'not a reference into the file vault', {
      detail:
        'This is not a `vault_ref` of the file vault. Copy it from the job; one looks like `file:/velvet/prod/HK_PLATFORM_FULL`.',
    });
  return { folder, env, slot };
}

// The ends keep slots, half-written files and the canary apart, whatever a slot is called, and make `..` an ordinary name.
const slotEnd = '.slot';
const halfWrittenEnd = '.tmp';
const canaryFile = 'canary';
// No slot can have this name.
const canary = '{canary}';
const howToMake =
  'Mend VELVET_FILE_VAULT_DIR, or make the vault: `npx velvet adopt <NAME>` does so with its first value.';
/** A write takes milliseconds; whatever lies there for an hour belongs to a process that died. */
const leftoverAfterMs = 3_600_000;

/** Where the files of one folder and environment lie, and how they are sealed. */
interface Site {
  readonly place: string;
  readonly fileOf: (slot: string) => string;
  readonly seal: (slot: string, text: string) => Buffer;
  /** The text in a file, or null where there is none. */
  readonly readText: (slot: string, file: string) => Promise<string | null>;
}

function siteOf({ dir, key, folder, env }: FileVaultOptions): Site {
  const place = join(dir, folder, env);
  // A ciphertext is good for this slot alone, so that no file can stand in for another. JSON, so that no two triples read alike.
  const bindingOf = (slot: string) => Buffer.from(JSON.stringify([folder, env, slot]));
  return {
    place,
    fileOf: (slot) => join(place, `${checkedName(slot)}${slotEnd}`),
    seal: (slot, text) => sealText(key, bindingOf(slot), text),
    readText: async (slot, file) => {
      const bytes = await readFile(file).catch(absent);
      if (bytes === null) {
        // Without this a folder that was not mounted would read as a vault without credentials.
        await stat(place);
        return null;
      }
      const text = openSealed(key, bindingOf(slot), bytes);
      if (text === null) throw notOpened(slot, place);
      return text;
    },
  };
}

function upkeep({ place, seal, readText }: Site, clock: Clock): Pick<FileVault, 'check' | 'initialise'> {
  return {
    check: () =>
      explained(place, 'be checked', async () => {
        await removeLeftovers(place, clock);
        await staged(place, seal(canary, canary), () => Promise.resolve());
        if ((await readText(canary, join(place, canaryFile))) === null)
          throw unavailable(place, 'it was never made ready', howToMake);
      }),

    initialise: () =>
      explained(place, 'be made', async () => {
        await mkdir(place, { recursive: true, mode: 0o700 });
        await chmod(place, 0o700);
        await staged(place, seal(canary, canary), (file) => linked(file, join(place, canaryFile)));
        await flushFolder(place);
        await readText(canary, join(place, canaryFile));
      }),
  };
}

function reads({ place, fileOf, readText }: Site): Pick<Vault, 'read' | 'list'> {
  return {
    read: (slot) =>
      explained(`slot ${slot}`, 'be read', async () => {
        const text = await readText(slot, fileOf(slot));
        return text === null ? null : new Secret(text);
      }),

    list: (prefix) =>
      explained(place, 'be listed', async () => {
        const files = await readdir(place);
        const names = files
          .filter((file) => file.endsWith(slotEnd))
          .map((file) => file.slice(0, -slotEnd.length));
        return names.filter((name) => isSlotName(name) && name.startsWith(prefix)).toSorted();
      }),
  };
}

function changes({ place, fileOf, seal }: Site): Pick<Vault, 'write' | 'create' | 'remove'> {
  return {
    write: (call, slot, secret) =>
      changing(call, slot, () =>
        staged(place, seal(slot, secret.reveal()), async (file) => {
          assertMayChange(call, slot);
          await rename(file, fileOf(slot));
          await flushFolder(place);
        }),
      ),

    create: (call, slot, secret) =>
      changing(call, slot, () =>
        staged(place, seal(slot, secret.reveal()), async (file) => {
          assertMayChange(call, slot);
          const outcome = await linked(file, fileOf(slot));
          await flushFolder(place);
          return outcome;
        }),
      ),

    remove: (call, slot) =>
      changing(call, slot, async () => {
        // As in readText: a missing folder is no empty slot.
        await stat(place);
        assertMayChange(call, slot);
        await unlink(fileOf(slot)).catch(absent);
        await flushFolder(place);
      }),
  };
}

/** Runs a change under its lease, asked at the start so that nothing is done in vain; the change asks again before its last step. */
async function changing<T>(call: VendorCall, slot: string, change: () => Promise<T>): Promise<T> {
  checkedName(slot);
  assertMayChange(call, slot);
  return explained(`slot ${slot}`, 'be changed', change);
}

/** Writes a file beside the slots, durably, hands it to `place`, and leaves nothing behind. */
async function staged<T>(folder: string, bytes: Buffer, place: (file: string) => Promise<T>): Promise<T> {
  const file = join(folder, `${randomUUID()}${halfWrittenEnd}`);
  try {
    await using handle = await open(file, 'wx', 0o600);
    await handle.writeFile(bytes);
    await handle.sync();
    return await place(file);
  } finally {
    await rm(file, { force: true });
  }
}

/** Gives a file a second name if nothing has that name yet; unlike a rename it never replaces. */
function linked(file: string, name: string): Promise<'created' | 'exists'> {
  return link(file, name).then(
    () => 'created' as const,
    (error: unknown) => {
      if (codeOf(error) === 'EEXIST') return 'exists' as const;
      throw error;
    },
  );
}

/** A name is durable only once its folder is. */
async function flushFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}

async function removeLeftovers(folder: string, clock: Clock): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.endsWith(halfWrittenEnd)) continue;
    const file = join(folder, name);
    const found = await stat(file).catch(absent);
    if (found !== null && clock.now() - found.mtimeMs > leftoverAfterMs) await rm(file, { force: true });
  }
}

function notOpened(slot: string, place: string): VelvetError {
  if (slot === canary)
    return unavailable(
      place,
      'this key does not open it',
      'Set VELVET_FILE_VAULT_KEY to the key with which it was made.',
    );
  return unavailable(
    `slot ${slot}`,
    "it cannot be decrypted: its file was changed, or is another slot's or key's",
    'Put the file back from a backup.',
  );
}

function unavailable(what: string, why: string, todo: string): VelvetError {
  return new VelvetError('vault_unavailable', `file vault, ${what}: ${why}`, {
    detail: `File vault, ${what}: ${why}. ${todo}`,
  });
}

/** Turns what the file system refuses into `vault_unavailable`, with the reason and what to do. */
async function explained<T>(what: string, verb: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = codeOf(error);
    if (code === null) throw error;
    const todo =
      code === 'ENOENT' || code === 'ENOTDIR'
        ? howToMake
        : 'Let the process read and write the folder, and see that the disk has room.';
    throw unavailable(what, `it could not ${verb} (${code})`, todo);
  }
}

function absent(error: unknown): null {
  if (codeOf(error) === 'ENOENT') return null;
  throw error;
}

/** The system's name for what went wrong, or null where the error is not the system's. */
function codeOf(error: unknown): string | null {
  const isSystems = error instanceof Error && 'syscall' in error && 'code' in error;
  return isSystems && typeof error.code === 'string' ? error.code : null;
}
