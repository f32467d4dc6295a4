// Heroku's config vars as a destination: the contract suite, and the traps that are Heroku's own.
import { describe, expect, test } from 'vitest';
import { contractTest } from '../contract/contract-test.ts';
import { destinationChecks } from '../contract/destination.ts';
import { callOf, refusedWith, thrownBy } from '../contract/expectations.ts';
import { herokuDestinationWorld, herokuTarget } from '../contract/heroku-destination-world.ts';

const codeOf = async (running: Promise<unknown>) => (await thrownBy(running)).code;
const addressed = (update_endpoint: string) => ({ ...herokuTarget('x', 'KEY'), update_endpoint });

describe('config vars', () => {
  contractTest(destinationChecks, () => herokuDestinationWorld());

  test('a pending release is not in effect, and a later one carries what an earlier one failed to', async () => {
    await using world = await herokuDestinationWorld({ releaseMs: 60_000 });
    const { destination, target, authority, next } = world;
    world.nextWriteFails();
    const receipt = await destination.push(callOf(), target, authority, next);
    const settled = () => destination.settled(callOf(), target, authority, receipt);

    expect(receipt).toEqual({ version: '2' });
    expect(await settled()).toBe('not_yet');
    world.hurry();
    expect(await settled()).toBe('failed');
    world.app.patchConfig({ LOG_LEVEL: 'debug' });
    expect(await settled()).toBe('not_yet');
    world.hurry();
    expect(await settled()).toBe('yes');
  });

  test('a later deploy that fails does not undo ours', async () => {
    await using world = await herokuDestinationWorld();
    const { destination, target, authority, next } = world;
    const receipt = await destination.push(callOf(), target, authority, next);
    world.app.failNextRelease();
    world.app.patchConfig({ LOG_LEVEL: 'debug' });

    expect(await destination.settled(callOf(), target, authority, receipt)).toBe('yes');
  });

  test('without a receipt a failed newest release means that the app does not run on what it holds', async () => {
    await using world = await herokuDestinationWorld();
    world.nextWriteFails();
    world.put(world.target, 'HRKU-next-9c2e');

    const evidence = await world.destination.readBack(callOf(), world.target, world.authority, world, null);

    expect(evidence).toEqual({
      holds: 'new',
      effect: 'failed',
      version: null,
      detail: 'release v2 is failed',
    });
  });

  const kinds = [
    {
      kind: 'normal',
      effect: 'running',
      detail: 'release v2 is current; every running dyno (2) is up on it or later',
    },
    {
      kind: 'never_restarts',
      effect: 'not_yet',
      detail: 'release v2 is current; web.1 is still on v1, worker.1 is still on v1',
    },
    {
      kind: 'crashes',
      effect: 'not_yet',
      detail: 'release v2 is current; web.1 is crashed on v2, worker.1 is crashed on v2',
    },
  ] as const;
  test.each(kinds)('an app that is $kind is $effect', async ({ kind, effect, detail }) => {
    await using world = await herokuDestinationWorld({ kind, dynos: ['web', 'worker'] });
    const { destination, target, authority, next } = world;
    const receipt = await destination.push(callOf(), target, authority, next);

    expect(await destination.readBack(callOf(), target, authority, world, receipt)).toEqual({
      holds: 'new',
      effect,
      version: '2',
      detail,
    });
  });

  test('a dyno that is still starting is not running yet', async () => {
    await using world = await herokuDestinationWorld({ bootMs: 60_000 });
    const { destination, target, authority, next } = world;
    const receipt = await destination.push(callOf(), target, authority, next);
    const effect = async () =>
      (await destination.readBack(callOf(), target, authority, world, receipt)).effect;

    expect(await effect()).toBe('not_yet');
    world.hurry();
    expect(await effect()).toBe('running');
  });

  test('an app without a running dyno proves nothing, and a one-off dyno is not counted', async () => {
    await using world = await herokuDestinationWorld({ dynos: [] });
    const { destination, target, authority, next } = world;
    world.app.run();
    const receipt = await destination.push(callOf(), target, authority, next);

    const evidence = await destination.readBack(callOf(), target, authority, world, receipt);

    expect([evidence.effect, evidence.detail]).toEqual([
      'unknown',
      'release v2 is current; no dyno is running',
    ]);
  });

  test('a success whose echo does not hold the value is no success', async () => {
    await using world = await herokuDestinationWorld();
    world.fault('write', { status: 200, body: { HEROKU_API_KEY: 'HRKU-previous-3a1f' } });
    expect(await codeOf(world.destination.push(callOf(), world.target, world.authority, world.next))).toBe(
      'vendor_no_answer',
    );
    world.fault('write', { status: 200, body: {} });
    expect(await codeOf(world.destination.push(callOf(), world.target, world.authority, world.next))).toBe(
      'vendor_no_answer',
    );
  });

  test('a release in progress is a reason to wait', async () => {
    await using world = await herokuDestinationWorld();
    world.fault('write', { status: 409, body: { id: 'conflict', message: 'x' } });
    const error = await refusedWith(
      'vendor_unavailable',
      world.destination.push(callOf(), world.target, world.authority, world.next),
    );
    expect([error.httpStatus, error.kind, error.retry]).toEqual([409, 'HTTP409', 'backoff']);
  });

  test('a variable that is unset or empty holds something else', async () => {
    await using world = await herokuDestinationWorld();
    const holds = async () =>
      (await world.destination.readBack(callOf(), world.target, world.authority, world, null)).holds;
    world.put(world.target, '');
    expect(await holds()).toBe('other');
    world.app.patchConfig({ HEROKU_API_KEY: null });
    expect(await holds()).toBe('other');
  });

  test('the authority goes to the configured host alone, and to config vars alone', async () => {
    await using world = await herokuDestinationWorld();
    const { destination, authority, next } = world;

    await destination.push(
      callOf(),
      addressed('https://evil.example/apps/raxx-console-prod/config-vars'),
      authority,
      next,
    );
    expect(world.changes()).toBe(1);

    for (const path of [
      '/apps/raxx-console-prod',
      '/apps/../account/config-vars',
      '/apps/a%2Fb/config-vars',
      '/account',
    ]) {
      expect(
        await codeOf(destination.push(callOf(), addressed(`https://api.heroku.com${path}`), authority, next)),
      ).toBe('vendor_rejected');
    }
    expect(world.changes()).toBe(1);
  });
});
