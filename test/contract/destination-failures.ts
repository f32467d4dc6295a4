// What a destination makes of a vendor that refuses, fails or says nothing. Law: an outcome that is not known is never "no".
import assert from 'node:assert/strict';
import type { ErrorCode } from '../../shared/lib/errors.ts';
import type { Deed } from '../sim/faults.ts';
import type { Check } from './contract-test.ts';
import type { DestinationStep, DestinationWorld } from './destination-world.ts';
import { assertHoldsNone, callOf, refusedWith, thrownBy, within } from './expectations.ts';

const surprise: Deed = { status: 200, body: [{ surprise: true }] };
const page = (status: number): Deed => ({ status, body: '<html>no</html>' });

/** The second half of the destination suite. */
export const destinationFailureChecks: readonly Check<DestinationWorld>[] = [
  {
    name: 'a lost answer is vendor_no_answer, is not repeated, and the next push converges',
    essential: true,
    async run({ destination, target, authority, next, previous, fault, changes, versions }) {
      const before = versions();
      fault('write', 'hang_after');
      await refusedWith('vendor_no_answer', destination.push(callOf(), target, authority, next));
      assert.equal(changes(), 1);
      const receipt = await destination.push(callOf({ repeat: true }), target, authority, next);
      const evidence = await destination.readBack(callOf(), target, authority, { next, previous }, receipt);
      if (destination.capabilities.readBack === 'value')
        assert.deepEqual([evidence.holds, versions()], ['new', before + 1]);
    },
  },
  {
    name: 'a write whose answer cannot be read may have happened',
    essential: true,
    async run({ destination, target, authority, next, fault, writeHasNoBody }) {
      const broken = writeHasNoBody === true ? [] : (['drop_mid_body', 'malformed'] as const);
      for (const deed of [...broken, surprise]) {
        fault('write', deed);
        await refusedWith('vendor_no_answer', destination.push(callOf(), target, authority, next));
      }
    },
  },
  {
    name: 'a look that fails after the write does not read as if nothing had happened',
    essential: true,
    async run({ destination, target, authority, next, fault, versions }) {
      if (destination.capabilities.readBack !== 'value') return;
      const deeds: readonly Deed[] = [
        'rate_limited',
        'edge',
        'drop_mid_body',
        { status: 503, body: {} },
        surprise,
      ];
      for (const deed of deeds) {
        fault('effect', deed);
        await refusedWith('vendor_no_answer', destination.push(callOf(), target, authority, next));
      }
      const before = versions();
      await destination.push(callOf({ repeat: true }), target, authority, next);
      assert.equal(versions(), before);
    },
  },
  {
    name: 'a refused authority and a forbidden place are told apart',
    essential: true,
    async run({ destination, target, deadAuthority, weakAuthority, next, previous, versions }) {
      const before = versions();
      for (const [code, token] of [
        ['authority_invalid', deadAuthority],
        ['vendor_forbidden', weakAuthority],
      ] as const) {
        await refusedWith(code, destination.push(callOf(), target, token, next));
        await refusedWith(code, destination.readBack(callOf(), target, token, { next, previous }, null));
      }
      assert.equal(versions(), before);
    },
  },
  {
    name: 'failures are classified: nothing on a read, unknown on a write',
    essential: true,
    async run({ destination, target, authority, next, previous, fault }) {
      const cases: readonly (readonly [Deed, ErrorCode, ErrorCode])[] = [
        ['hang_before', 'vendor_no_answer', 'vendor_unavailable'],
        [{ status: 500, body: {} }, 'vendor_no_answer', 'vendor_unavailable'],
        [page(502), 'vendor_no_answer', 'vendor_edge_refused'],
        ['edge', 'vendor_edge_refused', 'vendor_edge_refused'],
        [page(401), 'vendor_edge_refused', 'vendor_edge_refused'],
        [page(404), 'vendor_edge_refused', 'vendor_edge_refused'],
        ['rate_limited', 'vendor_rate_limited', 'vendor_rate_limited'],
      ];
      for (const [deed, onWrite, onRead] of cases) {
        fault('write', deed);
        await refusedWith(onWrite, destination.push(callOf(), target, authority, next));
        fault('read', deed);
        await refusedWith(
          onRead,
          destination.readBack(callOf(), target, authority, { next, previous }, null),
        );
      }
    },
  },
  {
    name: 'an answer in an unknown shape is vendor_bad_answer',
    essential: true,
    async run({ destination, target, authority, next, previous, fault }) {
      for (const deed of [surprise, 'malformed'] as const) {
        fault('read', deed);
        await refusedWith(
          'vendor_bad_answer',
          destination.readBack(callOf(), target, authority, { next, previous }, null),
        );
        fault('effect', deed);
        await refusedWith(
          'vendor_bad_answer',
          destination.readBack(callOf(), target, authority, { next, previous }, null),
        );
      }
    },
  },
  {
    name: 'a rate limit carries its wait and is one request',
    essential: false,
    async run({ destination, target, authority, next, fault, requests }) {
      fault('write', { rate_limited: { retry_after_s: 7 } });
      const error = await refusedWith(
        'vendor_rate_limited',
        destination.push(callOf(), target, authority, next),
      );
      assert.deepEqual([error.retryAfterMs, requests()], [7_000, 1]);
    },
  },
  {
    name: 'an abort settles promptly',
    essential: true,
    async run({ destination, target, authority, next, fault, changes, patienceMs }) {
      const called = new AbortController();
      fault('write', 'hang_before');
      const pushing = thrownBy(destination.push(callOf({ signal: called.signal }), target, authority, next));
      // However many looks come before it: it is the write that is under way.
      for (let ms = 0; changes() === 0 && ms < patienceMs; ms += 5)
        await new Promise((resolve) => setTimeout(resolve, 5));
      called.abort();
      assert.equal((await within(patienceMs / 2, pushing)).code, 'vendor_no_answer');
    },
  },
  {
    name: 'a redirect is not followed',
    essential: true,
    async run({ destination, target, authority, next, previous, fault, followedRedirects }) {
      fault('write', 'redirect');
      await thrownBy(destination.push(callOf(), target, authority, next));
      fault('read', 'redirect');
      await refusedWith(
        'vendor_bad_answer',
        destination.readBack(callOf(), target, authority, { next, previous }, null),
      );
      assert.equal(followedRedirects(), 0);
    },
  },
  {
    name: 'no secret is in any error, at any depth',
    essential: true,
    async run({ destination, target, authority, next, previous, values, fault, refusalSaying }) {
      const steps: readonly (readonly [DestinationStep, () => Promise<unknown>])[] = [
        ['write', () => destination.push(callOf(), target, authority, next)],
        ['effect', () => destination.push(callOf(), target, authority, next)],
        ['read', () => destination.readBack(callOf(), target, authority, { next, previous }, null)],
        ['effect', () => destination.settled(callOf(), target, authority, { version: '1' })],
      ];
      const said = values.join(' ');
      const deeds: readonly Deed[] = [
        surprise,
        'malformed',
        'drop_mid_body',
        refusalSaying(said),
        { status: 418, body: { id: said, message: said } },
        { status: 500, body: said },
        { status: 200, body: { [said]: said, [target.update_key]: said } },
      ];
      for (const [step, run] of steps) {
        for (const deed of deeds) {
          fault(step, deed);
          const thrown: unknown = await run().catch((error: unknown) => error);
          assertHoldsNone(thrown, values);
        }
      }
    },
  },
];
