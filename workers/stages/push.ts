// distributing, one row: write the new value, then wait until the write has taken effect. Law: a write is recorded before it is sent.
import { VelvetError, isVelvetError } from '../../shared/lib/errors.ts';
import { leaseFrom } from '../../shared/lib/lease.ts';
import type { Task } from '../../shared/rotation/effects.ts';
import { quietAfter, type Row } from '../../shared/rotation/rows.ts';
import type { Handler, TaskContext, Verdict } from '../run.ts';
import type { VendorCall } from '../vendors/contract.ts';
import { targetOf, type DistributeDeps } from './deps.ts';
import {
  endRow,
  failRow,
  fingerprintDetail,
  noteRow,
  pacedRow,
  patiently,
  presentRow,
  type OpenRow,
} from './row.ts';

export function push(deps: DistributeDeps): Handler {
  return {
    async run(task, context) {
      const open = await presentRow(deps, task);
      if (open === null) return 'done';
      const written = open.row.receipt !== null && open.row.started === null;
      if (!written && !(await write(deps, task, open, context))) return 'done';
      return takeEffect(deps, task, context);
    },
    failed: (task, error) => failRow(deps, task, error),
    paced: pacedRow(deps),
  };
}

/** False where the row was ended meanwhile: then nothing was sent. */
async function write(
  deps: DistributeDeps,
  task: Task,
  { job, row }: OpenRow,
  context: TaskContext,
): Promise<boolean> {
  const target = targetOf(row);
  const destination = deps.registry.destination(target.update_method);
  const [secret, authority] = await Promise.all([
    deps.values.next(job),
    deps.authorities.read(target.update_auth_token_name),
  ]);
  const fence = task.fence ?? '';
  const askedAt = deps.clock.monotonic();
  const until = deps.clock.now() + deps.times.leaseMs;
  const recorded = await noteRow(deps, task, 'push_started', (before) => ({
    ...before,
    attempts: before.attempts + 1,
    started: { fence, until },
    touched: true,
    quiet_after: quietAfter(before, destination.capabilities.lateMs),
    error: null,
    paced_until: null,
  }));
  if (!recorded) return false;
  const lease = leaseFrom(deps.clock, fence, until, askedAt, deps.times.leaseMs);
  const call: VendorCall = {
    jobId: job.jobId,
    fence,
    lease,
    signal: context.signal,
    repeat: row.attempts > 0 || row.started !== null,
  };
  const receipt = await namedTarget(row, () => destination.push(call, target, authority, secret)).catch(
    async (error: unknown) => {
      await closeIfRefused(deps, task, row, error);
      throw error;
    },
  );
  // The time to take effect counts from the write, however long it waited for its turn.
  await noteRow(deps, task, 'pushed', (before) => ({
    ...before,
    receipt,
    started: null,
    opened_at: deps.clock.now(),
  }));
  context.log.info('pushed', { version: receipt.version });
  return true;
}

/** A refusal ends its own write and no other: what an earlier attempt left open may be applied, until a look says otherwise. */
async function closeIfRefused(deps: DistributeDeps, task: Task, row: Row, error: unknown): Promise<void> {
  if (!isVelvetError(error) || error.retry === 'reconcile') return;
  await noteRow(deps, task, 'push_refused', (before) => ({ ...before, started: null, touched: row.touched }));
}

async function takeEffect(deps: DistributeDeps, task: Task, context: TaskContext): Promise<Verdict> {
  const open = await presentRow(deps, task);
  const receipt = open?.row.receipt ?? null;
  if (open === null || receipt === null) return 'done';
  const { job, row } = open;
  const target = targetOf(row);
  const authority = await deps.authorities.read(target.update_auth_token_name);
  const call: VendorCall = {
    jobId: job.jobId,
    fence: task.fence ?? '',
    lease: null,
    signal: context.signal,
    repeat: false,
  };
  const waitedMs = deps.clock.now() - (row.opened_at ?? 0);
  const asked = await patiently(deps, task, (row.opened_at ?? 0) + deps.times.settleForMs, () =>
    namedTarget(row, () =>
      deps.registry.destination(target.update_method).settled(call, target, authority, receipt),
    ),
  );
  if ('waitsFor' in asked) return { laterMs: deps.times.settlePollMs };
  const settled = asked.answer;
  if (settled === 'failed') throw notEffective(row, `its release v${receipt.version} failed`);
  if (settled === 'not_yet') {
    if (waitedMs > deps.times.settleForMs)
      throw notEffective(row, `it is still pending after ${Math.round(waitedMs / 1000)} s`);
    return { laterMs: deps.times.settlePollMs };
  }
  if (await healthyForNextWave(deps, open, call)) {
    await endRow(deps, task, 'succeed', (before) => ({
      row: {
        ...before,
        holds: 'new',
        error: null,
        paced_until: null,
        wave_health: before.pinned.healthcheck_endpoint === null ? null : before.wave_health,
      },
      event: 'row_written',
      detail: { version: receipt.version, ...fingerprintDetail(job) },
    }));
    context.log.info('write took effect', { version: receipt.version });
    return 'done';
  }
  if (waitedMs > deps.times.settleForMs) {
    throw new VelvetError('consumer_unhealthy', 'wave is not healthy', { detail: unhealthyDetail(row) });
  }
  if (row.wave_health !== 'waiting')
    await noteRow(deps, task, 'wave_health_awaited', (before) => ({ ...before, wave_health: 'waiting' }));
  return { laterMs: deps.times.provePollMs };
}

/** A later wave is not begun before this one answers with success: health, not proof. The last wave needs none. */
async function healthyForNextWave(
  deps: DistributeDeps,
  { job, row }: OpenRow,
  call: VendorCall,
): Promise<boolean> {
  const endpoint = row.pinned.healthcheck_endpoint;
  if (endpoint === null || job.tally.pending === 0) return true;
  const result = await deps.healthcheck.probe(
    call,
    { healthcheck_endpoint: endpoint },
    `wave.${job.jobId}.${row.consumer_id}`,
  );
  return result.httpStatus === row.pinned.healthcheck_success_status;
}

function notEffective(row: Row, why: string): VelvetError {
  const app = appOf(row);
  const detail = `The value was written to ${row.consumer_id}, but the write did not take effect: ${why}. Look at it (\`heroku releases --app ${app}\`, \`heroku releases:output --app ${app}\`), mend it, then retry the row.`;
  return new VelvetError('write_not_effective', `${row.consumer_id}: ${why}`, { detail });
}

function unhealthyDetail(row: Row): string {
  return `${row.consumer_id} has the new value, but its health endpoint does not answer ${row.pinned.healthcheck_success_status}, so the next wave was not begun. Look at the consumer's logs, then retry the row.`;
}

/** The vendor's refusals say which row and which authority they were about. */
export async function namedTarget<T>(row: Row, asking: () => Promise<T>): Promise<T> {
  try {
    return await asking();
  } catch (error) {
    if (!(error instanceof VelvetError)) throw error;
    const detail =
      error.code === 'authority_invalid'
        ? `The vendor refused the authority ${row.pinned.update_auth_token_name ?? ''}, with which ${row.consumer_id} is written. Put a good one in place, then retry.`
        : error.detail;
    throw new VelvetError(error.code, error.message, {
      detail,
      ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
      ...(error.httpStatus === undefined ? {} : { httpStatus: error.httpStatus }),
      ...(error.kind === undefined ? {} : { kind: error.kind }),
    });
  }
}

/** The app's name in `…/apps/<app>/config-vars`, for the commands in a message. */
export function appOf(row: Row): string {
  const endpoint = row.pinned['update_endpoint'];
  const app = typeof endpoint === 'string' ? /\/apps\/([^/]+)\//.exec(endpoint)?.[1] : undefined;
  return app ?? row.consumer_id;
}
