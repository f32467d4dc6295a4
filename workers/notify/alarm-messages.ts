// One message for all alarms that are behind on a channel, as many as it holds. Law: who leaks is named, never counted: what does not fit comes in the next message.
import { headOf, isCause, isOverNow, isUpdate, leaks, linesOf, meaningOf, restOf } from './alarm-words.ts';
import type { Line, Script, Subject } from './alarm-words.ts';
import { escaped } from './messages.ts';

export interface Part {
  readonly subject: Subject;
  /** Consumer → what the channel will have heard of it. */
  readonly told: Readonly<Record<string, string>>;
  /** Whether nothing is left to be said of the alarm. */
  readonly complete: boolean;
  readonly text: string;
}

export interface Message {
  /** One short line, of at most 120 characters. */
  readonly subject: string;
  readonly text: string;
  readonly parts: readonly Part[];
}

export interface Form {
  readonly env: string;
  readonly publicUrl: string | null;
  /** Most characters that a message may have. */
  readonly room: number;
  readonly script: Script;
}

export const slackScript: Script = { name: (text) => `\`${text}\``, text: escaped };
export const plainScript: Script = { name: (text) => text, text: (text) => text };

/** All are of one kind, leaks or drills, and for the same people. The first is always in it, if not whole. */
export function compose(subjects: readonly Subject[], form: Form): Message {
  const parts: Part[] = [];
  const classes = new Set<string>();
  let used = 0;
  for (const subject of subjects) {
    const lines = linesOf(subject, form.script);
    const fits = (count: number): boolean => {
      const all = new Set([...classes, ...causesIn(lines.slice(0, count))]);
      const size = used + partOf(subject, lines, count, form).text.length + 2;
      return size + frame(all).length + SUBJECT_MAX + 2 <= form.room;
    };
    const count = most(lines.length, fits);
    if (count === null && parts.length > 0) break;
    const part = partOf(subject, lines, count ?? Math.min(1, lines.length), form);
    parts.push(part);
    used += part.text.length + 2;
    for (const name of causesIn(lines.slice(0, count ?? 1))) classes.add(name);
    if (!part.complete) break;
  }
  const subject = subjectOf(parts, form);
  return { subject, parts, text: [subject, ...parts.map((part) => part.text), frame(classes)].filter(Boolean).join('\n\n') }; // prettier-ignore
}

const SUBJECT_MAX = 120;

/** The largest count that fits; null where not one line does. Of nothing to name, nothing is the largest. */
function most(count: number, fits: (count: number) => boolean): number | null {
  for (let n = count; n >= Math.min(1, count); n -= 1) if (fits(n)) return n;
  return null;
}

function causesIn(lines: readonly Line[]): readonly string[] {
  return lines.map(({ said }) => said).filter(isCause);
}

function frame(classes: ReadonlySet<string>): string {
  if (classes.size === 0) return '';
  const next = 'Then send retry: it asks them all again. Or resolve_leak, with a note for each.';
  return [...meaningOf(classes), next].join('\n');
}

function partOf(subject: Subject, lines: readonly Line[], count: number, form: Form): Part {
  const { ref, raised } = subject.state;
  const now = lines.slice(0, count);
  const complete = count === lines.length;
  const before = subject.owed ? {} : subject.receipt.told;
  const goesOn = Object.keys(before).length > 0 && !isUpdate(subject) && !subject.owed;
  const link = `${form.publicUrl ?? ''}/tokens/${ref.credential}/rotations/${ref.jobId}`;
  const text = [
    `${headOf(subject, form.script)}${goesOn ? ' Continued:' : ''}`,
    ...now.map((line) => line.text),
    ...(complete ? [restOf(subject, form.script)] : ['More of them follow in the next message.']),
    ...(form.publicUrl === null || raised.kind === 'drill' ? [] : [link]),
  ];
  const told = Object.fromEntries(now.map(({ consumerId, said }) => [consumerId, said]));
  return { subject, complete, told: { ...before, ...told }, text: text.filter(Boolean).join('\n') };
}

function subjectOf(parts: readonly Part[], { env }: Form): string {
  const subjects = parts.map((part) => part.subject);
  const { ref, raised } = subjects[0]?.state ?? { ref: null, raised: null };
  if (raised?.kind === 'drill') return `DRILL: a test of the alarm (${env})`;
  const names = [...new Set(subjects.map(({ state }) => state.ref.credential))];
  const more = names.length > 1 ? ` and ${names.length - 1} more` : '';
  const about = `${ref?.credential.slice(0, 80) ?? ''}${more} (${env})`;
  const what = subjects.every(isOverNow)
    ? 'leak is over'
    : subjects.every(isUpdate)
      ? 'leak, update'
      : 'leak';
  return `SEV1 ${what}: ${about}`;
}

/** How many consumers leak now, over all parts. */
export function leakCount(parts: readonly Part[]): number {
  return parts.reduce((sum, { subject }) => sum + leaks(subject).length, 0);
}
