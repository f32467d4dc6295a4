// buildApp: mounts middleware and routes. No side effects, so that a test calls app.request() and main.ts listens.
import { bodyLimit } from 'hono/body-limit';
import { requestId } from 'hono/request-id';
import { secureHeaders } from 'hono/secure-headers';
import { VelvetError } from '../shared/lib/errors.ts';
import { authenticate } from './auth.ts';
import { createLimiter, limited } from './limits.ts';
import { problemAnswer, clipped } from './problem.ts';
import { newRouter, type ApiDeps, type App } from './router.ts';
import { adminRoutes } from './routes/admin.ts';
import { alarmRoutes } from './routes/alarm.ts';
import { auditRoutes } from './routes/audit.ts';
import { documentRoutes } from './routes/documents.ts';
import { healthPaths, healthRoutes } from './routes/health.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { rotationRoutes } from './routes/rotations.ts';
import { sopRoutes } from './routes/sop.ts';
import { stageRoutes } from './routes/stage.ts';
import { streamRoutes } from './routes/stream.ts';
import { tokenRoutes } from './routes/tokens.ts';

/** The specification: a larger body is refused before it is read. */
const BODY_BYTES_MAX = 64 * 1024;

/** A pattern takes in what it begins with, too: `/tokens` is named by `/tokens/*`, and must not be named twice. */
const behindToken = [
  '/tokens/*',
  '/alarm/*',
  '/audit/*',
  '/flags/*',
  '/service-tokens/*',
  '/metrics',
  '/docs/sop/*',
] as const;

export function buildApp(deps: ApiDeps): App {
  const app: App = newRouter();
  app.onError((error, context) => problemAnswer(context, error, deps));
  app.notFound((context) =>
    problemAnswer(context, new VelvetError('not_found', `nothing at ${clipped(context.req.path)}`), deps),
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
  const limiter = createLimiter(deps);
  app.use(limited(deps, (context) => limiter.demandOfAddress('address', context)));
  const signedIn = authenticate({ ...deps, limiter });
  const ofToken = limited(deps, (context) => limiter.demand('token', context.get('caller').tokenId));
  for (const path of healthPaths)
    app.use(path, (context, next) =>
      context.req.query('deep') === undefined ? next() : signedIn(context, next),
    );
  app.route('/', healthRoutes(deps, limiter));
  app.route('/', documentRoutes(app));
  for (const path of behindToken) app.use(path, signedIn, ofToken);
  app.route('/', sopRoutes(deps));
  app.route('/', tokenRoutes(deps));
  app.route('/', rotationRoutes(deps));
  app.route('/', stageRoutes(deps));
  app.route('/', streamRoutes(deps));
  app.route('/', auditRoutes(deps));
  app.route('/', adminRoutes(deps));
  app.route('/', alarmRoutes(deps));
  app.route('/', metricsRoutes(deps));
  return app;
}
