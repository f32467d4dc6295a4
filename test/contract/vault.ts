// The contract of a vault as data. A vault's own test builds a world around it and runs each check over a fresh one.
import { inspect } from 'node:util';
import { expect } from 'vitest';
import type { Lease } from '../../shared/lib/lease.ts';
import { Secret } from '../../shared/lib/secret.ts';
import type { Vault } from '../../workers/vault/contract.ts';
import type { VendorCall } from '../../workers/vendors/contract.ts';
import type { Check } from './contract-test.ts';

export interface VaultWorld extends AsyncDisposable {
  readonly vault: Vault;
  /** The same vault as another process sees it. */
  readonly elsewhere: Vault;
  /** A lease that holds when a change begins and is over just before its last step. */
  leaseThatEndsMidway(): Lease;
  /** Names and bytes of all that lies where the vault keeps its values. */
  atRest(): Promise<Buffer>;
  /** Leaves what a process leaves that was killed in the middle of writing `value` to `slot`. */
  killMidWrite(slot: string, value: string): Promise<void>;
}

const endless: Lease = { fence: '1-aaaaaaaa', until: Number.MAX_SAFE_INTEGER, remainingMs: () => 15_000 };
const over: Lease = { fence: '1-aaaaaaaa', until: 0, remainingMs: () => 0 };

/** A call that may change things, unless told otherwise. */
export function callWith(overrides: Partial<VendorCall> = {}): VendorCall {
  return {
    jobId: 'job-a',
    fence: '1-aaaaaaaa',
    lease: endless,
    signal: new AbortController().signal,
    repeat: false,
    ...overrides,
  };
}

const slot = 'HK_PLATFORM_FULL';
const first = new Secret('first-value-7f1c0b9e');
const second = new Secret('second-value-51d2aa04');

export const vaultChecks: readonly Check<VaultWorld>[] = [
  {
    name: 'what is written is read back, here and by another process',
    essential: true,
    async run({ vault, elsewhere }) {
      const unusual = new Secret('  ü\n"\\\u{1F511}'.repeat(300));

      await vault.write(callWith(), slot, first);
      await vault.write(callWith(), `${slot}__PENDING_2-k2m9x4qa`, unusual);

      await expectHeld(vault, slot, first);
      await expectHeld(elsewhere, slot, first);
      await expectHeld(elsewhere, `${slot}__PENDING_2-k2m9x4qa`, unusual);
    },
  },
  {
    name: 'a slot that was never written is empty, which is no error',
    essential: true,
    async run({ vault }) {
      await vault.write(callWith(), `${slot}__AUTH_ID`, first);

      expect(await vault.read(slot)).toBe(null);
    },
  },
  {
    name: 'a write replaces what was there and nothing else',
    essential: true,
    async run({ vault, elsewhere }) {
      await vault.write(callWith(), slot, first);
      await vault.write(callWith(), `${slot}_2`, first);

      await vault.write(callWith(), slot, second);

      await expectHeld(elsewhere, slot, second);
      await expectHeld(elsewhere, `${slot}_2`, first);
    },
  },
  {
    name: 'create fills an empty slot and never replaces a full one',
    essential: true,
    async run({ vault, elsewhere }) {
      expect(await vault.create(callWith(), slot, first)).toBe('created');

      expect(await vault.create(callWith(), slot, second)).toBe('exists');

      await expectHeld(elsewhere, slot, first);
    },
  },
  {
    name: 'of many creates at once exactly one is told that it created, and its value stays',
    essential: true,
    async run({ vault, elsewhere }) {
      const values = Array.from({ length: 12 }, (_, index) => new Secret(`value-${index}`));

      const outcomes = await Promise.all(
        values.map((value, index) => (index % 2 === 0 ? vault : elsewhere).create(callWith(), slot, value)),
      );

      const winners = values.filter((_, index) => outcomes[index] === 'created');
      expect(winners.length).toBe(1);
      await expectHeld(vault, slot, winners[0] ?? first);
    },
  },
  {
    name: 'a removed slot is empty, removing it again is success, and it can be created anew',
    essential: true,
    async run({ vault, elsewhere }) {
      await vault.write(callWith(), slot, first);

      await vault.remove(callWith(), slot);
      await vault.remove(callWith(), slot);

      expect(await elsewhere.read(slot)).toBe(null);
      expect(await vault.create(callWith(), slot, second)).toBe('created');
    },
  },
  {
    name: 'list names the filled slots with the prefix, sorted, and no others',
    essential: true,
    async run({ vault }) {
      expect(await vault.list('')).toEqual([]);
      const names = ['B__PENDING_9-x', 'B', 'A', 'B__PENDING_10-x', 'B__AUTH_ID', 'BB', 'b', 'C'];
      for (const name of names) await vault.write(callWith(), name, first);
      await vault.remove(callWith(), 'C');

      expect(await vault.list('B__PENDING_')).toEqual(['B__PENDING_10-x', 'B__PENDING_9-x']);
      expect(await vault.list('')).toEqual(names.filter((name) => name !== 'C').toSorted());
    },
  },
  {
    name: 'nothing is changed without a lease',
    essential: true,
    run: (world) => expectRefused(world, { lease: null }),
  },
  {
    name: 'nothing is changed after the end of the lease',
    essential: true,
    run: (world) => expectRefused(world, { lease: over }),
  },
  {
    name: 'nothing is changed once the attempt was stopped',
    essential: true,
    run: (world) => expectRefused(world, { signal: AbortSignal.abort() }),
  },
  {
    name: 'a lease that ends midway stops the change before its last step',
    essential: true,
    async run(world) {
      const { vault, elsewhere } = world;
      await vault.write(callWith(), slot, first);
      const tooLate = () => callWith({ lease: world.leaseThatEndsMidway() });

      await expect(vault.write(tooLate(), slot, second)).rejects.toMatchObject({ code: 'lease_over' });
      await expect(vault.create(tooLate(), 'NEW', second)).rejects.toMatchObject({ code: 'lease_over' });

      await expectHeld(elsewhere, slot, first);
      expect(await elsewhere.list('')).toEqual([slot]);
    },
  },
  {
    name: 'a reader never sees a value that nobody wrote, whatever is written meanwhile',
    essential: true,
    async run({ vault, elsewhere }) {
      const values = Array.from({ length: 8 }, (_, index) => new Secret(String(index).repeat(40_000)));
      await vault.write(callWith(), slot, values[0] ?? first);

      const writes = values.map((value, index) =>
        (index % 2 === 0 ? vault : elsewhere).write(callWith(), slot, value),
      );
      const seen = await readUntil(elsewhere, Promise.all(writes));

      seen.push(await elsewhere.read(slot));
      expect(seen.every((one) => one !== null && values.some((value) => value.equals(one)))).toBe(true);
    },
  },
  {
    name: 'what a killed writer leaves is neither read nor listed, and the slot can be written again',
    essential: false,
    async run(world) {
      const { vault, elsewhere } = world;
      await vault.write(callWith(), slot, first);
      await world.killMidWrite(slot, 'half-written');
      await world.killMidWrite('NEVER_WRITTEN', 'half-written');

      await expectHeld(elsewhere, slot, first);
      expect(await elsewhere.read('NEVER_WRITTEN')).toBe(null);
      expect(await elsewhere.list('')).toEqual([slot]);
      await vault.write(callWith(), 'NEVER_WRITTEN', second);
      await expectHeld(elsewhere, 'NEVER_WRITTEN', second);
    },
  },
  {
    name: 'no value lies readable at rest',
    essential: false,
    async run(world) {
      await world.vault.write(callWith(), slot, first);
      await world.vault.create(callWith(), `${slot}__PREVIOUS_job-a`, second);

      const bytes = await world.atRest();

      // Without this the check would pass over a place where nothing is.
      expect(bytes.length).toBeGreaterThan(0);
      for (const value of ['first-value-7f1c0b9e', 'second-value-51d2aa04'])
        for (const encoding of ['utf8', 'base64', 'hex'] as const)
          expect(bytes.includes(Buffer.from(value).toString(encoding).slice(0, 16))).toBe(false);
    },
  },
  {
    name: 'a slot is named by letters, digits, dot, dash and underscore alone, at most 200',
    essential: true,
    async run({ vault }) {
      for (const name of ['', '../escape', 'a/b', 'a b', 'a\0b', 'ä', 'x'.repeat(201)]) {
        const refused = { code: 'invariant_broken' };
        await expect(vault.write(callWith(), name, first)).rejects.toMatchObject(refused);
        await expect(vault.create(callWith(), name, first)).rejects.toMatchObject(refused);
        await expect(vault.remove(callWith(), name)).rejects.toMatchObject(refused);
        await expect(vault.read(name)).rejects.toMatchObject(refused);
      }
      await vault.write(callWith(), 'x'.repeat(200), first);
      await expectHeld(vault, 'x'.repeat(200), first);
    },
  },
  {
    name: 'a reference names the slot, holds no value and does not change with it',
    essential: true,
    async run({ vault, elsewhere }) {
      const before = vault.ref(slot);
      await vault.write(callWith(), slot, first);

      expect(vault.ref(slot)).toBe(before);
      expect(elsewhere.ref(slot)).toBe(before);
      expect(before).toContain(slot);
      expect(first.appearsIn(vault.ref(slot))).toBe(false);
    },
  },
  {
    name: 'no error holds a value, at any depth',
    essential: true,
    async run(world) {
      const { vault } = world;
      const errors: unknown[] = [];
      const keep = (error: unknown) => errors.push(error);

      await vault.write(callWith({ lease: null }), slot, first).catch(keep);
      await vault.write(callWith({ lease: over }), slot, first).catch(keep);
      await vault.write(callWith({ signal: AbortSignal.abort() }), slot, first).catch(keep);
      await vault.write(callWith({ lease: world.leaseThatEndsMidway() }), slot, first).catch(keep);
      await vault.create(callWith({ lease: over }), slot, first).catch(keep);
      await vault.write(callWith(), '../escape', first).catch(keep);

      expect(errors.length).toBe(6);
      for (const error of errors)
        expect(first.appearsIn(inspect(error, { depth: null, showHidden: true }))).toBe(false);
    },
  },
  {
    name: 'check finds nothing wrong with a vault that works, and leaves it as it was',
    essential: true,
    async run({ vault, elsewhere }) {
      await vault.write(callWith(), slot, first);

      await vault.check();
      await elsewhere.check();

      expect(await vault.list('')).toEqual([slot]);
      await expectHeld(vault, slot, first);
    },
  },
];

async function expectHeld(vault: Vault, name: string, value: Secret): Promise<void> {
  const held = await vault.read(name);
  // By comparison alone: a failing test must not print a value either.
  expect(held?.equals(value) ?? 'empty').toBe(true);
}

async function expectRefused({ vault, elsewhere }: VaultWorld, overrides: Partial<VendorCall>) {
  await vault.write(callWith(), slot, first);

  const refused = { code: 'lease_over' };
  await expect(vault.write(callWith(overrides), slot, second)).rejects.toMatchObject(refused);
  await expect(vault.create(callWith(overrides), 'NEW', second)).rejects.toMatchObject(refused);
  await expect(vault.remove(callWith(overrides), slot)).rejects.toMatchObject(refused);

  await expectHeld(elsewhere, slot, first);
  expect(await elsewhere.list('')).toEqual([slot]);
}

/** What `vault` holds, read over and over for as long as `work` takes. */
async function readUntil(vault: Vault, work: Promise<unknown>): Promise<(Secret | null)[]> {
  const seen: (Secret | null)[] = [];
  const state = { working: true };
  const done = work.finally(() => (state.working = false));
  while (state.working) seen.push(await vault.read(slot));
  await done;
  return seen;
}
