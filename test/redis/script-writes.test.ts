// What a script writes when nothing stands against it, and its decision held against the one in TypeScript.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { emptyTally, outcomeOf, type Tally } from '../../shared/rotation/rows.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { closingsByName, said, send, tallyToHash } from './raw-calls.ts';
import { CREDENTIAL, ENV, keys, storeWorld } from './store-world.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

test('commit: record, rows, claim, fence, events, tasks and lifetime together', async () => {
  await using world = await storeWorld(server.url);
  await world.opened();
  await send(world, 'commit', { claim: 'free' });

  const { redis } = world;
  expect(await redis.hmget(keys.job('job-1'), 'status', 'version')).toEqual(['distributed', '2']);
  expect(await redis.hget(keys.rows('job-1'), 'consumer-0')).toContain('"rev":1');
  expect(await redis.get(keys.claim)).toBeNull();
  expect(await redis.get(keys.fence)).toBe('1-raised00');
  expect((await redis.xrange(keys.events, '-', '+')).map(([id]) => id)).toEqual(['1-0', '2-0']);
  expect(await redis.hgetall(keys.outbox)).toEqual({ 'task-1': '{}' });
  expect(await redis.smembers(keys.open)).toEqual([]);
  expect(await redis.pttl(keys.idem('idem-job-1'))).toBeGreaterThan(4_000);
});

test('commit: taking the claim twice is taking it once', async () => {
  await using world = await storeWorld(server.url);
  await world.opened({ claims: false });
  expect(await send(world, 'commit', { claim: 'take' })).toEqual([0]);
  expect(await world.redis.get(keys.claim)).toBe('job-1');
  const again = { claim: 'take', commit_id: 'call-2', version: '2', rows: [], texts: said('again') };
  expect(await send(world, 'commit', again)).toEqual([0]);
});

test('writeRow: a closing is carried out for its own outcome alone, and only where the counts moved', async () => {
  await using world = await storeWorld(server.url);
  await world.opened();
  await world.redis.hset(keys.job('job-1'), tallyToHash({ ...emptyTally, proven: 1 }));
  const closings = closingsByName();

  const noting = { closings, delta: emptyTally };
  expect(await send(world, 'writeRow', noting)).toEqual([0, 'open']);
  expect(await world.redis.hget(keys.job('job-1'), 'status')).toBe('distributing');

  const settling = { closings, commit_id: 'call-2', rev: '1', delta: { ...emptyTally, ok: 1, proven: 1 } };
  expect(await send(world, 'writeRow', settling)).toEqual([0, 'all']);
  expect(await world.redis.hget(keys.job('job-1'), 'status')).toBe('all');
  expect(await world.redis.hkeys(keys.outbox)).toEqual(['task-1', 'task-all']);
  expect((await world.feed.read(CREDENTIAL, ENV, 0, 10)).map((one) => one.event)).toEqual([
    'created',
    'row_written',
    'row_written',
    'closed_all',
  ]);
});

test('writeRow: decides as outcomeOf() does, for every small tally', async () => {
  await using world = await storeWorld(server.url);
  await world.opened();
  const tallies = smallTallies();
  expect(tallies.length).toBeGreaterThan(300);

  const answers = [];
  for (const [n, tally] of tallies.entries()) {
    await world.redis.hset(keys.job('job-1'), tallyToHash(tally));
    const sent = {
      commit_id: `call-${n}`,
      rev: n === 0 ? '0' : '1',
      delta: { ...emptyTally, total: 1 },
      tasks: [],
    };
    answers.push((await send(world, 'writeRow', sent))[1]);
  }
  expect(answers).toEqual(tallies.map(outcomeOf));
  expect(new Set(answers)).toEqual(new Set(['open', 'wave', 'all', 'some', 'none']));
});

function smallTallies(): readonly Tally[] {
  const counts = [0, 1, 2];
  return counts.flatMap((pending) =>
    counts.flatMap((open) =>
      counts.flatMap((failed) =>
        counts.flatMap((proven) =>
          counts.slice(0, open + 1).flatMap((manual) =>
            counts.slice(0, 2).map((skipped) => ({
              total: pending + open + failed + proven + skipped,
              pending,
              open,
              manual,
              failed,
              ok: proven + skipped,
              proven,
            })),
          ),
        ),
      ),
    ),
  );
}
