// Trails on a real Redis with a real vault beside them, and nothing else of Velvet around; time stands still until a test moves it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { signingKey, type SigningKey } from '../../shared/audit/signing-key.ts';
import type { TrailReport } from '../../shared/audit/verify.ts';
import { isoTime } from '../../shared/lib/clock.ts';
import { createLog } from '../../shared/lib/log.ts';
import { createClaims, type Claims } from '../../shared/redis/claim.ts';
import type { AuditEvent } from '../../shared/redis/events.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { createSealStore, type SealStore } from '../../shared/redis/seal-store.ts';
import { createSystemStore, type SystemStore } from '../../shared/redis/system-store.ts';
import { createAudit, type Audit, type AuditOptions } from '../../workers/audit/duties.ts';
import type { Vault } from '../../workers/vault/contract.ts';
import { fileVault } from '../../workers/vault/file.ts';
import { quickTimes, until } from '../harness.ts';
import { stillClock, type StillClock } from '../redis/store-world.ts';

export const ENV = 'staging';
export const ONE = 'HK_ONE';
export const TWO = 'HK_TWO';
const SEED = Buffer.alloc(32, 21);
export const ownKey: SigningKey = signingKey(SEED);

export interface TrailWorld extends AsyncDisposable {
  readonly redis: Redis;
  readonly store: SealStore;
  readonly system: SystemStore;
  readonly claims: Claims;
  readonly vault: Vault;
  readonly clock: StillClock;
  readonly log: string[];
  /** From now on every use of the vault fails, or no longer does. */
  vaultDown(down: boolean): void;
  /** A stage process's audit duties, done when the test says so. */
  stage(different?: Partial<AuditOptions>): Stage;
  write(credential: string, events: number, jobId?: string): Promise<void>;
}

export interface Stage {
  readonly audit: Audit;
  /** One round of sealing; then one of anchoring. */
  seal(): Promise<void>;
  anchor(): Promise<void>;
  retire(): Promise<void>;
  /** Hears of every event that was written, seals it, and anchors it. */
  settle(): Promise<void>;
  verdict(credential?: string): Promise<TrailReport>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function trailWorld(url: string): Promise<TrailWorld> {
  const redis = new Redis(url, { maxRetriesPerRequest: null });
  redis.on('error', () => undefined);
  await redis.flushall();
  const dir = await mkdtemp(join(tmpdir(), 'velvet-audit-'));
  const files = fileVault({ dir, key: Buffer.alloc(32, 5), folder: '/velvet', env: ENV });
  await files.initialise();
  const away = fileVault({
    dir: join(dir, 'not-there'),
    key: Buffer.alloc(32, 5),
    folder: '/velvet',
    env: ENV,
  });
  let down = false;
  // Down is a vault whose folder is gone: the real thing, and what it really throws.
  const vault = new Proxy(files, { get: (_, verb) => Reflect.get(down ? away : files, verb) as unknown });
  const clock = stillClock();
  const log: string[] = [];
  const store = createSealStore(redis);
  const system = createSystemStore(redis);
  const claims = createClaims(redis, clock, quickTimes.leaseMs);
  const stages: Stage[] = [];
  let written = 0;

  function stage(different: Partial<AuditOptions> = {}): Stage {
    const audit = createAudit({
      redis,
      env: ENV,
      vault,
      system,
      claims,
      clock,
      times: quickTimes,
      log: createLog({ env: ENV, family: 'stage', write: (line) => log.push(line), clock }),
      signingSeed: SEED,
      keepDays: 400,
      credentials: () => Promise.resolve([ONE, TWO]),
      ...different,
    });
    const signal = new AbortController().signal;
    const duty = (place: number) => async () => void (await audit.duties[place]?.does(signal));
    const [seal, anchor, , retire] = [0, 1, 2, 3].map(duty) as [Duty, Duty, Duty, Duty];
    let over = false;
    const made: Stage = {
      audit,
      seal,
      anchor,
      retire,
      async settle() {
        await until(async () => {
          await audit.openEpochIfShorter();
          await seal();
          const at = await store.positions([ONE, TWO].map((credential) => ({ credential, env: ENV })));
          const reports = await audit.verify(null).catch(() => null);
          const tails = reports?.reduce((sum, one) => sum + one.unsealed, 0) ?? 0;
          return at.length > 0 && tails === 0 ? true : null;
        });
        await anchor();
      },
      async verdict(credential = ONE) {
        const [report] = await audit.verify(credential);
        if (report === undefined) throw new Error('no report');
        return report;
      },
      async [Symbol.asyncDispose]() {
        if (!over) await audit.stop();
        over = true;
      },
    };
    stages.push(made);
    return made;
  }

  return {
    redis,
    store,
    system,
    claims,
    vault,
    clock,
    log,
    stage,
    vaultDown: (is) => (down = is),
    async write(credential, events, jobId = 'job-1') {
      for (let n = 0; n < events; n++)
        await claims.record(credential, ENV, eventOf(credential, jobId, clock.now(), (written += 1)));
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(stages.map((one) => one[Symbol.asyncDispose]()));
      redis.disconnect();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
type Duty = () => Promise<void>;

// Each event says something else, so that two of them can be told apart.
function eventOf(credential: string, jobId: string, now: number, n: number): AuditEvent {
  return {
    at: isoTime(now),
    env: ENV,
    job_id: jobId,
    credential,
    operator_id: 'ada',
    from_state: 'init',
    to_state: 'verifying',
    event: 'verify',
    detail: { note: `ü${n}` },
  };
}

/** What Redis holds of one trail, to be put back as it was. */
export interface Kept {
  readonly events: readonly (readonly [id: string, fields: readonly Buffer[]])[];
  readonly seals: readonly Buffer[];
  readonly seq: string | null;
}

export async function keep(redis: Redis, credential: string): Promise<Kept> {
  const keys = credentialKeys(credential, ENV);
  const events = await redis.xrangeBuffer(keys.events, '-', '+');
  return {
    events: events.map(([id, fields]) => [id.toString(), fields] as const),
    seals: await redis.lrangeBuffer(keys.seals, 0, -1),
    seq: await redis.get(keys.seq),
  };
}

/** Makes the trail hold exactly this, as somebody can who may do anything with Redis. */
export async function put(redis: Redis, credential: string, kept: Kept): Promise<void> {
  const keys = credentialKeys(credential, ENV);
  const writing = redis.multi().del(keys.events, keys.seals, keys.seq);
  for (const [id, fields] of kept.events) writing.xadd(keys.events, id, ...fields);
  for (const seal of kept.seals) writing.rpush(keys.seals, seal);
  if (kept.seq !== null) writing.set(keys.seq, kept.seq);
  for (const [error] of (await writing.exec()) ?? []) if (error !== null) throw error;
}
