// What an issuer makes of a vendor that refuses, fails or says nothing. Law: an outcome that is not known is never "no".
import assert from 'node:assert/strict';
import type { Deed } from '../sim/faults.ts';
import type { Check } from './contract-test.ts';
import { assertHoldsNone, callOf, refusedWith, thrownBy, within } from './expectations.ts';
import type { IssuerStep, IssuerWorld } from './issuer-world.ts';

const surprise: Deed = { status: 200, body: { surprise: true } };
const page = (status: number): Deed => ({ status, body: '<html>no</html>' });

/** The second half of the issuer suite. */
export const issuerFailureChecks: readonly Check<IssuerWorld>[] = [
  {
    name: 'a rate limit carries its wait and is one request',
    essential: false,
    async run({ issuer, authority, fault, requests }) {
      fault('mint', { rate_limited: { retry_after_s: 7 } });
      const error = await refusedWith('vendor_rate_limited', issuer.mint(callOf(), authority));
      assert.equal(error.retryAfterMs, 7_000);
      fault('list', 'rate_limited');
      assert.ok(
        ((await refusedWith('vendor_rate_limited', issuer.listMinted(callOf(), authority))).retryAfterMs ??
          0) > 0,
      );
      assert.equal(requests(), 2);
    },
  },
  {
    name: 'an abort settles promptly',
    essential: true,
    async run({ issuer, authority, fault, patienceMs }) {
      const called = new AbortController();
      fault('mint', 'hang_before');
      const minting = thrownBy(issuer.mint(callOf({ signal: called.signal }), authority));
      setTimeout(() => called.abort(), 20);
      assert.equal((await within(patienceMs / 2, minting)).code, 'vendor_no_answer');
    },
  },
  {
    name: 'an answer in an unknown shape is vendor_bad_answer',
    essential: true,
    async run({ issuer, authority, current, currentId, fault }) {
      fault('probe', surprise);
      await refusedWith('vendor_bad_answer', issuer.verify(callOf(), current, authority));
      for (const deed of [surprise, 'malformed'] as const) {
        fault('list', deed);
        await refusedWith('vendor_bad_answer', issuer.listMinted(callOf(), authority));
      }
      fault('info', surprise);
      await refusedWith(
        'vendor_bad_answer',
        issuer.isGone(callOf(), authority, { id: currentId, label: '' }, null),
      );
    },
  },
  {
    name: "an edge's refusal says nothing about a token",
    essential: true,
    async run({ issuer, authority, current, currentId, fault }) {
      const handle = { id: currentId, label: '' };
      for (const deed of ['edge', page(401), page(503)] as const) {
        fault('probe', deed);
        await refusedWith('vendor_edge_refused', issuer.verify(callOf(), current, authority));
        fault('list', deed);
        await refusedWith('vendor_edge_refused', issuer.verify(callOf(), current, authority));
      }
      for (const deed of ['edge', page(401), page(404)] as const) {
        fault('revoke', deed);
        await refusedWith('vendor_edge_refused', issuer.revoke(callOf(), authority, handle));
        fault('info', deed);
        await refusedWith('vendor_edge_refused', issuer.isGone(callOf(), authority, handle, null));
      }
    },
  },
  {
    name: 'a failure is nothing on a read and unknown on a change',
    essential: true,
    async run({ issuer, authority, current, currentId, fault }) {
      const handle = { id: currentId, label: '' };
      for (const deed of [
        { status: 500, body: {} },
        { status: 502, body: '<html></html>' },
        'hang_before',
        'drop_mid_body',
      ] as const) {
        fault('revoke', deed);
        await refusedWith('vendor_no_answer', issuer.revoke(callOf(), authority, handle));
      }
      for (const deed of [
        { status: 500, body: {} },
        'hang_before',
        'hang_mid_body',
        'drop_mid_body',
      ] as const) {
        fault('probe', deed);
        await refusedWith('vendor_unavailable', issuer.verify(callOf(), current, authority));
      }
    },
  },
  {
    name: 'a redirect is not followed',
    essential: true,
    async run({ issuer, authority, current, fault, followedRedirects }) {
      fault('probe', 'redirect');
      await refusedWith('vendor_bad_answer', issuer.verify(callOf(), current, authority));
      fault('mint', 'redirect');
      await thrownBy(issuer.mint(callOf(), authority));
      assert.equal(followedRedirects(), 0);
    },
  },
  {
    name: 'no secret is in any error, at any depth',
    essential: true,
    async run(world) {
      const { issuer, authority, current, currentId } = world;
      const steps: readonly (readonly [IssuerStep, () => Promise<unknown>])[] = [
        ['probe', () => issuer.verify(callOf(), current, authority)],
        ['list', () => issuer.listMinted(callOf(), authority)],
        ['info', () => issuer.isGone(callOf(), authority, { id: currentId, label: '' }, null)],
        ['mint', () => issuer.mint(callOf(), authority)],
        ['revoke', () => issuer.revoke(callOf(), authority, { id: currentId, label: '' })],
      ];
      const said = world.values().join(' ');
      const bodies: readonly Deed[] = [
        surprise,
        'malformed',
        'drop_mid_body',
        'edge',
        world.refusalSaying(said),
        { status: 418, body: { id: said, message: said } },
        { status: 500, body: said },
      ];
      for (const [step, run] of steps) {
        for (const deed of bodies) {
          world.fault(step, deed);
          assertHoldsNone(await thrownBy(run()), world.values());
        }
      }
    },
  },
];
