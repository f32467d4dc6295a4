// /tokens: the credentials of this environment and their subscribers.
import { createRoute, z } from '@hono/zod-openapi';
import { VelvetError } from '../../shared/lib/errors.ts';
import { rowsOf } from '../../shared/manifest/load.ts';
import type { Manifest, Subscriber } from '../../shared/manifest/schema.ts';
import { newRouter, type ApiDeps, type App } from '../router.ts';
import { demand, mayTouch } from '../auth.ts';
import { clipped } from '../problem.ts';
import { anyAnswer, nameParam, refused } from '../schemas.ts';

/** The rows registered for this environment. Throws `not_registered`, saying where they are registered if elsewhere. */
export function registeredRows(manifest: Manifest, name: string, env: string): readonly Subscriber[] {
  const rows = rowsOf(manifest, name);
  const here = rows.filter((row) => row.env === env);
  if (here.length > 0) return here;
  const elsewhere = [...new Set(rows.map((row) => row.env))];
  const detail =
    elsewhere.length > 0
      ? `${name} is registered for ${elsewhere.join(' and ')}; this is ${env}. Ask the Velvet of that environment.`
      : `${clipped(name)} has no subscribers. Check the name (\`GET /tokens\` lists them); new ones go into manifests/subscription-manifest.yml.`;
  throw new VelvetError('not_registered', `${clipped(name)} has no rows for ${env}`, {
    detail,
    extra: { registered_for: elsewhere },
  });
}

export function tokenRoutes(deps: ApiDeps): App {
  const app = newRouter();
  const list = createRoute({
    method: 'get',
    path: '/tokens',
    tags: ['credentials'],
    summary: 'The credentials, their state and their last rotation',
    responses: { 200: anyAnswer('The credentials that the caller may see'), ...refused },
  });
  app.openapi(list, async (context) => {
    const caller = demand(context, 'read');
    const seen = deps.manifest.credentials.filter((credential) => mayTouch(caller, credential.token_name));
    const unavailable = await deps.system.unavailable();
    const tokens = await Promise.all(
      seen.map(async (credential) => summary(credential.token_name, credential.active, unavailable)),
    );
    return context.json({ env: deps.env, tokens }, 200);
  });

  async function summary(name: string, active: boolean, unavailable: Readonly<Record<string, string>>) {
    const rows = rowsOf(deps.manifest, name).filter((row) => row.env === deps.env);
    const [[latest], claimant] = await Promise.all([
      deps.store.list(name, deps.env, 1),
      deps.store.claimant({ credential: name, env: deps.env }),
    ]);
    const last =
      latest === undefined
        ? null
        : { job_id: latest.jobId, status: latest.status, at: new Date(latest.updatedAt).toISOString() };
    return {
      token_name: name,
      active: active && rows.some((row) => row.active),
      // Whoever holds it need not be the latest: that one may have been made beside it and stopped.
      rotating: claimant !== null,
      last_rotation: last,
      consumers: rows.map((row) => row.consumer_id),
      unavailable: unavailable[name] ?? null,
    };
  }

  const subscribers = createRoute({
    method: 'get',
    path: '/tokens/{name}/subscribers',
    tags: ['credentials'],
    summary: 'The places that hold a copy',
    request: { params: nameParam },
    responses: {
      200: {
        description: 'The rows of this environment',
        content: {
          'application/json': { schema: z.looseObject({ subscribers: z.array(z.looseObject({})) }) },
        },
      },
      ...refused,
    },
  });
  app.openapi(subscribers, (context) => {
    const { name } = context.req.valid('param');
    demand(context, 'read', name);
    const rows = registeredRows(deps.manifest, name, deps.env).map((row): Record<string, unknown> => ({
      ...row,
    }));
    return context.json({ env: deps.env, credential: name, subscribers: rows }, 200);
  });
  return app;
}
