// Infisical as the vault: the contract suite, and the traps that are Infisical's own.
import { describe, expect, test } from 'vitest';
import { Secret } from '../../shared/lib/secret.ts';
import { contractTest } from '../contract/contract-test.ts';
import { assertHoldsNone, callOf, refusedWith } from '../contract/expectations.ts';
import { infisicalVaultWorld } from '../contract/infisical-worlds.ts';
import { callWith, vaultChecks } from '../contract/vault.ts';
import type { Deed } from '../sim/faults.ts';
import { infisicalVault } from '../../workers/vault/infisical.ts';

contractTest(vaultChecks, () => infisicalVaultWorld(), {
  skip: [
    {
      check: 'no value lies readable at rest',
      reason: 'Infisical encrypts what it keeps, on its own disks: infisical.com/docs/internals/security',
    },
    {
      check: 'what a killed writer leaves is neither read nor listed, and the slot can be written again',
      reason: 'a write is one request, which is applied whole or not at all',
    },
  ],
});

const raw = '/api/v3/secrets/raw';
const value = new Secret('value-in-question');
const held = (vault: Awaited<ReturnType<typeof infisicalVaultWorld>>, slot: string) =>
  vault.folder.secrets.get(slot)?.versions;

describe('a folder that is not there', () => {
  test('is never an empty vault, whatever is asked, and the answer says what to make', async () => {
    await using world = await infisicalVaultWorld();
    world.project.removeFolder('development', '/velvet');
    const { vault } = world;

    const errors = [
      await refusedWith('vault_unavailable', vault.check()),
      await refusedWith('vault_unavailable', vault.read('NAME')),
      await refusedWith('vault_unavailable', vault.list('')),
      await refusedWith('vault_unavailable', vault.remove(callOf(), 'NAME')),
      await refusedWith('vault_unavailable', vault.write(callOf(), 'NAME', value)),
      await refusedWith('vault_unavailable', vault.create(callOf(), 'NAME', value)),
    ];

    for (const error of errors) {
      expect(error.detail).toContain('there is no folder /velvet in the environment development');
      expect(error.detail).toContain('Make it');
    }
  });

  test('below one that is not there either, or in another environment, is the same', async () => {
    await using world = await infisicalVaultWorld();
    const { secretsOf, placeOf, sim } = world;
    for (const place of [placeOf('/no/where'), { ...placeOf('/velvet'), environment: 'prod' }]) {
      const vault = infisicalVault({ secrets: secretsOf(), place, siteUrl: sim.url });
      await refusedWith('vault_unavailable', vault.check());
      await refusedWith('vault_unavailable', vault.read('NAME'));
    }
  });

  test('is looked for once, however many credentials ask', async () => {
    await using world = await infisicalVaultWorld();
    await Promise.all(Array.from({ length: 20 }, () => world.vault.check()));
    expect(world.sim.requests.filter((request) => request.path === '/api/v1/folders')).toHaveLength(2);
  });
});

describe('an identity that may not do it', () => {
  test.for([
    ['be there', { paths: ['/elsewhere'] }],
    ['see values', { rights: ['read', 'write'] }],
  ] as const)('%s makes the vault unavailable, with what it needs', async ([, options]) => {
    await using world = await infisicalVaultWorld();
    await world.vault.write(callOf(), 'NAME', value);
    const { secretsOf, placeOf, sim } = world;
    const place = placeOf('/velvet', sim.createIdentity(options));
    const vault = infisicalVault({ secrets: secretsOf(), place, siteUrl: sim.url });

    const error = await refusedWith('vault_unavailable', vault.read('NAME'));

    expect(error.detail).toContain('Let it read (values too)');
  });

  test('log in names the variables, and is not asked again', async () => {
    await using world = await infisicalVaultWorld();
    world.identity.revokeSecret();

    const error = await refusedWith('vault_unavailable', world.vault.check());
    await refusedWith('vault_unavailable', world.vault.check());

    expect(error.detail).toMatch(/INFISICAL_CLIENT_ID and INFISICAL_CLIENT_SECRET.*five minutes/);
    expect(world.sim.logins()).toBe(1);
  });
});

describe('what Infisical does to a value', () => {
  test.for([
    ['white space at its ends', ' padded\t'],
    ['two line breaks at its end', 'pem\n\n'],
    ['nothing but white space', ' \n'],
    ['the look of a packed one', 'velvet-json:"x"'],
    ['a reference in it', 'a${OTHER}b'],
    ['one line break at its end', '-----BEGIN X-----\nabc\n-----END X-----\n'],
  ] as const)('is not seen in one with %s', async ([, text]) => {
    await using world = await infisicalVaultWorld();
    await world.vault.write(callOf(), 'OTHER', new Secret('expanded'));
    await world.vault.write(callOf(), 'NAME', new Secret(text));

    expect((await world.elsewhere.read('NAME'))?.equals(new Secret(text))).toBe(true);
  });

  test('an ordinary value lies there as it is, for operators to read', async () => {
    await using world = await infisicalVaultWorld();
    await world.vault.write(callOf(), 'NAME', new Secret('HRKU-1'));
    expect(held(world, 'NAME')).toEqual(['HRKU-1']);
  });

  test.for(['velvet-json:', 'velvet-json:"cut', 'velvet-json:7', 'velvet-json:""'])(
    'one that only begins like a packed one is refused by its slot: %s',
    async (text) => {
      await using world = await infisicalVaultWorld();
      world.folder.secrets.set('NAME', { id: '1', key: 'NAME', versions: [text] });
      const error = await refusedWith('vault_unavailable', world.vault.read('NAME'));
      expect(error.detail).toContain('slot NAME');
    },
  );

  test('a secret that somebody emptied is no value', async () => {
    await using world = await infisicalVaultWorld();
    world.folder.secrets.set('NAME', { id: '1', key: 'NAME', versions: [''] });
    expect(await world.vault.read('NAME')).toBe(null);
  });
});

describe('a change that only waits for an approval', () => {
  test('is none, and the answer says so', async () => {
    await using world = await infisicalVaultWorld();
    await world.vault.write(callOf(), 'NAME', value);
    world.folder.approvals = true;
    const { vault } = world;

    const errors = [
      await refusedWith('vault_unavailable', vault.write(callOf(), 'NAME', new Secret('b'))),
      await refusedWith('vault_unavailable', vault.create(callOf(), 'NEW', new Secret('b'))),
      await refusedWith('vault_unavailable', vault.remove(callOf(), 'NAME')),
    ];

    for (const error of errors) expect(error.detail).toContain("waits for somebody's approval");
    expect([held(world, 'NAME'), held(world, 'NEW')]).toEqual([['value-in-question'], undefined]);
  });
});

describe('a lost answer', () => {
  const applied: readonly Deed[] = ['hang_after', 'drop_mid_body', 'malformed'];

  test.for(applied)('is settled by a look where the change was made: %s', async (deed) => {
    await using world = await infisicalVaultWorld();
    const { vault, sim } = world;
    await vault.write(callOf(), 'NAME', new Secret('a'));

    sim.script({ on: `PATCH ${raw}/:name`, do: deed });
    await vault.write(callOf(), 'NAME', value);
    sim.script({ on: `POST ${raw}/:name`, do: deed });
    expect(await vault.create(callOf(), 'NEW', value)).toBe('created');
    sim.script({ on: `DELETE ${raw}/:name`, do: deed });
    await vault.remove(callOf(), 'NEW');

    expect([held(world, 'NAME'), held(world, 'NEW')]).toEqual([['a', 'value-in-question'], undefined]);
  });

  test('stays open where a look does not show it, and is not repeated here', async () => {
    await using world = await infisicalVaultWorld();
    const { vault, sim } = world;
    await vault.write(callOf(), 'NAME', new Secret('a'));
    const before = sim.requests.length;

    sim.script({ on: `PATCH ${raw}/:name`, do: 'hang_before' });
    await refusedWith('vendor_no_answer', vault.write(callOf(), 'NAME', value));
    sim.script({ on: `POST ${raw}/:name`, do: 'hang_before' });
    await refusedWith('vendor_no_answer', vault.create(callOf(), 'NEW', value));
    sim.script({ on: `DELETE ${raw}/:name`, do: 'hang_before' });
    await refusedWith('vendor_no_answer', vault.remove(callOf(), 'NAME'));

    const changes = sim.requests.slice(before).filter((request) => request.method !== 'GET');
    expect(changes.map((request) => request.method)).toEqual(['PATCH', 'POST', 'DELETE']);
  });

  test('that hides a create is seen by the next one, which replaces nothing', async () => {
    await using world = await infisicalVaultWorld();
    world.sim.script({ on: `POST ${raw}/:name`, do: { applies_late_ms: 400 } });
    await refusedWith('vendor_no_answer', world.vault.create(callOf(), 'NEW', value));
    await expect.poll(() => held(world, 'NEW')).toEqual(['value-in-question']);

    expect(await world.vault.create(callOf(), 'NEW', new Secret('b'))).toBe('exists');
    expect(held(world, 'NEW')).toEqual(['value-in-question']);
  });
});

describe('a refusal', () => {
  const array = [{ code: 'too_big', path: ['body', 'secretValue'], message: 'value-in-question is too big' }];

  test.for([
    ['a 429 with its wait in words', 'rate_limited', { retryAfterMs: 3_000, httpStatus: 429 }],
    ['an edge page', 'edge', { httpStatus: 403 }],
    [
      'a 422 with a list',
      { status: 422, body: { reqId: 'r', statusCode: 422, error: 'ValidationFailure', message: array } },
      { detail: expect.stringContaining('ValidationFailure (secretValue)') },
    ],
    [
      'a path that the server does not know',
      { status: 404, body: { statusCode: 404, error: 'Not Found', message: 'Route not found' } },
      { detail: expect.stringContaining('INFISICAL_SITE_URL') },
    ],
  ] as const)('makes the vault unavailable for now: %s', async ([, deed, facts]) => {
    await using world = await infisicalVaultWorld();
    world.sim.script({ on: `PATCH ${raw}/:name`, do: deed });

    const error = await refusedWith('vault_unavailable', world.vault.write(callOf(), 'NAME', value));

    expect(error).toMatchObject(facts);
    assertHoldsNone(error, ['value-in-question', world.identity.clientSecret, ...world.sim.tokens]);
    expect(held(world, 'NAME')).toBe(undefined);
  });

  test('never holds a value, a client secret or an access token, whatever Infisical says', async () => {
    await using world = await infisicalVaultWorld();
    const { vault, sim, identity } = world;
    await vault.write(callOf(), 'NAME', value);
    const values = ['value-in-question', identity.clientSecret, ...sim.tokens];
    const said = values.join(' ');
    const deeds: readonly Deed[] = [
      { status: 400, body: { statusCode: 400, error: said, message: said } },
      { status: 403, body: { statusCode: 403, error: 'PermissionDenied', message: said } },
      { status: 404, body: { statusCode: 404, error: said, message: said } },
      { status: 422, body: { statusCode: 422, error: said, message: [{ path: [said] }] } },
      { status: 500, body: said },
      { status: 502, body: `<html>${said}</html>` },
      { status: 200, body: { [said]: said } },
      { status: 200, body: { approval: { id: said } } },
      'malformed',
    ];
    for (const deed of deeds) {
      for (const run of [
        () => vault.read('NAME'),
        () => vault.write(callWith(), 'NAME', value),
        () => vault.create(callWith(), 'NEW', value),
        () => vault.remove(callWith(), 'NAME'),
        () => vault.list(''),
        () => vault.check(),
      ]) {
        sim.script({ on: '*', do: deed });
        assertHoldsNone(await run().catch((error: unknown) => error), values);
      }
    }
  });
});

test("a reference has the command of Infisical's own CLI, for its region and its environment", async () => {
  await using world = await infisicalVaultWorld();
  const place = { ...world.placeOf('/velvet'), projectId: 'p-1', environment: 'prod' };
  const ref = (siteUrl: string) => infisicalVault({ secrets: world.secretsOf(), place, siteUrl }).ref('NAME');

  expect(ref('https://app.infisical.com')).toBe(
    'infisical:/velvet/prod/NAME (infisical secrets get NAME --path /velvet --env prod --projectId p-1 --expand=false --plain)',
  );
  expect(ref('https://vault.example.com')).toContain(' --domain https://vault.example.com/api ');
});
