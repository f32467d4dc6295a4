// Questions of web to the stage worker: answered once, in time, by the table; a failure crosses as its code, and nothing else crosses.
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import { VelvetError } from '../../shared/lib/errors.ts';
import { createLog } from '../../shared/lib/log.ts';
import { createAsker, type Answer, type Asker } from '../../shared/queue/questions.ts';
import { connect } from '../../shared/redis/connection.ts';
import { createAnswers } from '../../shared/redis/answers.ts';
import { answerQuestions, type AnswerHandlers } from '../../workers/answer.ts';
import { dumpRedis } from '../redis-dump.ts';
import { quickTimes, until } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { codeOf } from '../redis/store-world.ts';

let server: RedisServer;
let redis: Redis;
let asker: Asker;
let stopping: AsyncDisposableStack;
const log: string[] = [];
beforeAll(async () => {
  server = await startRedis();
});
beforeEach(async () => {
  redis = new Redis(server.url, { maxRetriesPerRequest: null });
  redis.on('error', () => undefined);
  await redis.flushall();
  log.length = 0;
  asker = askerOn(redis);
  stopping = new AsyncDisposableStack();
  return async () => {
    await stopping.disposeAsync();
    await asker.close();
    redis.disconnect();
  };
});
afterAll(() => server.stop());

function askerOn(connection: Redis): Asker {
  const answers = createAnswers(connection);
  return createAsker({
    connection,
    answers,
    clock: systemClock,
    times: quickTimes,
    onError: () => undefined,
  });
}

function answering(verify: AnswerHandlers['verify_audit']): void {
  const worker = answerQuestions({
    connection: redis,
    handlers: {
      verify_audit: verify,
      look: () => Promise.reject(new Error('nobody looks here')),
      deep_health: () => Promise.reject(new Error('nobody looks here')),
      look_up_ticket: () => Promise.reject(new Error('nobody looks here')),
    },
    answers: createAnswers(redis),
    times: quickTimes,
    clock: systemClock,
    log: createLog({ env: 'staging', family: 'stage', write: (line) => log.push(line) }),
  });
  stopping.defer(() => worker.stop());
}

const trail: Answer<'verify_audit'>['trails'][number] = {
  credential: 'HK_ONE',
  env: 'staging',
  sealed_to: 1,
  unsealed: 0,
  anchored_to: 1,
  verdict: 'intact',
  losses: [],
  finding: null,
};
const ask = (ms?: number) => asker.ask('verify_audit', { credential: 'HK_ONE' }, ms);

test('an answer comes back, and its question is gone', async () => {
  const asked: unknown[] = [];
  answering(async (payload) => {
    asked.push(payload);
    return { trails: [trail] };
  });
  expect(await ask()).toEqual({ trails: [trail] });
  expect(asked).toEqual([{ credential: 'HK_ONE' }]);
  await until(async () => ((await redis.keys('*:ask:verify_audit*')).length === 0 ? true : null));
  for (const key of await redis.keys('velvet:*answer*')) expect(await redis.pttl(key)).toBeGreaterThan(0);
});

test('of several workers one answers, and questions do not wait for one another', async () => {
  let asked = 0;
  const all = Promise.withResolvers<void>();
  const together: AnswerHandlers['verify_audit'] = async () => {
    asked += 1;
    if (asked === 6) all.resolve();
    await all.promise;
    return { trails: [] };
  };
  answering(together);
  answering(together);
  await Promise.all(Array.from({ length: 6 }, () => ask()));
  expect(asked).toBe(6);
});

test('what the stage worker throws reaches whoever asked, by its code and its words', async () => {
  answering(() => Promise.reject(new VelvetError('vault_unavailable', 'inside', { detail: 'Mount it.' })));
  await expect(ask()).rejects.toMatchObject({ code: 'vault_unavailable', detail: 'Mount it.' });
});

test.each([
  ['an unforeseen failure', () => Promise.reject(new Error('with a value in it'))],
  [
    'an answer that does not fit the table',
    () => Promise.resolve({ trails: [{ ...trail, extra: 'with a value in it' }] }),
  ],
])('%s crosses as `internal`, and nothing of it lies in Redis', async (_, answer) => {
  answering(answer);
  expect(await codeOf(ask())).toBe('internal');
  expect(await dumpRedis(redis)).not.toContain('with a value in it');
  expect(log.join('\n')).toContain('question not answered');
});

test('nobody answers: told in time, and a worker that comes later does nothing', async () => {
  expect(await codeOf(ask(50))).toBe('degraded');
  let asked = 0;
  answering(async () => {
    asked += 1;
    return { trails: [] };
  });
  await ask();
  expect(asked).toBe(1);
});

test('a question whose time is over is not worked on, also where it could not be taken back', async () => {
  const late = askerOn(redis);
  stopping.defer(() => late.close());
  const worked: string[] = [];
  answering(async ({ credential }) => {
    worked.push(credential ?? '');
    return { trails: [] };
  });
  await expect(late.ask('verify_audit', { credential: 'LATE' }, -1_000)).rejects.toMatchObject({
    code: 'degraded',
  });
  await ask();
  expect(worked).toEqual(['HK_ONE']);
});

test('with Redis gone it is store_unavailable, soon', async () => {
  const passing = await startRedis();
  const away = connect({ url: passing.url, rejectUnauthorized: true }, 'asking', quickTimes, () => undefined);
  const own = askerOn(away);
  expect(await codeOf(own.ask('verify_audit', { credential: null }, 20))).toBe('degraded');
  await passing.stop();
  expect(await codeOf(own.ask('verify_audit', { credential: null }))).toBe('store_unavailable');
  away.disconnect();
});
