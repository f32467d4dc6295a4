// /tokens: the credentials of this environment and their subscribers.
import { createRoute, z } from '@hono/zod-openapi';
import { VelvetError } from '../../shared/lib/errors.ts';
import { isoTime } from '../../shared/lib/clock.ts';
import { dueAt } from '../../shared/manifest/due.ts';
import { rowsOf } from '../../shared/manifest/load.ts';
import type { Credential, Manifest, Subscriber } from '../../shared/manifest/schema.ts';
import { createScheduleStore } from '../../shared/redis/schedule-store.ts';
import type { Job } from '../../shared/rotation/job.ts';
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

/** More than anybody asks for between two rotations. */
const TESTS_IN_A_ROW = 50;

function named(job: Job | undefined) {
  return job === undefined ? null : { job_id: job.jobId, status: job.status, at: isoTime(job.updatedAt) };
}

export function tokenRoutes(deps: ApiDeps): App {
  const app = newRouter();
  const schedules = createScheduleStore(deps.redis);
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
    const tokens = await Promise.all(seen.map((credential) => summary(credential, unavailable)));
    return context.json({ env: deps.env, tokens }, 200);
  });

  async function summary(
    { token_name: name, active, rotation }: Credential,
    unavailable: Readonly<Record<string, string>>,
  ) {
    const ref = { credential: name, env: deps.env };
    const rows = rowsOf(deps.manifest, name).filter((row) => row.env === deps.env);
    const [last, claimant, [check], { since }] = await Promise.all([
      lastRotation(name),
      deps.store.claimant(ref),
      deps.store.checks(name, deps.env, 1),
      schedules.load(ref),
    ]);
    const rotates = active && rows.some((row) => row.active);
    // Before a stage worker has seen the value nobody knows how old it is.
    const due = rotates && rotation !== undefined && since !== null ? dueAt(rotation, since) : null;
    return {
      token_name: name,
      active: rotates,
      // Whoever holds it need not be the latest: that one may have been made beside it and stopped.
      rotating: claimant !== null,
      last_rotation: named(last),
      last_check: named(check),
      due: due === null ? null : isoTime(due),
      overdue: due !== null && deps.clock.now() - due >= deps.times.overdueAfterMs,
      consumers: rows.map((row) => row.consumer_id),
      unavailable: unavailable[name] ?? null,
    };
  }

  /** A test rotates nothing. One that a person asked for is listed with the rotations. */
  async function lastRotation(name: string): Promise<Job | undefined> {
    const isRotation = (job: Job) => job.flowType !== 'testing';
    const [latest] = await deps.store.list(name, deps.env, 1);
    if (latest === undefined || isRotation(latest)) return latest;
    return (await deps.store.list(name, deps.env, TESTS_IN_A_ROW)).find(isRotation);
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
