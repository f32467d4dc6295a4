// GET …/stream: what is sent, to whom, in which order, and that it ends: with the job, with the client, with the process.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { buildWorld, CREDENTIAL, ENV, type World, type WorldOptions } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { audit, isProblem, paths, refused, toVerified } from './asking.ts';
import { listen } from './listen.ts';
import { follow, seqs, type Following } from './sse.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
const idle = (more: WorldOptions = {}): Promise<World> => buildWorld(redis.url, { families: [], ...more });
const stream = (world: World, jobId: string, lastEventId?: string): Promise<Following> =>
  follow(world.app, paths.stream(jobId), { token: world.operator, lastEventId });

/** How many subscriptions the feed holds in Redis: none where nobody follows. */
async function subscriptions(world: World): Promise<number> {
  const channel = credentialKeys(CREDENTIAL, ENV).wake;
  return Number((await world.redis.pubsub('NUMSUB', channel))[1]);
}

/** No heartbeat helps: what is not woken stays silent for ever. */
const noHeartbeat = { times: { streamHeartbeatMs: 3_600_000 } };

describe('what is sent', () => {
  test('the first byte at once, also where nothing has happened, as an event stream that nobody keeps', async () => {
    await using world = await idle(noHeartbeat);
    await using following = await stream(world, await world.create());
    await following.heard(1, 500);
    expect([
      following.status,
      following.headers.get('content-type'),
      following.headers.get('cache-control'),
    ]).toEqual([
      200,
      expect.stringMatching(/^text\/event-stream/),
      expect.stringMatching(/no-(cache|store)/),
    ]);
    expect(following.headers.get('x-velvet-env')).toBe(ENV);
  });

  test('everything from the beginning to done, each event once and in order, and then the end', async () => {
    await using world = await buildWorld(redis.url, noHeartbeat);
    const jobId = await world.create();
    await using live = await stream(world, jobId);
    const whole = live.rest();
    await world.stage(jobId, { action: 'verify' });
    await world.reaches(jobId, 'verified');
    await world.stage(jobId, { action: 'proceed_mint' });
    await world.reaches(jobId, 'validated');
    await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
    await world.reaches(jobId, 'done');

    const events = await whole;
    const statuses = events.filter(
      ({ event, data }) => event === 'status' && data['from'] !== data['status'],
    );
    const main =
      'init verifying verified minting minted distributing distributed validating validated revoking done';
    expect(statuses.map(({ data }) => data['status'])).toEqual(main.split(' '));
    expect(events.at(-1)).toMatchObject({ event: 'done', data: { job_id: jobId, status: 'done', env: ENV } });
    expect(events.filter(({ event }) => event === 'done')).toHaveLength(1);
    expect(seqs(events.slice(0, -1))).toEqual((await audit(world)).map((event) => event['seq']));
    for (const { data } of events) expect(data).toMatchObject({ job_id: jobId, env: ENV });

    // A second follower, after the end, sees the very same.
    await using late = await stream(world, jobId);
    expect(await late.rest()).toEqual(events);
  });

  test("a consumer's event has the whole row as it is after it", async () => {
    await using world = await buildWorld(redis.url);
    const jobId = await world.toValidated();
    await using following = await stream(world, jobId);
    const rows = new Map<unknown, unknown>();
    for (let event = await following.next(); event !== null; event = await following.next()) {
      if (event.event === 'consumer') rows.set(event.data['consumer_id'], event.data['consumer']);
      if (event.data['status'] === 'validated') break;
    }
    const { consumers } = await world.job(jobId);
    expect(consumers.map((row) => rows.get(row['consumer_id']))).toEqual(consumers);
  });

  test('no value, whatever is sent', async () => {
    await using world = await buildWorld(redis.url);
    const jobId = await world.toValidated();
    await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
    await world.reaches(jobId, 'done');
    const minted = world.apps[0]?.config['HEROKU_API_KEY'] ?? '';
    expect(minted.length).toBeGreaterThan(20);
    for (const id of [undefined, 'garbage', `${await world.system.epoch()}.3`]) {
      await using following = await stream(world, jobId, id);
      await following.rest();
      expect(following.text.length).toBeGreaterThan(1_000);
      for (const value of [minted, world.firstToken, world.bootstrapToken, world.operator])
        expect(following.text).not.toContain(value);
    }
  });

  test('heartbeats keep a silent stream open', async () => {
    await using world = await idle({ times: { streamHeartbeatMs: 30 } });
    await using following = await stream(world, await world.create());
    expect((await following.next())?.data['status']).toBe('init');
    await following.heard(4, 1_000);
    for (const comment of following.comments) expect(comment).toMatch(/^: /);
  });

  test('an aborted job goes on being followed until its cleanup is done', async () => {
    await using world = await buildWorld(redis.url, noHeartbeat);
    const jobId = await toVerified(world);
    await using following = await stream(world, jobId);
    const whole = following.rest();
    await world.stage(jobId, { action: 'abort' });
    const events = await whole;
    expect(events.slice(-3).map(({ event, data }) => [event, data['event'] ?? data['status']])).toEqual([
      ['status', 'abort'],
      ['status', 'cleanup_finished'],
      ['done', 'aborted'],
    ]);
  });
});

describe('to whom', () => {
  test('several follow the same job, begun at the same moment and later, and all see the same', async () => {
    await using world = await buildWorld(redis.url, noHeartbeat);
    const jobId = await world.create();
    const first = await Promise.all(Array.from({ length: 8 }, () => stream(world, jobId)));
    const reading = first.map((following) => following.rest());
    await world.stage(jobId, { action: 'verify' });
    await world.reaches(jobId, 'verified');
    const later = await Promise.all(Array.from({ length: 4 }, () => stream(world, jobId)));
    reading.push(...later.map((following) => following.rest()));
    await world.stage(jobId, { action: 'abort' });
    const [one, ...others] = await Promise.all(reading);
    expect(one?.at(-1)?.event).toBe('done');
    for (const other of others) expect(other).toEqual(one);
    await expect.poll(() => subscriptions(world)).toBe(0);
  });

  test("a follower of one job sees nothing of another's, however they mix", async () => {
    await using world = await buildWorld(redis.url, noHeartbeat);
    const [a, b] = [await world.create(), await world.create()];
    const followers = await Promise.all([a, b].map((jobId) => stream(world, jobId)));
    const reading = followers.map((following) => following.rest());
    for (const jobId of [a, b]) {
      await world.stage(jobId, { action: 'verify' });
      await world.reaches(jobId, 'verified');
      await world.stage(jobId, { action: 'abort' });
      await expect.poll(async () => (await world.job(jobId)).cleanup).toBe('done');
    }
    const seen = await Promise.all(reading);
    for (const [n, jobId] of [a, b].entries()) {
      expect(new Set(seen[n]?.map(({ data }) => data['job_id']))).toEqual(new Set([jobId]));
      expect(seen[n]?.at(-1)).toMatchObject({ event: 'done', data: { job_id: jobId } });
    }
    expect(seen.flat().length).toBe((await audit(world)).length + 2);
  });

  test('404 for a job that there is not, 401 without a token: problems, not streams', async () => {
    await using world = await idle();
    const ask = () => world.api('GET', paths.stream('nothing'));
    await refused(world, ask, { http: 404, code: 'not_found', detail: /has no job 'nothing'/ });
    const stranger = await world.api('GET', paths.stream(await world.create()), undefined, { token: null });
    await isProblem(world, stranger, { http: 401, code: 'unauthenticated', detail: /Bearer/ });
  });
});

describe('it leaves nothing behind', () => {
  test.each([
    ['in the app', false],
    ['on a socket', true],
  ])('a client that goes away, waiting or in the middle of a replay, %s', async (_, onSocket) => {
    await using world = await buildWorld(redis.url, noHeartbeat);
    const jobId = await world.toValidated();
    await using socket = await listen(world.app);
    const ask = { token: world.operator, ...(onSocket ? { url: socket.url } : {}) };
    const atOnce = await follow(world.app, paths.stream(jobId), ask);
    const early = await follow(world.app, paths.stream(jobId), ask);
    await early.next();
    const waiting = await follow(world.app, paths.stream(jobId), ask);
    while ((await waiting.next())?.data['status'] !== 'validated') continue;
    expect(await subscriptions(world)).toBe(1);
    for (const following of [atOnce, early, waiting]) await following.close();
    await expect.poll(() => subscriptions(world), { timeout: 2_000 }).toBe(0);
  });

  test('HEAD has the head of the answer and follows nothing', async () => {
    await using world = await idle(noHeartbeat);
    const jobId = await world.create();
    const headers = { authorization: `Bearer ${world.operator}` };
    const answer = await world.app.request(paths.stream(jobId), { method: 'HEAD', headers });
    expect([answer.status, answer.headers.get('content-type'), answer.body]).toEqual([
      200,
      'text/event-stream',
      null,
    ]);
    expect(await subscriptions(world)).toBe(0);
  });

  test.each([
    ['in the app', false],
    ['on a socket', true],
  ])('when the process stops every stream ends by itself, %s', async (_, onSocket) => {
    const world = await idle(noHeartbeat);
    const socket = await listen(world.app);
    const jobId = await world.create();
    const ask = { token: world.operator, ...(onSocket ? { url: socket.url } : {}) };
    const followers = await Promise.all([1, 2, 3].map(() => follow(world.app, paths.stream(jobId), ask)));
    for (const following of followers) expect((await following.next())?.data['status']).toBe('init');
    const reading = followers.map((following) => following.rest());
    await world[Symbol.asyncDispose]();
    for (const events of await Promise.all(reading)) expect(events).toEqual([]);
    await socket[Symbol.asyncDispose]();
  });
});
