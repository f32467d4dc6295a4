// The feed of one credential: events after a number, and being woken for more, also when the connection was away.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createFeed, type Feed } from '../../shared/redis/feed.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { until } from '../harness.ts';
import { CREDENTIAL, ENV, eventOf, keys, storeWorld, type StoreWorld } from './store-world.ts';

let server: RedisServer;
let world: StoreWorld;
let feed: Feed;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());
beforeEach(async () => {
  world = await storeWorld(server.url);
  feed = world.feed;
  return () => world[Symbol.asyncDispose]();
});

const happen = (event: string, credential = CREDENTIAL) =>
  world.claims.record(credential, ENV, eventOf(event, null));
const names = async (after: number, limit = 100) =>
  (await feed.read(CREDENTIAL, ENV, after, limit)).map((one) => `${one.seq} ${one.event}`);

/** Counts how often it was woken. */
function sleeper() {
  const woken = { times: 0, wake: () => undefined as void };
  woken.wake = () => {
    woken.times += 1;
  };
  return woken;
}
const wakes = (one: { readonly times: number }, atLeast = 1) =>
  until(() => (one.times >= atLeast ? true : null), 3_000);

test('reading gives what came after a number, oldest first, as many as asked for', async () => {
  expect(await names(0)).toEqual([]);
  for (const event of ['a', 'b', 'c', 'd']) await happen(event);
  expect(await names(0)).toEqual(['1 a', '2 b', '3 c', '4 d']);
  expect(await names(2)).toEqual(['3 c', '4 d']);
  expect(await names(1, 2)).toEqual(['2 b', '3 c']);
  expect(await names(4)).toEqual([]);
  expect(await names(9)).toEqual([]);
  expect(await names(-1)).toHaveLength(4);
  expect((await feed.read(CREDENTIAL, ENV, 3, 1))[0]).toEqual({ seq: 4, ...eventOf('d', null) });
});

test('the bounds are those of what is kept, and the last number outlives what is trimmed', async () => {
  expect(await feed.bounds(CREDENTIAL, ENV)).toEqual({ oldest: 0, last: 0 });
  for (const event of ['a', 'b', 'c']) await happen(event);
  expect(await feed.bounds(CREDENTIAL, ENV)).toEqual({ oldest: 1, last: 3 });
  await world.redis.xtrim(keys.events, 'MINID', '3-0');
  expect(await feed.bounds(CREDENTIAL, ENV)).toEqual({ oldest: 3, last: 3 });
  await world.redis.xtrim(keys.events, 'MAXLEN', '0');
  expect(await feed.bounds(CREDENTIAL, ENV)).toEqual({ oldest: 0, last: 3 });
});

test('every follower of a credential is woken, followers of another are not, and who left is not', async () => {
  const [one, two, other] = [sleeper(), sleeper(), sleeper()];
  const leave = await feed.follow(CREDENTIAL, ENV, one.wake);
  await feed.follow(CREDENTIAL, ENV, two.wake);
  await feed.follow('OTHER', ENV, other.wake);

  await happen('a');
  await Promise.all([wakes(one), wakes(two)]);
  leave();
  await happen('b');
  await wakes(two, 2);

  expect([one.times, two.times, other.times]).toEqual([1, 2, 0]);
});

test('leaving twice takes nothing from those who came since', async () => {
  const [one, two] = [sleeper(), sleeper()];
  const leave = await feed.follow(CREDENTIAL, ENV, one.wake);
  leave();
  await feed.follow(CREDENTIAL, ENV, two.wake);
  leave();
  await happen('a');
  await wakes(two);
  expect(one.times).toBe(0);
});

test('the last one to leave ends the subscription, and the next one begins it again', async () => {
  const channels = () => world.redis.pubsub('CHANNELS', '*:wake');
  const [leaveOne, leaveTwo] = [
    await feed.follow(CREDENTIAL, ENV, sleeper().wake),
    await feed.follow(CREDENTIAL, ENV, sleeper().wake),
  ];
  leaveOne();
  expect(await channels()).toEqual([keys.wake]);
  leaveTwo();
  await until(async () => ((await channels()).length === 0 ? true : null), 3_000);

  const again = sleeper();
  await feed.follow(CREDENTIAL, ENV, again.wake);
  await happen('a');
  await wakes(again);
});

test('whoever follows is subscribed when told so, also the second of two at once', async () => {
  const followers = Array.from({ length: 10 }, sleeper);
  await Promise.all(
    followers.map(async (one) => {
      await feed.follow(CREDENTIAL, ENV, one.wake);
      expect(await world.redis.pubsub('NUMSUB', keys.wake)).toEqual([keys.wake, 1]);
    }),
  );
  await happen('a');
  await Promise.all(followers.map((one) => wakes(one)));
});

test('a connection that comes back wakes everybody, since what was said meanwhile was not heard', async () => {
  const subscriber = world.connection();
  const own = createFeed(world.redis, subscriber);
  const [one, other] = [sleeper(), sleeper()];
  await own.follow(CREDENTIAL, ENV, one.wake);
  await own.follow('OTHER', ENV, other.wake);
  const away = new Promise((resolve) => subscriber.once('close', resolve));

  await world.redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await away;
  await happen('missed');
  await Promise.all([wakes(one), wakes(other)]);

  expect(await names(0)).toEqual(['1 missed']);
  const before = one.times;
  await until(async () => ((await world.redis.pubsub('NUMSUB', keys.wake))[1] === 1 ? true : null), 3_000);
  await happen('heard');
  await wakes(one, before + 1);
});
