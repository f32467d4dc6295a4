// Seals what a trail has that is not sealed yet, and notes what it has lost. Law: it appends only to the head that it read, so sealers cannot fork.
import { isoTime, type Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { CredentialRef, Position, SealStore } from '../redis/seal-store.ts';
import {
  digestOf,
  emptyHead,
  entriesDigest,
  headOf,
  openSeal,
  sealed,
  type Head,
  type Unsigned,
} from './seal.ts';
import type { SigningKey } from './signing-key.ts';

export interface SealerDeps {
  readonly store: SealStore;
  readonly key: SigningKey;
  readonly clock: Clock;
  readonly log: Log;
  readonly epoch: () => Promise<string | null>;
}

export interface Sealer {
  /** Seals everything up to the last event, whoever else seals too; answers with the head then. Costs one round trip where nothing is new. */
  seal(ref: CredentialRef): Promise<Head>;
  /**
   * Signs into the chain that a trail was shorter than `known`, and moves its numbers past all that were ever given: none of
   * them comes again with another content. Null where somebody else has noted it.
   */
  noteLoss(ref: CredentialRef, known: Head, seen: number, epoch: string): Promise<Noted | null>;
}

export interface Noted {
  readonly head: Head;
  readonly lost: { readonly from_seq: number; readonly to_seq: number };
}

/** Events in one segment: what a reader must hold at once, and what is read again when one of them is disputed. */
export const SEGMENT_EVENTS_MAX = 500;
/** Two processes meet now and then; a hundred times in a row is a fault. */
const TRIES_MAX = 100;

export function createSealer(deps: SealerDeps): Sealer {
  const { store, key, clock, log } = deps;

  async function append(
    ref: CredentialRef,
    at: Position,
    seal: Unsigned,
    jump?: { from: number; to: number },
  ) {
    const text = sealed(seal, key);
    const done = await store.append(ref, { after: at.last, text, ...(jump === undefined ? {} : { jump }) });
    if (!done) return null;
    const digest = digestOf(text);
    // The whole seal: with the log alone it can be told later whether this head was ever there.
    log.info('audit sealed', { ...named(ref), n: seal.n, to_seq: seal.to_seq, digest, seal: text });
    return { n: seal.n, digest, toSeq: seal.to_seq, losses: seal.losses };
  }

  async function segment(ref: CredentialRef, head: Head, to: number): Promise<Unsigned> {
    const made = entriesDigest(ref.credential, ref.env);
    const from = head.toSeq + 1;
    const upTo = Math.min(to, head.toSeq + SEGMENT_EVENTS_MAX);
    // One more than there can be: what stands between two numbers is covered too, and told from its count.
    for (const entry of await store.entries(ref, { from, to: upTo, limit: SEGMENT_EVENTS_MAX + 1 }))
      made.add(entry);
    const epoch = (await deps.epoch()) ?? 'none';
    const covered = { from_seq: from, to_seq: upTo, ...made.end() };
    return { kind: 'segment', ...ref, n: head.n + 1, ...covered, ...linked(head, epoch, clock) };
  }

  async function seal(ref: CredentialRef): Promise<Head> {
    for (let n = 0; n < TRIES_MAX; n++) {
      const at = await positionOf(store, ref);
      const head = headAt(at);
      if (head === null || at.seq <= head.toSeq) return head ?? emptyHead;
      await append(ref, at, await segment(ref, head, at.seq));
    }
    throw new Error(`could not seal ${ref.credential}: others seal all the time`);
  }

  return {
    seal,

    async noteLoss(ref, known, seen, epoch) {
      let survived: number | null = null;
      for (let n = 0; n < TRIES_MAX; n++) {
        const at = await positionOf(store, ref);
        // Where the last seal is damaged there is no telling what it said; the next one is chained to its bytes all the same.
        const head = headAt(at) ?? {
          ...known,
          n: known.n + 1,
          digest: digestOf(at.last ?? ''),
          toSeq: Math.max(known.toSeq, at.seq),
        };
        if (head.losses > known.losses) return null;
        survived ??= Math.min(head.toSeq, at.seq, await beforeAnother(store, ref, at, known));
        if (at.seq > head.toSeq) {
          await append(ref, at, await segment(ref, head, at.seq));
          continue;
        }
        const to = Math.max(known.toSeq, head.toSeq, at.seq, seen) + 1;
        const now = isoTime(clock.now());
        const lost = { at: now, epoch, from_seq: survived + 1, to_seq: Math.max(known.toSeq, seen) };
        const links = { ...linked(head, epoch, clock), losses: Math.max(head.losses, known.losses) + 1 };
        const note: Unsigned = {
          kind: 'loss',
          ...ref,
          n: head.n + 1,
          from_seq: head.toSeq + 1,
          to_seq: to,
          count: 0,
          digest: known.digest,
          ...links,
          lost,
        };
        const appended = await append(ref, at, note, { from: at.seq, to });
        if (appended !== null) return { head: appended, lost };
      }
      throw new Error(`could not note the loss of ${ref.credential}: others write all the time`);
    },
  };
}

/**
 * Where another seal stands in the place of a known one, the number up to which the seals before it go: what came after was
 * sealed by somebody who could not know what had been there. Infinity where none does.
 */
async function beforeAnother(
  store: SealStore,
  ref: CredentialRef,
  at: Position,
  known: Head,
): Promise<number> {
  const first = at.first === null ? null : openSeal(at.first);
  if (first === null || known.n < first.seal.n) return Infinity;
  const stored = await store.sealAt(ref, known.n - first.seal.n);
  const there = stored === null ? null : openSeal(stored);
  if (there === null || headOf(there).digest === known.digest) return Infinity;
  return there.seal.from_seq - 1;
}

export async function positionOf(store: SealStore, ref: CredentialRef): Promise<Position> {
  const [at] = await store.positions([ref]);
  return at ?? { first: null, last: null, seq: 0 };
}

/** The head of a trail; `emptyHead` where nothing is sealed, null where the last seal is not as it was written. */
export function headAt({ last }: Position): Head | null {
  if (last === null) return emptyHead;
  const opened = openSeal(last);
  return opened === null ? null : headOf(opened);
}

function linked(head: Head, epoch: string, clock: Clock) {
  return { prev: head.digest, epoch, losses: head.losses, at: isoTime(clock.now()) };
}

function named({ credential, env }: CredentialRef) {
  return { credential, env };
}
