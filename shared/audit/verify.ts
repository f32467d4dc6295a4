// Recomputes a trail from its stored bytes. Law: a verdict never says `intact` of what was not recomputed, and believes no key that came from Redis.
import { compared, headOfAnchor, lossesOf, notedIn, type Anchor } from './anchor.ts';
import {
  emptyHead,
  entriesDigest,
  headOf,
  openSeal,
  seqOf,
  type EntriesDigest,
  type Entry,
  type Head,
  type Loss,
  type OpenedSeal,
} from './seal.ts';
import type { Keyring } from './signing-key.ts';

export type Verdict = 'intact' | 'altered' | 'shorter_than_anchor';

/** A trail as Redis has it at one moment. */
export interface Trail {
  readonly credential: string;
  readonly env: string;
  readonly seals: readonly Buffer[];
  /** The number of the last event. */
  readonly seq: number;
  /** Every entry of the stream up to `seq`, from its very beginning, in pages. */
  entries(): AsyncIterable<readonly Entry[]>;
}

export interface TrailReport {
  readonly credential: string;
  readonly env: string;
  /** The number of the last event that a seal covers. */
  readonly sealed_to: number;
  /** How many events no seal covers yet. */
  readonly unsealed: number;
  /** The number of the last event that the vault knows to be sealed. */
  readonly anchored_to: number;
  readonly verdict: Verdict;
  /** Losses that were noted and signed; they are not found anew each time, and never forgotten. */
  readonly losses: readonly Loss[];
  /** What was found, in words; null where there is nothing to say. */
  readonly finding: string | null;
}

/** Verifies one trail against its anchor. `keys` must come from the worker's own key and from the anchor. */
export async function verifyTrail(trail: Trail, anchor: Anchor | null, keys: Keyring): Promise<TrailReport> {
  const chain = chainOf(trail, keys);
  const head = chain.seals.length === 0 ? emptyHead : headOf(chain.seals.at(-1) as OpenedSeal);
  const fault = chain.fault ?? (await faultInEvents(trail, chain.seals, head));
  const stub = chain.seals[0]?.seal;
  const kept = notedIn(chain.seals);
  const losses = lossesOf(anchor?.past ?? [], stub?.kind === 'stub' ? stub.past : [], kept);
  const short = anchor === null ? null : shortness(chain.seals, head, anchor);
  const noted = kept.length > 0 || short === 'noted' ? notedWords(losses) : null;
  return {
    credential: trail.credential,
    env: trail.env,
    sealed_to: head.toSeq,
    unsealed: Math.max(0, trail.seq - head.toSeq),
    anchored_to: anchor?.to_seq ?? 0,
    verdict:
      fault !== null ? 'altered' : short === 'shorter' || noted !== null ? 'shorter_than_anchor' : 'intact',
    losses,
    finding: fault ?? (short === 'shorter' ? shorterWords(head, anchor) : noted),
  };
}

/** Over several trails: the numbers' sums, and the worst verdict. */
export function overall(
  reports: readonly TrailReport[],
): Pick<TrailReport, 'sealed_to' | 'unsealed' | 'anchored_to' | 'verdict'> {
  const sum = (of: (report: TrailReport) => number) => reports.reduce((total, one) => total + of(one), 0);
  const worst = (['altered', 'shorter_than_anchor'] as const).find((verdict) =>
    reports.some((report) => report.verdict === verdict),
  );
  return {
    sealed_to: sum((report) => report.sealed_to),
    unsealed: sum((report) => report.unsealed),
    anchored_to: sum((report) => report.anchored_to),
    verdict: worst ?? 'intact',
  };
}

interface Chain {
  /** Up to the first fault. */
  readonly seals: readonly OpenedSeal[];
  readonly fault: string | null;
}

/** Opens the seals one after the other: each as it was written, signed by a known key, and the next one of the one before. */
function chainOf(trail: Trail, keys: Keyring): Chain {
  const seals: OpenedSeal[] = [];
  let before = emptyHead;
  for (const [place, stored] of trail.seals.entries()) {
    const opened = openSeal(stored);
    const fault = opened === null ? 'is not as it was written' : faultIn(opened, before, trail, keys, place);
    if (opened === null || fault !== null)
      return { seals, fault: `The seal after event ${before.toSeq} ${fault}.` };
    seals.push(opened);
    before = headOf(opened);
  }
  return { seals, fault: null };
}

function faultIn(
  { seal, body, signature }: OpenedSeal,
  before: Head,
  trail: Trail,
  keys: Keyring,
  place: number,
): string | null {
  if (!keys(seal.key_id, body, signature)) return 'is not signed by a key of this installation';
  if (seal.credential !== trail.credential || seal.env !== trail.env) return 'belongs to another trail';
  if (seal.kind === 'stub') return place === 0 ? null : 'stands for segments that are still there';
  const follows =
    seal.n === before.n + 1 &&
    seal.prev === before.digest &&
    seal.from_seq === before.toSeq + 1 &&
    seal.to_seq >= seal.from_seq;
  const counts = seal.kind === 'loss' ? seal.losses > before.losses : seal.losses === before.losses;
  return follows && counts ? null : 'does not follow the one before it';
}

/** Walks through the stream once; each segment's digest is made anew. Null where every event is the one that was sealed. */
async function faultInEvents(trail: Trail, seals: readonly OpenedSeal[], head: Head): Promise<string | null> {
  const walk = segmentWalk(trail, seals);
  let last = head.toSeq;
  for await (const page of trail.entries()) {
    for (const entry of page) {
      const seq = seqOf(entry.id);
      if (seq === null) return `The stream has an entry ${entry.id}, which no event of Velvet's is called.`;
      if (seq <= head.toSeq) {
        const fault = walk.add(seq, entry);
        if (fault !== null) return fault;
      } else {
        if (seq !== last + 1) return `Event ${last + 1} is missing.`;
        last = seq;
      }
    }
  }
  const fault = walk.end();
  if (fault !== null) return fault;
  if (trail.seq < head.toSeq)
    return `The trail's number is ${trail.seq}, and events to ${head.toSeq} are sealed.`;
  return last === trail.seq ? null : `Event ${last + 1} is missing.`;
}

function segmentWalk(trail: Trail, seals: readonly OpenedSeal[]) {
  let place = 0;
  let making: EntriesDigest = entriesDigest(trail.credential, trail.env);
  /** Closes the segment at the present place, and says where it is not what was sealed. */
  const close = (): string | null => {
    const { seal } = seals[place] as OpenedSeal;
    const made = making.end();
    making = entriesDigest(trail.credential, trail.env);
    place += 1;
    if (seal.kind !== 'segment')
      return made.count === 0
        ? null
        : `There are events between ${seal.from_seq} and ${seal.to_seq}, where none can be.`;
    const whole = made.count === seal.to_seq - seal.from_seq + 1 && made.count === seal.count;
    if (!whole)
      return `Of the events ${seal.from_seq} to ${seal.to_seq} some are missing, or more than there were.`;
    return made.digest === seal.digest
      ? null
      : `Among the events ${seal.from_seq} to ${seal.to_seq} something was changed.`;
  };
  return {
    add(seq: number, entry: Entry): string | null {
      while (seq > (seals[place]?.seal.to_seq ?? Infinity)) {
        const fault = close();
        if (fault !== null) return fault;
      }
      making.add(entry);
      return null;
    },
    end(): string | null {
      while (place < seals.length) {
        const fault = close();
        if (fault !== null) return fault;
      }
      return null;
    },
  };
}

function shortness(seals: readonly OpenedSeal[], head: Head, anchor: Anchor): ReturnType<typeof compared> {
  const known = headOfAnchor(anchor);
  const first = seals[0]?.seal.n ?? 1;
  const at = seals[known.n - first];
  const left = seals[0]?.seal.kind === 'stub' && known.n < first;
  return compared(known, head, left ? 'left' : at === undefined ? 'missing' : headOf(at));
}

function shorterWords(head: Head, anchor: Anchor | null): string {
  return `The vault knows of seals up to event ${anchor?.to_seq ?? 0}; those here (up to ${head.toSeq}) do not contain them. Data were lost, or put back to an earlier state.`;
}

function notedWords(losses: readonly Loss[]): string {
  const each = losses.map(
    ({ from_seq, to_seq, at }) =>
      `${from_seq > to_seq ? 'a seal, and no event' : `events ${from_seq} to ${to_seq}`}, noted and signed at ${at}`,
  );
  return `Lost: ${each.join('; ')}. All else is as it was sealed.`;
}
