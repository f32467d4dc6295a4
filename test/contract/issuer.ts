// What every issuer promises, as data. Law: vendor-neutral; what only one vendor does is tested in that vendor's own file.
import { times } from '../../shared/times.ts';
import assert from 'node:assert/strict';
import { issuers } from '../../shared/manifest/vendors.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import type { Deed } from '../sim/faults.ts';
import type { Check } from './contract-test.ts';
import { callOf, leaseOf, refusedWith } from './expectations.ts';
import { issuerFailureChecks } from './issuer-failures.ts';
import type { IssuerWorld } from './issuer-world.ts';

type IssuerCheck = Check<IssuerWorld>;

const neighbours = [
  'velvet:job-ab:1-k2m9x4qa',
  'velvet:job:1-k2m9x4qa',
  'velvet:job-a',
  'velvet:job-a:',
  'velvet:job-a:note',
  'velvet:job-a:1-k2m9x4qa:x',
  'xvelvet:job-a:1-k2m9x4qa',
  'job-a',
];

const verifyChecks: readonly IssuerCheck[] = [
  {
    name: 'verify tells a live token and names its handle',
    essential: true,
    async run({ issuer, current, currentId, authority }) {
      const result = await issuer.verify(callOf(), current, authority);
      assert.equal(result.current, 'alive');
      assert.equal(result.handle?.id, currentId);
      assert.deepEqual([result.mayMint, result.mayMintReason], [true, null]);
    },
  },
  {
    name: 'verify changes nothing',
    essential: true,
    async run(world) {
      const before = world.live();
      // Without a lease, as a read is called: a change would not even leave.
      await world.issuer.verify(callOf(), world.current, world.authority);
      await world.issuer.verify(callOf({ lease: null }), world.dead, world.authority);
      assert.deepEqual(world.live(), before);
      assert.equal(world.changes(), 0);
    },
  },
  {
    name: 'verify without a current token asks about the authority alone',
    essential: true,
    async run({ issuer, authority }) {
      const result = await issuer.verify(callOf(), null, authority);
      assert.deepEqual([result.current, result.handle, result.mayMint], ['absent', null, true]);
    },
  },
  {
    name: 'a dead current token is a finding, and the authority is judged apart from it',
    essential: true,
    async run({ issuer, dead, authority }) {
      const result = await issuer.verify(callOf(), dead, authority);
      assert.deepEqual([result.current, result.handle, result.mayMint], ['dead', null, true]);
    },
  },
  {
    name: 'a dead authority is authority_invalid in every verb',
    essential: true,
    async run({ issuer, current, dead, foreign }) {
      const handle = { id: foreign('a neighbour'), label: '' };
      await refusedWith('authority_invalid', issuer.verify(callOf(), current, dead));
      await refusedWith('authority_invalid', issuer.mint(callOf(), dead));
      await refusedWith('authority_invalid', issuer.listMinted(callOf(), dead));
      await refusedWith('authority_invalid', issuer.isGone(callOf(), dead, handle, null));
      await refusedWith('authority_invalid', issuer.revoke(callOf(), dead, handle));
    },
  },
  {
    name: 'an authority that may not mint is told apart from a dead one',
    essential: true,
    async run({ issuer, current, weakAuthority }) {
      const result = await issuer.verify(callOf(), current, weakAuthority);
      assert.equal(result.current, 'alive');
      assert.equal(result.mayMint, false);
      assert.match(result.mayMintReason ?? '', /\w/);
    },
  },
  {
    name: 'capabilities are those that the manifest goes by',
    essential: true,
    run({ issuer }) {
      const { mint, revoke, findLeftovers, overlap } = issuers[issuer.vendor];
      assert.deepEqual(issuer.capabilities, { mint, revoke, findLeftovers, overlap, lateMs: times.lateMs });
      return Promise.resolve();
    },
  },
];

const mintChecks: readonly IssuerCheck[] = [
  {
    name: 'mint adds exactly one credential, another one, that works',
    essential: true,
    async run({ issuer, authority, current, live, works }) {
      const before = live();
      const { handle, secret } = await issuer.mint(callOf(), authority);
      assert.deepEqual(live(), [...before, handle.id].toSorted());
      assert.ok(works(secret) && works(current) && !secret.equals(current));
    },
  },
  {
    name: 'the label carries job and fence',
    essential: true,
    async run({ issuer, authority, label }) {
      const { handle } = await issuer.mint(callOf({ jobId: 'job-7f1c', fence: '3-abcdefgh' }), authority);
      assert.equal(handle.label, 'velvet:job-7f1c:3-abcdefgh');
      assert.equal(label(handle.id), 'velvet:job-7f1c:3-abcdefgh');
    },
  },
  {
    name: 'a lost mint answer is vendor_no_answer, is not repeated, and its token is found again',
    essential: true,
    async run(world) {
      world.fault('mint', 'hang_after');
      await refusedWith('vendor_no_answer', world.issuer.mint(callOf(), world.authority));
      assert.equal(world.changes(), 1);
      const found = await world.issuer.listMinted(callOf({ fence: '2-zzzzzzzz' }), world.authority);
      assert.deepEqual(
        found.map((one) => one.label),
        ['velvet:job-a:1-k2m9x4qa'],
      );
    },
  },
  {
    name: 'a mint whose answer cannot be read may have happened',
    essential: true,
    async run({ issuer, authority, fault, changes }) {
      const deeds: readonly Deed[] = [
        'drop_mid_body',
        'malformed',
        { status: 201, body: {}, applied: true },
        { status: 503, body: {} },
      ];
      for (const deed of deeds) {
        fault('mint', deed);
        await refusedWith('vendor_no_answer', issuer.mint(callOf(), authority));
      }
      assert.equal(changes(), deeds.length);
    },
  },
  {
    name: 'no change leaves without a lease that has time left',
    essential: true,
    async run({ issuer, authority, currentId, requests }) {
      const handle = { id: currentId, label: '' };
      await refusedWith('invariant_broken', issuer.mint(callOf({ lease: null }), authority));
      await refusedWith('invariant_broken', issuer.revoke(callOf({ lease: null }), authority, handle));
      await refusedWith('lease_over', issuer.mint(callOf({ lease: leaseOf(0) }), authority));
      await refusedWith('lease_over', issuer.revoke(callOf({ lease: leaseOf(0) }), authority, handle));
      assert.equal(requests(), 0);
    },
  },
];

const endChecks: readonly IssuerCheck[] = [
  {
    name: 'listMinted names every attempt of the job and no neighbour',
    essential: true,
    async run({ issuer, authority, foreign }) {
      neighbours.forEach(foreign);
      await issuer.mint(callOf({ jobId: 'job-ab' }), authority);
      const mine = [
        await issuer.mint(callOf(), authority),
        await issuer.mint(callOf({ fence: '2-zzzzzzzz' }), authority),
      ];
      const listed = await issuer.listMinted(callOf({ fence: '3-yyyyyyyy' }), authority);
      assert.deepEqual(listed.map((one) => one.id).toSorted(), mine.map((one) => one.handle.id).toSorted());
    },
  },
  {
    name: 'revoke ends that one and no other',
    essential: true,
    async run({ issuer, authority, currentId, current, live, works }) {
      const { secret } = await issuer.mint(callOf(), authority);
      const before = live();
      assert.equal(await issuer.revoke(callOf(), authority, { id: currentId, label: '' }), 'revoked');
      assert.deepEqual(
        live(),
        before.filter((id) => id !== currentId),
      );
      assert.ok(works(secret) && works(authority) && !works(current));
    },
  },
  {
    name: 'revoke twice is success',
    essential: true,
    async run({ issuer, authority, currentId }) {
      const handle = { id: currentId, label: '' };
      await issuer.revoke(callOf(), authority, handle);
      assert.equal(await issuer.revoke(callOf(), authority, handle), 'already_gone');
    },
  },
  {
    name: 'a lost revoke answer is vendor_no_answer, and the next revoke succeeds',
    essential: true,
    async run({ issuer, authority, currentId, fault, changes }) {
      const handle = { id: currentId, label: '' };
      fault('revoke', 'drop_mid_body');
      await refusedWith('vendor_no_answer', issuer.revoke(callOf(), authority, handle));
      assert.equal(changes(), 1);
      assert.equal(await issuer.revoke(callOf({ repeat: true }), authority, handle), 'already_gone');
    },
  },
  {
    name: 'isGone tells what is gone from what is still there, and changes nothing',
    essential: true,
    async run({ issuer, authority, current, currentId, changes }) {
      const handle = { id: currentId, label: '' };
      const ask = (known: typeof handle | null, old: Secret | null) =>
        issuer.isGone(callOf({ lease: null }), authority, known, old);
      assert.deepEqual(
        [await ask(handle, null), await ask(null, current), await ask(null, null)],
        ['still_there', 'still_there', 'cannot_tell'],
      );
      assert.equal(changes(), 0);
      await issuer.revoke(callOf(), authority, handle);
      assert.deepEqual([await ask(handle, null), await ask(handle, current)], ['gone', 'gone']);
    },
  },
];

/** The whole suite. */
export const issuerChecks: readonly IssuerCheck[] = [
  ...verifyChecks,
  ...mintChecks,
  ...endChecks,
  ...issuerFailureChecks,
];
