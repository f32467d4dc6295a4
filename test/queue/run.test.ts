// What becomes of a task, for every way in which its handler can end.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { VelvetError, errorTable, type ErrorCode } from '../../shared/lib/errors.ts';
import { taskId } from '../../shared/rotation/effects.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { aTask, handler, runTimes, taskWorld } from './tasks.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

test.each([
  ['nothing', undefined],
  ['null', null],
  ['another word', 'ok'],
  ['true', true],
  ['an empty object', {}],
  ['a wait that is no number', { laterMs: '5' }],
  ['a wait that is not a number', { laterMs: Number.NaN }],
  ['a wait without end', { laterMs: Number.POSITIVE_INFINITY }],
])('%s is no verdict: the step failed, as invariant_broken and for good', async (_, verdict) => {
  await using world = await taskWorld(server.url);
  const handled = handler(() => verdict);
  await world.worker(handled);
  await world.ended(await world.give());
  expect([handled.runs.length, handled.failures.map((one) => one.code)]).toEqual([1, ['invariant_broken']]);
});

test('later is the same task again after its wait, as often as it says so, without using up an attempt', async () => {
  await using world = await taskWorld(server.url);
  const began = performance.now();
  const handled = handler((n) => (n <= 8 ? { laterMs: 10 } : 'done'));
  await world.worker(handled);
  const task = await world.give();
  await world.ended(task);

  expect([handled.runs.length, handled.failures]).toEqual([9, []]);
  expect(performance.now() - began).toBeGreaterThan(80);
  expect((await world.queues.distribute.getJob(taskId(task)))?.attemptsMade).toBe(1);
});

const byRetry = (retry: string) =>
  (Object.keys(errorTable) as ErrorCode[]).filter(
    (code) => errorTable[code].retry === retry && !code.startsWith('stale_') && code !== 'store_unavailable',
  );
const attempts = { never: 1, backoff: 3, reconcile: 3 };

test.each(Object.entries(attempts))(
  'an error whose repeat is "%s" is tried %i times, then it is the row\'s',
  async (retry, times) => {
    const codes = byRetry(retry);
    expect(codes.length).toBeGreaterThan(1);
    await using world = await taskWorld(server.url);
    const handled = handler(() => undefined);
    const failing = { ...handled, runs: new Map<string, number>(), failures: new Map<string, string[]>() };
    await world.worker({
      async run(task) {
        failing.runs.set(task.jobId, (failing.runs.get(task.jobId) ?? 0) + 1);
        throw new VelvetError(task.jobId as ErrorCode, 'as the test wants it');
      },
      async failed(task, error) {
        failing.failures.set(task.jobId, [...(failing.failures.get(task.jobId) ?? []), error.code]);
      },
    });
    const tasks = await Promise.all(codes.map((code) => world.give(aTask({ jobId: code }))));
    await Promise.all(tasks.map((task) => world.ended(task)));

    expect(Object.fromEntries(failing.runs)).toEqual(Object.fromEntries(codes.map((code) => [code, times])));
    expect(Object.fromEntries(failing.failures)).toEqual(
      Object.fromEntries(codes.map((code) => [code, [code]])),
    );
  },
);

test('the pause before an attempt is repeated doubles, and is as long as the vendor asks', async () => {
  await using world = await taskWorld(server.url);
  const begun: number[] = [];
  const handled = handler((n) => {
    begun.push(performance.now());
    throw new VelvetError('vendor_unavailable', 'down', n === 2 ? { retryAfterMs: 300 } : {});
  });
  await world.worker(handled, { retryBackoffMs: 60 });
  await world.ended(await world.give());
  const [first, second, third] = begun as [number, number, number];
  expect(begun).toHaveLength(3);
  expect([second - first >= 59, second - first < 300, third - second >= 299]).toEqual([true, true, true]);
});

test('a vendor that asks for a pause is waited for, however often, without using up an attempt', async () => {
  await using world = await taskWorld(server.url);
  const handled = handler((n) => {
    if (n <= 7) throw new VelvetError('vendor_rate_limited', 'slower', { retryAfterMs: 10 });
    return 'done';
  });
  await world.worker(handled);
  await world.ended(await world.give());
  expect([handled.runs.length, handled.failures]).toEqual([8, []]);
});

test.each(['vendor_rate_limited', 'vendor_unavailable'] as const)(
  '%s with a longer pause than is waited for is reported at once',
  async (code) => {
    await using world = await taskWorld(server.url);
    const retryAfterMs = runTimes.rateLimitWaitMaxMs + 1;
    const handled = handler(() => Promise.reject(new VelvetError(code, 'an hour', { retryAfterMs })));
    await world.worker(handled);
    await world.ended(await world.give());
    expect([handled.runs.length, handled.failures.map((one) => one.code)]).toEqual([1, [code]]);
  },
);

test('a rate limit that names no pause is an attempt like any other', async () => {
  await using world = await taskWorld(server.url);
  const handled = handler(() => Promise.reject(new VelvetError('vendor_rate_limited', 'slower')));
  await world.worker(handled);
  await world.ended(await world.give());
  expect([handled.runs.length, handled.failures.length]).toEqual([3, 1]);
});

test('Redis away is waited out without using up an attempt', async () => {
  await using world = await taskWorld(server.url);
  const handled = handler((n) => {
    if (n <= 7) throw new VelvetError('store_unavailable', 'away');
    return 'done';
  });
  await world.worker(handled);
  await world.ended(await world.give());
  expect([handled.runs.length, handled.failures]).toEqual([8, []]);
});

test.each(['stale_fence', 'stale_version'] as const)(
  '%s ends it quietly: a later attempt goes on',
  async (code) => {
    await using world = await taskWorld(server.url);
    const handled = handler(() => Promise.reject(new VelvetError(code, 'overtaken')));
    await world.worker(handled);
    await world.ended(await world.give());
    expect([handled.runs.length, handled.failures]).toEqual([1, []]);
    expect(world.log.join('\n')).toContain('left to a later attempt');
  },
);

test('what nobody foresaw is internal, at once, and its text is not in Redis', async () => {
  await using world = await taskWorld(server.url);
  const handled = handler(() => Promise.reject(new TypeError('cannot read hunter2 of undefined')));
  await world.worker(handled);
  await world.ended(await world.give());
  expect(handled.runs).toHaveLength(1);
  expect(handled.failures).toEqual([{ code: 'internal', message: 'unforeseen: TypeError' }]);
  expect(await world.everything()).not.toContain('hunter2');
  expect(world.log.join('\n')).toContain('unforeseen failure');
});

test.each([
  ['nobody foresaw', () => new TypeError('hunter2')],
  ['the table refuses', () => new VelvetError('action_not_allowed', 'hunter2')],
  ['was overtaken', () => new VelvetError('stale_version', 'hunter2')],
])('a failure whose report %s leaves the job to the sweeper, and no text in Redis', async (_, thrown) => {
  await using world = await taskWorld(server.url);
  const failing = {
    ...handler(() => Promise.reject(new VelvetError('vendor_rejected', 'no'))),
    failed: () => Promise.reject(thrown()),
  };
  await world.worker(failing);
  await world.ended(await world.give());
  expect(failing.runs).toHaveLength(1);
  expect(await world.everything()).not.toContain('hunter2');
});

test('a failure that could not be reported while Redis was away is reported later', async () => {
  await using world = await taskWorld(server.url);
  const inner = handler(() => Promise.reject(new VelvetError('vendor_rejected', 'no')));
  let reports = 0;
  await world.worker({
    ...inner,
    async failed(task, error, context) {
      reports += 1;
      if (reports === 1) throw new VelvetError('store_unavailable', 'away');
      await inner.failed(task, error, context);
    },
  });
  await world.ended(await world.give());
  expect([reports, inner.failures.map((one) => one.code)]).toEqual([2, ['vendor_rejected']]);
});

test('a task without a handler, and what is no task, hold nobody up', async () => {
  await using world = await taskWorld(server.url);
  const handled = handler(() => 'done');
  await world.worker(handled);
  const strange = aTask({ effect: 'read_back_row' });
  await world.give(strange);
  await world.queues.distribute.add('push_row', { jobId: 'only' }, { jobId: 'no.task.at.all' });
  await world.ended(await world.give());
  await world.ended(strange);
  expect(handled.runs).toHaveLength(1);
  expect(world.log.join('\n')).toContain('no handler for read_back_row');
});
