// The operator's actions on a job: each is one event of the table, decided in one place and recorded with who did it.
import { createRoute } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { z } from 'zod';
import { isVelvetError } from '../../shared/lib/errors.ts';
import type { Job } from '../../shared/rotation/job.ts';
import type { Speaker } from '../../shared/changes.ts';
import { act } from '../actions.ts';
import { actorOf, demand, flowScope, type AppEnvironment, type Caller } from '../auth.ts';
import { claimLost, demandFlag, demandJob, demandSureGround, view } from '../rotation-lookup.ts';
import { newRouter, type ApiDeps, type App } from '../router.ts';
import { jobAnswer, jobParam, jsonBody, refused } from '../schemas.ts';
import { stageBody } from '../stage-bodies.ts';

export function stageRoutes(deps: ApiDeps): App {
  const app = newRouter();
  const route = createRoute({
    method: 'post',
    path: '/tokens/{name}/rotations/{job_id}/stage',
    tags: ['rotations'],
    summary: 'Move a rotation on, or stop it',
    request: { params: jobParam, body: jsonBody(stageBody) },
    responses: {
      202: { description: 'The job as it is now', content: { 'application/json': { schema: jobAnswer } } },
      ...refused,
    },
  });
  app.openapi(route, async (context) => {
    const { name, job_id } = context.req.valid('param');
    const body = context.req.valid('json');
    const { job, caller } = await demandMayMove(deps, context, { name, jobId: job_id });
    // An emergency waits for nothing: what it does is right whatever Redis may have lost.
    if (job.flowType !== 'revocation') await demandSureGround(deps, job);
    if (body.action === 'verify' || body.action === 'proceed_mint') await demandFlag(deps, name);
    const by: Speaker = { kind: 'operator', actor: actorOf(caller), version: body.version };
    // Before it is carried out, so that what comes of it stands below it.
    deps.log.info('operator acts', {
      request_id: context.get('requestId'),
      job_id,
      credential: name,
      action: body.action,
      operator_id: caller.owner,
    });
    await act(deps, job, body, by).catch(async (error: unknown) => {
      // An operator's step has no fence of its own: what was refused is the job's claim.
      if (!isVelvetError(error) || error.code !== 'stale_fence') throw error;
      throw await claimLost(deps, job);
    });
    const after = await view(deps, await demandJob(deps, name, job_id), caller);
    return context.json(after as z.infer<typeof jobAnswer>, 202);
  });
  return app;
}

/** The job, and the caller who may move it: that depends on its flow. */
async function demandMayMove(
  deps: ApiDeps,
  context: Context<AppEnvironment>,
  { name, jobId }: { readonly name: string; readonly jobId: string },
): Promise<{ readonly job: Job; readonly caller: Caller }> {
  demand(context, 'read', name);
  const job = await demandJob(deps, name, jobId);
  return { job, caller: demand(context, flowScope[job.flowType], name) };
}
