// /healthz, /health and /flags: public, cheap, and true: Redis is asked, and every worker family must have beaten.
import { createRoute, z } from '@hono/zod-openapi';
import { VelvetError } from '../../shared/lib/errors.ts';
import { healthOf } from '../../shared/redis/health.ts';
import { newRouter, type ApiDeps, type App } from '../router.ts';
import { anyAnswer } from '../schemas.ts';

/** Whoever asks for it is about to revoke something: a shallow answer would be taken for a deep one. */
const noDeepCheck =
  'This release has no deep check. Whether the vault and the vendors accept Velvet is looked at each minute: without `deep`, the credentials that they keep from being rotated stand under `warnings`.';

export function healthRoutes(deps: ApiDeps): App {
  const app = newRouter();
  for (const path of ['/healthz', '/health']) {
    const route = createRoute({
      method: 'get',
      path,
      tags: ['health'],
      summary: 'Whether new rotations can be started',
      security: [],
      responses: { 200: anyAnswer('{"status":"ok"}'), 503: anyAnswer('{"status":"degraded","failing":[…]}') },
    });
    app.openapi(route, async (context) => {
      if (context.req.query('deep') !== undefined)
        throw new VelvetError('invalid_request', 'deep health', { detail: noDeepCheck });
      const { warnings, ...health } = await healthOf(deps);
      // Why names authorities and where the vault lies: that is for whoever has a token.
      const named = warnings && {
        warnings: Object.fromEntries(
          Object.keys(warnings).map((name) => [name, 'unavailable; GET /tokens says why']),
        ),
      };
      const body: Record<string, unknown> = { ...health, ...named };
      return context.json(body, health.status === 'ok' ? 200 : 503);
    });
  }
  const flags = createRoute({
    method: 'get',
    path: '/flags',
    tags: ['health'],
    summary: 'The feature flags',
    security: [],
    responses: {
      200: {
        description: 'Flag → on',
        content: {
          'application/json': {
            schema: z.record(z.string(), z.boolean()),
            example: { velvet_v2_rotation: true },
          },
        },
      },
    },
  });
  app.openapi(flags, async (context) => context.json(await deps.system.flags(), 200));
  return app;
}
