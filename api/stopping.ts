// Stopping a rotation and dealing with what it left behind: abort, restore, mark_revoked, resolve_residual. The worker does it; here it is decided and recorded.
import { VelvetError } from '../shared/lib/errors.ts';
import type { JobRef } from '../shared/rotation/effects.ts';
import type { JobPatch } from '../shared/rotation/job-record.ts';
import type { Job } from '../shared/rotation/job.ts';
import { decide, operatorActions } from '../shared/rotation/machine.ts';
import { openResiduals, resolved, type Residual } from '../shared/rotation/residuals.ts';
import type { Row } from '../shared/rotation/rows.ts';
import type { Applied, Speaker } from '../shared/changes.ts';
import type { ApiDeps } from './router.ts';
import type { StageBody } from './stage-bodies.ts';
import { goes, ticketNote } from './ticket-note.ts';

type Stopping = Extract<StageBody, { action: 'abort' | 'restore' | 'mark_revoked' | 'resolve_residual' }>;
type Resolving = Extract<StageBody, { action: 'resolve_residual' }>;

export async function stop(deps: ApiDeps, ref: JobRef, body: Stopping, by: Speaker): Promise<void> {
  const patch: JobPatch = { error: null, cleanup_since: deps.clock.now() };
  await deps.transitions.apply(ref, body.action, by, async (job) => {
    const applied = await stopping(deps, job, body, patch);
    if (body.ticket_id === undefined || !goes(job, body.action, applied.facts ?? {}, by)) return applied;
    const noted = await ticketNote(deps, body.ticket_id);
    return {
      ...applied,
      patch: { ...applied.patch, ...noted.patch },
      detail: { ...applied.detail, ...noted.detail },
    };
  });
}

function stopping(deps: ApiDeps, job: Job, body: Stopping, patch: JobPatch): Applied | Promise<Applied> {
  if (body.action === 'abort') return aborting(job, body.restore ?? false, patch);
  return body.action === 'resolve_residual' ? resolving(deps, job, body, patch) : { patch };
}

export function operatorOf(by: Speaker): string | null {
  return by.kind === 'operator' ? by.actor.operatorId : null;
}

function aborting(job: Job, restore: boolean, patch: JobPatch): Applied {
  const known = decide(job, 'abort').verdict === 'go';
  const forwardOnly =
    job.promoting || ((job.mintedBy !== null || job.mintBegun) && job.currentState !== 'alive');
  if (restore && known && forwardOnly) {
    throw new VelvetError('action_not_allowed', 'nothing to restore', {
      detail:
        'There is nothing to go back to: the current token was dead when this job began, or the new value is the current one already. Send abort without restore; consumers that hold the new value keep it.',
      extra: { job_status: job.status, allowed_actions: operatorActions(job) },
    });
  }
  return {
    patch: {
      ...patch,
      aborted_from: job.status,
      ...(restore ? { restoring: true, went_back: true } : {}),
    },
    detail: restore ? { restore: true } : {},
  };
}

/** A consumer is read back first: a person's word is not taken against what can be seen. */
async function resolving(deps: ApiDeps, job: Job, body: Resolving, patch: JobPatch): Promise<Applied> {
  if (decide(job, 'resolve_residual').verdict !== 'go') return { patch };
  const left = openResiduals(job.residuals);
  const one = left.find((residual) => residual.kind === body.kind && residual.who === body.who);
  if (one === undefined) {
    const open = left.map(({ kind, who }) => `${kind} of ${who}`).join(', ') || 'none';
    throw new VelvetError('not_found', 'no such residual', {
      detail: `The job has no open residual ${body.kind} of ${body.who}; send \`kind\` and \`who\` of one that is open: ${open}.`,
    });
  }
  if (one.kind === 'old_token_live') {
    throw new VelvetError('action_not_allowed', 'old_token_live is not resolved by word', {
      detail:
        'A live old token is closed by `restore` (back to it), or by `mark_revoked` after you revoked it by hand: send one of these.',
      extra: { job_status: job.status, allowed_actions: operatorActions(job) },
    });
  }
  const rows = await lookedAt(deps, job, one);
  return {
    patch: { ...patch, residuals: resolved(job.residuals, one, deps.clock.now()) },
    rows,
    detail: { kind: one.kind, who: one.who, note: body.note ?? null },
  };
}

const blocks = {
  away: ['vendor_unavailable', 'Send it again when it answers.'],
  authority: ['authority_invalid', 'Send it again when a good authority is in place.'],
} as const;

/** The consumer's row as the look leaves it: it counts as holding the new value no more. Throws where it still holds what it must leave. */
async function lookedAt(
  deps: ApiDeps,
  job: Job,
  { kind, who, what_to_do }: Residual,
): Promise<readonly Row[]> {
  if (kind !== 'stale_consumer' && kind !== 'may_hold_dead_token') return [];
  const row = await deps.store.row(job, who);
  if (row === null) return [];
  const seen = await deps.look(job, who);
  const still = `${who} was read back just now, and still holds what it must leave. ${what_to_do}`;
  if (!job.promoted && seen.holds === 'new')
    throw new VelvetError('still_on_new', `${who} holds the new value`, { detail: still });
  // Its settings were put back, and its processes were started with what they held before.
  if (!job.promoted && row.touched && (seen.effect === 'not_yet' || seen.effect === 'failed'))
    throw new VelvetError('still_on_new', `${who} runs on the new value`, {
      detail: `${who} no longer holds the new value, but its processes do not all run on what it holds: ${seen.detail}. Wait for them, or restart them; then resolve this.`,
    });
  if (job.promoted && seen.holds === 'old')
    throw new VelvetError('still_on_dead', `${who} holds the dead value`, { detail: still });
  // A place that refuses for good can be looked at by a person alone; one that is away for a moment is waited for.
  if (seen.blocked_by !== null) {
    const [code, then] = blocks[seen.blocked_by];
    throw new VelvetError(code, `${who} could not be read back`, {
      detail: `${who} could not be read back, and is not resolved by word where it can be seen: ${seen.problem ?? ''} ${then}`,
    });
  }
  return [{ ...row, touched: false, holds: seen.holds === 'unknown' ? 'unknown' : seen.holds }];
}
