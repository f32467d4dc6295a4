// Logins to Infisical through its real SDK: shared, renewed in time, and never so often that a client id is locked out.
import { describe, expect, test } from 'vitest';
import type { Clock } from '../../shared/lib/clock.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { times } from '../../shared/times.ts';
import { assertHoldsNone, callOf, refusedWith } from '../contract/expectations.ts';
import { infisicalKit } from '../contract/infisical-worlds.ts';
import { infisicalError } from '../sim/infisical-json.ts';
import { loginRoute } from '../sim/infisical.ts';
import type { InfisicalOptions } from '../sim/infisical.ts';

const day = 86_400_000;

interface HandClock extends Clock {
  pass(ms: number): void;
}

function handClock(): HandClock {
  let now = 1_800_000_000_000;
  return { now: () => now, monotonic: () => now, pass: (ms) => void (now += ms) };
}

/** A folder with one secret in it, and a clock that only the test moves, for Infisical and for Velvet. */
async function world(options: InfisicalOptions = {}) {
  const clock = handClock();
  const kit = await infisicalKit({ ...options, clock });
  kit.project
    .folder('development', '/velvet')
    .secrets.set('NAME', { id: 'id-1', key: 'NAME', versions: ['a-value'] });
  const secrets = kit.secretsOf();
  const good = kit.placeOf('/velvet');
  const wrongSecret = 'f'.repeat(64);
  const wrong = kit.placeOf('/velvet', { clientId: kit.identity.clientId, clientSecret: wrongSecret });
  const read = (place = good) => secrets.get(callOf({ lease: null }), place, 'NAME');
  return { ...kit, clock, secrets, good, wrong, wrongSecret, read, [Symbol.asyncDispose]: kit.sim.close };
}

describe('a session', () => {
  test('is made by one login, however many ask for it at once', async () => {
    await using at = await world();

    const held = await Promise.all(Array.from({ length: 8 }, () => at.read()));

    expect(held.map((one) => one?.version)).toEqual(Array(8).fill(1));
    expect(at.sim.logins()).toBe(1);
  });

  test('is renewed before its time is over, though the SDK forgets when that is', async () => {
    await using at = await world({ tokenSeconds: 600 });
    await at.read();
    at.clock.pass(530_000);
    await at.read();
    expect(at.sim.logins()).toBe(1);

    at.clock.pass(15_000);
    await Promise.all([at.read(), at.read()]);

    expect(at.sim.logins()).toBe(2);
    expect(at.sim.requests.every((request) => request.status === 200)).toBe(true);
  });

  test('of a token that never expires lasts', async () => {
    await using at = await world({ tokenSeconds: 0 });
    await at.read();
    at.clock.pass(400 * day);

    await at.read();

    expect(at.sim.logins()).toBe(1);
  });

  test('that is over before it is used is used all the same', async () => {
    await using at = await world({ tokenSeconds: 0.001 });
    let now = 0;
    const hurrying = { now: () => now, monotonic: () => (now += 50) };

    const held = await at.secretsOf(hurrying).get(callOf({ lease: null }), at.good, 'NAME');

    expect([held?.version, at.sim.logins()]).toEqual([1, 1]);
  });

  test('whose token is refused, which Infisical says with 403, is renewed once, and what was asked is done once', async () => {
    await using at = await world();
    await at.read();
    at.sim.endTokens();

    await Promise.all([
      at.secrets.put(callOf(), at.good, { name: 'NAME', value: new Secret('b') }),
      at.read(),
      at.read(),
    ]);

    expect(at.sim.logins()).toBe(2);
    expect(at.project.find('development', '/velvet')?.secrets.get('NAME')?.versions).toEqual([
      'a-value',
      'b',
    ]);
  });

  test('that is refused again at once is given up', async () => {
    await using at = await world();
    const refusal = infisicalError(403, 'TokenError', 'Your token has expired. Please re-authenticate.');
    at.sim.script({
      on: 'GET /api/v3/secrets/raw/:name',
      times: Infinity,
      do: { status: 403, body: refusal.body },
    });

    await refusedWith('authority_invalid', at.read());

    expect(at.sim.logins()).toBe(2);
  });

  test('is not renewed for what the identity may not do', async () => {
    await using at = await world();
    const other = at.placeOf('/velvet', at.sim.createIdentity({ paths: ['/elsewhere'] }));

    await refusedWith('vendor_forbidden', at.read(other));

    expect(at.sim.logins()).toBe(1);
  });
});

describe('a refused login', () => {
  test('is tried once for all who ask, and not again before a lock-out would be over', async () => {
    await using at = await world();

    const errors = await Promise.all(
      Array.from({ length: 6 }, () => refusedWith('authority_invalid', at.read(at.wrong))),
    );
    at.clock.pass(times.loginCoolDownMs - 1);
    errors.push(await refusedWith('authority_invalid', at.read(at.wrong)));

    expect(at.sim.logins()).toBe(1);
    for (const error of errors) {
      expect([error.httpStatus, error.detail]).toEqual([401, expect.stringContaining('locked')]);
      expect(error.detail).toContain('Give the identity a good client secret');
      assertHoldsNone(error, [at.wrongSecret]);
    }
    at.clock.pass(1);
    await refusedWith('authority_invalid', at.read(at.wrong));
    expect(at.sim.logins()).toBe(2);
  });

  test('does not lock out those who have the right secret for the same client id', async () => {
    await using at = await world();
    for (let n = 0; n < 5; n += 1) await refusedWith('authority_invalid', at.read(at.wrong));

    expect((await at.read())?.version).toBe(1);
  });

  test('leaves a session alone that was made before the secret was revoked', async () => {
    await using at = await world();
    await at.read();
    at.identity.revokeSecret();
    expect((await at.read())?.version).toBe(1);

    at.sim.endTokens();

    await refusedWith('authority_invalid', at.read());
    await refusedWith('authority_invalid', at.read());
    expect(at.sim.logins()).toBe(2);
  });
});

describe('a login that fails otherwise', () => {
  test.for([
    ['hang_before', 'vendor_unavailable'],
    ['hang_after', 'vendor_unavailable'],
    ['drop_mid_body', 'vendor_unavailable'],
    ['malformed', 'vendor_bad_answer'],
    ['edge', 'vendor_edge_refused'],
    ['redirect', 'vendor_bad_answer'],
    ['rate_limited', 'vendor_rate_limited'],
    [{ status: 500, body: {} }, 'vendor_unavailable'],
    [{ status: 502, body: '<html>no</html>' }, 'vendor_unavailable'],
    [{ status: 200, body: { accessToken: 7 } }, 'vendor_bad_answer'],
  ] as const)('changed nothing, and is made anew by the next who asks (%#)', async ([deed, code]) => {
    await using at = await world();
    at.sim.script({ on: loginRoute, do: deed });

    const error = await refusedWith(
      code,
      at.secrets.put(callOf(), at.good, { name: 'NAME', value: new Secret('b') }),
    );

    assertHoldsNone(error, [at.identity.clientSecret, ...at.sim.tokens]);
    expect(at.sim.requests).toHaveLength(1);
    expect((await at.read())?.version).toBe(1);
  });

  test('says how long to wait where Infisical says it in words alone', async () => {
    await using at = await world();
    at.sim.script({ on: loginRoute, do: 'rate_limited' });

    expect((await refusedWith('vendor_rate_limited', at.read())).retryAfterMs).toBe(3_000);
  });
});
