// A secret in Infisical as a destination: the contract suite, and the traps that are Infisical's own.
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { times } from '../../shared/times.ts';
import { createDoor } from '../../workers/vendors/http.ts';
import { createRegistry } from '../../workers/vendors/registry.ts';
import { contractTest } from '../contract/contract-test.ts';
import { destinationChecks } from '../contract/destination.ts';
import { callOf, refusedWith } from '../contract/expectations.ts';
import { infisicalDestinationWorld, infisicalTarget } from '../contract/infisical-worlds.ts';
import { infisicalError } from '../sim/infisical-json.ts';

const raw = '/api/v3/secrets/raw/:name';

describe('INFISICAL_WRITE', () => {
  contractTest(destinationChecks, () => infisicalDestinationWorld(), {
    skip: [
      {
        check: 'a write that is accepted and fails later is not in effect',
        reason:
          'what Infisical accepted is what is read there from then on; what waits for an approval is an error',
      },
    ],
  });

  test('the receipt is the version, and every write that changes something moves it', async () => {
    await using world = await infisicalDestinationWorld();
    const { destination, target, authority, next, previous } = world;

    const receipt = await destination.push(callOf(), target, authority, next);
    const evidence = await destination.readBack(callOf(), target, authority, { next, previous }, receipt);
    world.put(target, 'somebody else was here');
    const later = await destination.readBack(callOf(), target, authority, { next, previous }, receipt);

    expect(receipt).toEqual({ version: '2' });
    expect(evidence).toMatchObject({ holds: 'new', effect: 'running', version: '2' });
    expect(later).toMatchObject({ holds: 'other', version: '3' });
  });

  test('a replica that has not heard of the write yet is not in effect', async () => {
    await using world = await infisicalDestinationWorld();
    const { destination, target, authority, next, previous } = world;
    const known = { next, previous };

    const evidence = await destination.readBack(callOf(), target, authority, known, { version: '2' });

    expect(evidence).toMatchObject({ holds: 'old', effect: 'not_yet' });
  });

  test('a change that waits for an approval was not made, and a person is told to reject it', async () => {
    await using world = await infisicalDestinationWorld();
    const { destination, target, beside, authority, next, folder } = world;
    folder.approvals = true;
    const before = world.held();

    for (const where of [target, beside]) {
      const error = await refusedWith('vendor_rejected', destination.push(callOf(), where, authority, next));
      expect(error.detail).toMatch(/waits for somebody's approval.*Reject that request/);
    }

    expect(world.held()).toEqual(before);
    expect(folder.waiting).toHaveLength(2);
  });

  test.for([' padded', 'padded ', 'two\n\n', '\ttab'])(
    'a value that Infisical would change is refused before it is sent (%j)',
    async (text) => {
      await using world = await infisicalDestinationWorld();
      const pushing = world.destination.push(callOf(), world.target, world.authority, new Secret(text));

      const error = await refusedWith('vendor_rejected', pushing);

      expect(error.detail).toContain('white space');
      expect(world.requests()).toBe(0);
    },
  );

  test.for(['a${DATABASE_URL}b', '-----BEGIN X-----\nabc\n-----END X-----\n', 'ü\u{1F511}"\\'])(
    'a value is read back as it was written, not as what it refers to (%#)',
    async (text) => {
      await using world = await infisicalDestinationWorld();
      const { destination, target, authority, previous } = world;
      const next = new Secret(text);

      const receipt = await destination.push(callOf(), target, authority, next);
      const evidence = await destination.readBack(callOf(), target, authority, { next, previous }, receipt);

      expect(evidence.holds).toBe('new');
    },
  );

  test('what holds another value right after the write may have been written by two', async () => {
    await using world = await infisicalDestinationWorld();
    const secret = { secretKey: 'PM_TOKEN', secretValue: 'theirs', version: 3 };
    world.fault('read', { status: 200, body: { secret } });

    const error = await refusedWith(
      'vendor_no_answer',
      world.destination.push(callOf(), world.target, world.authority, world.next),
    );

    expect(error.detail).toContain('somebody else writes there too');
  });

  test('a name that somebody makes in between is written, not made again', async () => {
    await using world = await infisicalDestinationWorld();
    const { destination, target, authority, next } = world;
    const { body } = infisicalError(404, 'NotFound', 'Secret not found');
    world.sim.script({ on: `PATCH ${raw}`, do: { status: 404, body } });

    await destination.push(callOf(), target, authority, next);

    expect(world.sim.requests.map((request) => request.method).filter((method) => method !== 'GET')).toEqual([
      'POST',
      'PATCH',
      'POST',
      'PATCH',
    ]);
    expect(world.held()['PM_TOKEN']).toBe('pm-next-9c2e');
  });

  test('a folder that is not there is named: Infisical makes none', async () => {
    await using world = await infisicalDestinationWorld();
    const { destination, missing, authority, next } = world;
    const error = await refusedWith(
      'vendor_target_missing',
      destination.push(callOf(), missing, authority, next),
    );
    expect(error.detail).toContain('there is no folder /apps/gone in the environment development');
  });

  test('the address may name another environment, project and identity', async () => {
    await using world = await infisicalDestinationWorld();
    const { destination, sim, next, previous } = world;
    const other = sim.createProject(['eu']);
    const folder = other.folder('eu', '/mail');
    const writer = sim.createIdentity({ paths: ['/mail'] });
    const target = infisicalTarget('/mail', 'KEY', `&environment=eu&projectId=${other.id}`);
    const pair = new Secret(`${writer.clientId}:${writer.clientSecret}`);

    await destination.push(callOf(), target, pair, next);
    const evidence = await destination.readBack(callOf(), target, pair, { next, previous }, null);

    expect(evidence.holds).toBe('new');
    expect(folder.secrets.get('KEY')?.versions).toHaveLength(1);
    expect(sim.requests.find((request) => request.method === 'PATCH')?.caller).toBe(writer.clientId);
  });

  test("Velvet's own folder, and an address that is none, are refused before anything is sent", async () => {
    await using world = await infisicalDestinationWorld();
    const { destination, authority, next, target } = world;
    const endpoints = [
      infisicalTarget('/velvet', 'KEY'),
      infisicalTarget('/velvet/below', 'KEY'),
      infisicalTarget('/a/../velvet', 'KEY'),
      infisicalTarget('/apps/mail', 'a/b'),
      { ...target, update_endpoint: 'https://app.infisical.com/api/v4/secrets' },
      { ...target, update_endpoint: 'nowhere' },
    ];
    for (const where of endpoints)
      await refusedWith('vendor_rejected', destination.push(callOf(), where, authority, next));
    expect(world.requests()).toBe(0);
  });

  test('the authority goes to the configured host alone', async () => {
    await using world = await infisicalDestinationWorld();
    const { destination, target, authority, next } = world;
    const elsewhere = target.update_endpoint.replace('app.infisical.com', 'evil.example');

    await destination.push(callOf(), { ...target, update_endpoint: elsewhere }, authority, next);

    expect(world.held()['PM_TOKEN']).toBe('pm-next-9c2e');
  });

  test('without an Infisical the row says what to set', async () => {
    const door = createDoor({ fetch, clock: systemClock, times });
    const registry = createRegistry({
      door,
      clock: systemClock,
      times,
      herokuApiUrl: 'http://127.0.0.1:9',
      githubApiUrl: 'http://127.0.0.1:9',
    });
    const destination = registry.destination('INFISICAL_WRITE');

    const error = await refusedWith(
      'authority_invalid',
      destination.push(callOf(), infisicalTarget('/a', 'KEY'), new Secret('x'), new Secret('y')),
    );

    expect(error.detail).toContain('INFISICAL_CLIENT_ID');
  });
});
