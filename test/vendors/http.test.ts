// The door to the vendors: what may leave, how long it may take, and what an answer or its absence means.
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import type { ErrorCode } from '../../shared/lib/errors.ts';
import { leaseFrom } from '../../shared/lib/lease.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { createDoor, noOtherFetch } from '../../workers/vendors/http.ts';
import type { VendorRequest } from '../../workers/vendors/http-request.ts';
import { assertHoldsNone, callOf, leaseOf, thrownBy, within } from '../contract/expectations.ts';
import type { Deed } from '../sim/faults.ts';
import { admitAll, startSim } from '../sim/server.ts';
import type { Sim } from '../sim/server.ts';

const secret = new Secret('HRKU-very-secret');
const times = { vendorCallMs: 400 };
const door = createDoor({ fetch, clock: systemClock, times });
const echo = () => ({ status: 200, body: { ok: true } });
let sim: Sim;

beforeEach(async () => {
  sim = await startSim<null>({
    routes: { 'GET /thing': echo, 'POST /thing': echo, 'DELETE /thing': echo },
    authorize: admitAll,
    notFound: { status: 404, body: {} },
    badBody: { status: 400, body: {} },
    rateLimited: (s) => ({
      status: 429,
      body: {},
      ...(s === null ? {} : { headers: { 'retry-after': String(s) } }),
    }),
  });
});
afterEach(() => sim.close());

function request(method: VendorRequest['method'], more: Partial<VendorRequest> = {}): VendorRequest {
  return { vendor: 'acme', method, url: `${sim.url}/thing?q=${secret.reveal()}`, authority: secret, ...more };
}

async function waitFor(retryAfter: string): Promise<number | undefined> {
  sim.script({ on: '*', do: { status: 429, body: {}, headers: { 'retry-after': retryAfter } } });
  return (await thrownBy(door.send(callOf(), request('GET')))).retryAfterMs;
}

const codeOf = async (running: Promise<unknown>) => (await thrownBy(running)).code;

describe('what may leave', () => {
  test('a change without a lease, or with one that is over, or called off, is not sent', async () => {
    expect(await codeOf(door.send(callOf({ lease: null }), request('POST')))).toBe('invariant_broken');
    expect(await codeOf(door.send(callOf({ lease: leaseOf(0) }), request('POST')))).toBe('lease_over');
    expect(await codeOf(door.send(callOf({ signal: AbortSignal.abort() }), request('POST')))).toBe(
      'vendor_unavailable',
    );
    expect(
      await codeOf(
        door.fetchFor(callOf({ lease: null }), { vendor: 'acme' })(`${sim.url}/thing`, { method: 'POST' }),
      ),
    ).toBe('invariant_broken');
    expect(sim.requests).toHaveLength(0);
  });

  test('a read needs no lease', async () => {
    const response = await door.send(callOf({ lease: null }), request('GET'));
    expect(response.json()).toEqual({ ok: true });
  });

  test('a lease that ends between the check and the socket sends nothing', async () => {
    // The connection takes its time; the clock jumps as it does when a stopped process wakes, before any timer has run.
    let now = 0;
    const clock = { now: () => 0, monotonic: () => now };
    const jumping: typeof fetch = (input, init) => {
      const answer = fetch(input, init);
      now = 60_000;
      return answer;
    };
    const lease = leaseFrom(clock, '1-k2m9x4qa', 15_000, 0, 15_000);
    const late = createDoor({ fetch: jumping, clock, times });

    expect(await codeOf(late.send(callOf({ lease }), request('POST', { json: { a: 1 } })))).toBe(
      'vendor_no_answer',
    );
    await door.send(callOf(), request('GET'));
    expect(sim.requests.map((one) => one.method)).toEqual(['GET']);
  });

  test('secrets in the body and the headers travel as their values', async () => {
    await door.send(
      callOf(),
      request('POST', {
        json: { key: secret, list: [{ deep: secret }], plain: null },
        headers: { 'x-key': secret },
      }),
    );
    expect(sim.requests[0]?.body).toEqual({
      key: secret.reveal(),
      list: [{ deep: secret.reveal() }],
      plain: null,
    });
    expect(sim.requests[0]?.headers['x-key']).toBe(secret.reveal());
  });

  test('a value that no header can carry is refused without being quoted', async () => {
    const broken = new Secret('two\nlines');
    const error = await thrownBy(door.send(callOf(), request('GET', { authority: broken })));
    expect(error.code).toBe('vendor_rejected');
    assertHoldsNone(error, ['two\nlines', String.raw`two\nlines`]);
  });
});

describe('how long it may take', () => {
  const cases = [
    { ends: 'its deadline', call: () => callOf(), more: { timeoutMs: 60 } },
    { ends: 'the default deadline', call: () => callOf(), more: {} },
    { ends: 'its lease', call: () => callOf({ lease: leaseOf(60) }), more: {} },
    { ends: 'the call', call: () => callOf({ signal: AbortSignal.timeout(60) }), more: {} },
  ];
  test.each(cases)('a request ends with $ends', async ({ call, more }) => {
    sim.script({ on: '*', times: 2, do: 'hang_before' });
    expect(await within(2 * times.vendorCallMs, codeOf(door.send(call(), request('POST', more))))).toBe(
      'vendor_no_answer',
    );
    expect(await within(2 * times.vendorCallMs, codeOf(door.send(call(), request('GET', more))))).toBe(
      'vendor_unavailable',
    );
  });

  test('a body is given up with the rest', async () => {
    sim.script({ on: '*', do: 'hang_mid_body' });
    const error = await within(2 * times.vendorCallMs, thrownBy(door.send(callOf(), request('POST'))));
    expect([error.code, error.kind]).toEqual(['vendor_no_answer', 'Timeout']);
  });

  test('a fetch that does not listen to its signal is left behind', async () => {
    const deaf = createDoor({ fetch: () => new Promise(() => undefined), clock: systemClock, times });
    expect(await within(2 * times.vendorCallMs, codeOf(deaf.send(callOf(), request('POST'))))).toBe(
      'vendor_no_answer',
    );
  });
});

describe('what an answer means', () => {
  const html = '<html><title>no</title></html>';
  const cases: readonly (readonly [string, Deed, ErrorCode, ErrorCode])[] = [
    ['500', { status: 500, body: {} }, 'vendor_unavailable', 'vendor_no_answer'],
    ['503', { status: 503, body: {} }, 'vendor_unavailable', 'vendor_no_answer'],
    ['502 in HTML', { status: 502, body: html }, 'vendor_edge_refused', 'vendor_no_answer'],
    ['401 in HTML', { status: 401, body: html }, 'vendor_edge_refused', 'vendor_edge_refused'],
    ['403 in HTML', 'edge', 'vendor_edge_refused', 'vendor_edge_refused'],
    ['429 in HTML', { status: 429, body: html }, 'vendor_edge_refused', 'vendor_edge_refused'],
    [
      'HTML called JSON',
      { status: 403, body: html, headers: { 'content-type': 'application/json' } },
      'vendor_edge_refused',
      'vendor_edge_refused',
    ],
    ['408', { status: 408, body: {} }, 'vendor_unavailable', 'vendor_no_answer'],
    ['429', 'rate_limited', 'vendor_rate_limited', 'vendor_rate_limited'],
    ['422', { status: 422, body: {} }, 'vendor_rejected', 'vendor_rejected'],
    ['a redirect', 'redirect', 'vendor_bad_answer', 'vendor_bad_answer'],
    ['304', { status: 304 }, 'vendor_bad_answer', 'vendor_bad_answer'],
    ['a dropped socket', { applies_late_ms: 0 }, 'vendor_unavailable', 'vendor_no_answer'],
    ['half a body', 'drop_mid_body', 'vendor_unavailable', 'vendor_no_answer'],
  ];
  test.each(cases)('%s', async (_name, deed, onRead, onChange) => {
    sim.script({ on: '*', times: 2, do: deed });
    expect(await codeOf(door.send(callOf(), request('GET')))).toBe(onRead);
    expect(await codeOf(door.send(callOf(), request('DELETE')))).toBe(onChange);
    expect(sim.requests).toHaveLength(2);
    expect(sim.redirects).toHaveLength(0);
  });

  test('a success that is not JSON is a bad answer to a read, and no answer to a change', async () => {
    sim.script({ on: '*', times: 2, do: 'malformed' });
    const read = await door.send(callOf(), request('GET'));
    const change = await door.send(callOf(), request('POST'));
    expect(() => read.json()).toThrow(expect.objectContaining({ code: 'vendor_bad_answer' }));
    expect(() => change.json()).toThrow(expect.objectContaining({ code: 'vendor_no_answer' }));
  });

  test('an answer that is too large is cut off', async () => {
    sim.script({ on: '*', times: 2, do: { status: 200, body: { long: 'x'.repeat(10_000) } } });
    expect(await codeOf(door.send(callOf(), request('GET', { bodyBytesMax: 1_000 })))).toBe(
      'vendor_bad_answer',
    );
    expect(await codeOf(door.send(callOf(), request('POST', { bodyBytesMax: 1_000 })))).toBe(
      'vendor_no_answer',
    );
  });

  test('Retry-After is read as seconds and as a date, and nonsense is not guessed at', async () => {
    expect(await waitFor('7')).toBe(7_000);
    expect(await waitFor('-5')).toBeUndefined();
    expect(await waitFor('soon')).toBeUndefined();
    const inAMinute = await waitFor(new Date(systemClock.now() + 60_000).toUTCString());
    expect(inAMinute).toBeGreaterThan(55_000);
    expect(inAMinute).toBeLessThanOrEqual(60_000);
  });

  test('a connection that was refused carried nothing', async () => {
    const { port } = await closedPort();
    for (const host of ['127.0.0.1', 'localhost']) {
      const error = await thrownBy(
        door.send(callOf(), request('POST', { url: `http://${host}:${port}/thing` })),
      );
      expect([error.code, error.kind]).toEqual(['vendor_unavailable', 'ConnectionError']);
    }
    expect(await codeOf(door.send(callOf(), request('POST', { url: 'http://nowhere.invalid/' })))).toBe(
      'vendor_unavailable',
    );
  });
});

describe('what is said', () => {
  test('an error names vendor, method and path, and no query, value or cause', async () => {
    sim.script({
      on: '*',
      times: 3,
      do: { status: 503, body: secret.reveal(), headers: { 'request-id': secret.reveal() } },
    });
    for (const method of ['GET', 'POST', 'DELETE'] as const) {
      const error = await thrownBy(
        door.send(callOf(), request(method, method === 'GET' ? {} : { json: { secret } })),
      );
      expect(error.message).toContain(`acme ${method} /thing: `);
      expect([error.httpStatus, error.kind]).toEqual([503, 'HTTP503']);
      expect(error.cause).toBeUndefined();
      assertHoldsNone(error, [secret.reveal(), '?q=']);
    }
  });

  test('a part of a path that may be more than a name is left out', async () => {
    const url = `${sim.url}/apps/raxx-prod/01234567-89ab-cdef-0123-456789abcdef/${'k'.repeat(60)}`;
    expect((await thrownBy(door.send(callOf(), request('GET', { url })))).message).toContain(
      '/apps/raxx-prod/:id/:id',
    );
  });
});

describe('for an SDK', () => {
  test('answers pass as they are, refusals too', async () => {
    const sdkFetch = door.fetchFor(callOf(), { vendor: 'acme' });
    sim.script({ on: 'POST /thing', do: { status: 401, body: { error: 'no' }, headers: { 'x-a': 'b' } } });
    const response = await sdkFetch(`${sim.url}/thing`, {
      method: 'POST',
      body: 'a=b',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect([response.status, response.headers.get('x-a'), await response.json()]).toEqual([
      401,
      'b',
      { error: 'no' },
    ]);
    expect(sim.requests[0]?.body).toEqual({ a: 'b' });
  });

  test('the laws hold: lost answers, redirects, the SDK calling off', async () => {
    const sdkFetch = door.fetchFor(callOf(), { vendor: 'acme' });
    const post = (more: RequestInit = {}) =>
      codeOf(sdkFetch(`${sim.url}/thing`, { method: 'POST', ...more }));
    sim.script({ on: '*', do: 'hang_after' });
    expect(await post()).toBe('vendor_no_answer');
    sim.script({ on: '*', do: 'redirect' });
    expect(await post()).toBe('vendor_bad_answer');
    sim.script({ on: '*', do: 'hang_before' });
    expect(await within(times.vendorCallMs * 0.8, post({ signal: AbortSignal.timeout(20) }))).toBe(
      'vendor_no_answer',
    );
    const error = await thrownBy(
      sdkFetch('/relative', { headers: { authorization: `Bearer ${secret.reveal()}\n` } }),
    );
    assertHoldsNone(error, [secret.reveal()]);
  });
});

test('what stands in for the global fetch sends nothing', async () => {
  await using sim = await startSim({
    routes: { 'GET /thing': () => ({ status: 200 }) },
    authorize: admitAll,
    notFound: { status: 404 },
    badBody: { status: 400 },
    rateLimited: () => ({ status: 429 }),
  });
  expect(await codeOf(noOtherFetch(`${sim.url}/thing`))).toBe('invariant_broken');
  expect(sim.requests).toEqual([]);
});

async function closedPort(): Promise<AddressInfo> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return address;
}
