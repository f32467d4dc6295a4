// Heroku's issuer: the contract suite, and the traps that are Heroku's own.
import { describe, expect, test } from 'vitest';
import { Secret } from '../../shared/lib/secret.ts';
import { contractTest } from '../contract/contract-test.ts';
import { callOf, refusedWith, thrownBy } from '../contract/expectations.ts';
import { herokuIssuerWorld } from '../contract/heroku-issuer-world.ts';
import { issuerChecks } from '../contract/issuer.ts';

const codeOf = async (running: Promise<unknown>) => (await thrownBy(running)).code;

describe('issuer', () => {
  contractTest(issuerChecks, () => herokuIssuerWorld());

  test('a token without the scope identity is alive', async () => {
    await using world = await herokuIssuerWorld();
    const narrow = world.account.authorize({ description: 'narrow', scope: ['write-protected'] });

    const result = await world.issuer.verify(callOf(), new Secret(narrow.token), world.authority);

    expect([result.current, result.handle]).toEqual(['alive', { id: narrow.id, label: 'narrow' }]);
  });

  test('a suspended account is neither alive nor dead', async () => {
    await using world = await herokuIssuerWorld();
    world.account.standing = 'suspended';

    const error = await refusedWith(
      'vendor_forbidden',
      world.issuer.verify(callOf(), world.current, world.authority),
    );

    expect(error.detail).toContain('403 suspended');
  });

  test("a 401 without Heroku's id does not make a token dead", async () => {
    await using world = await herokuIssuerWorld();
    for (const body of [{}, { id: 'two_factor', message: 'x' }, { error: 'unauthorized' }]) {
      world.fault('probe', { status: 401, body });
      expect(await codeOf(world.issuer.verify(callOf(), world.current, world.authority))).toBe(
        'vendor_bad_answer',
      );
    }
  });

  test("a 404 without Heroku's id does not make a token gone", async () => {
    await using world = await herokuIssuerWorld();
    const handle = { id: world.currentId, label: '' };
    for (const body of [{}, { message: 'Not Found' }]) {
      world.fault('revoke', { status: 404, body });
      expect(await codeOf(world.issuer.revoke(callOf(), world.authority, handle))).toBe('vendor_bad_answer');
      world.fault('info', { status: 404, body });
      expect(await codeOf(world.issuer.isGone(callOf(), world.authority, handle, null))).toBe(
        'vendor_bad_answer',
      );
    }
  });

  test('a success about another authorization is no revocation', async () => {
    await using world = await herokuIssuerWorld();
    const handle = { id: world.currentId, label: '' };
    world.fault('revoke', { status: 200, body: { id: world.foreign('another') } });
    expect(await codeOf(world.issuer.revoke(callOf(), world.authority, handle))).toBe('vendor_no_answer');
    world.fault('revoke', { status: 202, body: {} });
    expect(await codeOf(world.issuer.revoke(callOf(), world.authority, handle))).toBe('vendor_no_answer');
  });

  test('an authority of another account does not make a live token gone', async () => {
    await using world = await herokuIssuerWorld();
    const stranger = new Secret(world.sim.createAccount({ email: 'other@example.com' }).authorize().token);

    const answer = await world.issuer.isGone(
      callOf(),
      stranger,
      { id: world.currentId, label: '' },
      world.current,
    );

    expect(answer).toBe('still_there');
  });

  test('the authority may not be the token that is to be rotated', async () => {
    await using world = await herokuIssuerWorld();

    const result = await world.issuer.verify(callOf(), world.authority, world.authority);

    expect(result.mayMint).toBe(false);
  });

  test('an authority that may list but lacks global may not mint', async () => {
    await using world = await herokuIssuerWorld();
    const bare = {
      id: world.currentId,
      description: null,
      access_token: { id: 'x', token: world.weakAuthority.reveal() },
    };
    world.fault('list', { status: 200, body: [{ ...bare, scope: ['read', 'write'] }] });

    const result = await world.issuer.verify(callOf(), world.current, world.weakAuthority);

    expect(result.mayMintReason).toBe("the authority's scope is read, write; minting needs global");
  });

  test('authorizations beyond the first page are found', async () => {
    await using world = await herokuIssuerWorld();
    for (let made = 0; made < 1_001; made++) world.foreign(`velvet:job-a:${made}-k2m9x4qa`);

    expect(await world.issuer.listMinted(callOf(), world.authority)).toHaveLength(1_001);
    expect(world.requests()).toBe(2);
  });

  test('pages that do not end are an error', async () => {
    await using world = await herokuIssuerWorld();
    const page = { status: 206, body: [], headers: { 'next-range': 'id ]a..; max=1000' } };
    world.fault('list', page);
    world.fault('list', page);
    expect(await codeOf(world.issuer.listMinted(callOf(), world.authority))).toBe('vendor_bad_answer');
  });

  test("Heroku's own sample ids and any shape of token are understood", async () => {
    await using world = await herokuIssuerWorld();
    const id = '01234567-89ab-cdef-0123-456789abcdef';
    world.fault('mint', {
      status: 201,
      body: { id, access_token: { id, token: 'any string at all', expires_in: null } },
    });

    const { handle, secret } = await world.issuer.mint(callOf(), world.authority);

    expect(handle.id).toBe(id);
    expect(secret.equals(new Secret('any string at all'))).toBe(true);
  });

  test('a handle that is no id asks for nothing', async () => {
    await using world = await herokuIssuerWorld();
    for (const id of ['', '..', 'a/b']) {
      expect(await codeOf(world.issuer.revoke(callOf(), world.authority, { id, label: '' }))).toBe(
        'vendor_rejected',
      );
    }
    expect(world.requests()).toBe(0);
  });

  test('a rate limit that names no wait is reported with one', async () => {
    await using world = await herokuIssuerWorld();
    world.account.setRemaining(0);

    const error = await refusedWith(
      'vendor_rate_limited',
      world.issuer.verify(callOf(), null, world.authority),
    );

    expect(error.retryAfterMs).toBe(30_000);
  });
});
