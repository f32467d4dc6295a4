// The door for an SDK that knows the global fetch alone and repeats by itself: one request, under the lease of the call in which it was asked.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import { Secret } from '../../shared/lib/secret.ts';
import type { VendorCall } from '../../workers/vendors/contract.ts';
import { insideDoor } from '../../workers/vendors/http-global.ts';
import { askThroughSdk } from '../../workers/vendors/http-sdk.ts';
import { createDoor, noOtherFetch } from '../../workers/vendors/http.ts';
import { assertHoldsNone, callOf, leaseOf, refusedWith, thrownBy, within } from '../contract/expectations.ts';
import { admitAll, startSim } from '../sim/server.ts';
import type { Sim } from '../sim/server.ts';

const patienceMs = 400;
const secret = new Secret('a-value-in-the-address');
const door = createDoor({ fetch: globalThis.fetch, clock: systemClock, times: { vendorCallMs: patienceMs } });
let sim: Sim;

beforeEach(async () => {
  sim = await startSim<null>({
    routes: { 'POST /thing': () => ({ status: 200, body: { ok: true } }) },
    authorize: admitAll,
    notFound: { status: 404, body: {} },
    badBody: { status: 400, body: {} },
    rateLimited: () => ({ status: 429, body: {} }),
  });
});
afterEach(() => sim.close());

/** As @infisical/sdk does it: again on 429 and on whatever is thrown, with a timer that ends once the headers are there. */
async function stubborn(): Promise<unknown> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const timer = new AbortController();
      const response = await globalThis.fetch(`${sim.url}/thing?q=${secret.reveal()}`, {
        method: 'POST',
        body: '{}',
        headers: { 'content-type': 'application/json' },
        signal: timer.signal,
      });
      if (response.status !== 429) return await response.json();
    } catch (error) {
      if (attempt === 5) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const ask = (call: VendorCall = callOf()) =>
  askThroughSdk(door, call, { vendor: 'acme', secrets: [secret] }, stubborn);

describe('an SDK that repeats by itself', () => {
  test.for(['rate_limited', 'hang_before', 'hang_after', 'drop_mid_body', 'hang_mid_body'] as const)(
    'sends one request, and its retries end with it: %s',
    async (deed) => {
      sim.script({ on: '*', do: deed });

      const outcome = await within(
        patienceMs * 2,
        ask().catch((error: unknown) => error),
      );

      const lost = { code: 'vendor_no_answer' };
      const limited = { answer: { status: 429 } };
      expect(outcome).toMatchObject(deed === 'rate_limited' ? limited : lost);
      // Long after the SDK would have asked again.
      await new Promise((resolve) => setTimeout(resolve, 120));
      expect(sim.requests).toHaveLength(1);
    },
  );

  test('is heard to the letter, whatever it makes of the answer', async () => {
    const heard = await ask();
    expect([heard.answer.status, heard.response.json()]).toEqual([200, { ok: true }]);
    expect(heard.name).toMatchObject({ vendor: 'acme', method: 'POST', path: '/thing' });
  });

  test('sends nothing without a lease that has time left, or once it was called off', async () => {
    await refusedWith('invariant_broken', ask(callOf({ lease: null })));
    await refusedWith('lease_over', ask(callOf({ lease: leaseOf(0) })));
    await refusedWith('vendor_unavailable', ask(callOf({ signal: AbortSignal.abort() })));
    expect(sim.requests).toEqual([]);
  });

  test('is cut off at the end of the lease', async () => {
    sim.script({ on: '*', do: 'hang_before' });
    const error = await within(200, refusedWith('vendor_no_answer', ask(callOf({ lease: leaseOf(60) }))));
    expect(error.kind).toBe('LeaseOver');
  });

  test('says nothing of the address', async () => {
    sim.script({ on: '*', do: 'redirect' });
    assertHoldsNone(await refusedWith('vendor_bad_answer', ask()), [secret.reveal()]);
    expect(sim.redirects).toEqual([]);
  });

  test('that sends nothing at all has broken its promise', async () => {
    const idle = askThroughSdk(door, callOf(), { vendor: 'acme' }, () => Promise.resolve('done'));
    await refusedWith('invariant_broken', idle);
  });

  test('has the door of its own call, with many at once', async () => {
    const over = callOf({ lease: leaseOf(0) });
    const outcomes = await Promise.allSettled([ask(), ask(over), ask(), ask(over)]);
    expect(outcomes.map((one) => one.status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected']);
    expect(sim.requests).toHaveLength(2);
  });
});

test("in a worker the global fetch is nobody's but inside a door", async () => {
  const before = globalThis.fetch;
  globalThis.fetch = noOtherFetch;
  try {
    expect((await thrownBy(globalThis.fetch(sim.url))).code).toBe('invariant_broken');
    expect((await ask()).answer.status).toBe(200);
    const inside = insideDoor(
      () => Promise.resolve(new Response('through')),
      async () => (await globalThis.fetch(sim.url)).text(),
    );
    expect(await inside).toBe('through');
  } finally {
    globalThis.fetch = before;
  }
});
