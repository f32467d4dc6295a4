// What is written and what is shown of it: made or updated, who may read an organisation's secret, evidence without a value, and no value anywhere else.
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import type { Clock } from '../../shared/lib/clock.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { githubSecrets } from '../../workers/vendors/github/secrets.ts';
import { createDoor } from '../../workers/vendors/http.ts';
import { wrapDestination } from '../../workers/vendors/registry.ts';
import { assertHoldsNone, callOf, refusedWith } from '../contract/expectations.ts';
import { githubTarget, githubWorld } from '../contract/github-world.ts';
import type { Deed } from '../sim/faults.ts';

type World = Awaited<ReturnType<typeof githubWorld>>;

const push = ({ destination, target, authority, next }: World) =>
  destination.push(callOf(), target, authority, next);
const look = (
  { destination, target, authority, next, previous }: World,
  receipt: { version: string } | null,
) => destination.readBack(callOf({ lease: null }), target, authority, { next, previous }, receipt);

/** A clock that a test moves. */
function movable(): Clock & { forward(ms: number): void } {
  let by = 0;
  return {
    ...systemClock,
    now: () => systemClock.now() + by,
    forward: (ms) => {
      by += ms;
    },
  };
}

describe('made or updated', () => {
  test('an update is noted as one, by GitHub’s clock in whole seconds', async () => {
    await using world = await githubWorld();
    const receipt = await push(world);
    expect(receipt.version).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(receipt.note).toBe(
      'GitHub updated HEROKU_API_KEY; it shows no value, and jobs that run keep the old one.',
    );
  });

  test('a name that was new is a success that a person must see', async () => {
    await using world = await githubWorld();
    const { destination, beside, authority, next, store } = world;
    const receipt = await destination.push(callOf(), beside, authority, next);
    expect(store.values()['ANOTHER_KEY']).toBe(next.reveal());
    expect(receipt.note).toContain('GitHub made ANOTHER_KEY anew: no secret had that name before.');
    expect(receipt.note).toContain('mend update_key in the manifest');
  });

  test('the key is fetched with each write: one that GitHub has changed is no hindrance', async () => {
    await using world = await githubWorld();
    await push(world);
    world.store.rekey();
    await push(world);
    expect(world.sim.requests.filter((request) => request.path.endsWith('/public-key'))).toHaveLength(2);
    expect(world.store.values()['HEROKU_API_KEY']).toBe('HRKU-next-9c2e');
  });

  test.for([
    ['umlauts and an emoji', 'pä$$ wörd "🔑"'],
    ['48 KB', 'x'.repeat(48_000)],
  ] as const)('a value of %s arrives as it is', async ([, value]) => {
    await using world = await githubWorld();
    const { destination, target, authority, store } = world;
    await destination.push(callOf(), target, authority, new Secret(value));
    expect(store.values()['HEROKU_API_KEY'] === value).toBe(true);
  });
});

describe("an organisation's secret", () => {
  test('keeps the repositories that were chosen, however many pages they fill', async () => {
    await using world = await githubWorld({ scope: 'organisation' });
    const ids: number[] = [];
    for (let n = 0; n < 205; n++) ids.push((await world.sim.createRepo(world.owner, `repo-${n}`)).id);
    world.store.set('HEROKU_API_KEY', 'HRKU-previous-3a1f', { visibility: 'selected', selected: ids });
    await push(world);
    expect(world.secret()).toMatchObject({ value: 'HRKU-next-9c2e', visibility: 'selected', selected: ids });
  });

  test.for(['all', 'private'] as const)('that is for %s stays so', async (visibility) => {
    await using world = await githubWorld({ scope: 'organisation' });
    world.store.set('HEROKU_API_KEY', 'x', { visibility, selected: [] });
    await push(world);
    expect(world.secret()).toMatchObject({ value: 'HRKU-next-9c2e', visibility });
    expect(world.sim.apps.tokens[0]?.permissions).toEqual({ organization_secrets: 'write' });
  });

  test('that is not there is made by nobody but a person, who says who may read it', async () => {
    await using world = await githubWorld({ scope: 'organisation' });
    const { destination, beside, authority, next } = world;
    const error = await refusedWith(
      'vendor_target_missing',
      destination.push(callOf(), beside, authority, next),
    );
    expect(error.message).toContain(
      'make it once by hand (`gh secret set ANOTHER_KEY --org <org> --visibility',
    );
    expect(world.changes()).toBe(0);
  });

  test('whose readers cannot be listed to the end is not written', async () => {
    await using world = await githubWorld({ scope: 'organisation' });
    world.store.set('HEROKU_API_KEY', 'x', { visibility: 'selected', selected: [world.repo.id] });
    const on = 'GET /orgs/:org/actions/secrets/:name/repositories';
    for (const body of [{ total_count: 2, repositories: [] }, { repositories: [] }]) {
      world.sim.script({ on, do: { status: 200, body } });
      await refusedWith('vendor_bad_answer', push(world));
    }
    expect(world.changes()).toBe(0);
  });

  test('of another organisation is missing', async () => {
    await using world = await githubWorld({ scope: 'organisation' });
    const { destination, missing, authority, next } = world;
    await refusedWith('vendor_target_missing', destination.push(callOf(), missing, authority, next));
  });
});

describe('evidence', () => {
  test('updated_at that has not moved is not in effect', async () => {
    const clock = movable();
    await using world = await githubWorld({ clock });
    const { destination, target, authority, secret } = world;
    clock.forward(60_000);
    const receipt = await push(world);
    const settled = () => destination.settled(callOf({ lease: null }), target, authority, receipt);
    expect(await settled()).toBe('yes');

    Object.assign(secret() ?? {}, { updatedAt: Date.parse(receipt.version) - 60_000 });
    expect(await settled()).toBe('not_yet');
    expect((await look(world, receipt)).detail).toContain(', before this write');
  });

  test('says when it was last written, by whom as far as can be told, and claims no value', async () => {
    const clock = movable();
    await using world = await githubWorld({ clock });
    const receipt = await push(world);
    const ours = await look(world, receipt);
    expect(ours).toEqual({
      holds: 'unknown',
      effect: 'unknown',
      version: receipt.version,
      detail: `GitHub shows no value; HEROKU_API_KEY was last written at ${receipt.version}, by this write`,
    });
    clock.forward(60_000);
    world.put(world.target, 'by hand');
    const since = await look(world, receipt);
    expect(since.detail).toContain(', after this write: somebody wrote it since');
    expect(since.version).not.toBe(ours.version);
    expect((await look(world, null)).detail).toMatch(/last written at \S+Z$/);
  });

  test('a name that is not there holds another value; a place that may only be hidden tells nothing', async () => {
    await using world = await githubWorld();
    const { destination, beside, missing, authority } = world;
    const at = (target: typeof beside) =>
      destination.readBack(callOf({ lease: null }), target, authority, { next: null, previous: null }, null);
    expect(await at(beside)).toMatchObject({ holds: 'other', detail: 'there is no secret ANOTHER_KEY' });
    expect(await at(missing)).toMatchObject({ holds: 'unknown', version: null });
    expect((await at(missing)).detail).toContain('not found, or the App has no access');
  });
});

test('neither the value, nor the key, nor the App’s and the installation’s tokens are in any error', async () => {
  await using world = await githubWorld();
  const { sim, app, target, authority, next, previous } = world;
  const sent: string[] = [];
  const watching: typeof fetch = (input, init) => {
    sent.push(new Headers(init?.headers).get('authorization')?.replace('Bearer ', '') ?? '');
    return fetch(input, init);
  };
  const door = createDoor({ fetch: watching, clock: systemClock, times: { vendorCallMs: 300 } });
  const deps = { door, clock: systemClock, baseUrl: sim.url, lateMs: 1, secondaryLimitWaitMs: 1 };
  const destination = wrapDestination({ clock: systemClock }, githubSecrets(deps));
  const key = app.privateKey.split('\n').filter((line) => line.length > 40);
  const routes = [
    'GET /repos/:owner/:repo/installation',
    'POST /app/installations/:id/access_tokens',
    'GET /repos/:owner/:repo/actions/secrets/public-key',
    'PUT /repos/:owner/:repo/actions/secrets/:name',
    'GET /repos/:owner/:repo/actions/secrets/:name',
  ];

  const thrown: unknown[] = [];
  for (const on of routes) {
    for (const status of [200, 401, 403, 404, 418, 422, 429, 500]) {
      // Says back all that it was ever told, as a proxy might that shows a request for debugging.
      const said = [...sent, ...key, next.reveal()].join(' ');
      const deed: Deed = { status, body: { message: said, [said]: said, errors: [{ message: said }] } };
      sim.script({ on, do: deed });
      for (const run of [
        () => destination.push(callOf(), target, authority, next),
        () => destination.readBack(callOf({ lease: null }), target, authority, { next, previous }, null),
      ])
        thrown.push(await run().catch((error: unknown) => error));
      sim.clearFaults();
    }
  }
  expect(new Set(sent).size).toBeGreaterThan(20);
  expect(sent.some((one) => one.startsWith('ghs_')) && sent.some((one) => one.startsWith('ey'))).toBe(true);
  assertHoldsNone(thrown, [next.reveal(), previous.reveal(), ...key, ...new Set(sent)]);
});

test('an address that is one of another vendor is refused before anything is sent', async () => {
  await using world = await githubWorld();
  const target = githubTarget('/apps/x/config-vars', 'KEY');
  await refusedWith('vendor_rejected', world.destination.push(callOf(), target, world.authority, world.next));
  expect(world.sim.requests).toEqual([]);
});
