// validating and the second proof, one row: ask the consumer what it runs on. Law: a success status alone proves nothing.
import { randomBytes } from 'node:crypto';
import { VelvetError, isErrorCode } from '../../shared/lib/errors.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import { destinations, type DestinationFacts } from '../../shared/manifest/vendors.ts';
import type { Task } from '../../shared/rotation/effects.ts';
import type { Job } from '../../shared/rotation/job.ts';
import type { Grade, Row } from '../../shared/rotation/rows.ts';
import type { Handler, TaskContext, Verdict } from '../run.ts';
import type { ProbeResult, VendorCall } from '../vendors/contract.ts';
import type { HealthcheckDeps } from './deps.ts';
import {
  endRow,
  failRow,
  fingerprintDetail,
  nextValue,
  noteRow,
  pacedRow,
  presentRow,
  proofTimeMs,
  type OpenRow,
} from './row.ts';

export function probe(deps: HealthcheckDeps): Handler {
  return {
    async run(task, context) {
      const open = await presentRow(deps, task);
      if (open === null) return 'done';
      const { job, row } = open;
      context.updateMethod = row.pinned.update_method;
      const endpoint = row.pinned.healthcheck_endpoint;
      if (endpoint === null)
        throw new VelvetError('invariant_broken', `${row.consumer_id} has no endpoint to probe`);
      const values = { next: await nextValue(deps, open), previous: await deps.values.previous(job) };
      const nonce = randomBytes(24).toString('base64url');
      const begunAt = deps.clock.now();
      const call: VendorCall = {
        jobId: job.jobId,
        fence: task.fence ?? '',
        lease: null,
        signal: context.signal,
        repeat: false,
      };
      const result = await deps.healthcheck.probe(call, { healthcheck_endpoint: endpoint }, nonce);
      const seen = judge({ row, result, nonce, begunAt, values });
      if (seen.proven !== null) {
        context.log.info('proven', { proof: seen.proven, http_status: result.httpStatus });
        await prove(deps, task, { grade: seen.proven, result, begunAt });
        return 'done';
      }
      return notYet(deps, task, open, { seen, result, begunAt, context });
    },
    failed: (task, error) => failRow(deps, task, error),
    paced: pacedRow(deps),
  };
}

interface Seen {
  readonly proven: Grade | null;
  /** What the consumer showed to hold, where it showed it. */
  readonly holds: Row['holds'];
  /** Why it is not proven (yet), should the time run out now. */
  readonly problem:
    | 'consumer_on_old_value'
    | 'consumer_on_other_value'
    | 'consumer_unauthorized'
    | 'consumer_unhealthy'
    | 'consumer_not_restarted'
    | 'consumer_not_proven'
    | null;
}

interface Sight {
  readonly row: Row;
  readonly result: ProbeResult;
  readonly nonce: string;
  readonly begunAt: number;
  readonly values: { readonly next: Secret; readonly previous: Secret | null };
}

/** What one answer proves. A wrong proof outweighs everything else that agrees. */
export function judge({ row, result, nonce, begunAt, values }: Sight): Seen {
  if (result.proof !== null) {
    if (result.proof === values.next.proof(nonce)) {
      // It runs on the new token and its vendor refuses that: the token is no good there, whoever holds it.
      if (result.class === 'unauthorized')
        return { proven: null, holds: 'new', problem: 'consumer_unauthorized' };
      return { proven: 'possession', holds: 'new', problem: null };
    }
    const old = values.previous !== null && result.proof === values.previous.proof(nonce);
    return {
      proven: null,
      holds: old ? 'old' : 'other',
      problem: old ? 'consumer_on_old_value' : 'consumer_on_other_value',
    };
  }
  if (result.class === 'unauthorized')
    return { proven: null, holds: 'unknown', problem: 'consumer_unauthorized' };
  if (result.httpStatus !== row.pinned.healthcheck_success_status)
    return { proven: null, holds: 'unknown', problem: 'consumer_unhealthy' };
  if (row.pinned.proof === 'possession')
    return { proven: null, holds: 'unknown', problem: 'consumer_not_proven' };
  // A place that never shows its value cannot be read back, however long it is waited for: a person must say.
  if (!showsValues(row)) return { proven: null, holds: 'unknown', problem: 'consumer_not_proven' };
  if (row.read_back_at === null || row.effective_at === null)
    return { proven: null, holds: 'unknown', problem: 'consumer_not_restarted' };
  // The probe must have begun when no process of before the write could answer it any more.
  const late =
    begunAt >= row.effective_at + row.pinned.healthcheck_after * 1000 && begunAt >= row.read_back_at;
  return late
    ? { proven: 'read_back', holds: 'new', problem: null }
    : { proven: null, holds: 'unknown', problem: 'consumer_not_proven' };
}

function showsValues({ pinned: { update_method: method } }: Row): boolean {
  const facts: Readonly<Record<string, DestinationFacts>> = destinations;
  return facts[method]?.readBack === 'value';
}

async function prove(
  deps: HealthcheckDeps,
  task: Task,
  { grade, result, begunAt }: { grade: Grade; result: ProbeResult; begunAt: number },
): Promise<void> {
  await endRow(deps, task, 'succeed', (row, job) => ({
    row: {
      ...row,
      proof: grade,
      proven_at: begunAt,
      holds: 'new',
      error: null,
      paced_until: null,
      attempts: row.attempts + 1,
      probe: { class: result.class, http_status: result.httpStatus, begun_at: begunAt },
    },
    event: 'row_proven',
    detail: { proof: grade, ...fingerprintDetail(job) },
  }));
}

/** A consumer in the middle of its restart is asked again until the time is up; what it showed is kept, and the first success orders the read-back. */
async function notYet(
  deps: HealthcheckDeps,
  task: Task,
  { job, row, phase }: OpenRow,
  {
    seen,
    result,
    begunAt,
    context,
  }: { seen: Seen; result: ProbeResult; begunAt: number; context: TaskContext },
): Promise<Verdict> {
  // The time counts from the first look: a family that was away is no fault of the consumer.
  const over =
    row.probe !== null && deps.clock.now() - (row.opened_at ?? 0) > proofTimeMs(deps.times, row, phase);
  const said = { class: result.class, http_status: result.httpStatus, begun_at: begunAt };
  // Before the revoke a wrong proof ends it at once: waiting could only talk a consumer into being called safe.
  if (over || (phase === 'prove' && (seen.holds === 'old' || seen.holds === 'other'))) {
    await failRow(
      deps,
      task,
      problemOf(job, row, seen, result),
      seen.holds === 'unknown' ? undefined : seen.holds,
    );
    context.log.warn('not proven', { code: seen.problem, http_status: result.httpStatus, holds: seen.holds });
    return 'done';
  }
  const first =
    row.probe?.class !== said.class ||
    row.probe.http_status !== said.http_status ||
    (seen.holds !== 'unknown' && seen.holds !== row.holds);
  if (first) {
    await noteRow(deps, task, 'probed', (before) => ({
      ...before,
      attempts: before.attempts + 1,
      opened_at: before.probe === null ? begunAt : before.opened_at,
      probe: said,
      holds: seen.holds === 'unknown' ? before.holds : seen.holds,
    }));
  }
  // Ordered with every such answer: the task has one id, so that it is there once, and cannot be missing.
  if (seen.problem === 'consumer_not_restarted')
    await deps.relay.addRows([{ ...task, effect: 'read_back_row' }]);
  return { laterMs: deps.times.provePollMs };
}

function problemOf(job: Job, row: Row, seen: Seen, result: ProbeResult): VelvetError {
  // What keeps its destination from being read back says more than that it was not.
  const hidden = seen.problem === 'consumer_not_restarted' ? row.error : null;
  if (hidden !== null && isErrorCode(hidden.code))
    return new VelvetError(hidden.code, hidden.detail, { detail: whyNotReadBack(row, hidden) });
  const code = seen.problem ?? 'consumer_not_proven';
  const who = row.consumer_id;
  const answered = result.httpStatus === null ? 'did not answer' : `answered ${result.httpStatus}`;
  // oxfmt-ignore
  const details = {
    consumer_on_old_value:   `${who} answered the challenge with the old token: it does not run on the new one, whatever its configuration says. Restart it, then retry the row.`,
    consumer_on_other_value: `${who} answered the challenge with a token that is neither the old nor the new one. Find where that copy comes from, mend it, then retry the row.`,
    consumer_unauthorized:   `${who} ${answered}: its vendor refuses the token that it runs on. Look at which value it reads, then retry the row.`,
    consumer_unhealthy:      `${who} ${answered} where ${row.pinned.healthcheck_success_status} means success. Look at its logs, then retry the row.`,
    consumer_not_restarted:  `${who} answers with success, but its destination was not read back in time. Are the distribute workers up? Then retry the row.`,
    consumer_not_proven:     `${who} ${answered}, but nothing tells which value it runs on. Verify by hand and send confirm_consumer with a note, or let its health endpoint answer the challenge.`,
  } as const;
  return new VelvetError(code, `${who} is not proven for job ${job.jobId}`, { detail: details[code] });
}

function whyNotReadBack(row: Row, hidden: { readonly code: string; readonly detail: string }): string {
  if (hidden.code !== 'consumer_not_restarted')
    return `${row.consumer_id} answers with success, but its destination could not be read back. ${hidden.detail}`;
  return `${row.consumer_id} answers with success, but its processes were not all seen to run on the new value (${hidden.detail}). Restart it, then retry the row.`;
}
