// What somebody can do who may change anything in Redis, and has a signing key, but another one than the stage worker.
import {
  digestOf,
  entriesDigest,
  openSeal,
  sealed,
  seqOf,
  type Seal,
  type Unsigned,
} from '../../shared/audit/seal.ts';
import { signingKey, type SigningKey } from '../../shared/audit/signing-key.ts';
import type { Trail } from '../../shared/audit/verify.ts';
import { ENV, ownKey, type Kept } from './trail-world.ts';

export const strangersKey = signingKey(Buffer.alloc(32, 66));
/** The stranger's key under the name of the installation's own. */
export const borrowedName: SigningKey = { ...strangersKey, id: ownKey.id };

/** One way of changing a trail. */
export interface Tampering {
  readonly says: string;
  readonly kept: Kept;
}

export function trailOf(credential: string, kept: Kept): Trail {
  return {
    credential,
    env: ENV,
    seals: kept.seals,
    seq: Number(kept.seq ?? 0),
    entries: async function* () {
      yield kept.events.map(([id, fields]) => ({ id, fields }));
    },
  };
}

/** The seals made anew over the events as they are, each digest and each link right, signed with another key. */
export function resealed(kept: Kept, key: SigningKey): Kept {
  let before: { digest: string; toSeq: number } = { digest: '', toSeq: 0 };
  const seals = kept.seals.flatMap((stored, place) => {
    const opened = openSeal(stored);
    if (opened === null) return [stored];
    const { key_id: _, ...seal } = opened.seal;
    const text = sealed(fitted(seal, kept, place, before), key);
    before = { digest: digestOf(text), toSeq: seal.to_seq };
    return [Buffer.from(text)];
  });
  return { ...kept, seals };
}

function fitted(
  seal: Unsigned,
  kept: Kept,
  place: number,
  before: { readonly digest: string; readonly toSeq: number },
): Unsigned {
  if (seal.kind === 'stub') return seal;
  const link = { n: place + 1, prev: before.digest, from_seq: before.toSeq + 1 };
  if (seal.kind === 'loss') return { ...seal, ...link };
  const made = entriesDigest(seal.credential, seal.env);
  for (const [id, fields] of kept.events) {
    const seq = seqOf(id) ?? 0;
    if (seq > before.toSeq && seq <= seal.to_seq) made.add({ id, fields });
  }
  return { ...seal, ...link, ...made.end() };
}

/** Every byte of every event and of every seal, each changed in each of these bits. */
export function* byteEdits(kept: Kept, bits: readonly number[]): Generator<Tampering> {
  for (const [at, [id, fields]] of kept.events.entries()) {
    for (const [part, field] of fields.entries()) {
      for (const { says, bytes } of flips(field, bits)) {
        const changed = [id, fields.with(part, bytes)] as const;
        yield { says: `event ${id}, ${says}`, kept: { ...kept, events: kept.events.with(at, changed) } };
      }
    }
  }
  for (const [at, seal] of kept.seals.entries())
    for (const { says, bytes } of flips(seal, bits))
      yield { says: `seal ${at + 1}, ${says}`, kept: { ...kept, seals: kept.seals.with(at, bytes) } };
}

function* flips(bytes: Buffer, bits: readonly number[]) {
  for (let at = 0; at < bytes.length; at++) {
    for (const bit of bits) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ (1 << bit);
      yield { says: `byte ${at}, bit ${bit}`, bytes: changed };
    }
  }
}

/** Deletions, swaps and truncations, of events and of seals; with what stays renumbered, and as it was. */
export function* structural(kept: Kept): Generator<Tampering> {
  const { events, seals } = kept;
  const first = seqOf(events[0]?.[0] ?? '') ?? 1;
  for (const [at, [id]] of events.entries()) {
    const without = events.toSpliced(at, 1);
    yield { says: `event ${id} deleted`, kept: { ...kept, events: without } };
    const closed = without.map(([, fields], n) => [`${first + n}-0`, fields] as const);
    yield { says: `event ${id} deleted, the rest renumbered`, kept: { ...kept, events: closed } };
    yield {
      says: `event ${id} deleted, the rest renumbered, the number too`,
      kept: { ...kept, events: closed, seq: String(first + closed.length - 1) },
    };
    yield { says: `events from ${id} on cut off`, kept: { ...kept, events: events.slice(0, at) } };
    yield {
      says: `events from ${id} on cut off, the number too`,
      kept: { ...kept, events: events.slice(0, at), seq: String(first + at - 1) },
    };
    yield { says: `events up to ${id} cut off`, kept: { ...kept, events: events.slice(at + 1) } };
    const [before, twin] = [`${first + at - 1}-1`, [`${first + at}-1`, events[at]?.[1] ?? []] as const];
    if (at > 0)
      yield {
        says: `an event ${before} put in`,
        kept: { ...kept, events: events.toSpliced(at, 0, [before, events[at]?.[1] ?? []]) },
      };
    yield { says: `event ${id} doubled`, kept: { ...kept, events: events.toSpliced(at + 1, 0, twin) } };
    yield {
      says: `event ${id} with a further field`,
      kept: {
        ...kept,
        events: events.with(at, [id, [...(events[at]?.[1] ?? []), Buffer.from('a'), Buffer.from('b')]]),
      },
    };
    for (let other = at + 1; other < events.length; other++) {
      const [a, b] = [events[at], events[other]];
      // Every event says something else: only the numbers stay where they are.
      if (a !== undefined && b !== undefined)
        yield {
          says: `events ${id} and ${b[0]} swapped`,
          kept: { ...kept, events: events.with(at, [a[0], b[1]]).with(other, [b[0], a[1]]) },
        };
    }
  }
  for (const at of seals.keys()) {
    yield { says: `seal ${at + 1} deleted`, kept: { ...kept, seals: seals.toSpliced(at, 1) } };
    yield { says: `seals from ${at + 1} on cut off`, kept: { ...kept, seals: seals.slice(0, at) } };
    yield {
      says: `seal ${at + 1} doubled`,
      kept: { ...kept, seals: seals.toSpliced(at, 0, seals[at] as Buffer) },
    };
    for (let other = at + 1; other < seals.length; other++)
      yield {
        says: `seals ${at + 1} and ${other + 1} swapped`,
        kept: { ...kept, seals: seals.with(at, seals[other] as Buffer).with(other, seals[at] as Buffer) },
      };
  }
}

/** Back to each earlier state: the stream, the seals, the number, and each mixture of them. */
export function* rollBacks(states: readonly Kept[], now: Kept): Generator<Tampering> {
  for (const [at, then] of states.entries()) {
    for (const parts of mixtures)
      yield {
        says: `${parts.join(' and ')} back to state ${at}`,
        kept: { ...now, ...Object.fromEntries(parts.map((part) => [part, then[part]])) },
      };
  }
}

const mixtures: readonly (readonly (keyof Kept)[])[] = [
  ['events'],
  ['seals'],
  ['seq'],
  ['events', 'seals'],
  ['events', 'seq'],
  ['seals', 'seq'],
  ['events', 'seals', 'seq'],
];

/** Forged claims that need a signature to be believed: that data were lost, or had left. */
export function* forgedNotes(kept: Kept, key: SigningKey): Generator<Tampering> {
  const opened = kept.seals.map((seal) => openSeal(seal)?.seal);
  for (const [at, seal] of opened.entries()) {
    if (seal === undefined) continue;
    const rest = { ...kept, events: kept.events.filter(([id]) => (seqOf(id) ?? 0) > seal.to_seq) };
    const stub = {
      ...seal,
      kind: 'stub' as const,
      from_seq: 1,
      digest: digestOf(kept.seals[at] as Buffer),
      prev: '',
      past: [],
    };
    yield {
      says: `all up to seal ${at + 1} as if it had left`,
      kept: { ...rest, seals: [Buffer.from(sealed(withoutKey(stub), key)), ...kept.seals.slice(at + 1)] },
    };
    const note = {
      ...seal,
      kind: 'loss' as const,
      count: 0,
      losses: seal.losses + 1,
      lost: { at: seal.at, epoch: seal.epoch, from_seq: seal.from_seq, to_seq: seal.to_seq },
    };
    const gone = kept.events.filter(([id]) => (seqOf(id) ?? 0) < seal.from_seq);
    yield {
      says: `seal ${at + 1} as if it had been lost`,
      kept: {
        ...kept,
        events: gone,
        seals: [...kept.seals.slice(0, at), Buffer.from(sealed(withoutKey(note), key))],
      },
    };
  }
}

function withoutKey(seal: Seal): Unsigned {
  // `sealed` names its own key, whatever the seal says.
  return seal;
}
