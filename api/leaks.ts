// What an operator does about consumers that answer to a dead token: ask them again, or answer for each of them.
import { VelvetError } from '../shared/lib/errors.ts';
import type { Job } from '../shared/rotation/job.ts';
import { tally, withStatus, type Row } from '../shared/rotation/rows.ts';
import type { Applied, Speaker } from '../shared/changes.ts';
import type { ApiDeps } from './router.ts';
import type { StageBody } from './stage-bodies.ts';
import { operatorOf } from './stopping.ts';

const leaks = (row: Row) => row.validate_status === 'failed';

/** A new episode, with a settle window of its own: a consumer that was restarted takes a moment. */
export async function askingLeaksAgain(
  deps: ApiDeps,
  job: Job,
  consumerIds: readonly string[] | undefined,
): Promise<Applied> {
  const rows = await deps.store.rows(job);
  const leaking = rows.filter(leaks);
  const others = (consumerIds ?? []).filter((id) => !leaking.some((row) => row.consumer_id === id));
  if (others.length > 0)
    throw new VelvetError('nothing_to_retry', 'not leaking', {
      detail: `${others.join(', ')}: not leaking. ${namesOf(leaking)}: name some of these, or leave \`consumer_ids\` out to ask all of them again.`,
    });
  const again = leaking.filter((row) => consumerIds === undefined || consumerIds.includes(row.consumer_id));
  const opened = again.map((row): Row => ({
    ...withStatus(row, 'lockout', 'pending'),
    attempts: 0,
    error: null,
    opened_at: null,
    probe: null,
  }));
  const after = rows.map((row) => opened.find((one) => one.consumer_id === row.consumer_id) ?? row);
  return {
    facts: { retryableRows: opened.length },
    patch: { error: null, settle_until: deps.clock.now() + job.settleMs },
    rows: opened,
    tally: tally(after, 'lockout'),
    detail: { consumer_ids: again.map((row) => row.consumer_id) },
  };
}

/** Each leaking consumer is answered for by name. */
export async function resolvingLeak(
  deps: ApiDeps,
  job: Job,
  { notes }: Extract<StageBody, { action: 'resolve_leak' }>,
  by: Speaker,
): Promise<Applied> {
  const rows = await deps.store.rows(job);
  const leaking = rows.filter(leaks);
  const named = notes.map((one) => one.consumer_id);
  const missing = leaking.filter((row) => !named.includes(row.consumer_id));
  const foreign = named.filter((id) => !leaking.some((row) => row.consumer_id === id));
  const noted = job.tally.open > 0 || (missing.length === 0 && foreign.length === 0);
  if (!noted)
    throw new VelvetError('not_acknowledged', 'leaks without a note', {
      detail: [
        missing.length > 0 ? `Without a note: ${namesOf(missing)}.` : '',
        foreign.length > 0 ? `Not leaking: ${foreign.join(', ')}.` : '',
        'Send `notes` with one entry for each leaking consumer, and no other.',
      ]
        .filter((part) => part !== '')
        .join(' '),
      extra: { leaking: leaking.map((row) => row.consumer_id) },
    });
  const noteOf = (row: Row) => notes.find((one) => one.consumer_id === row.consumer_id)?.note ?? null;
  const resolved = leaking.map((row): Row => ({
    ...withStatus(row, 'lockout', 'skipped'),
    note: noteOf(row),
    confirmed_by: operatorOf(by),
  }));
  const after = rows.map((row) => resolved.find((one) => one.consumer_id === row.consumer_id) ?? row);
  return {
    facts: { leaksNoted: noted },
    patch: { error: null },
    rows: resolved,
    tally: tally(after, 'lockout'),
    detail: { notes },
  };
}

const namesOf = (rows: readonly Row[]) => rows.map((row) => row.consumer_id).join(', ');
