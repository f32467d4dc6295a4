// How Velvet comes to a GitHub place: the App's key and its clock, the narrowed token, a repository that has moved.
import { createPrivateKey } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import type { Clock } from '../../shared/lib/clock.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { assertHoldsNone, callOf, refusedWith, thrownBy } from '../contract/expectations.ts';
import { githubWorld } from '../contract/github-world.ts';

type World = Awaited<ReturnType<typeof githubWorld>>;

const shifted = (ms: number): Clock => ({ ...systemClock, now: () => systemClock.now() + ms });
const push = ({ destination, target, authority, next }: World, authorityInstead: Secret = authority) =>
  destination.push(callOf(), target, authorityInstead, next);
const written = ({ store }: World) => store.values()['HEROKU_API_KEY'] === 'HRKU-next-9c2e';

const LOOKUP = 'GET /repos/:owner/:repo/installation';
const TOKEN = 'POST /app/installations/:id/access_tokens';

describe("the App's key", () => {
  const forms: readonly (readonly [string, (world: World) => string])[] = [
    [
      'with line ends that a shell escaped',
      ({ app }) =>
        JSON.stringify({
          client_id: app.clientId,
          private_key: app.privateKey.replaceAll('\n', String.raw`\n`),
        }),
    ],
    [
      'in PKCS#8',
      ({ app }) =>
        JSON.stringify({
          client_id: app.clientId,
          private_key: createPrivateKey(app.privateKey).export({ type: 'pkcs8', format: 'pem' }),
        }),
    ],
    [
      "with the App's number",
      ({ app }) => JSON.stringify({ client_id: app.id, private_key: app.privateKey }),
    ],
  ];
  test.for(forms)('%s is taken', async ([, form]) => {
    await using world = await githubWorld();
    await push(world, new Secret(form(world)));
    expect(written(world)).toBe(true);
  });

  const ec = '-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIrP\n-----END EC PRIVATE KEY-----\n';
  const broken: readonly (readonly [string, (world: World) => string])[] = [
    ['a token', () => 'ghp_0123456789abcdef0123456789abcdef0123'],
    ['the key alone', ({ app }) => app.privateKey],
    ['JSON without an id', ({ app }) => JSON.stringify({ private_key: app.privateKey })],
    [
      'half a key',
      ({ app }) => JSON.stringify({ client_id: app.clientId, private_key: app.privateKey.slice(0, 400) }),
    ],
    ['a key of another kind', ({ app }) => JSON.stringify({ client_id: app.clientId, private_key: ec })],
  ];
  test.for(broken)('%s is no App, and the error says what is, quoting nothing', async ([, form]) => {
    await using world = await githubWorld();
    const value = form(world);
    const error = await refusedWith('authority_invalid', push(world, new Secret(value)));
    expect(error.detail).toContain('one line of JSON, {"client_id": "Iv23…", "private_key"');
    expect(error.httpStatus).toBeUndefined();
    assertHoldsNone(error, [value, ...value.split('\n').filter((line) => line.length > 40)]);
    expect(world.sim.requests).toEqual([]);
  });

  test("clocks may be a minute apart; further apart it is the clock's fault and not the key's", async () => {
    for (const ms of [-50_000, 50_000]) {
      await using near = await githubWorld({ ownClock: shifted(ms) });
      await push(near);
      expect(written(near)).toBe(true);
    }
    for (const [ms, words] of [
      [300_000, /clock is (29|30)\d s ahead of/],
      [-700_000, /clock is (69|70)\d s behind/],
    ] as const) {
      await using far = await githubWorld({ ownClock: shifted(ms) });
      const error = await refusedWith('vendor_rejected', push(far));
      expect(error.message).toMatch(words);
    }
  });

  test('a key that GitHub does not know is authority_invalid', async () => {
    await using world = await githubWorld();
    const error = await refusedWith('authority_invalid', push(world, world.deadAuthority));
    expect(error.httpStatus).toBe(401);
  });
});

describe('the token', () => {
  test('is narrowed to one repository and permission, and given back, in a look too', async () => {
    await using world = await githubWorld();
    const { sim, destination, target, authority, repo } = world;
    const receipt = await push(world);
    await destination.settled(callOf({ lease: null }), target, authority, receipt);

    expect(sim.apps.tokens.map((one) => [one.permissions, one.repositories, one.revoked])).toEqual([
      [{ secrets: 'write' }, [repo], true],
      [{ secrets: 'read' }, [repo], true],
    ]);
    // No length, no shape: the newer ones are long, with dots.
    expect(sim.apps.tokens[0]?.token).toMatch(/^ghs_\d+_[\w-]+\.[\w-]+\.[\w-]{300,}$/);
  });

  test.for([{ status: 500, body: {} }, 'hang_before', 'edge'] as const)(
    'that cannot be given back (%j) is no failure of the write',
    async (deed) => {
      await using world = await githubWorld();
      world.sim.script({ on: 'DELETE /installation/token', do: deed });
      await push(world);
      expect(written(world)).toBe(true);
    },
  );

  test('is given back where the write fails, and none is asked for a second time', async () => {
    await using world = await githubWorld();
    world.fault('write', { status: 422, body: { message: 'no' } });
    await refusedWith('vendor_rejected', push(world));
    expect(world.sim.apps.tokens.map((one) => one.revoked)).toEqual([true]);
  });

  test('that got lost on its way is no write', async () => {
    await using world = await githubWorld();
    for (const deed of ['hang_after', { status: 502, body: {} }] as const) {
      world.sim.script({ on: TOKEN, do: deed });
      await refusedWith('vendor_unavailable', push(world));
    }
    expect(world.changes()).toBe(0);
  });

  test('is not given for what the installation may not do, or while it is suspended', async () => {
    await using world = await githubWorld();
    const refused = await refusedWith('vendor_forbidden', push(world, world.weakAuthority));
    expect(refused.message).toContain('does not have "secrets: write"');
    world.installation.suspended = true;
    expect((await refusedWith('vendor_forbidden', push(world))).message).toContain('must not be suspended');
  });
});

describe('a repository that has moved', () => {
  test('is looked up by its number and written under its new name; no redirect is followed', async () => {
    await using world = await githubWorld();
    const { sim, repo, owner, destination, target, authority } = world;
    sim.moveRepo(repo, owner, 'console-two');
    const receipt = await push(world);

    expect(written(world)).toBe(true);
    expect(receipt.note).toContain(
      'The repository is called acme/console-two now: mend the address in the manifest.',
    );
    const puts = sim.requests.filter((request) => request.method === 'PUT');
    expect(puts.map((request) => request.path)).toEqual([
      '/repos/acme/console-two/actions/secrets/HEROKU_API_KEY',
    ]);
    expect(sim.apps.tokens[0]?.repositories).toEqual([repo]);
    expect(await destination.settled(callOf({ lease: null }), target, authority, receipt)).toBe('yes');
  });

  test('to where the App is not installed is missing', async () => {
    await using world = await githubWorld();
    world.sim.moveRepo(world.repo, await world.sim.createOwner('else'), 'console');
    await refusedWith('vendor_target_missing', push(world));
  });

  test('is asked for at the configured host alone, whatever the redirect names', async () => {
    await using world = await githubWorld();
    const deed = (location: string) => ({ status: 301, body: { message: 'Moved' }, headers: { location } });
    world.sim.script({
      on: LOOKUP,
      do: deed(`https://evil.example/repositories/${world.repo.id}/installation`),
    });
    await push(world);
    world.sim.script({ on: LOOKUP, do: deed('https://evil.example/login') });
    const error = await refusedWith('vendor_target_missing', push(world));
    expect(error.message).toContain('mend the address in the manifest');
  });

  test('in the middle of the write is left for the next attempt', async () => {
    await using world = await githubWorld();
    const headers = { location: '/repositories/1/actions/secrets/X' };
    world.fault('write', { status: 307, body: { message: 'Temporary Redirect' }, headers });
    const error = await refusedWith('vendor_unavailable', push(world));
    expect([error.retry, written(world)]).toEqual(['backoff', false]);
  });
});

test('the authority goes to the configured host alone, and to places of secrets alone', async () => {
  await using world = await githubWorld();
  const { destination, target, authority, next } = world;
  const at = (update_endpoint: string) =>
    destination.push(callOf(), { ...target, update_endpoint }, authority, next);
  await at('https://evil.example/repos/acme/console/actions/secrets');
  expect(written(world)).toBe(true);
  const before = world.sim.requests.length;
  for (const path of ['/repos/acme/console/contents/x', '/repos/acme/../orgs/acme', '/user', ''])
    expect((await thrownBy(at(`https://api.github.com${path}`))).code).toBe('vendor_rejected');
  expect(
    (await thrownBy(destination.push(callOf(), { ...target, update_key: 'GITHUB_TOKEN' }, authority, next)))
      .code,
  ).toBe('vendor_rejected');
  expect(world.sim.requests).toHaveLength(before);
});
