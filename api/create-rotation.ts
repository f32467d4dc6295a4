// Creating a rotation: what may keep it from being created, in order, and what its first record says.
import { createHash, randomUUID } from 'node:crypto';
import type { z } from '@hono/zod-openapi';
import { beginRevocation, standing } from '../shared/begin-revocation.ts';
import { VelvetError } from '../shared/lib/errors.ts';
import { manualProcedure } from '../shared/manifest/by-hand.ts';
import { pinned, type Pinned } from '../shared/manifest/pin.ts';
import { bootstrapNames } from '../shared/manifest/vendors.ts';
import { firstRecord, type NewJob } from '../shared/redis/first-record.ts';
import type { OpenRequest } from '../shared/redis/job-writes.ts';
import { healthOf } from '../shared/redis/health.ts';
import { idempotencyHash } from '../shared/redis/keys.ts';
import type { Job } from '../shared/rotation/job.ts';
import { actorOf, type Caller } from './auth.ts';
import { clipped } from './problem.ts';
import { demandFlag, demandJob, loadJob } from './rotation-lookup.ts';
import type { ApiDeps } from './router.ts';
import { registeredRows } from './routes/tokens.ts';
import type { createBody } from './schemas.ts';

type CreateBody = z.infer<typeof createBody>;

interface Asked {
  readonly name: string;
  readonly body: CreateBody;
  readonly caller: Caller;
  readonly pins: Pinned;
  readonly idem: OpenRequest['idem'];
}

export async function createRotation(
  deps: ApiDeps,
  name: string,
  body: CreateBody,
  caller: Caller,
): Promise<Job> {
  const ref = { credential: name, env: deps.env };
  const byHand = () => ({ extra: { manual_procedure: manualProcedure(deps.manifest, name, deps.env) } });
  if (bootstrapNames.has(name))
    throw new VelvetError('bootstrap_credential', `${name} is a bootstrap credential`, byHand());
  registeredRows(deps.manifest, name, deps.env);
  if (body.confirm !== undefined && body.confirm !== name)
    throw new VelvetError('confirm_mismatch', 'confirm is another name');
  const idem = { hash: idempotencyHash(caller.owner, body.idempotency_key), bodyHash: bodyHash(body) };
  const known = await deps.store.byKey(ref, idem);
  if (known !== null) return started(deps, await demandJob(deps, name, known), caller);

  const pins = pinned(deps.manifest, name, deps.env, deps.clock.now());
  if (pins === null) throw new VelvetError('credential_inactive', `${name} is inactive`, byHand());
  const emergency = body.flow_type === 'revocation';
  // An emergency asks neither the flag nor whether all is well.
  if (!emergency) await demandWell(deps, name);
  // What would be refused once it begins is refused before there is a job.
  else await standing(deps.store, ref, { preempt: body.preempt ?? false, target: body.target ?? 'all' });
  if (body.replaces !== undefined) await demandReplaceable(deps, name, body.replaces);

  const opened = await deps.store.open(firstRecord(newJob(deps, { name, body, caller, pins, idem })));
  // Of requests that came at the same moment one created it.
  deps.log.info(opened.existed ? 'rotation asked for again' : 'rotation created', {
    job_id: opened.jobId,
    credential: name,
    operator_id: caller.owner,
  });
  return started(deps, await demandJob(deps, name, opened.jobId), caller);
}

/** An emergency that came with ticket and name starts at once; asked for again, it goes on where the first request was cut off. */
async function started(deps: ApiDeps, job: Job, caller: Caller): Promise<Job> {
  if (job.status !== 'rev_init' || !job.atOnce) return job;
  const by = { kind: 'operator', actor: actorOf(caller), version: undefined } as const;
  const { ticketId, credential: confirm, preempt } = job;
  return beginRevocation(deps, job, by, { ticketId, confirm, preempt });
}

async function demandReplaceable(deps: ApiDeps, name: string, jobId: string): Promise<void> {
  const known = await loadJob(deps, name, jobId);
  if (known?.flowType === 'revocation' && known.status === 'rev_done') return;
  const is =
    known === null
      ? `${name} has no job ${clipped(jobId)} in ${deps.env}`
      : `job ${jobId} is ${known.status}`;
  throw new VelvetError('not_replaceable', `replaces ${clipped(jobId)}`, {
    detail: `${is}. Name the \`rev_done\` job of the same credential, or leave \`replaces\` out.`,
  });
}

async function demandWell(deps: ApiDeps, name: string): Promise<void> {
  await demandFlag(deps, name);
  const health = await healthOf(deps);
  if (health.status !== 'ok') {
    throw new VelvetError('degraded', 'fleet degraded', {
      detail: `Nothing new is started while the fleet is degraded: ${(health.failing ?? []).join('; ')}. Mend that, and send this again once \`GET /healthz\` answers 200; what runs goes on.`,
      extra: { failing: health.failing },
    });
  }
  const why = health.warnings?.[name];
  if (why !== undefined)
    throw new VelvetError('credential_unavailable', `${name} is unavailable`, { detail: why });
}

function newJob(deps: ApiDeps, { name, body, caller, pins, idem }: Asked): NewJob {
  return {
    ref: { credential: name, env: deps.env, jobId: randomUUID() },
    by: actorOf(caller),
    pins,
    asked: {
      flow_type: body.flow_type,
      force_revoke: body.force_revoke,
      ticket_id: body.ticket_id ?? null,
      ...(body.flow_type === 'revocation'
        ? {
            target: body.target ?? 'all',
            preempt: body.preempt ?? false,
            at_once: body.ticket_id !== undefined && body.confirm === name,
          }
        : {}),
      ...(body.replaces === undefined ? {} : { replaces: body.replaces }),
    },
    detail: {
      flow_type: body.flow_type,
      consumers: pins.rows.map((row) => row.consumer_id),
      inactive: pins.fields.inactive,
      ticket_id: body.ticket_id ?? null,
      reason: body.reason ?? null,
      ...(body.target === undefined ? {} : { target: body.target }),
      ...(body.preempt === undefined ? {} : { preempt: body.preempt }),
      ...(body.replaces === undefined ? {} : { replaces: body.replaces }),
    },
    idem,
    now: deps.clock.now(),
  };
}

/** The same request has the same hash, whatever the order of its fields. */
function bodyHash(body: CreateBody): string {
  const sorted = Object.entries(body).toSorted(([a], [b]) => a.localeCompare(b));
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex').slice(0, 40);
}
