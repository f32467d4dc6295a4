// The heartbeat: once a beat whoever sends it, while the fleet is whole, and never otherwise.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemKeys } from '../../shared/redis/keys.ts';
import { buildWorld, until } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { admitAll, startSim } from '../sim/server.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const startMonitor = () =>
  startSim<null>({
    routes: { 'GET /ping/:id': () => ({ status: 200, body: 'OK' }) },
    authorize: admitAll,
    notFound: { status: 404 },
    badBody: { status: 400 },
    rateLimited: () => ({ status: 429 }),
  });

test('two stage workers beat together as often as one, fall silent while a family is away, and begin again', async () => {
  await using monitor = await startMonitor();
  const beats = () => monitor.requests.filter(({ route }) => route === 'GET /ping/:id');
  await using world = await buildWorld(redis.url, {
    heartbeatUrl: `${monitor.url}/ping/5a0b6f3e-secret?rid=1`,
    times: { heartbeatMs: 240, heartbeatCallMs: 1_000 },
  });
  await world.start('stage').ready;
  await until(() => (beats().length >= 7 ? true : null));
  // The first comes while the world is still starting, and is late by that.
  const steady = beats().slice(1);
  const gaps = steady.slice(1).map((beat, n) => beat.at - (steady[n]?.at ?? 0));
  // The hold is measured by Redis, the arrival here: a beat may be a little early or late, and two are never together.
  expect(Math.min(...gaps)).toBeGreaterThan(100);
  expect(beats()[0]?.path).toBe('/ping/5a0b6f3e-secret');
  expect(beats().every(({ method }) => method === 'GET')).toBe(true);

  await world.stop('healthcheck');
  await world.redis.del(systemKeys.beat('healthcheck'));
  // One that was under way may still arrive.
  await until(async () => ((await world.api('GET', '/healthz')).status === 503 ? true : null));
  const gone = Date.now();
  await until(() => (Date.now() - gone > 300 ? true : null));
  const silent = beats().length;
  await until(() => (Date.now() - gone > 1_500 ? true : null));
  expect(beats()).toHaveLength(silent);

  await world.start('healthcheck').ready;
  await until(() => (beats().length > silent ? true : null));
  expect(world.log.join('\n')).not.toContain('5a0b6f3e-secret');
});

test('a monitor that hangs is let go in time, and said in the log without its address', async () => {
  await using monitor = await startMonitor();
  monitor.script({ on: 'GET /ping/:id', times: 1, do: 'hang_before' });
  await using world = await buildWorld(redis.url, {
    heartbeatUrl: `${monitor.url}/ping/5a0b6f3e-secret`,
    times: { heartbeatMs: 240, heartbeatCallMs: 150 },
  });
  await until(() => (monitor.requests.length >= 2 ? true : null));
  const lines = world.log.filter((line) => line.includes('a standing duty failed'));
  expect(lines.some((line) => line.includes('vendor_unavailable'))).toBe(true);
});
