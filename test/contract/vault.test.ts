import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Secret } from '../../shared/lib/secret.ts';
import type { Vault } from '../../workers/vault/contract.ts';
import type { FileVault } from '../../workers/vault/file.ts';
import { acceptedSkips, rejectedBy } from './contract-test.ts';
import { fileVaultWorld } from './file-vault-world.ts';
import type { FileVaultWorld } from './file-vault-world.ts';
import { callWith, vaultChecks } from './vault.ts';

type Damage = (vault: FileVault, world: FileVaultWorld) => Partial<Vault>;

/** A world whose vault, here and elsewhere, has some of its verbs replaced. */
function brokenWorld(damage: Damage): () => Promise<FileVaultWorld> {
  return async () => {
    const world = await fileVaultWorld();
    const broken = (vault: FileVault): FileVault => ({ ...vault, ...damage(vault, world) });
    return { ...world, vault: broken(world.vault), elsewhere: broken(world.elsewhere) };
  };
}

const unlimited = callWith();

describe('the suite bites: each broken vault is rejected by the check meant for it', () => {
  test.for<{
    readonly broken: string;
    readonly damage: Damage;
    readonly check: string;
  }>([
    {
      broken: 'create replaces',
      damage: (vault) => ({
        create: (call, slot, secret) => vault.write(call, slot, secret).then(() => 'created' as const),
      }),
      check: 'create fills an empty slot and never replaces a full one',
    },
    {
      broken: 'create looks first and writes then',
      damage: (vault) => ({
        create: async (call, slot, secret) => {
          if ((await vault.read(slot)) !== null) return 'exists';
          await vault.write(call, slot, secret);
          return 'created';
        },
      }),
      check: 'of many creates at once exactly one is told that it created, and its value stays',
    },
    {
      broken: 'the value is kept in this process alone',
      damage: () => {
        const held = new Map<string, Secret>();
        return {
          write: async (_call, slot, secret) => void held.set(slot, secret),
          read: async (slot) => held.get(slot) ?? null,
        };
      },
      check: 'what is written is read back, here and by another process',
    },
    {
      broken: 'the value lies in plain text beside the slot',
      damage: (vault, { place }) => ({
        write: async (call, slot, secret) => {
          await vault.write(call, slot, secret);
          await writeFile(join(place, 'backup'), secret.reveal());
        },
      }),
      check: 'no value lies readable at rest',
    },
    {
      broken: 'the lease is not looked at',
      damage: (vault) => ({
        write: (_call, slot, secret) => vault.write(unlimited, slot, secret),
        remove: (_call, slot) => vault.remove(unlimited, slot),
      }),
      check: 'nothing is changed without a lease',
    },
    {
      broken: 'a lease that is over is a lease',
      damage: (vault) => ({
        remove: (call, slot) => vault.remove(call.lease === null ? call : unlimited, slot),
      }),
      check: 'nothing is changed after the end of the lease',
    },
    {
      broken: 'the lease is looked at in the beginning alone',
      damage: (vault) => ({
        write: (call, slot, secret) =>
          vault.write(call.lease?.remainingMs() ? { ...call, lease: unlimited.lease } : call, slot, secret),
      }),
      check: 'a lease that ends midway stops the change before its last step',
    },
    {
      broken: 'the signal is not looked at',
      damage: (vault) => ({
        remove: (call, slot) => vault.remove({ ...call, signal: unlimited.signal }, slot),
      }),
      check: 'nothing is changed once the attempt was stopped',
    },
    {
      broken: 'a slot is emptied before it is written',
      damage: (vault) => ({
        write: async (call, slot, secret) => {
          await vault.remove(call, slot);
          await turn();
          await vault.write(call, slot, secret);
        },
      }),
      check: 'a reader never sees a value that nobody wrote, whatever is written meanwhile',
    },
    {
      broken: 'half-written files are listed',
      damage: (_vault, { place }) => ({
        list: async (prefix) => {
          const names = (await readdir(place)).map((name) => name.replace(/\.(slot|tmp)$/, ''));
          return names.filter((name) => name !== 'canary' && name.startsWith(prefix)).toSorted();
        },
      }),
      check: 'what a killed writer leaves is neither read nor listed, and the slot can be written again',
    },
    {
      broken: 'list is not sorted',
      damage: (vault) => ({ list: async (prefix) => (await vault.list(prefix)).toReversed() }),
      check: 'list names the filled slots with the prefix, sorted, and no others',
    },
    {
      broken: 'removing an empty slot is an error',
      damage: (vault) => ({
        remove: async (call, slot) => {
          if ((await vault.read(slot)) === null) throw new Error('nothing there');
          await vault.remove(call, slot);
        },
      }),
      check: 'a removed slot is empty, removing it again is success, and it can be created anew',
    },
    {
      broken: 'an empty slot is an error',
      damage: (vault) => ({
        read: async (slot) => (await vault.read(slot)) ?? Promise.reject(new Error('nothing there')),
      }),
      check: 'a slot that was never written is empty, which is no error',
    },
    {
      broken: 'a write leaves a full slot as it is',
      damage: (vault) => ({
        write: async (call, slot, secret) => void (await vault.create(call, slot, secret)),
      }),
      check: 'a write replaces what was there and nothing else',
    },
    {
      broken: 'any slot name is taken',
      damage: (vault) => ({ read: (slot) => vault.read(slot).catch(() => null) }),
      check: 'a slot is named by letters, digits, dot, dash and underscore alone, at most 200',
    },
    {
      broken: 'the reference holds the value',
      damage: (vault) => {
        const held = new Map<string, Secret>();
        return {
          write: async (call, slot, secret) => {
            await vault.write(call, slot, secret);
            held.set(slot, secret);
          },
          ref: (slot) => `${vault.ref(slot)}#${held.get(slot)?.reveal() ?? ''}`,
        };
      },
      check: 'a reference names the slot, holds no value and does not change with it',
    },
    {
      broken: 'an error holds the value in its cause',
      damage: (vault) => ({
        write: (call, slot, secret) =>
          vault.write(call, slot, secret).catch((error: unknown) => {
            throw Object.assign(error as Error, { cause: { body: { secret: secret.reveal() } } });
          }),
      }),
      check: 'no error holds a value, at any depth',
    },
    {
      broken: 'check leaves a slot behind',
      damage: (vault) => ({ check: () => vault.write(unlimited, 'CHECK', new Secret('x')) }),
      check: 'check finds nothing wrong with a vault that works, and leaves it as it was',
    },
  ])('$broken', async ({ damage, check }) => {
    expect(await rejectedBy(vaultChecks, brokenWorld(damage))).toContain(check);
  });

  test('a whole vault is rejected by none', async () => {
    expect(await rejectedBy(vaultChecks, fileVaultWorld)).toEqual([]);
  });
});

describe('exceptions from a contract', () => {
  const checks = [
    { name: 'must', essential: true },
    { name: 'may', essential: false },
  ];

  test('one that is not essential is excused with a reason', () => {
    expect([...acceptedSkips(checks, [{ check: 'may', reason: 'the vendor has none' }]).keys()]).toEqual([
      'may',
    ]);
  });

  test('an essential check, an unknown one and an empty reason are each refused by name', () => {
    const skips = [
      { check: 'must', reason: 'too hard' },
      { check: 'may', reason: ' ' },
      { check: 'gone', reason: 'renamed' },
    ];

    expect(() => acceptedSkips(checks, skips)).toThrow(
      /"must" is essential.*"may" needs a reason.*named "gone"/,
    );
  });

  test('a skip without a reason does not type-check', () => {
    // @ts-expect-error: the reason is missing.
    expect(() => acceptedSkips(checks, [{ check: 'may' }])).toThrow(TypeError);
  });

  test('an empty suite and one that names two checks alike are refused', () => {
    expect(() => acceptedSkips([], [])).toThrow('no checks');
    expect(() => acceptedSkips([...checks, ...checks], [])).toThrow('same name');
  });
});
