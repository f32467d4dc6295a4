// What every route file begins with: the dependencies that it is given, and a router whose refusals are problem documents.
import { OpenAPIHono } from '@hono/zod-openapi';
import type { Redis } from 'ioredis';
import type { Clock } from '../shared/lib/clock.ts';
import type { Log } from '../shared/lib/log.ts';
import type { Manifest } from '../shared/manifest/schema.ts';
import type { Answer, Asker } from '../shared/queue/questions.ts';
import type { Feed } from '../shared/redis/feed.ts';
import type { Ground } from '../shared/redis/ground.ts';
import type { JobStore } from '../shared/redis/job-store.ts';
import type { JobRef } from '../shared/rotation/effects.ts';
import type { TypedValues } from '../shared/redis/typed-values.ts';
import type { SystemStore } from '../shared/redis/system-store.ts';
import type { Times } from '../shared/times.ts';
import type { Transitions } from '../shared/transition.ts';
import type { AppEnvironment } from './auth.ts';
import { invalid } from './validation.ts';

export interface ApiDeps {
  /** What web cannot know itself, it asks of the stage worker. */
  readonly asker: Asker;
  readonly env: string;
  readonly allowVolatileRedis: boolean;
  readonly manifest: Manifest;
  readonly redis: Redis;
  readonly store: JobStore;
  readonly system: SystemStore;
  readonly feed: Feed;
  readonly ground: Pick<Ground, 'sure'>;
  readonly transitions: Transitions;
  /** What a consumer's place holds now, as the stage worker sees it. Throws `degraded` where none answers. */
  readonly look: (ref: JobRef, consumerId: string) => Promise<Answer<'look'>>;
  readonly typedValues: Pick<TypedValues, 'put'>;
  /** What typed values are sealed with: web can write one and never read one. Null where nothing is minted by hand. */
  readonly sealKey: Buffer | null;
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

export type App = OpenAPIHono<AppEnvironment>;
/** A router whose schema failures are problem documents that name the field. */
export function newRouter(): App {
  return new OpenAPIHono<AppEnvironment>({
    defaultHook: (result) => {
      if (!result.success) throw invalid(result.error.issues);
    },
  });
}
