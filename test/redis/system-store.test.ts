// What belongs to the installation: service tokens, flags, signs of life, what is unavailable, the epoch.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  createSystemStore,
  workerFamilies,
  type NewServiceToken,
  type SystemStore,
} from '../../shared/redis/system-store.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { until } from '../harness.ts';
import { storeWorld, type StoreWorld } from './store-world.ts';

let server: RedisServer;
let world: StoreWorld;
let system: SystemStore;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());
beforeEach(async () => {
  world = await storeWorld(server.url);
  system = createSystemStore(world.redis);
  return () => world[Symbol.asyncDispose]();
});

const NOW = 1_000;
function tokenOf(different: Partial<NewServiceToken> = {}): NewServiceToken {
  return {
    name: 'console',
    owner: 'ada',
    scopes: ['rotate'],
    credentials: null,
    slack_user_id: null,
    created_at: NOW,
    expires_at: NOW + 100,
    ...different,
  };
}

describe('a service token', () => {
  test('is known by what was given out, and Redis holds nothing that could be presented', async () => {
    const { token, record } = await system.createToken(tokenOf({ credentials: ['HK_*'] }));
    expect(token).toMatch(/^vlt_[0-9a-f]{12}_[0-9a-f]{64}$/);
    expect(await system.findToken(token, NOW)).toEqual(record);
    expect(record).toMatchObject({ owner: 'ada', scopes: ['rotate'], credentials: ['HK_*'] });

    const stored = JSON.stringify(await world.snapshot());
    expect(stored).toContain(record.id);
    expect(stored).not.toContain(token.slice(-64));
  });

  test('counts until the moment at which it expires', async () => {
    const { token, record } = await system.createToken(tokenOf());
    expect(await system.findToken(token, NOW + 99)).toEqual(record);
    expect(await system.findToken(token, NOW + 100)).toBeNull();
  });

  test("that is deleted, mistyped, cut, another one's or no token at all is nobody's", async () => {
    const [one, two] = [await system.createToken(tokenOf()), await system.createToken(tokenOf())];
    const last = one.token.endsWith('0') ? '1' : '0';
    const swapped = `vlt_${one.record.id}_${two.token.slice(-64)}`;
    const wrong = [
      `${one.token.slice(0, -1)}${last}`,
      one.token.slice(0, -1),
      `${one.token}0`,
      ` ${one.token}`,
      one.token.toUpperCase(),
      swapped,
      one.record.hash,
      '',
      'vlt__',
      '__proto__',
    ];
    for (const presented of wrong) expect(await system.findToken(presented, NOW)).toBeNull();

    expect([await system.deleteToken(one.record.id), await system.deleteToken(one.record.id)]).toEqual([
      true,
      false,
    ]);
    expect(await system.findToken(one.token, NOW)).toBeNull();
    expect(await system.findToken(two.token, NOW)).toEqual(two.record);
  });

  test('is listed in the order of creation, with expired ones', async () => {
    const later = await system.createToken(tokenOf({ name: 'later', created_at: NOW + 5 }));
    const first = await system.createToken(tokenOf({ name: 'first', expires_at: 1 }));
    expect(await system.tokens()).toEqual([first.record, later.record]);
  });
});

test('flags have their defaults until they are set, and keep what was set', async () => {
  expect(await system.flags()).toEqual({ velvet_v2_rotation: true });
  await system.setFlag('velvet_v2_rotation', false);
  expect(await createSystemStore(world.connection()).flags()).toEqual({ velvet_v2_rotation: false });
  await system.setFlag('velvet_v2_rotation', true);
  await world.redis.hset('velvet:{system}:flags', 'gone_since', '1');
  expect(await system.flags()).toEqual({ velvet_v2_rotation: true });
});

test('a family is silent until it beats, and again when its beat has run out', async () => {
  expect(await system.silentFamilies()).toEqual(workerFamilies);
  for (const family of workerFamilies) await system.beat(family, 60_000);
  expect(await system.silentFamilies()).toEqual([]);
  await system.beat('healthcheck', 20);
  await until(async () => ((await system.silentFamilies()).length > 0 ? true : null), 2_000);
  expect(await system.silentFamilies()).toEqual(['healthcheck']);
});

test('what is unavailable is replaced as a whole', async () => {
  expect(await system.unavailable()).toEqual({});
  await system.setUnavailable({ HK_ONE: 'no authority', HK_TWO: 'refused' });
  await system.setUnavailable({ HK_TWO: 'refused' });
  expect(await system.unavailable()).toEqual({ HK_TWO: 'refused' });
  await system.setUnavailable({});
  expect(await system.unavailable()).toEqual({});
});

test('the epoch is made once, by whoever comes first of many, and stays', async () => {
  expect(await system.epoch()).toBeNull();
  const epochs = await Promise.all(
    Array.from({ length: 20 }, () => createSystemStore(world.connection()).demandEpoch()),
  );
  expect(new Set(epochs).size).toBe(1);
  expect(epochs[0]).toMatch(/^[0-9a-f]{8}$/);
  expect([await system.epoch(), await system.demandEpoch()]).toEqual([epochs[0], epochs[0]]);
});
