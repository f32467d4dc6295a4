// What one stage process knows of the trails: which have new events, how far each had come. Law: it hears that there are events, so that a quiet trail costs nothing; what there is it reads.
import type { Redis } from 'ioredis';
import { compared, later, type Place } from '../../shared/audit/anchor.ts';
import { emptyHead, headOf, openSeal, type Head } from '../../shared/audit/seal.ts';
import { headAt } from '../../shared/audit/sealer.ts';
import { credentialOfWake, wakePattern } from '../../shared/redis/keys.ts';
import type { CredentialRef, Position, SealStore } from '../../shared/redis/seal-store.ts';

/** One trail, as far as this process knows it. */
export interface Watched {
  readonly ref: CredentialRef;
  /** The latest head that was seen here; null where none was. */
  known: Head | null;
  /** The highest number that was read. What a channel says is no evidence: Redis has one set of them for all its databases. */
  seen: number;
  dirty: boolean;
  /** The head that the vault holds, as far as this process knows. */
  anchored: Head | null;
}

export interface Watch {
  of(credential: string): Watched;
  all(): readonly Watched[];
  /** Whether Redis was away since this was asked last: what it holds may be older than what was heard. */
  wasAway(): boolean;
  readonly ready: Promise<unknown>;
  stop(): void;
}

/** `subscriber` is used for pub/sub alone. Trails of another environment are somebody else's. */
export function createWatch(subscriber: Redis, env: string): Watch {
  const trails = new Map<string, Watched>();
  let away = false;
  const of = (credential: string): Watched => {
    const found = trails.get(credential);
    if (found !== undefined) return found;
    const made = { ref: { credential, env }, known: null, seen: 0, dirty: false, anchored: null };
    trails.set(credential, made);
    return made;
  };
  subscriber.on('pmessage', (_pattern: string, channel: string) => {
    const said = credentialOfWake(channel);
    if (said?.env === env) of(said.credential).dirty = true;
  });
  // What was published while the connection was away was heard by nobody here.
  subscriber.on('ready', () => (away = true));
  return {
    of,
    all: () => [...trails.values()],
    wasAway() {
      const was = away;
      away = false;
      return was;
    },
    ready: subscriber.psubscribe(wakePattern),
    stop: () => subscriber.disconnect(),
  };
}

/** How a trail stands to what is known of it. `at` is what it was a moment after `seen` was noted. */
export async function standing(
  store: SealStore,
  trail: Pick<Watched, 'ref' | 'known'>,
  at: Position,
  seen: number,
): Promise<'good' | 'shorter'> {
  const head = headAt(at);
  if (head === null) return 'shorter';
  if (at.seq < Math.max(head.toSeq, seen)) return 'shorter';
  const { known } = trail;
  if (known === null || (known.n === head.n && known.digest === head.digest)) return 'good';
  return compared(known, head, await placeIn(store, trail.ref, at, known.n)) === 'shorter'
    ? 'shorter'
    : 'good';
}

/**
 * The head, and the number of the last event, that a trail had and does not have any more; null where nothing is missing. What
 * this process saw and what the vault holds are asked one by one: either may know what the other does not.
 */
export async function whatIsLost(
  store: SealStore,
  trail: Pick<Watched, 'ref' | 'known' | 'anchored'>,
  at: Position,
  seen: number,
): Promise<{ readonly known: Head; readonly seen: number } | null> {
  const { ref, known, anchored } = trail;
  if ((await standing(store, { ref, known }, at, seen)) === 'shorter')
    return { known: later(known, anchored) ?? emptyHead, seen };
  if ((await standing(store, { ref, known: anchored }, at, 0)) === 'good') return null;
  // All that this process saw is there: it began, or went on, after what the vault knows was gone.
  return { known: anchored ?? emptyHead, seen: 0 };
}

async function placeIn(store: SealStore, ref: CredentialRef, at: Position, n: number): Promise<Place> {
  const first = at.first === null ? null : openSeal(at.first);
  if (first === null) return 'missing';
  if (n < first.seal.n) return first.seal.kind === 'stub' ? 'left' : 'missing';
  const stored = await store.sealAt(ref, n - first.seal.n);
  const opened = stored === null ? null : openSeal(stored);
  return opened === null || opened.seal.n !== n ? 'missing' : headOf(opened);
}

/** Takes note of a head that was seen to be good, and of the number of the last event then. */
export function learn(trail: Watched, head: Head, seq: number): void {
  trail.known = later(head, trail.known);
  trail.seen = Math.max(trail.seen, head.toSeq, seq);
}
