// A connection that breaks between what Redis did and what it says of it: the client sends the call again, and it is done once.
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createClaims } from '../../shared/redis/claim.ts';
import { createJobStore, type JobStore } from '../../shared/redis/job-store.ts';
import type { Claims } from '../../shared/redis/claim.ts';
import type { Task } from '../../shared/rotation/effects.ts';
import type { Job } from '../../shared/rotation/job.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import {
  commitOf,
  CREDENTIAL,
  ENV,
  eventOf,
  KEEP_MS,
  keys,
  LEASE_MS,
  openRequest,
  rowWriteOf,
  storeWorld,
  type StoreWorld,
} from './store-world.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

interface Proxy extends AsyncDisposable {
  readonly url: string;
  /** After so many replies the next one is swallowed, and its connection broken. */
  swallow(after: number): void;
  readonly swallowed: number;
}

/** Between a client and Redis, as a network is. */
async function startProxy(target: string): Promise<Proxy> {
  const port = Number(new URL(target).port);
  const sockets = new Set<Socket>();
  let [left, swallowed] = [Number.POSITIVE_INFINITY, 0];
  const between = createServer((client) => {
    const redis = connect(port, '127.0.0.1');
    for (const socket of [client, redis]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    }
    client.on('data', (bytes) => redis.write(bytes));
    client.on('close', () => redis.destroy());
    redis.on('close', () => client.destroy());
    redis.on('data', (bytes) => {
      left -= 1;
      if (left >= 0) {
        client.write(bytes);
        return;
      }
      left = Number.POSITIVE_INFINITY;
      swallowed += 1;
      client.destroy();
    });
  });
  await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve));
  return {
    url: `redis://127.0.0.1:${(between.address() as AddressInfo).port}`,
    swallow: (after) => {
      left = after;
    },
    get swallowed() {
      return swallowed;
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => between.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

interface Called {
  readonly store: JobStore;
  readonly claims: Claims;
  readonly job: Job;
  readonly world: StoreWorld;
}

const task: Task = {
  effect: 'enqueue_verify',
  credential: CREDENTIAL,
  env: ENV,
  jobId: 'job-1',
  version: 1,
  kick: 1,
};

/** Each script by the call that runs it; what is answered is compared between the call and its repetition. */
const calls: Readonly<Record<string, (at: Called) => Promise<unknown>>> = {
  openJob: ({ store }) => store.open({ ...openRequest({ jobId: 'job-2' }) }),
  commit: ({ store, job }) => store.commit(commitOf(job, { raiseFence: true, tasks: [task] })),
  writeRow: async ({ store, job, world }) =>
    store.writeRow(rowWriteOf(job, await world.row(job, 'consumer-0'))),
  beginStep: async ({ claims, job }) => (await claims.beginStep(job, 1_000)).quietAfter,
  openLease: async ({ claims, job, world }) =>
    (await claims.openLease(job, String(await world.store.fence(job)))).until,
  kick: ({ store, job }) => store.kick(job, task),
  adopt: async ({ claims, world }) => {
    await world.redis.del(keys.claim);
    return typeof (await claims.beginAdoption(CREDENTIAL, ENV, 'adopt.1'));
  },
  record: ({ claims }) => claims.record(CREDENTIAL, ENV, eventOf('value_read', null)),
};

/** What a call leaves in Redis, without what is different each time: ids of calls, and the random part of a fence. */
async function left(call: (at: Called) => Promise<unknown>, lost: boolean) {
  await using world = await storeWorld(server.url);
  await using proxy = await startProxy(server.url);
  const job = await world.opened();
  await world.redis.set(keys.fence, '4-abcdefgh');
  const redis = new Redis(proxy.url, { maxRetriesPerRequest: null, retryStrategy: () => 5 });
  redis.on('error', () => undefined);
  try {
    const store = createJobStore(redis, KEEP_MS);
    const claims = createClaims(redis, world.clock, LEASE_MS);
    await redis.ping();
    // Scripts are there already, or the reply that is lost would be the one that says that they are not.
    const called = { store, claims, job, world };
    // A job is written down in the directory first, by a command of its own.
    if (lost) proxy.swallow(call === calls['openJob'] ? 1 : 0);
    const answer = await call(called);
    const snapshot = Object.entries(await world.snapshot()).map(([key, content]) => [
      key,
      withoutIds(content),
    ]);
    return { answer, snapshot, swallowed: proxy.swallowed };
  } finally {
    redis.disconnect();
  }
}

function withoutIds(content: string): string {
  return content
    .replaceAll(/\["commits","[^"]*"\]/g, '["commits"]')
    .replaceAll(/\["~[^"]*","[^"]*"\]/g, '["~"]')
    .replaceAll(/(\d+)-[\w-]{8}(?![\w-])/g, '$1-fence');
}

test.each(Object.entries(calls))(
  '%s is done once where its reply was lost and the client sent it again',
  async (_, call) => {
    const undisturbed = await left(call, false);
    const again = await left(call, true);

    expect([undisturbed.swallowed, again.swallowed]).toEqual([0, 1]);
    expect(again.answer).toEqual(undisturbed.answer);
    expect(again.snapshot).toEqual(undisturbed.snapshot);
  },
);
