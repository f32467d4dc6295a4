// Answers the web process's questions: parses, asks the handler, puts the answer where it is waited for. Law: what does not fit the table does not cross.
import { Worker, type Job as BullTask } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Clock } from '../shared/lib/clock.ts';
import { VelvetError, isVelvetError } from '../shared/lib/errors.ts';
import { logfields, type Log } from '../shared/lib/log.ts';
import {
  askQueue,
  askedSchema,
  questions,
  type Answer,
  type Asked,
  type Question,
  type QuestionName,
} from '../shared/queue/questions.ts';
import type { Answers } from '../shared/redis/answers.ts';
import { queuePrefix } from '../shared/redis/keys.ts';
import type { Times } from '../shared/times.ts';
import { stopWorker, type RunningWorker } from './run.ts';

/** One for each question of the table. A handler changes nothing: it may be asked twice, and its answer may come too late. */
export type AnswerHandlers = {
  readonly [N in QuestionName]: (payload: Question<N>, signal: AbortSignal) => Promise<Answer<N>>;
};

export interface AnsweringOptions {
  readonly connection: Redis;
  readonly handlers: AnswerHandlers;
  readonly answers: Answers;
  readonly times: Times;
  readonly clock: Clock;
  readonly log: Log;
}

/** Questions at once in one process: they wait for Redis, the vault and vendors. */
const CONCURRENCY = 4;

export function answerQuestions(options: AnsweringOptions): RunningWorker {
  const { connection, times, clock, log, answers } = options;
  const processor = async (job: BullTask, _token: string | undefined, signal: AbortSignal | undefined) => {
    const asked = askedSchema.parse(job.data);
    const leftMs = asked.until - clock.now();
    // Whoever asked has been told that nobody answers.
    if (leftMs <= 0) return;
    const reply = await replyTo(options.handlers, asked, signal ?? new AbortController().signal, log);
    await answers.put(job.id ?? '', JSON.stringify(reply), leftMs + times.answerMs);
  };
  const worker = new Worker(askQueue, processor, {
    connection,
    prefix: queuePrefix,
    concurrency: CONCURRENCY,
    lockDuration: times.taskLockMs,
    stalledInterval: times.stalledCheckMs,
    maxStalledCount: 10,
  });
  worker.on('error', (error) =>
    log.warn('queue connection failed', { queue: askQueue, ...logfields(error) }),
  );
  worker.on('failed', (_job, error) => log.warn('question not answered', logfields(error)));
  return { ready: worker.waitUntilReady(), stop: () => stopWorker(worker, times, log) };
}

async function replyTo(handlers: AnswerHandlers, asked: Asked, signal: AbortSignal, log: Log) {
  try {
    return { ok: true, answer: await answerTo(handlers, asked.question, asked.payload, signal) };
  } catch (thrown) {
    const error = isVelvetError(thrown) ? thrown : new VelvetError('internal', 'unforeseen');
    if (isVelvetError(thrown))
      log.warn('question not answered', { question: asked.question, ...logfields(error) });
    else log.error('question not answered', { question: asked.question }, { cause: thrown });
    return { ok: false, code: error.code, detail: error.detail };
  }
}

async function answerTo(
  handlers: AnswerHandlers,
  name: QuestionName,
  payload: unknown,
  signal: AbortSignal,
): Promise<unknown> {
  const row = questions[name];
  // The table holds payload and handler together; what is parsed by the one is what the other takes.
  const handler = handlers[name] as (payload: unknown, signal: AbortSignal) => Promise<unknown>;
  return row.answer.parse(await handler(row.payload.parse(payload), signal));
}
