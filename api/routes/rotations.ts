// Create, list and read rotations. Creating records an intention; nothing outside is touched before `verify`.
import { createRoute, z } from '@hono/zod-openapi';
import { newRouter, type ApiDeps, type App } from '../router.ts';
import { demand, flowScope } from '../auth.ts';
import { createRotation } from '../create-rotation.ts';
import { demandJob, view } from '../rotation-lookup.ts';
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
import { registeredRows } from './tokens.ts';

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
    const body = context.req.valid('json');
    const caller = demand(context, flowScope[body.flow_type], name);
    const log = deps.log.with({ request_id: context.get('requestId') });
    const job = await createRotation({ ...deps, log }, name, body, caller);
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
