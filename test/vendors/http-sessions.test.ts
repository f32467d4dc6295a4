// What a handler may ask of the door beyond one plain request: logins, which change nothing, and statuses that it reads itself.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { createDoor } from '../../workers/vendors/http.ts';
import type { VendorRequest } from '../../workers/vendors/http-request.ts';
import { callOf, leaseOf, thrownBy } from '../contract/expectations.ts';
import { admitAll, startSim } from '../sim/server.ts';
import type { Sim } from '../sim/server.ts';

const door = createDoor({ fetch, clock: systemClock, times: { vendorCallMs: 300 } });
let sim: Sim;

beforeEach(async () => {
  sim = await startSim<null>({
    routes: { 'POST /login': () => ({ status: 200, body: { ok: true } }) },
    authorize: admitAll,
    notFound: { status: 404, body: {} },
    badBody: { status: 400, body: {} },
    rateLimited: () => ({ status: 429, body: {} }),
  });
});
afterEach(() => sim.close());

const login = (more: Partial<VendorRequest> = {}): VendorRequest => ({
  vendor: 'acme',
  method: 'POST',
  url: `${sim.url}/login`,
  authority: new Secret('a-login-key'),
  session: true,
  ...more,
});

test('a login needs no lease, but none is sent under one that is over', async () => {
  expect((await door.send(callOf({ lease: null }), login())).status).toBe(200);
  const late = door.send(callOf({ lease: leaseOf(0) }), login());
  expect((await thrownBy(late)).code).toBe('lease_over');
  expect(sim.requests).toHaveLength(1);
});

test.for(['hang_after', 'drop_mid_body', { status: 503, body: {} }] as const)(
  'a login whose answer is lost has changed nothing: %j',
  async (deed) => {
    sim.script({ on: '*', do: deed });
    expect((await thrownBy(door.send(callOf(), login()))).code).toBe('vendor_unavailable');
  },
);

test('a redirect and a 429 are handed to the handler that asks for them, and the redirect is not followed', async () => {
  sim.script({ on: '*', do: { status: 307, body: {}, headers: { location: `${sim.url}/elsewhere` } } });
  sim.script({ on: '*', do: 'rate_limited' });
  const accept = [307, 429];
  const moved = await door.send(callOf(), login({ accept }));
  const limited = await door.send(callOf(), login({ accept }));
  expect([moved.status, moved.headers['location'], limited.status]).toEqual([
    307,
    `${sim.url}/elsewhere`,
    429,
  ]);
  expect(sim.requests.map((request) => request.path)).toEqual(['/login', '/login']);
});

test('a page of an edge stays one, whatever the handler reads', async () => {
  sim.script({ on: '*', do: { status: 429, body: '<html>slow down</html>' } });
  expect((await thrownBy(door.send(callOf(), login({ accept: [429] })))).code).toBe('vendor_edge_refused');
});
