// buildApp: mounts middleware and routes. No side effects, so that a test calls app.request() and main.ts listens.
import { OpenAPIHono } from '@hono/zod-openapi';
import { bodyLimit } from 'hono/body-limit';
import { requestId } from 'hono/request-id';
import { secureHeaders } from 'hono/secure-headers';
import type { Redis } from 'ioredis';
import type { Clock } from '../shared/lib/clock.ts';
import { VelvetError } from '../shared/lib/errors.ts';
import type { Log } from '../shared/lib/log.ts';
import type { Manifest } from '../shared/manifest/schema.ts';
import type { Feed } from '../shared/redis/feed.ts';
import type { JobStore } from '../shared/redis/job-store.ts';
import type { SystemStore } from '../shared/redis/system-store.ts';
import type { Times } from '../shared/times.ts';
import type { Transitions } from '../shared/transition.ts';
import { authenticate, type AppEnvironment } from './auth.ts';
import { problemAnswer, clipped } from './problem.ts';
import { adminRoutes } from './routes/admin.ts';
import { documentRoutes } from './routes/documents.ts';
import { healthRoutes } from './routes/health.ts';
import { rotationRoutes } from './routes/rotations.ts';
import { stageRoutes } from './routes/stage.ts';
import { streamRoutes } from './routes/stream.ts';
import { tokenRoutes } from './routes/tokens.ts';
import { invalid } from './validation.ts';

export interface ApiDeps {
  readonly env: string;
  readonly allowVolatileRedis: boolean;
  readonly manifest: Manifest;
  readonly redis: Redis;
  readonly store: JobStore;
  readonly system: SystemStore;
  readonly feed: Feed;
  readonly transitions: Transitions;
  readonly clock: Clock;
  readonly times: Times;
  readonly log: Log;
  /** Aborted when the process must let go: streams end then. */
  readonly stopping: AbortSignal;
}

export type App = OpenAPIHono<AppEnvironment>;
/** The specification: a larger body is refused before it is read. */
const BODY_BYTES_MAX = 64 * 1024;

export function buildApp(deps: ApiDeps): App {
  const app: App = newRouter();
  app.onError((error, context) => problemAnswer(context, error, deps.log));
  app.notFound((context) =>
    problemAnswer(context, new VelvetError('not_found', `nothing at ${clipped(context.req.path)}`), deps.log),
  );
  app.use(requestId());
  app.use(secureHeaders());
  app.use(async (context, next) => {
    await next();
    context.header('x-velvet-env', deps.env);
    // What is true of a job now is not true in a minute, and one answer shows a service token.
    if (!context.res.headers.has('cache-control')) context.header('cache-control', 'no-store');
  });
  app.use(
    bodyLimit({
      maxSize: BODY_BYTES_MAX,
      onError: () => Promise.reject(new VelvetError('too_large', 'body over 64 KiB')),
    }),
  );
  app.route('/', healthRoutes(deps));
  app.route('/', documentRoutes(app));
  for (const path of ['/tokens', '/tokens/*', '/flags/*', '/service-tokens', '/service-tokens/*'])
    app.use(path, authenticate(deps.system, deps.clock));
  app.route('/', tokenRoutes(deps));
  app.route('/', rotationRoutes(deps));
  app.route('/', stageRoutes(deps));
  app.route('/', streamRoutes(deps));
  app.route('/', adminRoutes(deps));
  return app;
}

/** A router whose schema failures are problem documents that name the field. */
export function newRouter(): App {
  return new OpenAPIHono<AppEnvironment>({
    defaultHook: (result) => {
      if (!result.success) throw invalid(result.error.issues);
    },
  });
}
