// GET …/stream with Last-Event-ID: nothing is missing and nothing comes twice, wherever it was cut; where that cannot be told, the whole job comes first.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildApp } from '../../api/app.ts';
import { credentialKeys, systemKeys } from '../../shared/redis/keys.ts';
import { buildWorld, CREDENTIAL, ENV, type World, type WorldOptions } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { audit, note, paths, toVerified } from './asking.ts';
import { follow, type Following, type StreamEvent } from './sse.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
const idle = (more: WorldOptions = {}): Promise<World> => buildWorld(redis.url, { families: [], ...more });
const stream = (world: World, jobId: string, lastEventId?: string): Promise<Following> =>
  follow(world.app, paths.stream(jobId), { token: world.operator, lastEventId });
/** No heartbeat helps: what is not woken stays silent for ever. */
const noHeartbeat = { times: { streamHeartbeatMs: 3_600_000 } };

async function toDone(world: World): Promise<string> {
  const jobId = await world.toValidated();
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
  await world.reaches(jobId, 'done');
  return jobId;
}

async function uncut(world: World, jobId: string, lastEventId?: string): Promise<readonly StreamEvent[]> {
  await using following = await stream(world, jobId, lastEventId);
  // Awaited here: a stream that is returned from is closed.
  return await following.rest();
}

/** What a client has that reads so many events at a time, goes away, and comes back with the last id that it saw. */
async function inPieces(world: World, jobId: string, size: number): Promise<readonly StreamEvent[]> {
  const events: StreamEvent[] = [];
  for (;;) {
    await using following = await stream(world, jobId, events.at(-1)?.id ?? undefined);
    if (following.status === 204) return events;
    for (let n = 0; n < size; n++) {
      const event = await following.next();
      if (event === null) break;
      events.push(event);
    }
  }
}

describe('a finished job', () => {
  test('cut after each event and resumed: the two parts are the whole', async () => {
    await using world = await buildWorld(redis.url, noHeartbeat);
    const jobId = await toDone(world);
    const whole = await uncut(world, jobId);
    expect(whole.length).toBeGreaterThan(20);
    for (let cut = 1; cut <= whole.length; cut++) {
      const id = whole[cut - 1]?.id ?? '';
      await using following = await stream(world, jobId, id);
      // The id of the last event says that everything was seen; 204 says `done` to whoever comes with it.
      const atEnd = cut >= whole.length - 1;
      expect([cut, following.status]).toEqual([cut, atEnd ? 204 : 200]);
      expect([...whole.slice(0, cut), ...(await following.rest())]).toEqual(
        whole.slice(0, atEnd ? cut : whole.length),
      );
    }
  });

  test('204 at its end, whatever the credential has done since', async () => {
    await using world = await buildWorld(redis.url, noHeartbeat);
    const jobId = await toDone(world);
    const last = (await uncut(world, jobId)).at(-1)?.id;
    expect((await stream(world, jobId, String(last))).status).toBe(204);

    await world.stage(await world.create(), { action: 'verify' });
    const again = await stream(world, jobId, String(last));
    expect([again.status, await again.rest()]).toEqual([204, []]);
    expect(again.headers.get('x-velvet-env')).toBe(ENV);
    // A late first reader still gets the whole, and no more than the whole.
    expect((await uncut(world, jobId)).map(({ data }) => data['job_id'])).not.toContain(undefined);
    expect((await uncut(world, jobId)).at(-1)).toMatchObject({ event: 'done', data: { status: 'done' } });
  });

  test.each([1, 2, 3, 7])(
    'read %i at a time with a new connection for each: the same sequence',
    async (size) => {
      await using world = await buildWorld(redis.url, noHeartbeat);
      const jobId = await toDone(world);
      const whole = await uncut(world, jobId);
      const pieces = await inPieces(world, jobId, size);
      expect(pieces.filter(({ event }) => event !== 'done')).toEqual(whole.slice(0, -1));
    },
  );
});

describe('while events keep coming', () => {
  test('a client that is cut off all the time misses nothing and sees nothing twice', async () => {
    await using world = await buildWorld(redis.url, noHeartbeat);
    const jobId = await world.create();
    const clients = [1, 2, 3, 5].map((size) => inPieces(world, jobId, size));
    await world.stage(jobId, { action: 'verify' });
    await world.reaches(jobId, 'verified');
    await world.stage(jobId, { action: 'proceed_mint' });
    await world.reaches(jobId, 'validated');
    await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
    await world.reaches(jobId, 'done');
    const whole = await uncut(world, jobId);
    for (const events of await Promise.all(clients))
      expect(events.filter(({ event }) => event !== 'done')).toEqual(whole.slice(0, -1));
  });

  test('a waiting client that resumed at the present end gets the very next event', async () => {
    await using world = await idle(noHeartbeat);
    const jobId = await world.create();
    await using first = await stream(world, jobId);
    const seen = await first.next();
    await first.close();
    await using second = await stream(world, jobId, String(seen?.id));
    await second.heard(1);
    await world.stage(jobId, { action: 'verify' });
    expect(await second.next()).toMatchObject({
      event: 'status',
      data: { from: 'init', status: 'verifying' },
    });
  });

  test.each([
    ['moves the job on', 'verify', ['created', 'verify']],
    ['ends the job', 'abort', ['created', 'abort', 'done']],
  ])(
    'what %s after a page was read and before it was sent is neither lost nor late',
    async (_, action, said) => {
      await using world = await idle(noHeartbeat);
      const jobId = await world.create();
      let acted = false;
      const read: World['feed']['read'] = async (...args) => {
        const events = await world.feed.read(...args);
        if (!acted) {
          acted = true;
          await world.stage(jobId, { action });
          // The wake that tells of it has been heard when a later one is.
          await heardOf(world, () => note(world, 'another-job', 'later'));
        }
        return events;
      };
      const app = buildApp({ ...world.deps, feed: { ...world.feed, read } });
      await using following = await follow(app, paths.stream(jobId), { token: world.operator });
      for (const event of said) {
        const next = await following.next(2_000);
        expect(next?.event === 'done' ? 'done' : next?.data['event']).toBe(event);
      }
    },
  );

  test('a backlog of several pages comes whole', async () => {
    await using world = await idle(noHeartbeat);
    const [a, b] = [await world.create(), await world.create()];
    // Far more of other jobs than of this one, as after a year.
    for (let n = 0; n < 450; n++) await note(world, b, `noted ${n}`);
    await note(world, a, 'noted 1');
    await using following = await stream(world, a);
    const events = [await following.next(), await following.next()];
    expect(events.map((event) => event?.data['event'])).toEqual(['created', 'noted 1']);
    await using other = await stream(world, b, `${await world.system.epoch()}.2`);
    for (let seq = 3; seq < 453; seq++)
      expect((await other.next())?.id).toBe(`${await world.system.epoch()}.${seq}`);
  });
});

/** Acts, and waits until the feed has called those who follow. */
async function heardOf(world: World, act: () => Promise<unknown>): Promise<void> {
  const heard = Promise.withResolvers<void>();
  const leave = await world.feed.follow(CREDENTIAL, ENV, heard.resolve);
  await act();
  await world.redis.publish(credentialKeys(CREDENTIAL, ENV).wake, '0');
  await heard.promise;
  leave();
}

describe('a resume that cannot be', () => {
  async function resets(world: World, jobId: string, id: string): Promise<void> {
    await using following = await stream(world, jobId, id);
    const first = await following.next();
    const last = (await audit(world)).at(-1)?.['seq'];
    expect([id, first?.event, first?.id]).toEqual([
      id,
      'reset',
      `${await world.system.epoch()}.${String(last)}`,
    ]);
    expect(first?.data).toEqual(await world.job(jobId));
  }

  test.each([
    ['another epoch', () => 'cafebabe.2'],
    ['no epoch', () => '2'],
    ['nothing', () => ''],
    ['garbage', () => 'garbage'],
    ['an epoch without a number', (epoch: string) => `${epoch}.`],
    ['an epoch alone', (epoch: string) => epoch],
    ['a number beyond the end', (epoch: string) => `${epoch}.99`],
    ['a negative number', (epoch: string) => `${epoch}.-1`],
    ['a fraction', (epoch: string) => `${epoch}.1.5`],
    ['hexadecimal', (epoch: string) => `${epoch}.0x1`],
    ['an exponent', (epoch: string) => `${epoch}.1e0`],
    ['infinity', (epoch: string) => `${epoch}.Infinity`],
    ['a very large number', (epoch: string) => `${epoch}.9007199254740993`],
    ['ten kilobytes', (epoch: string) => `${epoch}.${'1'.repeat(10_000)}`],
    ['a script', () => '*.*'],
  ])('reset with the whole job for %s', async (_, id) => {
    await using world = await idle(noHeartbeat);
    const jobId = await world.create();
    await world.stage(jobId, { action: 'verify' });
    await resets(world, jobId, id(String(await world.system.epoch())));
  });

  test('reset for an id that is older than what is kept', async () => {
    await using world = await buildWorld(redis.url, noHeartbeat);
    const jobId = await toVerified(world);
    const epoch = String(await world.system.epoch());
    const { last } = await world.feed.bounds(CREDENTIAL, ENV);
    await world.redis.xtrim(credentialKeys(CREDENTIAL, ENV).events, 'MAXLEN', 1);
    await resets(world, jobId, `${epoch}.1`);
    // One whose next event is the oldest that is kept has no gap.
    await using following = await stream(world, jobId, `${epoch}.${last - 1}`);
    expect(await following.next()).toMatchObject({ event: 'status', id: `${epoch}.${last}` });
  });

  test('reset after a loss of data, which the epoch shows, also where the numbers would fit', async () => {
    await using world = await idle(noHeartbeat);
    const jobId = await world.create();
    const old = `${await world.system.epoch()}.1`;
    await world.redis.del(systemKeys.epoch);
    await world.system.demandEpoch();
    await resets(world, jobId, old);
  });

  test('reset for whoever was following when data were lost, and then everything that is new', async () => {
    await using world = await idle(noHeartbeat);
    const jobId = await world.create();
    for (let n = 0; n < 5; n++) await note(world, jobId, `noted ${n}`);
    await using following = await stream(world, jobId);
    for (let n = 0; n < 6; n++) await following.next();
    const keys = credentialKeys(CREDENTIAL, ENV);
    await world.redis.multi().del(keys.events).set(keys.seq, 2).publish(keys.wake, '2').exec();
    // What was sent is beyond the end: seen before the stage worker has opened a new epoch.
    expect(await following.next()).toMatchObject({ event: 'reset', id: `${await world.system.epoch()}.2` });
    await world.system.openEpoch(await world.system.epoch());
    await note(world, jobId, 'with a number that was given before');
    await world.redis.publish(keys.wake, '3');
    expect(await following.next()).toMatchObject({ event: 'reset', id: `${await world.system.epoch()}.3` });
    await world.stage(jobId, { action: 'verify' });
    expect(await following.next()).toMatchObject({ id: `${await world.system.epoch()}.4` });
  });

  test('after a reset the stream goes on, and can be resumed from the id of the reset', async () => {
    await using world = await idle(noHeartbeat);
    const jobId = await world.create();
    await using following = await stream(world, jobId, 'garbage');
    const reset = await following.next();
    await world.stage(jobId, { action: 'verify' });
    const after = { event: 'status', data: { from: 'init', status: 'verifying' } };
    expect(await following.next()).toMatchObject(after);
    await using resumed = await stream(world, jobId, String(reset?.id));
    expect(await resumed.next()).toMatchObject(after);
  });

  test('of a finished job: the whole job, done, and the end', async () => {
    await using world = await idle(noHeartbeat);
    const jobId = await world.create();
    await world.stage(jobId, { action: 'abort' });
    const events = await uncut(world, jobId, 'garbage');
    expect(events.map(({ event, data }) => [event, data['status']])).toEqual([
      ['reset', 'aborted'],
      ['done', 'aborted'],
    ]);
    expect((await stream(world, jobId, String(events.at(-1)?.id))).status).toBe(204);
  });
});
