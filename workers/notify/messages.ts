// What an operator reads in Slack about a job: plain sentences, names escaped, never a value.
import { openResiduals } from '../../shared/rotation/residuals.ts';
import { publicJob, type Job } from '../../shared/rotation/job.ts';

/** The message for the job's present status, or null where this release says nothing about it. */
export function messageFor(job: Job, publicUrl: string | null): string | null {
  const where = `\`${escaped(job.credential)}\` (${job.env}), job \`${job.jobId}\``;
  const link = publicUrl === null ? '' : `\n${publicUrl}/tokens/${job.credential}/rotations/${job.jobId}`;
  if (job.status === 'done') {
    return `Rotation done: ${where}. Every consumer was proven on the new token, and the old one (${escaped(job.oldAuthId ?? 'no handle')}) is revoked.${link}`;
  }
  if (job.status === 'aborted' && job.cleanup !== 'pending') {
    const left = openResiduals(job.residuals).map(
      (residual) => `\n• ${residual.kind}: ${escaped(residual.who)} — ${escaped(residual.what_to_do)}`,
    );
    const rest = left.length === 0 ? 'Nothing is left behind.' : `Left for you:${left.join('')}`;
    return `Rotation aborted: ${where}, by ${escaped(job.movedBy?.operatorId ?? String(publicJob(job)['created_by']))}. ${rest}${link}`;
  }
  return null;
}

/** Slack's three: anything else in a name, `<!channel>` above all, would be markup. */
export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
