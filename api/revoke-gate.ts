// The gate before the revoke: the ticket, the evidence as it stands, and every proof asked for once more.
import { VelvetError } from '../shared/lib/errors.ts';
import type { Facts } from '../shared/rotation/guards.ts';
import type { Job } from '../shared/rotation/job.ts';
import { provenByVelvet, tally, toBeProven, unproven, type Row } from '../shared/rotation/rows.ts';
import type { Applied, Speaker } from '../shared/changes.ts';
import type { ApiDeps } from './router.ts';
import type { StageBody } from './stage-bodies.ts';
import { operatorOf } from './stopping.ts';
import { goes, ticketNote } from './ticket-note.ts';

type Proceeding = Extract<StageBody, { action: 'proceed_revoke' }>;

export async function revoking(deps: ApiDeps, job: Job, body: Proceeding, by: Speaker): Promise<Applied> {
  const operatorId = operatorOf(by);
  const rows = await deps.store.rows(job);
  // At the gate everything stands, but for what an earlier, forced revoke was given; its word does not hold for this one.
  const left = job.status === 'validated' ? rows.filter((row) => row.stale) : rows.filter(unproven);
  const stale = left.map((row) => row.consumer_id);
  const named = body.acknowledge_stale ?? [];
  demandNamed(job, stale, named);
  // One that is given and empty is refused, also where the job has one: what was sent is not what was meant.
  const ticketId = body.ticket_id ?? job.ticketId;
  const after = rows.map((row) => atTheGate(row, named, operatorId));
  demandSomebody(job, rows);
  const facts: Facts = {
    ticketId,
    confirm: body.confirm ?? null,
    acknowledgeStale: named,
    staleConsumers: stale,
  };
  const noted = goes(job, 'proceed_revoke', facts, by) ? await ticketNote(deps, ticketId ?? '') : null;
  return {
    facts,
    patch: { ...noted?.patch, error: null, forced: stale.length > 0 },
    rows: after.filter((row, index) => row !== rows[index]),
    tally: tally(after, 'prove'),
    detail: {
      ...noted?.detail,
      evidence: rows.map((row) => ({
        consumer_id: row.consumer_id,
        proof: row.proof,
        status: row.validate_status,
      })),
      ...(named.length === 0 ? {} : { acknowledge_stale: named }),
      inactive: job.inactive,
    },
  };
}

/** The table refuses as much; here it is said which consumers are meant. */
function demandNamed(job: Job, stale: readonly string[], named: readonly string[]): void {
  const same = stale.length === new Set(named).size && stale.every((id) => named.includes(id));
  if (same || (!job.forceRevoke && job.status !== 'validated')) return;
  const detail =
    stale.length === 0
      ? 'No consumer is unproven: send proceed_revoke without `acknowledge_stale`.'
      : `Unproven, and cut off if the old token goes: ${stale.join(', ')}. Retry them, confirm or skip them, or send \`acknowledge_stale\` with exactly these names.`;
  throw new VelvetError('stale_not_acknowledged', 'stale consumers are not named', {
    detail,
    extra: { stale_consumers: stale },
  });
}

/** Where everybody was skipped nothing would be proven, and nobody is left to be named. */
function demandSomebody(job: Job, rows: readonly Row[]): void {
  const forcing = job.forceRevoke && job.status !== 'validated' && job.phase !== null;
  if (!forcing || rows.some((row) => row.validate_status === 'succeeded' || unproven(row))) return;
  throw new VelvetError('stale_not_acknowledged', 'nobody is proven', {
    detail:
      'Every consumer was skipped, so that nobody is known to run on the new token. Retry one by its name in `consumer_ids`, or abort.',
    extra: { stale_consumers: [] },
  });
}

function atTheGate(row: Row, named: readonly string[], operatorId: string | null): Row {
  if (named.includes(row.consumer_id))
    return {
      ...row,
      validate_status: 'skipped',
      stale: true,
      note: 'left unproven by a forced revoke',
      confirmed_by: operatorId,
    };
  if (row.distribute_status === 'skipped') return { ...row, validate_status: 'skipped' };
  return provenByVelvet(row) ? toBeProven(row) : row;
}

/** What Velvet proved is to be proven once more; what a person confirmed or skipped stands. */
export async function provenAgain(deps: ApiDeps, job: Job): Promise<Pick<Applied, 'rows' | 'tally'>> {
  const rows = await deps.store.rows(job);
  const after = rows.map((row) => (provenByVelvet(row) ? toBeProven(row) : row));
  return { rows: after.filter((row, index) => row !== rows[index]), tally: tally(after, 'prove') };
}
