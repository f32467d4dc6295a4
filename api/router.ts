// What every route file begins with: the dependencies that it is given, and a router whose refusals are problem documents.
import { OpenAPIHono } from '@hono/zod-openapi';
import type { Redis } from 'ioredis';
import type { Clock } from '../shared/lib/clock.ts';
import { isVelvetError } from '../shared/lib/errors.ts';
import type { Log } from '../shared/lib/log.ts';
import type { Manifest } from '../shared/manifest/schema.ts';
import type { Answer, Asker } from '../shared/queue/questions.ts';
import type { Queues } from '../shared/queue/queues.ts';
import type { AlarmStore } from '../shared/redis/alarm-store.ts';
import type { Feed } from '../shared/redis/feed.ts';
import type { Ground } from '../shared/redis/ground.ts';
import type { JobStore } from '../shared/redis/job-store.ts';
import type { RateLimits } from '../shared/redis/rate-limits.ts';
import type { JobRef } from '../shared/rotation/effects.ts';
import type { TypedValues } from '../shared/redis/typed-values.ts';
import type { SystemStore } from '../shared/redis/system-store.ts';
import type { Times } from '../shared/times.ts';
import type { Transitions } from '../shared/transition.ts';
import type { AppEnvironment } from './auth.ts';
import type { Limits } from './limits.ts';
import { invalid } from './validation.ts';

export interface ApiDeps {
  /** What web cannot know itself, it asks of the stage worker. */
  readonly asker: Asker;
  readonly env: string;
  readonly allowVolatileRedis: boolean;
  /** Whether every request comes through Heroku's router, which says where it comes from. */
  readonly behindRouter: boolean;
  /** Where people reach this server, without a slash at its end; null where it is not known. */
  readonly publicUrl: string | null;
  readonly manifest: Manifest;
  readonly redis: Redis;
  readonly store: JobStore;
  readonly system: SystemStore;
  readonly alarms: AlarmStore;
  readonly rateLimits: RateLimits;
  readonly limits: Limits;
  /** To see how long they are; tasks are added elsewhere. */
  readonly queues: Queues;
  readonly feed: Feed;
  readonly ground: Pick<Ground, 'sure'>;
  readonly transitions: Transitions;
  /** What a consumer's place holds now, as the stage worker sees it. Throws `degraded` where none answers. */
  readonly look: (ref: JobRef, consumerId: string) => Promise<Answer<'look'>>;
  readonly typedValues: Pick<TypedValues, 'put'>;
  /** What typed values are sealed with: web can write one and never read one. Null where nothing is minted by hand. */
  readonly sealKey: Buffer | null;
  /** Whether the ticket system knows a ticket. Never refuses: what cannot be asked in time is unverified. */
  readonly lookUpTicket: (ticketId: string) => Promise<Answer<'look_up_ticket'>>;
  readonly clock: Clock;
  readonly times: Times;
  readonly log: Log;
  /** Aborted when the process must let go: streams end then. */
  readonly stopping: AbortSignal;
}

/** The one who looks for the API. */
export function lookThrough(asker: Asker): ApiDeps['look'] {
  return ({ credential, env, jobId }, consumerId) =>
    asker.ask('look', { credential, env, job_id: jobId, consumer_id: consumerId });
}

/** The one who asks for the API whether there is such a ticket. */
export function ticketsThrough(asker: Asker, times: Pick<Times, 'ticketMs'>): ApiDeps['lookUpTicket'] {
  return (ticketId) =>
    asker.ask('look_up_ticket', { ticket_id: ticketId }, times.ticketMs).catch((error: unknown) => {
      if (!isVelvetError(error)) throw error;
      const reason = `No stage worker said within ${times.ticketMs / 1000} s whether there is such a ticket.`;
      return { ticket: 'unverified', number: null, reason };
    });
}

export type App = OpenAPIHono<AppEnvironment>;
/** A router whose schema failures are problem documents that name the field. */
export function newRouter(): App {
  return new OpenAPIHono<AppEnvironment>({
    defaultHook: (result) => {
      if (!result.success) throw invalid(result.error.issues);
    },
  });
}
