// What an alarm says of one job: which consumers, how each answers, what that may mean, what is still to come. Law: plain sentences, no value, no more than was seen.
import type { ChannelName } from '../../shared/rotation/alarm.ts';
import type { AlarmState, Receipt } from '../../shared/rotation/alarm.ts';
import { isOver, type Job } from '../../shared/rotation/job.ts';
import type { Row } from '../../shared/rotation/rows.ts';

/** One alarm, read at the moment in which it is told on a channel. */
export interface Subject {
  readonly state: AlarmState;
  /** Null of a drill, and where the record is lost or not understood. */
  readonly job: Job | null;
  readonly rows: readonly Row[];
  /** The channel's, as it stood before this message. */
  readonly receipt: Receipt;
  readonly channel: ChannelName;
  /** Set where all is told already, and this is for those alone who were turned away for the moment. */
  readonly owed: boolean;
}

/** One consumer's line: under which word it is kept that it was said. */
export interface Line {
  readonly consumerId: string;
  readonly said: string;
  readonly text: string;
}

/** How a channel writes: a name as it must stand, and all that came from outside. */
export interface Script {
  readonly name: (text: string) => string;
  readonly text: (text: string) => string;
}

// oxfmt-ignore
const causes: Readonly<Record<string, string>> = {
  accepting:   'it still answers well. A cached or hard-coded copy of the dead token, or another token is in use. Stop or restart it, find the copy, look for another token.',
  forbidden:   'it answers 403, so an edge, a proxy or a policy in between may have answered instead of it. Ask it from inside its network; no 401, no proof.',
  erroring:    'it answers with an error that says nothing of the token. Look at its log; restart it if it hangs on the dead token.',
  unreachable: 'it does not answer. Nobody knows what it still accepts: see whether it is down, or only its address is unreachable from here.',
  unknown:     'how it answers is not known. Look at it by hand.',
};

/** For the classes that a message names, what each may mean and what to do. */
export function meaningOf(classes: ReadonlySet<string>): readonly string[] {
  return Object.entries(causes).flatMap(([name, cause]) => (classes.has(name) ? [`${name}: ${cause}`] : []));
}

export const isCause = (said: string): boolean => Object.hasOwn(causes, said);

export function leaks({ job, rows }: Pick<Subject, 'job' | 'rows'>): readonly Row[] {
  if (job?.phase === 'lockout') return rows.filter((row) => row.validate_status === 'failed');
  return [];
}

/** How a leaking consumer answered. */
export function classOf(row: Row): string {
  const seen = row.lockout?.class ?? 'unknown';
  return isCause(seen) ? seen : 'unknown';
}

export function isOverNow({ state, job }: Pick<Subject, 'state' | 'job'>): boolean {
  return state.raised.kind === 'drill' || job === null || isOver(job);
}

/** Whether the channel has heard of this episode to its end already: then what follows is an update. */
export function isUpdate({ receipt, owed }: Subject): boolean {
  return receipt.named && !owed;
}

/** Every consumer that is to be named now: what the channel has not heard yet of this episode. */
export function linesOf(subject: Subject, { text }: Script): readonly Line[] {
  const told = subject.owed ? {} : subject.receipt.told;
  const leaking = leaks(subject).map((row): Line => {
    const said = classOf(row);
    const status = row.lockout?.http_status ?? null;
    const how = status === null ? said : `${said} (HTTP ${status})`;
    return { consumerId: row.consumer_id, said, text: `• ${text(row.consumer_id)}: ${how}` };
  });
  const named = new Set(leaking.map(({ consumerId }) => consumerId));
  const settled = subject.rows.flatMap((row): readonly Line[] => {
    if (!isCause(told[row.consumer_id] ?? '') || named.has(row.consumer_id)) return [];
    const said = row.validate_status;
    return [{ consumerId: row.consumer_id, said, text: `• ${text(row.consumer_id)}: ${sinceThen(row)}` }];
  });
  return [...leaking, ...settled].filter(({ consumerId, said }) => told[consumerId] !== said);
}

function sinceThen({ validate_status: status, lockout, confirmed_by: by }: Row): string {
  if (status === 'skipped') return 'skipped by a person';
  if (status === 'succeeded')
    return by === null ? `${lockout?.class ?? 'locked_out'} now` : 'closed by a person';
  return 'asked again';
}

/** The first words about an alarm: what it is, of which job. */
export function headOf(subject: Subject, { name, text }: Script): string {
  const { state, receipt } = subject;
  const { ref, raised } = state;
  if (raised.kind === 'drill')
    return `${marks(subject)}DRILL ${name(ref.jobId)}: a test of the alarm. Nothing has leaked, and there is nothing to do.`;
  const about = `${name(text(ref.credential))} (${ref.env}), job ${name(ref.jobId)}`;
  const { missed } = receipt;
  const untold = missed === null ? '' : `; nobody was told of ${missed} here`;
  const which = raised.episode > 1 ? ` Episode ${raised.episode}${untold}.` : '';
  return `${marks(subject)}${about}: ${standing(subject)}${which}`;
}

function marks(subject: Subject): string {
  const repeat = subject.receipt.begun ? 'Repeat (it may have reached you already). ' : '';
  return `${isUpdate(subject) ? 'Update. ' : ''}${repeat}`;
}

function standing(subject: Subject): string {
  const { job } = subject;
  if (job === null) return 'it leaked. The record of the job cannot be read: see the audit trail.';
  if (isOver(job)) return `it leaked, and is over: the job is ${job.status}.${ended(subject)}`;
  const count = leaks(subject).length;
  if (count === 0) return 'it leaked; no consumer is seen leaking at this moment.';
  return `revoked at the vendor, and ${count === 1 ? 'a consumer is' : `${count} consumers are`} not locked out.`;
}

function ended({ job, rows }: Subject): string {
  const by = job?.movedBy?.operatorId;
  const weak = rows.filter((row) => row.lockout?.weak === true).length;
  return `${by === undefined ? '' : ` Moved last by ${by}.`}${weak === 0 ? '' : ` ${weak} only weakly proven.`}`;
}

/** How many of those that are no news are named; the others are counted. */
const NAMED = 5;

/** What else there is to know of it: who is not settled yet, who waits for a person. */
export function restOf(subject: Subject, { text }: Script): string {
  if (subject.job === null || isOverNow(subject)) return '';
  const of = (...statuses: readonly string[]) =>
    subject.rows.filter((row) => statuses.includes(row.validate_status)).map((row) => text(row.consumer_id));
  const listed = (what: string, names: readonly string[]) =>
    names.length === 0
      ? []
      : [
          `${what}: ${names.slice(0, NAMED).join(', ')}${names.length > NAMED ? ` +${names.length - NAMED} more` : ''}.`,
        ];
  const locked = of('succeeded').length;
  return [
    ...listed('Still settling', of('in_progress', 'pending')),
    ...listed('Waiting for a person', of('manual_required')),
    ...(locked === 0 ? [] : [`Locked out: ${locked}.`]),
  ].join(' ');
}
