// Who may write: the claim is one job's, the fence one attempt's, and a lease left open makes whoever comes next wait.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { isLowerFence } from '../../shared/lib/lease.ts';
import { runScript, type ScriptName } from '../../shared/redis/scripts.ts';
import { emptyTally } from '../../shared/rotation/rows.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { scriptKeys } from './raw-calls.ts';
import {
  CREDENTIAL,
  ENV,
  LEASE_MS,
  codeOf,
  commitOf,
  eventOf,
  keys,
  rowWriteOf,
  storeWorld,
  type StoreWorld,
} from './store-world.ts';

let server: RedisServer;
let world: StoreWorld;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());
beforeEach(async () => {
  await world?.[Symbol.asyncDispose]();
  world = await storeWorld(server.url);
  return () => world[Symbol.asyncDispose]();
});

const ref = { credential: CREDENTIAL, env: ENV };
const LATE_MS = 30_000;

describe('the claim', () => {
  test('is taken by one of ten jobs that verify at once; the others learn whose it is', async () => {
    const jobs = [];
    for (let n = 0; n < 10; n++) jobs.push(await world.opened({ jobId: `job-${n}`, claims: false }));

    const codes = await Promise.all(
      jobs.map((job) => codeOf(world.store.commit(commitOf(job, { claim: 'take' })))),
    );

    expect(codes.filter((code) => code === 'claimed')).toHaveLength(9);
    expect(codes).toContain(null);
    expect(await world.store.claimant(ref)).toBe(`job-${codes.indexOf(null)}`);
    const late = world.store.commit(
      commitOf(await world.opened({ jobId: 'job-x', claims: false }), { claim: 'take' }),
    );
    await expect(late).rejects.toMatchObject({
      code: 'claimed',
      detail: expect.stringContaining(`job-${codes.indexOf(null)}`),
      extra: { active_job_id: `job-${codes.indexOf(null)}` },
    });
  });

  test('stands through every commit of its job until the one that frees it, and has no lifetime', async () => {
    const job = await world.opened();
    await world.store.commit(commitOf(job));
    expect([await world.store.claimant(ref), await world.redis.ttl(keys.claim)]).toEqual(['job-1', -1]);

    await world.store.commit(commitOf(await world.load(job), { claim: 'free', closes: true }));
    expect(await world.store.claimant(ref)).toBeNull();
    const next = await world.opened({ jobId: 'job-2', claims: false });
    await world.store.commit(commitOf(next, { claim: 'take' }));
    expect(await world.store.claimant(ref)).toBe('job-2');
  });

  test('is never freed, nor written under, by another job', async () => {
    await world.opened({ jobId: 'holder' });
    const other = await world.opened({ jobId: 'other', claims: false });
    await world.redis.set(keys.claim, 'holder');
    const [row] = await world.store.rows(other);

    expect(await codeOf(world.store.commit(commitOf(other, { claim: 'free' })))).toBe('stale_fence');
    expect(await codeOf(world.store.commit(commitOf(other)))).toBe('stale_fence');
    expect(await codeOf(world.store.writeRow(rowWriteOf(other, row as never)))).toBe('stale_fence');
    expect(await codeOf(world.claims.beginStep(other, LATE_MS))).toBe('stale_fence');
    expect(await world.store.claimant(ref)).toBe('holder');
  });

  test('is not asked of a job in a flow that takes none', async () => {
    const job = await world.opened({ claims: false, fields: { flow_type: 'testing' } });
    const [row] = await world.store.rows(job);
    expect(await world.store.writeRow(rowWriteOf(job, row as never))).toBe('open');
    expect(await codeOf(world.store.commit(commitOf(job, { claim: 'none' })))).toBeNull();
  });
});

describe('the fence', () => {
  test('rises with each attempt and with an operator who raises it, across jobs, and never restarts', async () => {
    const job = await world.opened();
    const fences = [];
    for (let n = 0; n < 3; n++) fences.push((await world.claims.beginStep(job, LATE_MS)).fence);
    await world.store.commit(commitOf(job, { raiseFence: true, claim: 'free' }));
    fences.push(await world.store.fence(ref));
    fences.push((await world.claims.beginStep(await world.opened({ jobId: 'job-2' }), LATE_MS)).fence);

    expect(fences.map((fence) => Number(String(fence).split('-')[0]))).toEqual([1, 2, 3, 4, 5]);
    expect(fences.every((fence) => /^\d+-[A-Za-z0-9]{8}$/.test(String(fence)))).toBe(true);
    expect(new Set(fences.map((fence) => String(fence).split('-')[1])).size).toBe(5);
    expect(await world.redis.ttl(keys.fence)).toBe(-1);
    expect(isLowerFence('9-aaaaaaaa', '10-aaaaaaaa')).toBe(true);
  });

  test('of many attempts at once each gets its own, and the last one alone may write', async () => {
    const job = await world.opened();
    const begun = await Promise.all(Array.from({ length: 20 }, () => world.claims.beginStep(job, LATE_MS)));
    const current = await world.store.fence(ref);
    expect(new Set(begun.map(({ fence }) => fence)).size).toBe(20);

    const codes = await Promise.all(
      begun.map(async ({ fence }) => [fence === current, await codeOf(world.claims.openLease(job, fence))]),
    );
    expect(codes.filter(([isCurrent]) => isCurrent)).toEqual([[true, null]]);
    expect(codes.filter(([isCurrent]) => !isCurrent).every(([, code]) => code === 'stale_fence')).toBe(true);
  });

  test('that is stale is refused everywhere', async () => {
    const job = await world.opened();
    const [row] = await world.store.rows(job);
    const { fence } = await world.claims.beginStep(job, LATE_MS);
    await world.claims.openLease(job, fence);
    await world.claims.beginStep(job, LATE_MS);
    const before = await world.snapshot();

    const delta = { ...emptyTally, open: -1, ok: 1, proven: 1 };
    expect(await codeOf(world.store.commit(commitOf(job, { fence })))).toBe('stale_fence');
    expect(await codeOf(world.store.writeRow(rowWriteOf(job, row as never, { fence, delta })))).toBe(
      'stale_fence',
    );
    expect(await codeOf(world.claims.openLease(job, fence))).toBe('stale_fence');
    expect(await codeOf(world.claims.closeLease(job, fence))).toBe('stale_fence');
    expect(await world.snapshot()).toEqual(before);
  });

  test('of the same counter with another suffix, as a restored Redis gives it, is another', async () => {
    const job = await world.opened();
    const { fence } = await world.claims.beginStep(job, LATE_MS);
    await world.redis.set(keys.fence, `${fence.split('-')[0]}-restored`);
    expect(await codeOf(world.store.commit(commitOf(job, { fence })))).toBe('stale_fence');
  });

  test('a step that was begun at a status which the job left is not begun', async () => {
    const job = await world.opened();
    await world.store.commit(commitOf(job, { enters: true, status: 'distributed' }));
    expect(await codeOf(world.claims.beginStep(job, LATE_MS))).toBe('stale_version');
    expect(await codeOf(world.claims.beginStep({ ...job, jobId: 'nobody' }, LATE_MS))).toBe('not_found');
    expect(await world.store.fence(ref)).toBeNull();
  });

  test('beginning a step twice with one suffix is beginning it once, and its open lease stays known', async () => {
    const job = await world.opened();
    const begin = (suffix: string) =>
      raw('beginStep', { job_id: 'job-1', status_version: '1', suffix, late_ms: LATE_MS });
    const earlier = await world.claims.beginStep(job, LATE_MS);
    await world.claims.openLease(job, earlier.fence);

    const quietAfter = world.clock.now() + LEASE_MS + LATE_MS;
    expect(await begin('suffix-a')).toEqual([0, '2-suffix-a', quietAfter]);
    expect(await begin('suffix-a')).toEqual([0, '2-suffix-a', quietAfter]);
    expect(await begin('suffix-b')).toEqual([0, '3-suffix-b', quietAfter]);
    // The first sending's late repeat must not take the fence back from its successor.
    expect(await begin('suffix-a')).toEqual([0, '2-suffix-a', quietAfter]);
    expect(await world.store.fence(ref)).toBe('3-suffix-b');
  });
});

describe('the lease', () => {
  test('that an attempt left open is waited out, with what the vendor may still apply', async () => {
    const job = await world.opened();
    const { fence, quietAfter } = await world.claims.beginStep(job, LATE_MS);
    expect(quietAfter).toBe(0);
    const lease = await world.claims.openLease(job, fence);
    expect(lease.until).toBe(world.clock.now() + LEASE_MS);

    world.clock.move(4_000);
    const next = await world.claims.beginStep(job, LATE_MS);
    expect(next.quietAfter).toBe(lease.until + LATE_MS);
    // Whoever comes after that one waits as long: it did not report for the first.
    expect((await world.claims.beginStep(job, 1)).quietAfter).toBe(lease.until + LATE_MS);
  });

  test('that was closed leaves nothing to wait for', async () => {
    const job = await world.opened();
    const { fence } = await world.claims.beginStep(job, LATE_MS);
    await world.claims.openLease(job, fence);
    await world.claims.closeLease(job, fence);

    expect((await world.load(job)).leaseFence).toBeNull();
    expect((await world.claims.beginStep(job, LATE_MS)).quietAfter).toBe(0);
  });

  test('of two open leases in a row the later end counts', async () => {
    const job = await world.opened();
    const first = await world.claims.beginStep(job, LATE_MS);
    const one = await world.claims.openLease(job, first.fence);
    const second = await world.claims.beginStep(job, LATE_MS);
    world.clock.move(10_000);
    const two = await world.claims.openLease(job, second.fence);

    expect(two.until).toBe(one.until + 10_000);
    expect((await world.claims.beginStep(job, LATE_MS)).quietAfter).toBe(two.until + LATE_MS);
  });

  test('of an attempt that an operator fenced off stays open in the record', async () => {
    const job = await world.opened();
    const { fence } = await world.claims.beginStep(job, LATE_MS);
    const lease = await world.claims.openLease(job, fence);
    await world.store.commit(commitOf(job, { raiseFence: true }));

    expect(await codeOf(world.claims.closeLease(job, fence))).toBe('stale_fence');
    const next = await world.claims.beginStep(await world.load(job), LATE_MS);
    expect(next.quietAfter).toBe(lease.until + LATE_MS);
  });

  test('ends here by the monotonic clock, counted from before it was asked for', async () => {
    const job = await world.opened();
    const { fence } = await world.claims.beginStep(job, LATE_MS);
    const lease = await world.claims.openLease(job, fence);
    expect(lease.remainingMs()).toBe(LEASE_MS);
    world.clock.move(LEASE_MS - 1);
    expect(lease.remainingMs()).toBe(1);
    world.clock.move(5_000);
    expect(lease.remainingMs()).toBe(0);
  });
});

describe('an adoption', () => {
  test('takes over one that died, with a fence of its own, and is refused while a job holds the credential', async () => {
    const first = await world.claims.beginAdoption(CREDENTIAL, ENV, 'adopt.one');
    const second = await world.claims.beginAdoption(CREDENTIAL, ENV, 'adopt.two');
    expect(isLowerFence(first, second)).toBe(true);
    expect(await world.store.claimant(ref)).toBe('adopt.two');

    const job = await world.opened({ claims: false });
    await expect(world.store.commit(commitOf(job, { claim: 'take' }))).rejects.toMatchObject({
      code: 'claimed',
      detail: expect.stringContaining('npx velvet adopt'),
      extra: { active_job_id: null },
    });

    await world.claims.endAdoption({ credential: CREDENTIAL, env: ENV }, 'adopt.two', 'auth-1', [
      eventOf('adopted', null),
    ]);
    await world.store.commit(commitOf(job, { claim: 'take' }));
    const refused = world.claims.beginAdoption(CREDENTIAL, ENV, 'adopt.three');
    await expect(refused).rejects.toMatchObject({ code: 'claimed', extra: { active_job_id: 'job-1' } });
    expect(await world.store.claimant(ref)).toBe('job-1');
  });

  test('that was taken over can neither end the other one nor write its audit row', async () => {
    await world.claims.beginAdoption(CREDENTIAL, ENV, 'adopt.one');
    await world.claims.beginAdoption(CREDENTIAL, ENV, 'adopt.two');
    const ending = world.claims.endAdoption({ credential: CREDENTIAL, env: ENV }, 'adopt.one', 'auth-1', [
      eventOf('adopted', null),
    ]);
    expect(await codeOf(ending)).toBe('claimed');
    expect(await world.store.claimant(ref)).toBe('adopt.two');
    expect(await world.feed.read(CREDENTIAL, ENV, 0, 10)).toEqual([]);
  });

  test('fences off a job that lost its claim to it in a restore', async () => {
    const job = await world.opened();
    const { fence } = await world.claims.beginStep(job, LATE_MS);
    await world.redis.del(keys.claim);
    await world.claims.beginAdoption(CREDENTIAL, ENV, 'adopt.one');
    expect(await codeOf(world.claims.openLease(job, fence))).toBe('stale_fence');
    expect(await codeOf(world.claims.beginStep(job, LATE_MS))).toBe('stale_fence');
  });

  test('and what a person read are audit rows without a job, each once', async () => {
    await world.claims.beginAdoption(CREDENTIAL, ENV, 'adopt.one');
    await world.claims.endAdoption({ credential: CREDENTIAL, env: ENV }, 'adopt.one', 'auth-1', [
      eventOf('adopted', null),
    ]);
    await world.claims.record(CREDENTIAL, ENV, eventOf('value_read', null));
    const events = await world.feed.read(CREDENTIAL, ENV, 0, 10);
    expect(events.map((one) => [one.seq, one.event, one.job_id])).toEqual([
      [1, 'adopted', null],
      [2, 'value_read', null],
    ]);
  });
});

function raw(name: ScriptName, arg: Readonly<Record<string, unknown>>) {
  return runScript(world.redis, name, scriptKeys[name], arg);
}
