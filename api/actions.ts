// What each action of an operator writes: the event of the table, the rows that it opens again, the note that it leaves.
import { VelvetError } from '../shared/lib/errors.ts';
import { isWrittenByHand } from '../shared/manifest/vendors.ts';
import { beginRevocation } from '../shared/begin-revocation.ts';
import { refusal } from '../shared/refusal.ts';
import type { JobRef } from '../shared/rotation/effects.ts';
import type { Job } from '../shared/rotation/job.ts';
import type { Status } from '../shared/rotation/statuses.ts';
import { decide, operatorActions } from '../shared/rotation/machine.ts';
import {
  provenByVelvet,
  rowStep,
  rowsToOpen,
  statusIn,
  tally,
  toBeProven,
  toBeWritten,
  withStatus,
  type Phase,
  type Row,
} from '../shared/rotation/rows.ts';
import type { Applied, Speaker } from '../shared/changes.ts';
import type { RowChange } from '../shared/transition.ts';
import { askingLeaksAgain, resolvingLeak } from './leaks.ts';
import type { ApiDeps } from './router.ts';
import { provenAgain, revoking } from './revoke-gate.ts';
import type { StageBody } from './stage-bodies.ts';
import { operatorOf, stop } from './stopping.ts';
import { submitValue } from './submit-value.ts';

export async function act(deps: ApiDeps, ref: JobRef, body: StageBody, by: Speaker): Promise<void> {
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
      await transitions.apply(ref, 'proceed_mint', by, () => ({
        facts: { confirm: body.confirm ?? null, acknowledgeDead: body.acknowledge_dead ?? false },
        patch: { minted_by: operatorOf(by), error: null },
        detail: body.acknowledge_dead === true ? { acknowledge_dead: true } : {},
      }));
      return;
    case 'submit_value':
      await submitValue(deps, ref, body, by);
      return;
    case 'proceed_revoke':
      await proceedRevoke(deps, ref, body, by);
      return;
    case 'verify':
      await transitions.apply(ref, 'verify', by, () => ({ patch: { error: null } }));
      return;
    case 'resolve_leak':
      await transitions.apply(ref, 'resolve_leak', by, (job) => resolvingLeak(deps, job, body, by));
      return;
    case 'mark_revoked':
    case 'abort':
    case 'restore':
    case 'resolve_residual':
      await stop(deps, ref, body, by);
      return;
  }
}

/** The same word at two gates: the end of a rotation, and the beginning of an emergency. */
async function proceedRevoke(
  deps: ApiDeps,
  ref: JobRef,
  body: Extract<StageBody, { action: 'proceed_revoke' }>,
  by: Speaker,
): Promise<void> {
  const job = await deps.store.load(ref);
  if (job?.flowType === 'revocation') {
    const { ticket_id: ticketId, confirm = null, preempt = job.preempt } = body;
    await beginRevocation(deps, ref, by, { ticketId: ticketId ?? job.ticketId, confirm, preempt });
    return;
  }
  if (body.preempt !== undefined) throw onlyOfAnEmergency();
  await deps.transitions.apply(ref, 'proceed_revoke', by, (now) => revoking(deps, now, body, by));
}

function onlyOfAnEmergency(): VelvetError {
  return new VelvetError('invalid_request', 'preempt at the gate of a rotation', {
    detail:
      "'preempt' is for an emergency: at this gate it means nothing. Leave it out and send it again; nothing was changed.",
    extra: { fields: ['preempt'] },
  });
}

/** Which rows a retry opens again, if the status has rows at all. Throws `nothing_to_retry`, saying why none would open. */
async function retrying(
  deps: ApiDeps,
  job: Job,
  consumerIds: readonly string[] | undefined,
): Promise<Applied> {
  const phase = job.phase;
  if (phase === null || !withRows.includes(job.status)) {
    if (consumerIds !== undefined) throw notAboutRows(job);
    // Nothing was promoted, so what was proven before may be days old: it is proven once more, as at the gate.
    const again = job.status === 'revoke_failed' && !job.promoting ? await provenAgain(deps, job) : {};
    return { patch: { error: null }, ...again };
  }
  if (phase === 'lockout') return askingLeaksAgain(deps, job, consumerIds);
  const rows = await deps.store.rows(job);
  demandKnown(rows, consumerIds ?? []);
  const again = rowsToRetry(rows, job, consumerIds).map((row) => row.consumer_id);
  const after = rows.map((row) => (again.includes(row.consumer_id) ? renewed(row, phase) : row));
  if (again.length === 0 || rowsToOpen(after, phase).length === 0) throw nothingWouldOpen(job, again);
  return {
    facts: { retryableRows: again.length },
    patch: { error: null },
    rows: after.filter((row) => again.includes(row.consumer_id)),
    tally: tally(after, phase),
    detail: { consumer_ids: again },
  };
}

const withRows: readonly Status[] = [
  'distribute_partial',
  'distribute_failed',
  'validate_partial',
  'validate_failed',
  'validated',
  'rev_leaked',
];

/**
 * Unless rows are named: at the gate what Velvet proved, in a failed status what failed, or was skipped where nothing failed. A
 * row that is named may also be one that a person confirmed or skipped; one that was never written to cannot be proven.
 */
function rowsToRetry(
  rows: readonly Row[],
  job: Job,
  consumerIds: readonly string[] | undefined,
): readonly Row[] {
  const phase = job.phase ?? 'distribute';
  const written = rows.filter((row) => phase === 'distribute' || row.distribute_status !== 'skipped');
  const named = written.filter((row) => consumerIds === undefined || consumerIds.includes(row.consumer_id));
  if (job.status === 'validated') return consumerIds === undefined ? named.filter(provenByVelvet) : named;
  const failed = named.filter((row) => statusIn(row, phase) === 'failed');
  const skipped = named.filter((row) => statusIn(row, phase) === 'skipped');
  return consumerIds === undefined && failed.length > 0 ? failed : [...failed, ...skipped];
}

function notAboutRows(job: Job): VelvetError {
  const detail = `'consumer_ids': a retry from ${job.status} is about the whole job. Leave it out and send it again; nothing was changed.`;
  return new VelvetError('invalid_request', `consumer_ids at ${job.status}`, {
    detail,
    extra: { fields: ['consumer_ids'] },
  });
}

function nothingWouldOpen(job: Job, asked: readonly string[]): VelvetError {
  const why =
    asked.length > 0
      ? `${asked.join(', ')} would not be tried: a failed row of an earlier wave comes first. Retry that one too, or skip it.`
      : job.status === 'validated'
        ? 'No row here was proven by Velvet itself. Name in `consumer_ids` the rows to be asked again; one that was skipped before anything was written to it stays skipped in this job.'
        : 'No failed row matches. Leave `consumer_ids` out to retry every failed row, or name rows that are `failed` or `skipped`; one that was skipped before anything was written to it stays skipped in this job.';
  const extra = { job_status: job.status, allowed_actions: operatorActions(job) };
  return new VelvetError('nothing_to_retry', 'nothing would open', { detail: why, extra });
}

function renewed(row: Row, phase: Phase): Row {
  return phase === 'distribute' ? toBeWritten(row) : toBeProven(row);
}

/** Throws `not_found`, naming those that there are, for a consumer that is none of the job's. */
function demandKnown(rows: readonly Row[], consumerIds: readonly string[]): void {
  const known = rows.map((row) => row.consumer_id);
  const unknown = consumerIds.filter((id) => !known.includes(id));
  if (unknown.length === 0) return;
  throw new VelvetError('not_found', 'unknown consumer', {
    detail: `The job has no consumer named ${unknown.join(', ')}; name one of ${known.join(', ')}.`,
  });
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
    // Of a consumer that leaks nobody's word is taken one by one: resolve_leak asks for all of them together.
    const leaks = phase === 'lockout' && statusIn(row, phase) === 'failed';
    const to = leaks ? null : rowStep(statusIn(row, phase), confirming ? 'confirm' : 'skip');
    const decision = decide(job, body.action, { rowAllows: to !== null });
    if (decision.verdict !== 'go' || to === null)
      throw refusal(
        job,
        body.action,
        decision.verdict === 'go' ? { verdict: 'no_such_transition' } : decision,
      );
    if (confirming) demandAcknowledged(row, phase, body);
    const note = confirming ? body.note : body.reason;
    const proof =
      confirming && phase !== 'distribute' && phase !== 'lockout'
        ? ({ proof: 'by_hand', proven_at: deps.clock.now() } as const)
        : {};
    const acknowledged =
      body.action === 'confirm_consumer' && body.acknowledge_disproof === true
        ? { acknowledge_disproof: true }
        : {};
    // Whoever confirms a row says that the new value is there: a cleanup must look, and a restore must put the old one back.
    // Where nobody but a person writes, that word is what a write's answer is elsewhere.
    const held =
      confirming && phase !== 'lockout'
        ? {
            touched: true,
            ...(phase === 'distribute' && isWrittenByHand(row.pinned.update_method)
              ? { holds: 'new' as const }
              : {}),
          }
        : {};
    const settled = { ...row, ...proof, ...held, note, confirmed_by: operatorOf(by), error: null };
    return {
      row: withStatus(settled, phase, to),
      event: confirming ? 'row_confirmed' : 'row_skipped',
      on: body.action,
      detail: { note, error_before: row.error, ...acknowledged },
    };
  });
}

/** A consumer that proved to run on another value is not talked into being safe by accident. */
function demandAcknowledged(
  row: Row,
  phase: Phase,
  body: Extract<StageBody, { action: 'confirm_consumer' | 'skip_consumer' }>,
): void {
  const disproven = phase !== 'lockout' && (row.holds === 'old' || row.holds === 'other');
  if (!disproven || (body.action === 'confirm_consumer' && body.acknowledge_disproof === true)) return;
  const detail = `${row.consumer_id} was seen to hold ${row.holds === 'old' ? 'the old value' : 'a value that is neither old nor new'}. If you know better, send confirm_consumer again with acknowledge_disproof: true; it becomes part of the audit trail.`;
  throw new VelvetError('not_acknowledged', `${row.consumer_id} is disproven`, { detail });
}
