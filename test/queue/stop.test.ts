// What becomes of a task when its process ends: told to, not listening, killed, or robbed of its lock.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { VelvetError } from '../../shared/lib/errors.ts';
import { taskId } from '../../shared/rotation/effects.ts';
import { until } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { aborted, handler, taskWorld } from './tasks.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

test('stop() takes no new task, and lets the running one end by itself', async () => {
  await using world = await taskWorld(server.url);
  const end = Promise.withResolvers<'done'>();
  const handled = handler(() => end.promise);
  const worker = await world.worker(handled);
  const task = await world.give();
  await until(() => (handled.runs.length === 1 ? true : null));

  const stopped = worker.stop();
  // What it was fetching when it was told is still its own.
  await until(async () => (/ flags=b /.test(await clients(world.redis)) ? null : true));
  const late = await world.give();
  end.resolve('done');
  await stopped;

  expect([await world.stateOf(task), await world.stateOf(late)]).toEqual(['completed', 'waiting']);
  expect(handled.runs[0]?.signal.aborted).toBe(false);
});

test('a task that outlasts the drain is aborted, goes back, and is run by another worker', async () => {
  await using world = await taskWorld(server.url);
  const slow = handler(async (_, context) => {
    throw new Error(await aborted(context.signal));
  });
  const worker = await world.worker(slow);
  const task = await world.give();
  await until(() => (slow.runs.length === 1 ? true : null));

  await worker.stop();
  expect(slow.runs[0]?.signal.reason).toBe('shutdown');
  expect(slow.failures).toEqual([]);

  const other = handler(() => 'done');
  await world.worker(other);
  await world.ended(task);
  expect([slow.runs.length, other.runs.length]).toEqual([1, 1]);
  expect((await world.queues.distribute.getJob(taskId(task)))?.attemptsMade).toBe(1);
});

test('a handler that does not listen cannot keep stop() from ending', async () => {
  await using world = await taskWorld(server.url);
  const deaf = Promise.withResolvers<'done'>();
  const handled = handler(() => deaf.promise);
  const worker = await world.worker(handled);
  await world.give();
  await until(() => (handled.runs.length === 1 ? true : null));

  // That it ends at all is the point: without the limit it would wait for the handler, which waits for this test.
  await worker.stop();
  expect(handled.runs[0]?.signal.aborted).toBe(true);
  expect(world.log.join('\n')).toContain('not closed in time');
  deaf.resolve('done');
});

test('the task of a process that is killed is taken over by another one', async () => {
  await using world = await taskWorld(server.url);
  const child = spawn(process.execPath, [new URL('task-child.ts', import.meta.url).pathname, server.url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const task = await world.give();
  const [said] = await once(child.stdout, 'data');
  expect(String(said)).toContain(`running ${taskId(task)}`);
  const handled = handler(() => 'done');
  await world.worker(handled);
  expect(await world.stateOf(task)).toBe('active');

  child.kill('SIGKILL');
  await once(child, 'exit');
  await world.ended(task);
  expect(handled.runs).toHaveLength(1);
  expect(world.log.join('\n')).toContain('task taken over');
});

test('a task whose lock was lost is aborted where it runs', async () => {
  await using world = await taskWorld(server.url);
  const reasons: string[] = [];
  const handled = handler(async (n, context) => {
    if (n > 1) return 'done';
    reasons.push(await aborted(context.signal));
    throw new VelvetError('vendor_no_answer', 'aborted');
  });
  await world.worker(handled);
  const task = await world.give();
  await until(() => (handled.runs.length === 1 ? true : null));
  await world.redis.set(`{velvet}:distribute:${taskId(task)}:lock`, 'somebody else');
  await until(() => (reasons.length === 1 ? true : null));
  expect([reasons, handled.failures]).toEqual([['lock lost'], []]);
  await world.redis.del(`{velvet}:distribute:${taskId(task)}:lock`);
  await world.ended(task);
});

async function clients(redis: Redis): Promise<string> {
  return String(await redis.client('LIST'));
}
