// /healthz, /health and /flags: public, cheap, and true: Redis is asked, and every worker family must have beaten.
import { createRoute, z } from '@hono/zod-openapi';
import { isVelvetError } from '../../shared/lib/errors.ts';
import { healthOf } from '../../shared/redis/health.ts';
import { demand, mayTouch, type Caller } from '../auth.ts';
import type { Limiter } from '../limits.ts';
import { newRouter, type ApiDeps, type App } from '../router.ts';
import { anyAnswer } from '../schemas.ts';

export const healthPaths = ['/healthz', '/health'] as const;

/** Other parameters are a monitor's own; but `deep` means something, and whoever asks for it is about to revoke. */
const healthQuery = z.object({
  deep: z
    .literal('1', { error: 'must be 1, or left out' })
    .optional()
    .openapi({
      param: { name: 'deep', in: 'query' },
      description:
        'Has the stage worker log in to the vault and the vendors, 10 s at most; needs a service token.',
    }),
});

/** What the stage worker said of each log-in that the caller may know of, and what of it fails. */
async function deepHealth(deps: ApiDeps, caller: Caller): Promise<Record<string, unknown>> {
  const health = await healthOf(deps);
  const asked = await deps.asker.ask('deep_health', {}, deps.times.deepHealthMs).catch((error: unknown) => {
    if (isVelvetError(error)) return `stage: ${error.detail}`;
    throw error;
  });
  const all = typeof asked === 'string' ? [] : asked.checks;
  const checks = all.filter(
    (check) => check.credentials === null || check.credentials.some((name) => mayTouch(caller, name)),
  );
  const failing = [
    ...(health.failing ?? []),
    ...(typeof asked === 'string' ? [asked] : []),
    ...checks.filter(({ ok }) => !ok).map(({ name, says }) => `${name}: ${says}`),
  ];
  const warnings = Object.entries(health.warnings ?? {}).filter(([name]) => mayTouch(caller, name));
  const alarm = Object.entries(health.alarm ?? {});
  return {
    status: failing.length === 0 ? 'ok' : 'degraded',
    ...(failing.length === 0 ? {} : { failing }),
    ...(warnings.length + alarm.length === 0
      ? {}
      : { warnings: Object.fromEntries([...warnings, ...alarm]) }),
    checks: checks.map(({ name, ok, says }) => ({ name, ok, says })),
  };
}

export function healthRoutes(deps: ApiDeps, limiter: Limiter): App {
  const app = newRouter();
  for (const path of healthPaths) {
    const route = createRoute({
      method: 'get',
      path,
      tags: ['health'],
      summary: 'Whether new rotations can be started',
      security: [],
      request: { query: healthQuery },
      responses: { 200: anyAnswer('{"status":"ok"}'), 503: anyAnswer('{"status":"degraded","failing":[…]}') },
    });
    app.openapi(route, async (context) => {
      if (context.req.valid('query').deep !== undefined) {
        const caller = demand(context, 'read');
        await limiter.demand('deepHealth', caller.tokenId);
        const deep = await deepHealth(deps, caller);
        return context.json(deep, deep['status'] === 'ok' ? 200 : 503);
      }
      const { warnings, alarm, ...health } = await healthOf(deps);
      // Why names authorities and where the vault lies: that is for whoever has a token.
      const named = Object.keys(warnings ?? {}).map((name) => [name, 'unavailable; GET /tokens says why']);
      const all = { ...Object.fromEntries(named), ...alarm };
      const body: Record<string, unknown> = {
        ...health,
        ...(Object.keys(all).length === 0 ? {} : { warnings: all }),
      };
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
