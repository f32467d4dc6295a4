// The audit duties of the stage family: seal within a second, anchor, look for losses, let old segments leave, verify when asked.
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { createSealer } from '../../shared/audit/sealer.ts';
import { signingKey } from '../../shared/audit/signing-key.ts';
import type { TrailReport } from '../../shared/audit/verify.ts';
import type { Clock } from '../../shared/lib/clock.ts';
import { logfields, type Log } from '../../shared/lib/log.ts';
import type { Claims } from '../../shared/redis/claim.ts';
import { createSealStore } from '../../shared/redis/seal-store.ts';
import type { SystemStore } from '../../shared/redis/system-store.ts';
import type { Times } from '../../shared/times.ts';
import type { Vault } from '../vault/contract.ts';
import { createAnchoring } from './anchoring.ts';
import type { AuditDeps } from './deps.ts';
import { createEpochs, type LostEvents } from './epochs.ts';
import { retire } from './retention.ts';
import { verifyOne } from './verification.ts';
import { createWatch, learn, whatIsLost, type Watched } from './watch.ts';

export interface AuditOptions {
  readonly env: string;
  readonly redis: Redis;
  readonly vault: Vault;
  readonly system: SystemStore;
  readonly claims: Claims;
  readonly clock: Clock;
  readonly times: Times;
  readonly log: Log;
  readonly signingSeed: Buffer;
  readonly keepDays: number;
  readonly credentials: () => Promise<readonly string[]>;
  /** Called with the credentials that lost events, before any of them is sealed again. */
  readonly onLoss?: (lost: readonly LostEvents[]) => Promise<void>;
}

export interface Audit {
  readonly ready: Promise<unknown>;
  readonly duties: readonly {
    readonly everyMs: number;
    readonly does: (stopping: AbortSignal) => Promise<unknown>;
  }[];
  /** Over every trail, or the one of a credential. Throws `vault_unavailable`. */
  verify(credential: string | null): Promise<readonly TrailReport[]>;
  /** See `Epochs`; done at each start, with each beat, and when Redis comes back. */
  openEpochIfShorter(): Promise<readonly LostEvents[]>;
  /** Seals what is left, and lets go of its connection. */
  stop(): Promise<void>;
}

export function createAudit(options: AuditOptions): Audit {
  const { redis, env, clock, times, log, system } = options;
  const subscriber = redis.duplicate();
  subscriber.on('error', (error: Error) => log.warn('redis connection failed', logfields(error)));
  const store = createSealStore(redis);
  const key = signingKey(options.signingSeed);
  const watch = createWatch(subscriber, env);
  const deps: AuditDeps = {
    ...options,
    store,
    key,
    watch,
    sealer: createSealer({ store, key, clock, log, epoch: () => system.epoch() }),
    holder: randomBytes(6).toString('hex'),
  };
  const anchoring = createAnchoring(deps);
  const epochs = createEpochs(deps, anchoring);
  let looked = false;

  /** One look after the other: two of one process would hold the duty together, and note a loss twice. */
  let looking: Promise<unknown> = Promise.resolve();
  function look(): Promise<readonly LostEvents[]> {
    const next = looking.then(lookOnce);
    looking = next.catch(() => undefined);
    return next;
  }

  async function lookOnce(): Promise<readonly LostEvents[]> {
    const lost = await epochs.openEpochIfShorter();
    looked = true;
    if (lost.length > 0) await options.onLoss?.(lost);
    return lost;
  }

  async function retireRound(stopping: AbortSignal): Promise<void> {
    const refs = (await everyName()).map((credential) => ({ credential, env }));
    await retire({ ...deps, anchoring }, refs, options.keepDays, stopping);
  }

  async function sealRound(): Promise<void> {
    // A trail that was put back to an earlier state is not to be sealed on before that is noted.
    if (watch.wasAway() || !looked) await look();
    const dirty = watch.all().filter((trail) => trail.dirty);
    if (dirty.length === 0) return;
    const results = await Promise.allSettled(dirty.map((trail) => sealOne(deps, trail)));
    const failed = results.find((result) => result.status === 'rejected');
    if (results.some((result) => result.status === 'fulfilled' && result.value === 'shorter')) await look();
    if (failed !== undefined) throw failed.reason;
  }

  return {
    ready: watch.ready,
    duties: [
      { everyMs: times.sealMs, does: sealRound },
      { everyMs: times.anchorMs, does: (stopping) => anchoring.round(stopping) },
      { everyMs: times.beatMs, does: look },
      { everyMs: times.retireMs, does: retireRound },
    ],
    openEpochIfShorter: look,

    async verify(credential) {
      const names = credential === null ? await everyName() : [credential];
      const reports: TrailReport[] = [];
      for (const name of names.toSorted())
        reports.push(await verifyOne(deps, anchoring, { credential: name, env }));
      return reports;
    },

    async stop() {
      watch.stop();
      if (redis.status === 'ready') await sealRound();
    },
  };

  async function everyName(): Promise<readonly string[]> {
    const known = watch.all().filter(({ seen }) => seen > 0);
    const heard = known.map(({ ref }) => ref.credential);
    return [...new Set([...(await options.credentials()), ...heard, ...(await anchoring.names())])];
  }
}

async function sealOne(deps: AuditDeps, trail: Watched): Promise<'sealed' | 'shorter'> {
  const [at] = await deps.store.positions([trail.ref]);
  if (at === undefined || (await whatIsLost(deps.store, trail, at, 0)) !== null) return 'shorter';
  // Put down first: what happens while this seals makes it dirty anew.
  trail.dirty = false;
  try {
    learn(trail, await deps.sealer.seal(trail.ref), at.seq);
    return 'sealed';
  } catch (error) {
    trail.dirty = true;
    throw error;
  }
}
