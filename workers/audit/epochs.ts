// Looks whether Redis has lost events: each trail against what the vault and this process know of it. A trail that is shorter opens a new epoch, once.
import { headOfAnchor } from '../../shared/audit/anchor.ts';
import { emptyHead, type Head, type Loss } from '../../shared/audit/seal.ts';
import { headAt, positionOf } from '../../shared/audit/sealer.ts';
import { isoTime } from '../../shared/lib/clock.ts';
import { isVelvetError } from '../../shared/lib/errors.ts';
import { logfields } from '../../shared/lib/log.ts';
import { systemOperator } from '../../shared/redis/events.ts';
import type { CredentialRef } from '../../shared/redis/seal-store.ts';
import type { Anchoring } from './anchoring.ts';
import type { AuditDeps } from './deps.ts';
import { learn, whatIsLost, type Watched } from './watch.ts';

/** A credential that lost events. Whoever writes for it next must look at the vendor first. */
export interface LostEvents extends CredentialRef {
  readonly epoch: string;
  readonly lost: Pick<Loss, 'from_seq' | 'to_seq'>;
}

export interface Epochs {
  /**
   * Compares every trail, and where one is shorter than what is known of it opens one new epoch for all of them and signs a
   * note of the loss into each. Answers with those that this process noted. With the vault away it compares with what this
   * process saw itself, and looks again once the vault is back. One stage process at a time; the others answer with none.
   */
  openEpochIfShorter(): Promise<readonly LostEvents[]>;
}

const DUTY = 'epoch';

/** A trail that is shorter, and what is missing from it. */
interface Short {
  readonly trail: Watched;
  readonly known: Head;
  readonly seen: number;
}

export function createEpochs(deps: AuditDeps, anchoring: Pick<Anchoring, 'read' | 'names'>): Epochs {
  const { store, system, watch, times, holder, log } = deps;
  /** Trails whose anchor was read by this process; the others are asked for until the vault has answered. */
  const asked = new Set<string>();

  async function askVault(trail: Watched): Promise<void> {
    const anchor = await anchoring.read(trail.ref.credential);
    asked.add(trail.ref.credential);
    if (anchor === null) return;
    // Not made one with what is known: the process may have begun on an earlier state and sealed on, and the later of two
    // heads would then be the one that took the other's place.
    trail.anchored = headOfAnchor(anchor);
  }

  /** Every trail that there is, with what the vault knows of those that it was not asked about yet. */
  async function trails(): Promise<readonly Watched[]> {
    const names = [...(await deps.credentials()), ...watch.all().map(({ ref }) => ref.credential)];
    try {
      if (asked.size === 0) names.push(...(await anchoring.names()));
      const all = [...new Set(names)].map((name) => watch.of(name));
      for (const trail of all) if (!asked.has(trail.ref.credential)) await askVault(trail);
      return all;
    } catch (error) {
      if (!isVelvetError(error) || error.code !== 'vault_unavailable') throw error;
      log.warn('audit anchors not compared', logfields(error));
      return [...new Set(names)].map((name) => watch.of(name));
    }
  }

  async function shorterOnes(all: readonly Watched[]): Promise<readonly Short[]> {
    const seen = all.map((trail) => trail.seen);
    const positions = await store.positions(all.map(({ ref }) => ref));
    const shorter: Short[] = [];
    for (const [n, trail] of all.entries()) {
      const at = positions[n] ?? { first: null, last: null, seq: 0 };
      const lost = await whatIsLost(store, trail, at, seen[n] ?? 0);
      if (lost !== null) {
        shorter.push({ trail, ...lost });
        continue;
      }
      const head = headAt(at) ?? emptyHead;
      learn(trail, head, at.seq);
      if (at.seq > head.toSeq) trail.dirty = true;
    }
    return shorter;
  }

  /** A seal may leave, or be appended by somebody else, between two reads: only what is seen again is a loss. */
  async function confirmed(suspects: readonly Short[]): Promise<readonly Short[]> {
    for (const { trail } of suspects) {
      try {
        await askVault(trail);
      } catch (error) {
        if (!isVelvetError(error) || error.code !== 'vault_unavailable') throw error;
      }
    }
    return shorterOnes(suspects.map(({ trail }) => trail));
  }

  async function note({ trail, known, seen }: Short, epoch: string): Promise<LostEvents | null> {
    const noted = await deps.sealer.noteLoss(trail.ref, known, seen, epoch);
    const head = noted?.head ?? headAt(await positionOf(store, trail.ref));
    if (head !== null) {
      trail.known = head;
      trail.seen = Math.max(trail.seen, head.toSeq);
    }
    trail.dirty = true;
    if (noted === null) return null;
    const { credential, env } = trail.ref;
    const lost = { from_seq: noted.lost.from_seq, to_seq: noted.lost.to_seq };
    log.error('audit events lost', { credential, epoch, ...lost });
    await deps.claims.record(credential, env, {
      at: isoTime(deps.clock.now()),
      env,
      job_id: null,
      credential,
      operator_id: systemOperator,
      from_state: null,
      to_state: null,
      event: 'events_lost',
      detail: { ...lost, epoch },
    });
    return { ...trail.ref, epoch, lost };
  }

  return {
    async openEpochIfShorter() {
      if (!(await store.hold(DUTY, holder, times.leaseMs))) return [];
      try {
        const before = await system.epoch();
        const suspects = await shorterOnes(await trails());
        const shorter = suspects.length === 0 ? [] : await confirmed(suspects);
        if (shorter.length === 0) {
          await system.demandEpoch();
          return [];
        }
        // First the epoch: whoever follows is told before a number can come again.
        const epoch = await system.openEpoch(before);
        const noted: LostEvents[] = [];
        for (const short of shorter) {
          const one = await note(short, epoch);
          if (one !== null) noted.push(one);
        }
        return noted;
      } finally {
        await store.hold(DUTY, holder, 0);
      }
    },
  };
}
