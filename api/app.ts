// buildApp: mounts middleware and routes. No side effects, so that a test calls app.request() and main.ts listens.
import { bodyLimit } from 'hono/body-limit';
import { requestId } from 'hono/request-id';
import { secureHeaders } from 'hono/secure-headers';
import { VelvetError } from '../shared/lib/errors.ts';
import { authenticate } from './auth.ts';
import { problemAnswer, clipped } from './problem.ts';
import { newRouter, type ApiDeps, type App } from './router.ts';
import { adminRoutes } from './routes/admin.ts';
import { auditRoutes } from './routes/audit.ts';
import { documentRoutes } from './routes/documents.ts';
import { healthRoutes } from './routes/health.ts';
import { rotationRoutes } from './routes/rotations.ts';
import { sopRoutes } from './routes/sop.ts';
import { stageRoutes } from './routes/stage.ts';
import { streamRoutes } from './routes/stream.ts';
import { tokenRoutes } from './routes/tokens.ts';

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
  for (const path of ['/tokens', '/tokens/*', '/audit/*', '/flags/*', '/service-tokens', '/service-tokens/*'])
    app.use(path, authenticate(deps.system, deps.clock));
  app.use('/docs/sop/*', authenticate(deps.system, deps.clock));
  app.route('/', sopRoutes(deps));
  app.route('/', tokenRoutes(deps));
  app.route('/', rotationRoutes(deps));
  app.route('/', stageRoutes(deps));
  app.route('/', streamRoutes(deps));
  app.route('/', auditRoutes(deps));
  app.route('/', adminRoutes(deps));
  return app;
}
