// Checks the records of what left a trail, without Velvet: with public keys alone. Law: only what follows from the records is said, and what they cannot show is said to be unknown.
import { openExport, type Exported } from './export.ts';
import type { Keyring } from './signing-key.ts';

/** One record as it was found, whole or not. */
export interface FoundRecord {
  /** Where it was found, in words. */
  readonly where: string;
  /** Null where a part of it is missing. */
  readonly record: string | null;
}

export interface ExportedTrail {
  readonly credential: string;
  readonly env: string;
  readonly segments: number;
  /** The first and the last event that the records cover. */
  readonly from: number;
  readonly to: number;
  readonly sealedFrom: string;
  readonly sealedTo: string;
  /** In words; empty where everything is as it was sealed, and nothing between the first and the last event is missing. */
  readonly findings: readonly string[];
}

export interface ExportReport {
  readonly trails: readonly ExportedTrail[];
  /** Records that say nothing of any trail that could be believed. */
  readonly findings: readonly string[];
}

/** A record that was told twice counts once: a crash between telling and leaving makes two of it. */
export function verifyExported(found: readonly FoundRecord[], keys: Keyring): ExportReport {
  const findings: string[] = [];
  const trails = new Map<string, Map<string, Exported>>();
  for (const one of found) {
    const opened = one.record === null ? 'a part of it is missing' : openedOr(one.record, keys);
    if (typeof opened === 'string') {
      findings.push(`${one.where}: ${opened}.`);
      continue;
    }
    const name = JSON.stringify([opened.seal.credential, opened.seal.env]);
    trails.set(name, (trails.get(name) ?? new Map<string, Exported>()).set(opened.digest, opened));
  }
  return { trails: [...trails.values()].map((records) => trailOf([...records.values()])), findings };
}

/** What was exported, or why it is not believed. */
function openedOr(record: string, keys: Keyring): Exported | string {
  try {
    const signed = openExport(record, () => true);
    if (signed === null) return 'it is not what was sealed: events were changed, left out or put in';
    const opened = openExport(record, keys);
    return (
      opened ?? `it is not signed by a key that was given, though it names the key ${signed.seal.key_id}`
    );
  } catch {
    // Whatever a decompressor or a parser says of bytes that are no record, to a person it is one thing.
    return 'it is not a record that Velvet wrote: something in it was changed or cut off';
  }
}

function trailOf(records: readonly Exported[]): ExportedTrail {
  const inOrder = records.toSorted((a, b) => a.seal.n - b.seal.n || a.seal.at.localeCompare(b.seal.at));
  const [first, last] = [inOrder[0], inOrder.at(-1)];
  if (first === undefined || last === undefined) throw new Error('a trail without a record');
  const findings = inOrder.flatMap((one, n) => [...faultsBetween(inOrder[n - 1], one), ...faultsIn(one)]);
  return {
    credential: first.seal.credential,
    env: first.seal.env,
    segments: inOrder.length,
    from: first.seal.from_seq,
    to: last.seal.to_seq,
    sealedFrom: first.seal.at,
    sealedTo: last.seal.at,
    findings,
  };
}

function faultsBetween(before: Exported | undefined, { seal }: Exported): readonly string[] {
  if (before === undefined) return [];
  if (seal.n === before.seal.n)
    return [
      `Two segments have the place ${seal.n} in the chain: Redis was put back to an earlier state in between.`,
    ];
  if (seal.n > before.seal.n + 1 || seal.from_seq > before.seal.to_seq + 1)
    return [`Events ${before.seal.to_seq + 1} to ${seal.from_seq - 1} are not among the records.`];
  const follows = seal.prev === before.digest && seal.from_seq === before.seal.to_seq + 1;
  return follows ? [] : [`The segment of events ${spanOf(seal)} does not follow the one before it.`];
}

function faultsIn({ seal }: Exported): readonly string[] {
  if (seal.kind === 'stub') return ['A stub is among the records, which never leaves by itself.'];
  if (seal.kind === 'loss') {
    const { from_seq, to_seq } = seal.lost;
    const what = from_seq > to_seq ? 'a seal, and no event' : `events ${from_seq} to ${to_seq}`;
    return [`Redis lost ${what}; Velvet noted and signed that at ${seal.lost.at}.`];
  }
  const whole = seal.count === seal.to_seq - seal.from_seq + 1;
  return whole ? [] : [`Of the events ${spanOf(seal)} some were missing already when they were sealed.`];
}

const spanOf = ({ from_seq, to_seq }: Exported['seal']): string => `${from_seq} to ${to_seq}`;
