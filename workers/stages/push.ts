// distributing, one row: write the new value, then wait until the write has taken effect. Law: a write is recorded before it is sent.
import { VelvetError, isVelvetError } from '../../shared/lib/errors.ts';
import { leaseFrom } from '../../shared/lib/lease.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import { quietAfter, type Row } from '../../shared/rotation/rows.ts';
import type { Handler, TaskContext, Verdict } from '../run.ts';
import type { Destination, PushReceipt, VendorCall } from '../vendors/contract.ts';
import { readCall, targetOf, type DistributeDeps } from './deps.ts';
import {
  endRow,
  failRow,
  fingerprintDetail,
  nextValue,
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
      context.updateMethod = open.row.pinned.update_method;
      const authority = await deps.authorities.ofPhase(targetOf(open.row).update_auth_token_name, open.job);
      const written = open.row.receipt !== null && open.row.started === null;
      const at = written ? open : await write(deps, open, authority, context);
      return at === null ? 'done' : takeEffect(deps, at, authority, context);
    },
    failed: (task, error) => failRow(deps, task, error),
    paced: pacedRow(deps),
  };
}

/** A row that was written. What its push left behind is on record only where `pushed` is null. */
type WrittenRow = OpenRow & { readonly pushed?: Pick<Row, 'receipt' | 'started' | 'opened_at'> };

/** Null where the row was ended meanwhile: then nothing was sent. */
async function write(
  deps: DistributeDeps,
  open: OpenRow,
  authority: Secret,
  context: TaskContext,
): Promise<WrittenRow | null> {
  const { job, row, task } = open;
  const target = targetOf(row);
  const destination = deps.registry.destination(target.update_method);
  const secret = await nextValue(deps, open);
  const fence = task.fence ?? '';
  const askedAt = deps.clock.monotonic();
  const until = deps.clock.now() + deps.times.leaseMs;
  let replaced = row;
  const begun = await noteRow(deps, open, 'push_started', (before) => {
    replaced = before;
    return {
      ...before,
      attempts: before.attempts + 1,
      started: { fence, until },
      touched: true,
      quiet_after: quietAfter(before, destination.capabilities.lateMs),
      error: null,
      paced_until: null,
    };
  });
  if (begun === null) return null;
  const lease = leaseFrom(deps.clock, fence, until, askedAt, deps.times.leaseMs);
  const repeat = row.attempts > 0 || row.started !== null;
  const call: VendorCall = { jobId: job.jobId, fence, lease, signal: context.signal, repeat };
  const receipt = await namedTarget(row, () => destination.push(call, target, authority, secret)).catch(
    async (error: unknown) => {
      await closeIfRefused(deps, { ...open, row: begun }, replaced, error);
      throw error;
    },
  );
  // The time to take effect counts from the write, however long it waited for its turn.
  const pushed = { receipt, started: null, opened_at: deps.clock.now() };
  return { ...open, row: begun, pushed };
}

/**
 * A refusal ends its own write and no other's: what an attempt before it left open may be applied, until a look says otherwise,
 * and one that has begun since (the task was given away while this process slept) is under way.
 */
async function closeIfRefused(deps: DistributeDeps, at: OpenRow, before: Row, error: unknown): Promise<void> {
  if (!isVelvetError(error) || error.retry === 'reconcile' || error.code === 'internal') return;
  await noteRow(deps, at, 'push_refused', (row) =>
    row.attempts === at.row.attempts ? { ...row, started: null, touched: before.touched } : row,
  );
}

/** The row with what the push left behind. Another attempt's write that has begun since stays open as long as it may be applied. */
function afterPush(deps: DistributeDeps, before: Row, { row: begun, pushed }: WrittenRow): Row {
  if (pushed === undefined) return before;
  const { lateMs } = deps.registry.destination(targetOf(before).update_method).capabilities;
  const open = before.attempts === begun.attempts ? {} : { quiet_after: quietAfter(before, lateMs) };
  return { ...before, ...pushed, ...open };
}

async function takeEffect(
  deps: DistributeDeps,
  at: WrittenRow,
  authority: Secret,
  context: TaskContext,
): Promise<Verdict> {
  const asking = askSettled(deps, at, authority, context);
  // Most writes take effect at once: then what the push left behind and its end are one record.
  const atOnce = await asking.then(
    (answer) => answer === 'yes' && !awaitsHealth(at),
    () => false,
  );
  if (atOnce) return succeed(deps, at, context);
  const open = await recorded(deps, at, context);
  return open === null ? 'done' : waitForEffect(deps, open, asking, context);
}

function askSettled(
  deps: DistributeDeps,
  { job, row, task, pushed }: WrittenRow,
  authority: Secret,
  context: TaskContext,
): ReturnType<Destination['settled']> {
  const target = targetOf(row);
  const receipt = receiptOf({ ...row, ...pushed });
  const call = readCall(job, task.fence ?? '', context);
  return namedTarget(row, () =>
    deps.registry.destination(target.update_method).settled(call, target, authority, receipt),
  );
}

/** Puts on record what the push left behind, before it is waited for. Null where the row was ended meanwhile. */
async function recorded(
  deps: DistributeDeps,
  written: WrittenRow,
  context: TaskContext,
): Promise<OpenRow | null> {
  const { pushed, ...open } = written;
  if (pushed === undefined) return open;
  const row = await noteRow(deps, open, 'pushed', (before) => afterPush(deps, before, written));
  if (row === null) return null;
  context.log.info('pushed', { version: receiptOf(row).version });
  return { ...open, row };
}

async function waitForEffect(
  deps: DistributeDeps,
  open: OpenRow,
  asking: ReturnType<Destination['settled']>,
  context: TaskContext,
): Promise<Verdict> {
  const { row, task } = open;
  const { version } = receiptOf(row);
  const waitedMs = deps.clock.now() - (row.opened_at ?? 0);
  const asked = await patiently(deps, task, (row.opened_at ?? 0) + deps.times.settleForMs, () => asking);
  if ('waitsFor' in asked) return { laterMs: deps.times.settlePollMs };
  if (asked.answer === 'failed') throw notEffective(row, `its release v${version} failed`);
  if (asked.answer === 'not_yet') {
    if (waitedMs > deps.times.settleForMs)
      throw notEffective(row, `it is still pending after ${Math.round(waitedMs / 1000)} s`);
    return { laterMs: deps.times.settlePollMs };
  }
  if (await healthyForNextWave(deps, open, context)) return succeed(deps, open, context);
  if (waitedMs > deps.times.settleForMs) {
    throw new VelvetError('consumer_unhealthy', 'wave is not healthy', { detail: unhealthyDetail(row) });
  }
  if (row.wave_health !== 'waiting')
    await noteRow(deps, open, 'wave_health_awaited', (before) => ({ ...before, wave_health: 'waiting' }));
  return { laterMs: deps.times.provePollMs };
}

async function succeed(deps: DistributeDeps, at: WrittenRow, context: TaskContext): Promise<Verdict> {
  const { job, pushed } = at;
  const { version, note } = receiptOf({ ...at.row, ...pushed });
  const said = note === undefined ? {} : { note };
  context.log.info('write took effect', { version, ...said });
  await endRow(deps, at, 'succeed', (before) => ({
    row: {
      ...afterPush(deps, before, at),
      holds: 'new',
      error: null,
      paced_until: null,
      wave_health: before.pinned.healthcheck_endpoint === null ? null : before.wave_health,
    },
    event: 'row_written',
    detail: { version, ...said, ...fingerprintDetail(job) },
  }));
  return 'done';
}

function receiptOf(row: Row): PushReceipt {
  if (row.receipt === null) throw new VelvetError('invariant_broken', `${row.consumer_id} was not written`);
  return row.receipt;
}

function awaitsHealth({ job, row }: OpenRow): boolean {
  return row.pinned.healthcheck_endpoint !== null && job.tally.pending > 0;
}

/** A later wave is not begun before this one answers with success: health, not proof. The last wave needs none. */
async function healthyForNextWave(
  deps: DistributeDeps,
  open: OpenRow,
  context: TaskContext,
): Promise<boolean> {
  const { job, row, task } = open;
  const endpoint = row.pinned.healthcheck_endpoint;
  if (endpoint === null || !awaitsHealth(open)) return true;
  const result = await deps.healthcheck.probe(
    readCall(job, task.fence ?? '', context),
    { healthcheck_endpoint: endpoint },
    `wave.${job.jobId}.${row.consumer_id}`,
  );
  return result.httpStatus === row.pinned.healthcheck_success_status;
}

function notEffective(row: Row, why: string): VelvetError {
  const app = appOf(row);
  const look =
    row.pinned.update_method === 'HEROKU_CONFIG_PATCH'
      ? ` (\`heroku releases --app ${app}\`, \`heroku releases:output --app ${app}\`)`
      : '';
  const detail = `The value was written to ${row.consumer_id}, but the write did not take effect: ${why}. Look at it${look}, mend it, then retry the row.`;
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
    const detail = error.code === 'authority_invalid' ? authorityDetail(row, error) : error.detail;
    throw new VelvetError(error.code, error.message, {
      detail,
      ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
      ...(error.httpStatus === undefined ? {} : { httpStatus: error.httpStatus }),
      ...(error.kind === undefined ? {} : { kind: error.kind }),
    });
  }
}

/** Where the vendor was not even asked, what is wrong with the authority is all that helps. */
function authorityDetail(row: Row, error: VelvetError): string {
  const authority = `the authority ${row.pinned.update_auth_token_name ?? ''}, with which ${row.consumer_id} is written`;
  const todo = error.extra['todo'];
  if (typeof todo === 'string') return `The vendor refused ${authority}. ${todo}`;
  return error.httpStatus === undefined
    ? `Put a good value in place for ${authority}, then retry. ${error.detail}`
    : `The vendor refused ${authority}. Put a good one in place, then retry.`;
}

/** The app's name in `…/apps/<app>/config-vars`, for the commands in a message. */
export function appOf(row: Row): string {
  const endpoint = row.pinned['update_endpoint'];
  const app = typeof endpoint === 'string' ? /\/apps\/([^/]+)\//.exec(endpoint)?.[1] : undefined;
  return app ?? row.consumer_id;
}
