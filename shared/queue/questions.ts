// Questions that the web process asks of the stage worker, which alone has keys, vault and vendors. Law: ids and facts cross, never a value; a question changes nothing.
import { randomUUID } from 'node:crypto';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { Clock } from '../lib/clock.ts';
import { VelvetError, isErrorCode } from '../lib/errors.ts';
import type { Answers } from '../redis/answers.ts';
import { queuePrefix } from '../redis/keys.ts';
import type { Times } from '../times.ts';

const trailSchema = z.strictObject({
  credential: z.string(),
  env: z.string(),
  sealed_to: z.int(),
  unsealed: z.int(),
  anchored_to: z.int(),
  verdict: z.enum(['intact', 'altered', 'shorter_than_anchor']),
  losses: z
    .array(z.strictObject({ at: z.string(), epoch: z.string(), from_seq: z.int(), to_seq: z.int() }))
    .readonly(),
  finding: z.string().nullable(),
});

/**
 * What may be asked: name → what is sent, what comes back. Both are strict, so that nothing else crosses. A question may be
 * answered twice, or after nobody waits any more: whoever answers only looks.
 */
export const questions = {
  /** Over every trail, or over one credential's. */
  verify_audit: {
    payload: z.strictObject({ credential: z.string().nullable() }),
    answer: z.strictObject({ trails: z.array(trailSchema).readonly() }),
  },
  /** What one consumer's place holds now, compared with the job's values. */
  look: {
    payload: z.strictObject({
      credential: z.string(),
      env: z.string(),
      job_id: z.string(),
      consumer_id: z.string(),
    }),
    answer: z.strictObject({
      holds: z.enum(['old', 'new', 'other', 'unknown']),
      /** Whether everything there runs on what it holds; `unknown` where that cannot be told. */
      effect: z.enum(['running', 'not_yet', 'failed', 'unknown']),
      /** Whether this kind of place can be read back at all. */
      readable: z.boolean(),
      /** What was seen of its processes, in words without any value. */
      detail: z.string(),
      /** Why it could not be read back, where it could not. */
      problem: z.string().nullable(),
      /** What to wait for, or to mend, before it can be: the place says nothing by it. Null where the place itself refuses for good. */
      blocked_by: z.enum(['away', 'authority']).nullable(),
    }),
  },
  /** Whether the vault and the vendors let Velvet in now. */
  deep_health: {
    payload: z.strictObject({}),
    answer: z.strictObject({
      checks: z
        .array(
          z.strictObject({
            /** What was logged in to, and as whom. */
            name: z.string(),
            /** For whose rotations it is needed; null where it is for all. */
            credentials: z.array(z.string()).nullable(),
            ok: z.boolean(),
            /** In words without any value. */
            says: z.string(),
          }),
        )
        .readonly(),
    }),
  },
  /** Whether the ticket system knows a ticket. */
  look_up_ticket: {
    payload: z.strictObject({ ticket_id: z.string() }),
    answer: z.strictObject({
      /** Null where no ticket system is set up. */
      ticket: z.enum(['verified', 'unverified']).nullable(),
      /** The number that people know it by there; null where it was not found. */
      number: z.int().nullable(),
      /** Why it is unverified, in words. */
      reason: z.string().nullable(),
    }),
  },
} as const;

export type QuestionName = keyof typeof questions;
export type Question<N extends QuestionName> = z.infer<(typeof questions)[N]['payload']>;
export type Answer<N extends QuestionName> = z.infer<(typeof questions)[N]['answer']>;

export const askQueue = 'ask';

/** What travels: which question, its payload, and until when somebody waits (wall clock, ms). */
export const askedSchema = z.strictObject({
  question: z.enum(Object.keys(questions) as [QuestionName, ...QuestionName[]]),
  payload: z.unknown(),
  until: z.number(),
});
export type Asked = z.infer<typeof askedSchema>;

/** What comes back: the answer, or why there is none, as the operator is told. */
export const repliedSchema = z.discriminatedUnion('ok', [
  z.strictObject({ ok: z.literal(true), answer: z.unknown() }),
  z.strictObject({ ok: z.literal(false), code: z.string(), detail: z.string() }),
]);

export interface Asker {
  /**
   * Throws what the stage worker threw, by its code; `degraded` where none answered within `timeoutMs` (default
   * `times.answerMs`), and `store_unavailable`.
   */
  ask<N extends QuestionName>(name: N, payload: Question<N>, timeoutMs?: number): Promise<Answer<N>>;
  close(): Promise<void>;
}

export interface AskerDeps {
  readonly connection: Redis;
  readonly answers: Answers;
  readonly clock: Clock;
  readonly times: Pick<Times, 'answerMs' | 'answerPollMs'>;
  readonly onError: (error: Error) => void;
}

export function createAsker({ connection, answers, clock, times, onError }: AskerDeps): Asker {
  const queue = new Queue(askQueue, { connection, prefix: queuePrefix, skipVersionCheck: true });
  queue.on('error', onError);

  return {
    async ask(name, payload, timeoutMs = times.answerMs) {
      const id = `${name}.${randomUUID()}`;
      const ends = clock.monotonic() + timeoutMs;
      const asked: Asked = { question: name, payload, until: clock.now() + timeoutMs };
      await reached(queue.add(name, asked, { jobId: id, removeOnComplete: true, removeOnFail: true }));
      for (;;) {
        const json = await answers.get(id);
        if (json !== null) return answerIn(name, json);
        if (clock.monotonic() >= ends) break;
        await new Promise((resolve) => setTimeout(resolve, times.answerPollMs));
      }
      // Nobody waits for it any more. One that runs ends by itself, and its answer with its lifetime.
      await queue.remove(id).catch(() => undefined);
      throw unanswered(name, timeoutMs);
    },
    close: () => queue.close(),
  };
}

function answerIn<N extends QuestionName>(name: N, json: string): Answer<N> {
  const replied = repliedSchema.parse(JSON.parse(json));
  if (replied.ok) return questions[name].answer.parse(replied.answer) as Answer<N>;
  const code = isErrorCode(replied.code) ? replied.code : 'internal';
  throw new VelvetError(code, `the stage worker could not answer ${name}`, { detail: replied.detail });
}

function unanswered(name: QuestionName, timeoutMs: number): VelvetError {
  return new VelvetError('degraded', `nobody answered ${name}`, {
    detail: `No stage worker answered within ${timeoutMs / 1000} s, and it alone can. See \`GET /healthz\` for whether one runs; start one (\`node workers/main.ts stage\`) or wait for it, then ask again. Nothing was changed.`,
    retryAfterMs: timeoutMs,
  });
}

async function reached<T>(adding: Promise<T>): Promise<T> {
  try {
    return await adding;
  } catch (error) {
    const says = error instanceof Error ? error.message : 'unknown';
    throw new VelvetError('store_unavailable', `Redis did not take the question: ${says}`, {
      kind: 'ConnectionError',
    });
  }
}
