// What an operator reads in Slack about a job: plain sentences, names escaped, never a value, and no more than was seen.
import type { Job } from '../../shared/rotation/job.ts';
import { openResiduals } from '../../shared/rotation/residuals.ts';
import { provenByVelvet, type Row } from '../../shared/rotation/rows.ts';

/** The message for the job's present status, or null where this release says nothing about it. */
export function messageFor(job: Job, rows: readonly Row[], publicUrl: string | null): string | null {
  const where = `\`${escaped(job.credential)}\` (${job.env}), job \`${job.jobId}\``;
  const link = publicUrl === null ? '' : `\n${publicUrl}/tokens/${job.credential}/rotations/${job.jobId}`;
  if (job.status === 'done') {
    return `Rotation done: ${where}. Consumers: ${evidence(job, rows)}. The old token (${escaped(job.oldAuthId ?? 'no handle')}) is revoked.${link}`;
  }
  if (job.status === 'aborted' && job.cleanup !== 'pending') {
    const left = openResiduals(job.residuals).map(
      (residual) => `\n• ${residual.kind}: ${escaped(residual.who)} — ${escaped(residual.what_to_do)}`,
    );
    const rest = left.length === 0 ? 'Nothing is left behind.' : `Left for you:${left.join('')}`;
    return `Rotation aborted: ${where}, by ${escaped(job.movedBy?.operatorId ?? 'nobody')}. ${rest}${link}`;
  }
  return null;
}

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
