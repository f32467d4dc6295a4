// Create, list and read rotations. Creating records an intention; nothing outside is touched before `verify`.
import { createHash, randomUUID } from 'node:crypto';
import { createRoute, z } from '@hono/zod-openapi';
import { isoTime } from '../../shared/lib/clock.ts';
import { VelvetError } from '../../shared/lib/errors.ts';
import { manualProcedure } from '../../shared/manifest/by-hand.ts';
import { activeCredential, activeRows } from '../../shared/manifest/load.ts';
import { bootstrapNames } from '../../shared/manifest/vendors.ts';
import { idempotencyHash } from '../../shared/redis/keys.ts';
import type { OpenRequest } from '../../shared/redis/job-writes.ts';
import type { Job } from '../../shared/rotation/job.ts';
import { newRow, tally } from '../../shared/rotation/rows.ts';
import { newRouter, type ApiDeps, type App } from '../app.ts';
import { actorOf, demand, type Caller } from '../auth.ts';
import { clipped } from '../problem.ts';
import { rotationView } from '../rotation-view.ts';
import {
  anyAnswer,
  createBody,
  jobAnswer,
  jobParam,
  jsonBody,
  limitQuery,
  nameParam,
  refused,
} from '../schemas.ts';
import { healthOf } from './health.ts';
import { registeredRows } from './tokens.ts';

type CreateBody = z.infer<typeof createBody>;

export function rotationRoutes(deps: ApiDeps): App {
  const app = newRouter();
  const create = createRoute({
    method: 'post',
    path: '/tokens/{name}/rotate',
    tags: ['rotations'],
    summary: 'Create a rotation; it waits in init for `verify`',
    request: { params: nameParam, body: jsonBody(createBody) },
    responses: {
      202: {
        description: 'Created, or the job that this idempotency key named before',
        content: {
          'application/json': { schema: z.looseObject({ job_id: z.string(), status: z.string() }) },
        },
      },
      ...refused,
    },
  });
  app.openapi(create, async (context) => {
    const { name } = context.req.valid('param');
    const caller = demand(context, 'rotate', name);
    const job = await createRotation(deps, name, context.req.valid('json'), caller);
    return context.json(
      { job_id: job.jobId, status: job.status, credential: name, env: deps.env, version: job.version },
      202,
    );
  });

  const list = createRoute({
    method: 'get',
    path: '/tokens/{name}/rotations',
    tags: ['rotations'],
    summary: 'The rotations of a credential, newest first',
    request: { params: nameParam, query: limitQuery },
    responses: { 200: anyAnswer('{"rotations":[…]}'), ...refused },
  });
  app.openapi(list, async (context) => {
    const { name } = context.req.valid('param');
    const caller = demand(context, 'read', name);
    registeredRows(deps.manifest, name, deps.env);
    const jobs = await deps.store.list(name, deps.env, context.req.valid('query').limit);
    const rotations = await Promise.all(jobs.map((job) => view(deps, job, caller)));
    return context.json({ env: deps.env, rotations }, 200);
  });

  const read = createRoute({
    method: 'get',
    path: '/tokens/{name}/rotations/{job_id}',
    tags: ['rotations'],
    summary: 'One rotation, with its consumers and what may be done now',
    request: { params: jobParam },
    responses: {
      200: { description: 'The job', content: { 'application/json': { schema: jobAnswer } } },
      ...refused,
    },
  });
  app.openapi(read, async (context) => {
    const { name, job_id } = context.req.valid('param');
    const caller = demand(context, 'read', name);
    return context.json(
      (await view(deps, await demandJob(deps, name, job_id), caller)) as z.infer<typeof jobAnswer>,
      200,
    );
  });
  return app;
}

export async function view(deps: ApiDeps, job: Job, caller: Caller): Promise<Record<string, unknown>> {
  return rotationView(job, await deps.store.rows(job), caller, deps.clock.now(), deps.times.stuckAfterMs);
}

/** Throws `not_found` for a job that this credential does not have. */
export async function demandJob(deps: ApiDeps, name: string, jobId: string): Promise<Job> {
  const job =
    /^[A-Za-z0-9-]{1,64}$/.test(jobId) && /^[A-Za-z0-9_.-]{1,120}$/.test(name)
      ? await deps.store.load({ credential: name, env: deps.env, jobId })
      : null;
  if (job !== null) return job;
  throw new VelvetError('not_found', 'no such job', {
    detail: `${clipped(name)} has no job '${clipped(jobId)}' in ${deps.env}. \`GET /tokens/${clipped(name)}/rotations\` lists them.`,
  });
}

/** 503 where the flag is off; what runs goes on. */
export async function demandFlag(deps: ApiDeps, name: string): Promise<void> {
  const flags = await deps.system.flags();
  if (!flags.velvet_v2_rotation)
    throw new VelvetError('rotation_disabled', 'flag off', {
      extra: { manual_procedure: manualProcedure(deps.manifest, name, deps.env) },
    });
}

async function createRotation(deps: ApiDeps, name: string, body: CreateBody, caller: Caller): Promise<Job> {
  const ref = { credential: name, env: deps.env };
  const byHand = () => ({ extra: { manual_procedure: manualProcedure(deps.manifest, name, deps.env) } });
  if (bootstrapNames.has(name))
    throw new VelvetError('bootstrap_credential', `${name} is a bootstrap credential`, byHand());
  const registered = registeredRows(deps.manifest, name, deps.env);
  const idem = { hash: idempotencyHash(caller.owner, body.idempotency_key), bodyHash: bodyHash(body) };
  const known = await deps.store.byKey(ref, idem);
  if (known !== null) return demandJob(deps, name, known);

  const credential = activeCredential(deps.manifest, name);
  const rows = activeRows(deps.manifest, name, deps.env);
  if (credential === null || rows.length === 0)
    throw new VelvetError('credential_inactive', `${name} is inactive`, byHand());
  await demandFlag(deps, name);
  const health = await healthOf(deps);
  if (health.status !== 'ok') {
    throw new VelvetError('degraded', 'fleet degraded', {
      detail: `Nothing new is started while the fleet is degraded: ${(health.failing ?? []).join('; ')}.`,
      extra: { failing: health.failing },
    });
  }
  const why = health.warnings?.[name];
  if (why !== undefined)
    throw new VelvetError('credential_unavailable', `${name} is unavailable`, { detail: why });

  const now = deps.clock.now();
  const jobId = randomUUID();
  const actor = actorOf(caller);
  const jobRows = rows.map((row) => newRow(row, now));
  const inactive = registered.filter((row) => !row.active).map((row) => row.consumer_id);
  const request: OpenRequest = {
    ref: { ...ref, jobId },
    fields: {
      flow_type: body.flow_type,
      status: 'init',
      status_since: now,
      status_version: 1,
      created_at: now,
      updated_at: now,
      created_by: actor.operatorId,
      moved_by: actor.operatorId,
      moved_by_slack: actor.slackUserId,
      force_revoke: body.force_revoke,
      ticket_id: body.ticket_id ?? null,
      issuer: credential.issuer,
      authority: credential.issuer_auth_token_name,
      two_person: credential.two_person,
      inactive,
    },
    rows: jobRows,
    tally: tally(jobRows, 'distribute'),
    event: {
      at: isoTime(now),
      env: deps.env,
      job_id: jobId,
      credential: name,
      operator_id: actor.operatorId,
      from_state: null,
      to_state: 'init',
      event: 'created',
      detail: {
        flow_type: body.flow_type,
        consumers: rows.map((row) => row.consumer_id),
        inactive,
        ticket_id: body.ticket_id ?? null,
        reason: body.reason ?? null,
      },
    },
    idem,
    now,
  };
  const opened = await deps.store.open(request);
  // Of requests that came at the same moment one created it.
  deps.log.info(opened.existed ? 'rotation asked for again' : 'rotation created', {
    job_id: opened.jobId,
    credential: name,
    operator_id: actor.operatorId,
  });
  return demandJob(deps, name, opened.jobId);
}

/** The same request has the same hash, whatever the order of its fields. */
function bodyHash(body: CreateBody): string {
  const sorted = Object.entries(body).toSorted(([a], [b]) => a.localeCompare(b));
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex').slice(0, 40);
}
