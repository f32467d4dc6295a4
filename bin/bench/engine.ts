// The engine under measurement: real queues, workers, handlers and scripts in this process, and a destination that answers at once.
import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { systemClock } from '../../shared/lib/clock.ts';
import { createLog } from '../../shared/lib/log.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { createRelay } from '../../shared/queue/enqueue.ts';
import { openQueues } from '../../shared/queue/queues.ts';
import { createClaims } from '../../shared/redis/claim.ts';
import { connect } from '../../shared/redis/connection.ts';
import { createGround } from '../../shared/redis/ground.ts';
import { createJobStore } from '../../shared/redis/job-store.ts';
import { times } from '../../shared/times.ts';
import { createTransitions } from '../../shared/transition.ts';
import { sureGround } from '../../workers/on-sure-ground.ts';
import { startWorker, type Handler, type Handlers } from '../../workers/run.ts';
import type { CoreDeps, DistributeDeps } from '../../workers/stages/deps.ts';
import { openRows, startPhase } from '../../workers/stages/fan-out.ts';
import { push } from '../../workers/stages/push.ts';
import { sweep } from '../../workers/stages/sweep.ts';
import { createAuthorities } from '../../workers/vault/authorities.ts';
import { slots } from '../../workers/vault/contract.ts';
import { fileVault, type FileVault } from '../../workers/vault/file.ts';
import { createValues } from '../../workers/vault/values.ts';
import type { Destination } from '../../workers/vendors/contract.ts';
import { wrapDestination } from '../../workers/vendors/registry.ts';
import { setUpCall, toTheMint } from './minting-job.ts';

const CREDENTIAL = 'HK_PLATFORM_FULL';
const AUTHORITY = 'HK_CONFIG_WRITER';
const ENV = 'development';

/** What a fan-out is measured on. */
export interface Engine extends AsyncDisposable {
  /** Milliseconds from the commit of the mint to the order of the next phase, with every row written and settled in between. */
  distributed(rows: number): Promise<number>;
}

export async function openEngine(redisUrl: string, folder: string): Promise<Engine> {
  const redis = connect({ url: redisUrl, rejectUnauthorized: true }, 'working', times, () => undefined);
  const queues = openQueues(redis, () => undefined);
  const store = createJobStore(redis, times.idempotencyKeepMs);
  // Formatted like every line of the product, and written nowhere: a terminal's speed is not the engine's.
  const log = createLog({ env: ENV, family: 'bench', write: () => undefined });
  const relay = createRelay(queues, store, () => undefined);
  const core: CoreDeps = {
    store,
    relay,
    clock: systemClock,
    times,
    claims: createClaims(redis, systemClock, times.leaseMs),
    transitions: createTransitions(store, relay, systemClock),
  };
  const vault = fileVault({
    dir: join(folder, `vault-${randomUUID()}`),
    key: randomBytes(32),
    folder: '/velvet',
    env: ENV,
  });
  await vault.initialise();
  await vault.write(setUpCall(), slots.current(AUTHORITY), new Secret(randomUUID()));
  const deps = distributeDeps(core, vault);

  const ended = closing();
  const about = { connection: redis, times, clock: systemClock, log };
  const ground = createGround(redis);
  const onGround = (handlers: Handlers) =>
    sureGround({
      ground,
      times,
      clock: systemClock,
      reconcile: null,
      waitsForNothing: () => Promise.resolve(false),
    }).on(handlers);
  const stages = onGround({
    enqueue_distribute: startPhase(core, 'distribute'),
    open_rows: openRows(core),
    enqueue_validate: ended.handler,
  });
  const rows = onGround({ push_row: push(deps) });
  const workers = [
    startWorker({ ...about, queue: 'stage', handlers: stages }),
    startWorker({ ...about, queue: 'distribute', handlers: rows }),
  ];
  await Promise.all(workers.map(({ ready }) => ready));
  const sweeping = setInterval(() => void sweep(core, log), times.sweepMs);

  return {
    async distributed(rows) {
      const ref = { credential: CREDENTIAL, env: ENV, jobId: randomUUID() };
      await ground.reconciled(ref, await ground.server());
      const minted = await toTheMint(deps, ref, { rows, authority: AUTHORITY });
      const over = ended.next(ref.jobId);
      const startedAt = systemClock.monotonic();
      await minted();
      await over;
      return systemClock.monotonic() - startedAt;
    },
    async [Symbol.asyncDispose]() {
      clearInterval(sweeping);
      await Promise.all(workers.map((worker) => worker.stop()));
      await Promise.all(Object.values(queues).map((queue) => queue.close()));
      redis.disconnect();
    },
  };
}

/** The order of the next phase ends the measurement instead of being carried out. */
function closing(): { readonly handler: Handler; readonly next: (jobId: string) => Promise<void> } {
  const waiting = new Map<string, () => void>();
  return {
    handler: {
      run(task) {
        waiting.get(task.jobId)?.();
        return Promise.resolve('done');
      },
      failed: () => Promise.resolve(),
    },
    next: (jobId) => new Promise((resolve) => waiting.set(jobId, resolve)),
  };
}

function distributeDeps(core: CoreDeps, vault: FileVault): DistributeDeps {
  const fingerprintKey = randomBytes(32);
  const destination = wrapDestination({ clock: systemClock }, instantly);
  return {
    ...core,
    vault,
    fingerprintKey,
    values: createValues(vault, fingerprintKey),
    authorities: createAuthorities(vault, {}),
    registry: { issuer: () => neverAsked('an issuer'), destination: () => destination },
    healthcheck: { probe: () => neverAsked('a consumer') },
  };
}

const instantly: Destination = {
  method: 'HEROKU_CONFIG_PATCH',
  capabilities: { readBack: 'value', creates: false, lateMs: 0 },
  push: () => Promise.resolve({ version: '1' }),
  settled: () => Promise.resolve('yes'),
  readBack: () => neverAsked('a read-back'),
  mayWrite: () => neverAsked('a permission'),
};

function neverAsked(what: string): never {
  throw new Error(`${what} has no part in this bench`);
}
