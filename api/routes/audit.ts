// The audit trail: its rows, page by page, and whether it is what it was, which the stage worker alone can tell.
import { createRoute } from '@hono/zod-openapi';
import type { z } from 'zod';
import { overall } from '../../shared/audit/verify.ts';
import type { NumberedEvent } from '../../shared/redis/events.ts';
import { newRouter, type ApiDeps, type App } from '../router.ts';
import { demand, mayTouch } from '../auth.ts';
import { auditPageAnswer, auditQuery, auditVerdictAnswer, verifyQuery } from '../audit-schemas.ts';
import { nameParam, refused } from '../schemas.ts';
import { registeredRows } from './tokens.ts';

type Row = z.infer<typeof auditPageAnswer>['rows'][number];

/** More than any trail will ever have: the newest rows are those before it. */
const END = Number.MAX_SAFE_INTEGER;

export function auditRoutes(deps: ApiDeps): App {
  const app = newRouter();
  const rows = createRoute({
    method: 'get',
    path: '/tokens/{name}/audit',
    tags: ['audit'],
    summary: 'The rows of the audit trail, newest first; with `after`, oldest first',
    request: { params: nameParam, query: auditQuery },
    responses: {
      200: { description: 'One page', content: { 'application/json': { schema: auditPageAnswer } } },
      ...refused,
    },
  });
  app.openapi(rows, async (context) => {
    const { name } = context.req.valid('param');
    demand(context, 'read', name);
    registeredRows(deps.manifest, name, deps.env);
    const { limit, before, after } = context.req.valid('query');
    const [epoch, page] = await Promise.all([
      deps.system.epoch(),
      after === undefined
        ? deps.feed.readBack(name, deps.env, before ?? END, limit)
        : deps.feed.read(name, deps.env, after, limit),
    ]);
    const id = (event: NumberedEvent) => `${epoch ?? 'none'}.${event.seq}`;
    const last = page.at(-1);
    const next = last === undefined || page.length < limit ? null : id(last);
    const shown = page.map((event): Row => ({ ...event, seq: id(event), detail: { ...event.detail } }));
    return context.json({ env: deps.env, credential: name, rows: shown, next }, 200);
  });

  const verdict = createRoute({
    method: 'get',
    path: '/audit/verify',
    tags: ['audit'],
    summary: 'Whether the audit trail is what it was: every seal and event recomputed, against the vault',
    request: { query: verifyQuery },
    responses: {
      200: { description: 'The verdict', content: { 'application/json': { schema: auditVerdictAnswer } } },
      ...refused,
    },
  });
  app.openapi(verdict, async (context) => {
    const { credential } = context.req.valid('query');
    const caller = demand(context, 'read', credential);
    if (credential !== undefined) registeredRows(deps.manifest, credential, deps.env);
    const { trails } = await deps.asker.ask('verify_audit', { credential: credential ?? null });
    const seen = trails.filter((trail) => mayTouch(caller, trail.credential));
    return context.json(
      {
        env: deps.env,
        ...overall(seen),
        credentials: seen.map((trail) => ({ ...trail, losses: [...trail.losses] })),
      },
      200,
    );
  });
  return app;
}
