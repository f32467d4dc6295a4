// What an operator reads in Slack about a job: plain sentences, names escaped, never a value, and no more than was seen.
import { onlyAPersonIsLeft, type Job } from '../../shared/rotation/job.ts';
import { openResiduals } from '../../shared/rotation/residuals.ts';
import { provenByVelvet, statusIn, type Row } from '../../shared/rotation/rows.ts';

/** The message for the job's present status, or null where this release says nothing about it. */
export function messageFor(job: Job, rows: readonly Row[], publicUrl: string | null): string | null {
  const where = `\`${escaped(job.credential)}\` (${job.env}), job \`${job.jobId}\``;
  const link = publicUrl === null ? '' : `\n${publicUrl}/tokens/${job.credential}/rotations/${job.jobId}`;
  if (job.status === 'done') {
    return `Rotation done: ${where}. Consumers: ${evidence(job, rows)}. The old token (${escaped(job.oldAuthId ?? 'no handle')}) is revoked.${link}`;
  }
  if (job.status === 'aborted' && job.cleanup === 'waiting')
    return `Rotation stopped: ${where}. ${escaped(job.error?.detail ?? '')}${link}`;
  if (job.status === 'aborted' && job.cleanup !== 'pending') {
    const left = openResiduals(job.residuals).map(
      (residual) => `\n• ${residual.kind}: ${escaped(residual.who)} — ${escaped(residual.what_to_do)}`,
    );
    const rest = left.length === 0 ? 'Nothing is left behind.' : `Left for you:${left.join('')}`;
    return `Rotation aborted: ${where}, by ${escaped(job.movedBy?.operatorId ?? 'nobody')}. ${rest}${link}`;
  }
  if (onlyAPersonIsLeft(job)) {
    const phase = job.phase ?? 'validate';
    const mine = rows.filter((row) => statusIn(row, phase) === 'manual_required');
    const names = mine.map((row) => escaped(row.consumer_id));
    const shown = [
      ...names.slice(0, NAMED),
      ...(names.length > NAMED ? [`${names.length - NAMED} more`] : []),
    ];
    return `Waiting for you: ${where}, ${job.status}. Velvet cannot look at ${shown.join(', ')}. See what each runs on, then send confirm_consumer with a note, or skip_consumer with a reason.${link}`;
  }
  return null;
}

/** Slack cuts a message at 4,000 characters. */
const NAMED = 20;

/** "3 proven on the new token, 1 confirmed by hand, 1 skipped": what each count rests on. */
function evidence(job: Job, rows: readonly Row[]): string {
  const counts = [
    [rows.filter(provenByVelvet).length, 'proven on the new token'],
    [rows.filter((row) => row.proof === 'by_hand').length, 'confirmed by hand'],
    [rows.filter((row) => row.validate_status === 'skipped').length, 'skipped'],
    [job.inactive.length, 'inactive and left out'],
  ] as const;
  return counts.flatMap(([count, what]) => (count === 0 ? [] : [`${count} ${what}`])).join(', ');
}

/** Slack's three: anything else in a name, `<!channel>` above all, would be markup. */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
