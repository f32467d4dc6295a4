// The operator's actions on a job: each is one event of the table, decided in one place and recorded with who did it.
import { createRoute } from '@hono/zod-openapi';
import type { z } from 'zod';
import { VelvetError } from '../../shared/lib/errors.ts';
import type { JobRef } from '../../shared/rotation/effects.ts';
import type { Job } from '../../shared/rotation/job.ts';
import { decide } from '../../shared/rotation/machine.ts';
import { isCarriedOut } from '../../shared/rotation/carried-out.ts';
import {
  provenByVelvet,
  rowStep,
  statusIn,
  tally,
  toBeProven,
  toBeWritten,
  withStatus,
  type Row,
} from '../../shared/rotation/rows.ts';
import { refusal, type Applied, type RowChange, type Speaker } from '../../shared/transition.ts';
import { newRouter, type ApiDeps, type App } from '../app.ts';
import { actorOf, demand } from '../auth.ts';
import { allowedActions } from '../rotation-view.ts';
import {
  jobAnswer,
  jobParam,
  jsonBody,
  laterActions,
  refused,
  stageBody,
  type StageBody,
} from '../schemas.ts';
import { demandFlag, demandJob, view } from './rotations.ts';

export function stageRoutes(deps: ApiDeps): App {
  const app = newRouter();
  // An action of the table that this release does not carry out is no mistake in the request: the job says what is open.
  app.use('/tokens/:name/rotations/:job_id/stage', async (context, next) => {
    const body: unknown = await context.req.raw
      .clone()
      .json()
      .catch(() => null);
    const action = typeof body === 'object' && body !== null && 'action' in body ? body.action : null;
    const later = laterActions.find((name) => name === action);
    if (later !== undefined) {
      const caller = demand(context, 'rotate', context.req.param('name'));
      const job = await demandJob(deps, context.req.param('name'), context.req.param('job_id'));
      const allowed = allowedActions(job, caller);
      const detail = `This release does not carry out '${later}' yet; ${allowed.length === 0 ? 'no action is open now' : `open now: ${allowed.join(', ')}`}.`;
      throw new VelvetError('action_not_allowed', `${later} is not carried out`, {
        detail,
        extra: { status: job.status, allowed_actions: allowed },
      });
    }
    await next();
  });
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
    const caller = demand(context, 'rotate', name);
    const body = context.req.valid('json');
    const job = await demandJob(deps, name, job_id);
    if (body.action === 'verify' || body.action === 'proceed_mint') await demandFlag(deps, name);
    const by: Speaker = { kind: 'operator', actor: actorOf(caller), version: body.version };
    await act(deps, job, body, by);
    deps.log.info('operator acted', {
      job_id,
      credential: name,
      action: body.action,
      operator_id: caller.owner,
    });
    const after = await view(deps, await demandJob(deps, name, job_id), caller);
    return context.json(after as z.infer<typeof jobAnswer>, 202);
  });
  return app;
}

async function act(deps: ApiDeps, ref: JobRef, body: StageBody, by: Speaker): Promise<void> {
  const { transitions } = deps;
  switch (body.action) {
    case 'confirm_consumer':
    case 'skip_consumer':
      await settle(deps, ref, body, by);
      return;
    case 'retry':
      await transitions.apply(ref, 'retry', by, (job) => retrying(deps, job, body.consumer_ids));
      return;
    case 'proceed_mint':
      await transitions.apply(ref, 'proceed_mint', by, (job) =>
        carriedOut(job, 'proceed_mint', {
          facts: { confirm: body.confirm ?? null },
          patch: { minted_by: operatorOf(by), error: null },
        }),
      );
      return;
    case 'proceed_revoke':
      await transitions.apply(ref, 'proceed_revoke', by, async (job) =>
        carriedOut(job, 'proceed_revoke', await revoking(deps, job, body)),
      );
      return;
    case 'verify':
    case 'mark_revoked':
    case 'abort': {
      const ticket = 'ticket_id' in body && body.ticket_id !== undefined ? { ticket_id: body.ticket_id } : {};
      await transitions.apply(ref, body.action, by, (job) =>
        carriedOut(job, body.action, { patch: { ...ticket, error: null }, detail: ticket }),
      );
      return;
    }
  }
}

/** What the table allows and this release does not carry out yet is refused like what the table refuses. */
function carriedOut(job: Job, action: StageBody['action'], applied: Applied): Applied {
  const known = decide(job, action, applied.facts).verdict !== 'no_such_transition';
  if (known && !isCarriedOut(job.status, action))
    throw refusal(job, action, { verdict: 'no_such_transition' });
  return applied;
}

function operatorOf(by: Speaker): string | null {
  return by.kind === 'operator' ? by.actor.operatorId : null;
}

/** Which rows a retry opens again, if the status has rows at all. */
async function retrying(
  deps: ApiDeps,
  job: Job,
  consumerIds: readonly string[] | undefined,
): Promise<Applied> {
  const phase = job.phase;
  const parked = [
    'distribute_partial',
    'distribute_failed',
    'validate_partial',
    'validate_failed',
    'validated',
  ].includes(job.status);
  if (phase === null || !parked) return { patch: { error: null } };
  const rows = await deps.store.rows(job);
  demandKnown(rows, consumerIds ?? []);
  const again = rows.filter(
    (row) => (consumerIds === undefined || consumerIds.includes(row.consumer_id)) && mayRunAgain(row, job),
  );
  const after = rows.map((row) =>
    again.includes(row) ? (phase === 'distribute' ? toBeWritten(row) : toBeProven(row)) : row,
  );
  return {
    facts: { retryableRows: again.length },
    patch: { error: null },
    rows: after.filter((_, index) => again.includes(rows[index] as Row)),
    tally: tally(after, phase),
    detail: { consumer_ids: again.map((row) => row.consumer_id) },
  };
}

/** Throws `not_found`, naming those that there are, for a consumer that is none of the job's. */
function demandKnown(rows: readonly Row[], consumerIds: readonly string[]): void {
  const known = rows.map((row) => row.consumer_id);
  const unknown = consumerIds.filter((id) => !known.includes(id));
  if (unknown.length === 0) return;
  throw new VelvetError('not_found', 'unknown consumer', {
    detail: `The job has no consumer named ${unknown.join(', ')}; it has ${known.join(', ')}.`,
  });
}

/** At the gate every proof can be asked for again; in a failed status the rows that failed. */
function mayRunAgain(row: Row, job: Job): boolean {
  return job.status === 'validated'
    ? provenByVelvet(row)
    : statusIn(row, job.phase ?? 'distribute') === 'failed';
}

/** The gate: what Velvet proved is proven once more; what a person confirmed or skipped stands. */
async function revoking(
  deps: ApiDeps,
  job: Job,
  body: Extract<StageBody, { action: 'proceed_revoke' }>,
): Promise<Applied> {
  const rows = await deps.store.rows(job);
  const after = rows.map((row) => (provenByVelvet(row) ? toBeProven(row) : row));
  // One that is given and empty is refused, also where the job has one: what was sent is not what was meant.
  const ticketId = body.ticket_id ?? job.ticketId;
  return {
    facts: { ticketId, confirm: body.confirm ?? null },
    patch: { ticket_id: ticketId, error: null },
    rows: after.filter((row, index) => row !== rows[index]),
    tally: tally(after, 'prove'),
    detail: {
      ticket_id: ticketId,
      evidence: rows.map((row) => ({
        consumer_id: row.consumer_id,
        proof: row.proof,
        status: row.validate_status,
      })),
      inactive: job.inactive,
    },
  };
}

async function settle(
  deps: ApiDeps,
  ref: JobRef,
  body: Extract<StageBody, { action: 'confirm_consumer' | 'skip_consumer' }>,
  by: Speaker,
): Promise<void> {
  const confirming = body.action === 'confirm_consumer';
  demandKnown(await deps.store.rows(ref), [body.consumer_id]);
  await deps.transitions.settleRow(ref, body.consumer_id, by, (row, job): RowChange => {
    const phase = job.phase ?? 'distribute';
    const to = rowStep(statusIn(row, phase), confirming ? 'confirm' : 'skip');
    const decision = decide(job, body.action, { rowAllows: to !== null });
    if (decision.verdict !== 'go' || to === null)
      throw refusal(
        job,
        body.action,
        decision.verdict === 'go' ? { verdict: 'no_such_transition' } : decision,
      );
    if (confirming) demandAcknowledged(row, body);
    const note = confirming ? body.note : body.reason;
    const proof =
      confirming && phase !== 'distribute'
        ? ({ proof: 'by_hand', proven_at: deps.clock.now() } as const)
        : {};
    const acknowledged =
      body.action === 'confirm_consumer' && body.acknowledge_disproof === true
        ? { acknowledge_disproof: true }
        : {};
    const settled = { ...row, ...proof, note, confirmed_by: operatorOf(by), error: null };
    return {
      row: withStatus(settled, phase, to),
      event: confirming ? 'row_confirmed' : 'row_skipped',
      detail: { note, error_before: row.error, ...acknowledged },
    };
  });
}

/** A consumer that proved to run on another value is not talked into being safe by accident. */
function demandAcknowledged(
  row: Row,
  body: Extract<StageBody, { action: 'confirm_consumer' | 'skip_consumer' }>,
): void {
  const disproven = row.holds === 'old' || row.holds === 'other';
  if (!disproven || (body.action === 'confirm_consumer' && body.acknowledge_disproof === true)) return;
  const detail = `${row.consumer_id} was seen to hold ${row.holds === 'old' ? 'the old value' : 'a value that is neither old nor new'}. If you know better, send confirm_consumer again with acknowledge_disproof: true; it becomes part of the audit trail.`;
  throw new VelvetError('not_acknowledged', `${row.consumer_id} is disproven`, { detail });
}
