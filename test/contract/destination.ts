// What every destination promises, as data. Law: vendor-neutral; what only one vendor does is tested in that vendor's own file.
import { times } from '../../shared/times.ts';
import assert from 'node:assert/strict';
import { destinations } from '../../shared/manifest/vendors.ts';
import { isVelvetError } from '../../shared/lib/errors.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import type { Check } from './contract-test.ts';
import { destinationFailureChecks } from './destination-failures.ts';
import type { DestinationWorld } from './destination-world.ts';
import { assertHoldsNone, callOf, leaseOf, refusedWith } from './expectations.ts';

type DestinationCheck = Check<DestinationWorld>;

const pushChecks: readonly DestinationCheck[] = [
  {
    name: 'push then read back agrees',
    essential: true,
    async run({ destination, target, authority, next, previous, hurry }) {
      const receipt = await destination.push(callOf(), target, authority, next);
      hurry();
      assert.equal(await destination.settled(callOf({ lease: null }), target, authority, receipt), 'yes');
      const evidence = await destination.readBack(
        callOf({ lease: null }),
        target,
        authority,
        { next, previous },
        receipt,
      );
      // Where no value is ever shown, none is claimed to be there.
      const shown = destination.capabilities.readBack === 'value';
      assert.deepEqual(
        [evidence.holds, evidence.effect],
        shown ? ['new', 'running'] : ['unknown', 'unknown'],
        evidence.detail,
      );
    },
  },
  {
    name: 'push leaves its neighbours as they are',
    essential: true,
    async run({ destination, target, authority, next, held }) {
      const before = held();
      await destination.push(callOf(), target, authority, next);
      const after = held();
      const differ = Object.keys({ ...before, ...after }).filter((key) => before[key] !== after[key]);
      assert.deepEqual(differ, [target.update_key]);
    },
  },
  {
    name: 'a repeated push of the same value is success and changes nothing',
    essential: true,
    async run({ destination, target, authority, next, held, versions }) {
      const receipt = await destination.push(callOf(), target, authority, next);
      const before = [held(), versions()];
      const again = await destination.push(callOf({ repeat: true }), target, authority, next);
      assert.deepEqual([held(), versions()], before);
      // Without a look there is nothing to find but a second write of the same value.
      if (destination.capabilities.readBack === 'value') assert.deepEqual(again, receipt);
    },
  },
  {
    name: 'a repeated push writes where the value is not there yet',
    essential: true,
    async run({ destination, target, authority, next, previous }) {
      await destination.push(callOf({ repeat: true }), target, authority, next);
      const evidence = await destination.readBack(callOf(), target, authority, { next, previous }, null);
      if (destination.capabilities.readBack === 'value') assert.equal(evidence.holds, 'new');
    },
  },
  {
    name: 'a name that does not exist yet is made, or missing, as declared',
    essential: true,
    async run({ destination, beside, authority, next, held }) {
      const pushing = destination.push(callOf(), beside, authority, next);
      if (destination.capabilities.creates) await pushing;
      else await refusedWith('vendor_target_missing', pushing);
      assert.equal(beside.update_key in held(), destination.capabilities.creates);
    },
  },
  {
    name: 'a place that does not exist is vendor_target_missing',
    essential: true,
    async run({ destination, missing, authority, next, previous }) {
      await refusedWith('vendor_target_missing', destination.push(callOf(), missing, authority, next));
      const look = destination.readBack(callOf(), missing, authority, { next, previous }, null);
      // A vendor that shows no value may hide a place, too: what is hidden may hold anything.
      if (destination.capabilities.readBack === 'value') await refusedWith('vendor_target_missing', look);
      else assert.equal((await look).holds, 'unknown');
    },
  },
  {
    name: 'pushes to two names at once lose neither',
    essential: true,
    async run({ destination, target, beside, authority, next, previous }) {
      const push = (where: typeof target, value: Secret) =>
        destination.push(callOf(), where, authority, value);
      await Promise.all([push(target, next), push(beside, previous)]);
      const holds = async (where: typeof target) =>
        (await destination.readBack(callOf(), where, authority, { next, previous }, null)).holds;
      if (destination.capabilities.readBack === 'value')
        assert.deepEqual([await holds(target), await holds(beside)], ['new', 'old']);
    },
  },
  {
    name: 'no write leaves without a lease that has time left',
    essential: true,
    async run({ destination, target, authority, next, changes }) {
      await refusedWith(
        'invariant_broken',
        destination.push(callOf({ lease: null }), target, authority, next),
      );
      await refusedWith(
        'lease_over',
        destination.push(callOf({ lease: leaseOf(0) }), target, authority, next),
      );
      assert.equal(changes(), 0);
    },
  },
];

const evidenceChecks: readonly DestinationCheck[] = [
  {
    name: 'a write that is accepted and fails later is not in effect',
    essential: false,
    async run({ destination, target, authority, next, previous, hurry, nextWriteFails }) {
      nextWriteFails();
      const receipt = await destination.push(callOf(), target, authority, next);
      hurry();
      assert.equal(await destination.settled(callOf(), target, authority, receipt), 'failed');
      const evidence = await destination.readBack(callOf(), target, authority, { next, previous }, receipt);
      assert.equal(evidence.effect, 'failed', evidence.detail);
    },
  },
  {
    name: 'read back tells new, old and other apart, and does not guess',
    essential: true,
    async run({ destination, target, authority, next, previous, put }) {
      if (destination.capabilities.readBack !== 'value') return;
      const holds = async (known: { next: Secret | null; previous: Secret | null }) =>
        (await destination.readBack(callOf({ lease: null }), target, authority, known, null)).holds;
      assert.deepEqual(
        [await holds({ next, previous }), await holds({ next, previous: null })],
        ['old', 'other'],
      );
      assert.deepEqual(
        [await holds({ next: previous, previous: null }), await holds({ next: null, previous: null })],
        ['new', 'unknown'],
      );
      put(target, 'something else');
      assert.equal(await holds({ next, previous }), 'other');
    },
  },
  {
    name: 'read back changes nothing',
    essential: true,
    async run({ destination, target, authority, next, previous, held, versions, changes }) {
      const before = [held(), versions()];
      await destination.readBack(callOf({ lease: null }), target, authority, { next, previous }, null);
      assert.deepEqual([held(), versions()], before);
      assert.equal(changes(), 0);
    },
  },
  {
    name: 'whether it may be written is told without writing, and not promised to who may not',
    essential: true,
    async run({ destination, target, authority, weakAuthority, held, versions, changes }) {
      const before = [held(), versions()];
      assert.notEqual(await destination.mayWrite(callOf({ lease: null }), target, authority), 'no');
      const weak = await destination
        .mayWrite(callOf({ lease: null }), target, weakAuthority)
        .catch((error: unknown) => {
          if (isVelvetError(error) && error.code === 'vendor_forbidden') return 'no';
          throw error;
        });
      assert.notEqual(weak, 'yes');
      assert.deepEqual([held(), versions()], before);
      assert.equal(changes(), 0);
    },
  },
  {
    name: 'evidence and receipt never hold a value',
    essential: true,
    async run({ destination, target, authority, next, previous, values, hurry }) {
      const receipt = await destination.push(callOf(), target, authority, next);
      const early = await destination.readBack(callOf(), target, authority, { next, previous }, receipt);
      hurry();
      const late = await destination.readBack(
        callOf(),
        target,
        authority,
        { next: previous, previous: next },
        receipt,
      );
      assert.match(late.detail, /\w/);
      assertHoldsNone([receipt, early, late], values);
    },
  },
  {
    name: 'capabilities are those that the manifest goes by',
    essential: true,
    run({ destination }) {
      const { readBack, creates } = destinations[destination.method];
      assert.deepEqual(destination.capabilities, { readBack, creates, lateMs: times.lateMs });
      return Promise.resolve();
    },
  },
];

/** The whole suite. */
export const destinationChecks: readonly DestinationCheck[] = [
  ...pushChecks,
  ...evidenceChecks,
  ...destinationFailureChecks,
];
