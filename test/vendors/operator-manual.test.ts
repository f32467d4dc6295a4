// The issuer for a vendor without code: what its one question can say, and what it must not.
import { expect, test } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { createDoor } from '../../workers/vendors/http.ts';
import { operatorManual } from '../../workers/vendors/operator-manual.ts';
import { wrapIssuer } from '../../workers/vendors/registry.ts';
import { callOf, refusedWith, thrownBy } from '../contract/expectations.ts';
import { startPlainVendor } from '../sim/plain-vendor.ts';

const live = new Secret('live-token-0123456789');
const dead = new Secret('dead-token-0123456789');
const other = new Secret('live-token-of-another');

async function world({ header = 'X-Api-Token', deadStatus = 401, vendorCallMs = 5_000 } = {}) {
  const sim = await startPlainVendor({ isLive: (token) => token.startsWith('live-token') });
  const door = createDoor({ fetch: globalThis.fetch, clock: systemClock, times: { vendorCallMs } });
  const verify = { url: sim.verifyUrl, header, dead_status: deadStatus };
  const issuer = wrapIssuer({ clock: systemClock }, operatorManual({ door, lateMs: 30_000, verify }));
  return Object.assign(sim, { issuer });
}

test.each(['X-Api-Token', 'Authorization', 'authorization'])(
  '%s carries the token: a success is alive, the named status dead',
  async (header) => {
    await using vendor = await world({ header });
    const { issuer } = vendor;
    const said = async (token: Secret | null) =>
      (await issuer.verify(callOf({ lease: null }), token, null)).current;

    expect([await said(live), await said(dead), await said(null)]).toEqual(['alive', 'dead', 'absent']);
    expect(vendor.requests.every(({ method }) => method === 'GET')).toBe(true);
    // Nothing was asked of a token that is not there.
    expect(vendor.requests).toHaveLength(2);
  },
);

test('names no handle, and that the authority may mint counts as true, with or without one', async () => {
  await using vendor = await world();
  for (const authority of [null, other])
    expect(await vendor.issuer.verify(callOf(), live, authority)).toEqual({
      current: 'alive',
      handle: null,
      mayMint: true,
      mayMintReason: null,
    });
});

test('an authority that is named is asked too, and a dead one is authority_invalid', async () => {
  await using vendor = await world();
  await refusedWith('authority_invalid', vendor.issuer.verify(callOf(), live, dead));
});

// oxfmt-ignore
const answers = [
  ['a 403',              { status: 403, body: { error: 'forbidden' } },                  'vendor_rejected'],
  ['a 404',              { status: 404, body: {} },                                      'vendor_rejected'],
  ["an edge's 401",      { status: 401, headers: { 'content-type': 'text/html' }, body: '<!DOCTYPE html><html></html>' }, 'vendor_edge_refused'],
  ['a captcha',          'edge',                                                         'vendor_edge_refused'],
  ['a redirect',         'redirect',                                                     'vendor_bad_answer'],
  ['a 500',              { status: 500, body: {} },                                      'vendor_unavailable'],
  ['too many requests',  { rate_limited: { retry_after_s: 7 } },                         'vendor_rate_limited'],
  ['no answer',          'hang_before',                                                  'vendor_unavailable'],
] as const;

test.each(answers)(
  '%s makes a token neither alive nor dead, and no error holds it',
  async (_, deed, code) => {
    await using vendor = await world(deed === 'hang_before' ? { vendorCallMs: 100 } : {});
    vendor.script({ on: 'GET /whoami', do: deed });
    const error = await refusedWith(code, vendor.issuer.verify(callOf(), live, null));
    expect(`${error.message} ${error.detail} ${error.stack}`).not.toContain('live-token');
  },
);

test('isGone goes by the value alone; an answer that means nothing leaves it to a person, one that passes does not', async () => {
  await using vendor = await world();
  const { issuer } = vendor;
  expect(await issuer.isGone(callOf(), null, null, dead)).toBe('gone');
  expect(await issuer.isGone(callOf(), other, null, live)).toBe('still_there');
  expect(await issuer.isGone(callOf(), null, { id: 'any', label: '' }, null)).toBe('cannot_tell');

  vendor.script({ on: 'GET /whoami', do: { status: 403, body: {} } });
  expect(await issuer.isGone(callOf(), null, null, dead)).toBe('cannot_tell');
  vendor.script({ on: 'GET /whoami', do: { status: 503, body: {} } });
  expect((await thrownBy(issuer.isGone(callOf(), null, null, dead))).code).toBe('vendor_unavailable');
});

test('another status may mean dead, where the manifest says so', async () => {
  await using vendor = await world({ deadStatus: 418 });
  vendor.script({ on: 'GET /whoami', do: { status: 418, body: {} } });
  expect((await vendor.issuer.verify(callOf(), dead, null)).current).toBe('dead');
  await refusedWith('vendor_rejected', vendor.issuer.verify(callOf(), dead, null));
});

test('mints nothing, ends nothing, lists nothing: a person does', async () => {
  await using vendor = await world();
  expect(vendor.issuer.capabilities).toMatchObject({
    mint: 'operator',
    revoke: 'operator',
    findLeftovers: 'none',
  });
  expect(await vendor.issuer.listMinted(callOf(), null)).toEqual([]);
  await refusedWith('invariant_broken', vendor.issuer.mint(callOf(), other));
  await refusedWith('manual_revoke_required', vendor.issuer.revoke(callOf(), other, { id: 'x', label: '' }));
  expect(vendor.requests).toEqual([]);
});
