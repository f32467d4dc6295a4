// Moves the anchors in the vault after the heads. Law: only along the chain that the anchor names, so that a trail put back to an earlier state never gets one.
import { headOfAnchor, lossesOf, notedIn, parseAnchor, type Anchor } from '../../shared/audit/anchor.ts';
import { openSeal } from '../../shared/audit/seal.ts';
import { headAt, positionOf } from '../../shared/audit/sealer.ts';
import { isoTime } from '../../shared/lib/clock.ts';
import { leaseFrom } from '../../shared/lib/lease.ts';
import { logfields } from '../../shared/lib/log.ts';
import { anchoredCredentials, readAnchor, writeAnchor } from '../vault/anchors.ts';
import type { AuditDeps } from './deps.ts';
import { standing, type Watched } from './watch.ts';

export interface Anchoring {
  /** Throws `vault_unavailable`. Null where the vault holds none. */
  read(credential: string): Promise<Anchor | null>;
  /** The credentials that have an anchor. Throws `vault_unavailable`. */
  names(): Promise<readonly string[]>;
  /** Brings the anchor of every trail that moved up to its head. What fails is logged and tried at the next round. */
  round(signal: AbortSignal): Promise<void>;
}

export function createAnchoring(deps: AuditDeps): Anchoring {
  const { vault, watch, log } = deps;
  let failing = false;

  async function read(credential: string): Promise<Anchor | null> {
    const text = await readAnchor(vault, credential);
    return text === null ? null : parseAnchor(credential, text);
  }

  return {
    read,
    names: () => anchoredCredentials(vault),

    async round(signal) {
      for (const trail of watch.all().filter(isBehind)) {
        if (signal.aborted) return;
        try {
          await moveOne(deps, trail, signal, read);
          if (failing) log.info('audit anchors move again');
          failing = false;
        } catch (error) {
          // Seals stand in the log and in Redis meanwhile; nothing waits for this. Told once, not with each round.
          const { credential } = trail.ref;
          if (!failing) log.warn('audit anchors do not move', { credential, ...logfields(error) });
          failing = true;
          return;
        }
      }
    },
  };
}

function isBehind({ known, anchored }: Watched): boolean {
  return known !== null && known.n > 0 && known.digest !== anchored?.digest;
}

/** One process at a time, under a lease of its own: the write belongs to no job, so nobody else's fence speaks for it. */
async function moveOne(
  deps: AuditDeps,
  trail: Watched,
  signal: AbortSignal,
  read: Anchoring['read'],
): Promise<void> {
  const { store, clock, times, holder } = deps;
  const askedAt = clock.monotonic();
  const until = clock.now() + times.leaseMs;
  if (!(await store.hold(trail.ref, holder, times.leaseMs))) return;
  try {
    const lease = leaseFrom(clock, `0-${holder}`, until, askedAt, times.leaseMs);
    const call = { jobId: 'audit', fence: lease.fence, lease, signal, repeat: false };
    const before = await read(trail.ref.credential);
    const next = await nextAnchor(deps, trail, before);
    if (next === null) return;
    const { credential } = trail.ref;
    // The same anchor again where only a key is new.
    if (before === null || next.digest !== before.digest || next.keys.length !== before.keys.length)
      await writeAnchor(deps.vault, call, credential, JSON.stringify(next));
    trail.anchored = headOfAnchor(next);
  } finally {
    await store.hold(trail.ref, holder, 0);
  }
}

/** What the vault should hold now; null where the chain does not contain what it holds, which the next look at the trails deals with. */
async function nextAnchor(deps: AuditDeps, trail: Watched, before: Anchor | null): Promise<Anchor | null> {
  const { store, key, clock } = deps;
  const at = await positionOf(store, trail.ref);
  const head = headAt(at);
  if (head === null || head.n === 0) return null;
  const known = before === null ? null : headOfAnchor(before);
  if ((await standing(store, { ref: trail.ref, known }, at, 0)) === 'shorter') {
    trail.anchored = known;
    return null;
  }
  const past = before?.past ?? [];
  return {
    n: head.n,
    digest: head.digest,
    to_seq: head.toSeq,
    losses: head.losses,
    at: isoTime(clock.now()),
    keys: [...new Set([...(before?.keys ?? []), key.publicKey])],
    past: [...(head.losses > (known?.losses ?? 0) ? await withNotes(deps, trail, past) : past)],
  };
}

async function withNotes(deps: AuditDeps, trail: Watched, past: Anchor['past']) {
  const { seals } = await deps.store.whole(trail.ref);
  return lossesOf(past, notedIn(seals.map(openSeal).filter((one) => one !== null)));
}
