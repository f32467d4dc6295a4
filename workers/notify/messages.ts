// What an operator reads in Slack about a job: plain sentences, names escaped, never a value, and no more than was seen.
import { onlyAPersonIsLeft, type Job } from '../../shared/rotation/job.ts';
import { openResiduals } from '../../shared/rotation/residuals.ts';
import { provenByVelvet, statusIn, type Row } from '../../shared/rotation/rows.ts';
import { valueWanted } from '../../shared/rotation/view.ts';
import { scheduleOperator } from '../../shared/redis/events.ts';
import type { Status } from '../../shared/rotation/statuses.ts';

/** The message for the job's present status, or null where it moves by itself and nobody need know. */
export function messageFor(job: Job, rows: readonly Row[], publicUrl: string | null): string | null {
  const said = saidOf(job, rows);
  return said === undefined || said === null ? null : about(job, said, publicUrl);
}

function saidOf(job: Job, rows: readonly Row[]): Said | null | undefined {
  if (job.flowType === 'testing') return ofTest(job, rows);
  return onlyAPersonIsLeft(job) ? rowsWait(job, rows) : sentences[job.status]?.(job, rows);
}

/** A message about one job: what it is about, where to look. */
export function about(job: Job, { title, rest }: Said, publicUrl: string | null): string {
  const where = `\`${escaped(job.credential)}\` (${job.env}), job \`${job.jobId}\``;
  const link = publicUrl === null ? '' : `\n${publicUrl}/tokens/${job.credential}/rotations/${job.jobId}`;
  return `${title}: ${where}${rest}${link}`;
}

export interface Said {
  readonly title: string;
  /** Goes on after the job's name, with its own punctuation. */
  readonly rest: string;
}

type Sentence = (job: Job, rows: readonly Row[]) => Said | null;

// oxfmt-ignore
const sentences: Readonly<Partial<Record<Status, Sentence>>> = {
  verified:           (job) => gate('Ready to mint', `. Both tokens pass.${job.currentState === 'dead' ? ' The current one is dead, so there is no way back to it.' : ''} Send proceed_mint, or abort.`),
  validated:          (job, rows) => gate('Ready to revoke', `. Consumers: ${evidence(job, rows)}. Send proceed_revoke with a ticket, or abort.`),
  verify_failed:      (job) => failed('Verify failed', job, 'Mend it and send retry, or abort; nothing was changed.'),
  minting:            (job) => (job.awaiting === null ? null : gate('Waiting for a new token', `. ${job.error === null ? '' : `${escaped(job.error.detail)} `}${escaped(valueWanted(job))} Or send abort.`)),
  mint_failed:        (job) => failed('Mint failed', job, 'Send retry or abort; the old token is untouched.'),
  distribute_partial: (job, rows) => rowsFailed('Some consumers were not written', job, rows),
  distribute_failed:  (job, rows) => rowsFailed('No consumer was written', job, rows),
  validate_partial:   (job, rows) => rowsFailed('Some consumers are not proven', job, rows),
  validate_failed:    (job, rows) => rowsFailed('No consumer is proven', job, rows),
  revoke_failed:      (job) => failed('The old token may be live', job, 'Send retry; or revoke it by hand and send mark_revoked.'),
  done:               (job, rows) => gate('Rotation done', `. Consumers: ${evidence(job, rows)}. The old token (${escaped(job.oldAuthId ?? 'no handle')}) is revoked.`),
  aborted:            (job) => stopped(job),
  rev_init:           (job) => gate('An emergency waits', `. Send proceed_revoke with a ticket and confirm: "${escaped(job.credential)}", or abort.`),
  rev_revoke_failed:  (job) => failed('EMERGENCY: a token may be live', job, ''),
  rev_done:           (job, rows) => gate('Emergency over', `. ${lockedOut(rows)}. Next: a rotation with replaces: "${job.jobId}".`),
};

const gate = (title: string, rest: string): Said => ({ title, rest });

function failed(title: string, job: Job, next: string): Said {
  return { title, rest: `. ${escaped(job.error?.detail ?? '')} ${next}` };
}

function rowsFailed(title: string, job: Job, rows: readonly Row[]): Said {
  const phase = job.phase ?? 'distribute';
  const bad = rows.filter((row) => statusIn(row, phase) === 'failed');
  const lines = bad.map((row) => `\n• ${escaped(row.consumer_id)}: ${escaped(row.error?.detail ?? 'no reason is known')}`); // prettier-ignore
  const next = 'Send retry once they are mended; or confirm_consumer with a note, skip_consumer with a reason, or abort.'; // prettier-ignore
  return { title, rest: `.${named(lines, '\n• ').join('')}\n${next}` };
}

function stopped(job: Job): Said | null {
  if (job.cleanup === 'pending') return null;
  if (job.cleanup === 'waiting')
    return { title: 'Rotation stopped', rest: `. ${escaped(job.error?.detail ?? '')}` };
  const left = openResiduals(job.residuals).map(
    (residual) => `\n• ${residual.kind}: ${escaped(residual.who)} — ${escaped(residual.what_to_do)}`,
  );
  const rest = left.length === 0 ? 'Nothing is left behind.' : `Left for you:${left.join('')}`;
  return { title: 'Rotation aborted', rest: `, by ${escaped(job.movedBy?.operatorId ?? 'nobody')}. ${rest}` };
}

/** A test's end, to whoever asked for it; what the schedule's own found is told of as a drift, or not at all. */
function ofTest(job: Job, rows: readonly Row[]): Said | null {
  if (job.createdBy === scheduleOperator) return null;
  if (job.status === 'aborted') return gate('Test stopped', '. Nothing was changed.');
  if (job.status === 'verify_failed') return wrongIn(job, rows, 'Test found something to mend');
  if (job.status !== 'verified') return null;
  const counts = [
    [rows.filter((row) => row.holds === 'old').length, 'hold the current value'],
    [rows.filter((row) => row.holds === 'new').length, 'hold that of the open rotation'],
    [rows.filter((row) => row.holds === 'unknown').length, 'cannot be read back'],
  ] as const;
  return gate('Test passed', `. Consumers: ${listed(counts)}. Both tokens pass; nothing was changed.`);
}

/** What a test found wrong: the vault's own value or the authority, and each consumer with what to do. */
export function wrongIn(job: Job, rows: readonly Row[], title: string): Said {
  const bad = rows.filter((row) => row.validate_status === 'failed');
  const lines = bad.map((row) => `\n• ${escaped(row.consumer_id)}: ${escaped(row.error?.detail ?? 'no reason is known')}`); // prettier-ignore
  const own = job.error === null ? '' : ` ${escaped(job.error.detail)}`;
  return { title, rest: `.${own}${named(lines, '\n• ').join('')}` };
}

function rowsWait(job: Job, rows: readonly Row[]): Said {
  const phase = job.phase ?? 'validate';
  const mine = rows.filter((row) => statusIn(row, phase) === 'manual_required');
  const names = named(mine.map((row) => escaped(row.consumer_id)), ''); // prettier-ignore
  if (phase === 'distribute')
    return {
      title: 'Waiting for you',
      rest: `, ${job.status}. Velvet cannot write to ${names.join(', ')}. Write the new value there by hand (${escaped(job.vaultRef ?? 'vault_ref')} has it; each row has its \`instructions\`), then send confirm_consumer with a note, or skip_consumer with a reason.`,
    };
  if (phase === 'lockout')
    return {
      title: 'Waiting for you',
      rest: `, ${job.status}. Velvet cannot ask ${names.join(', ')}. See that each is refused with the dead token, then send confirm_consumer with a note, or skip_consumer with a reason.`,
    };
  return {
    title: 'Waiting for you',
    rest: `, ${job.status}. Velvet cannot look at ${names.join(', ')}. See what each runs on, then send confirm_consumer with a note, or skip_consumer with a reason.`,
  };
}

/** Slack cuts a message at 4,000 characters. */
const NAMED = 20;

function named(all: readonly string[], before: string): readonly string[] {
  return all.length <= NAMED ? all : [...all.slice(0, NAMED), `${before}${all.length - NAMED} more`];
}

/** How lock-out was seen, and how much of it is weak: said as it is. */
function lockedOut(rows: readonly Row[]): string {
  const out = rows.filter((row) => row.lockout?.class === 'locked_out');
  const counts = [
    [out.filter((row) => row.lockout?.weak === false).length, 'locked out'],
    [
      out.filter((row) => row.lockout?.weak === true).length,
      'locked out, weakly proven: not seen to answer well before',
    ],
    [rows.filter((row) => row.lockout?.class === 'on_other_token').length, 'on the token that lives on'],
    [rows.filter((row) => row.confirmed_by !== null).length, 'accounted for by a person'],
  ] as const;
  return `Consumers: ${listed(counts)}`;
}

/** "3 proven on the new token, 1 confirmed by hand, 1 skipped": what each count rests on. */
function evidence(job: Job, rows: readonly Row[]): string {
  const counts = [
    [rows.filter(provenByVelvet).length, 'proven on the new token'],
    [rows.filter((row) => row.proof === 'by_hand').length, 'confirmed by hand'],
    [rows.filter((row) => row.validate_status === 'skipped').length, 'skipped'],
    [job.inactive.length, 'inactive and left out'],
  ] as const;
  return listed(counts);
}

function listed(counts: readonly (readonly [count: number, what: string])[]): string {
  return counts.flatMap(([count, what]) => (count === 0 ? [] : [`${count} ${what}`])).join(', ');
}

/** Slack's three: anything else in a name, `<!channel>` above all, would be markup. */
export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
