// One process of Velvet with all worker families in it, built from the product's own factories; its memory dies with it.
import type { Redis } from 'ioredis';
import { Secret } from '../../shared/lib/secret.ts';
import { createLog } from '../../shared/lib/log.ts';
import { newSealKeys } from '../../shared/lib/seal-keys.ts';
import { createRelay } from '../../shared/queue/enqueue.ts';
import { queueTable } from '../../shared/queue/queues.ts';
import { createClaims } from '../../shared/redis/claim.ts';
import { createJobStore } from '../../shared/redis/job-store.ts';
import { createTypedValues, type TypedValues } from '../../shared/redis/typed-values.ts';
import type { Times } from '../../shared/times.ts';
import { createTransitions } from '../../shared/transition.ts';
import { attempt } from '../../workers/attempt.ts';
import type { Handlers, TaskContext } from '../../workers/run.ts';
import { cleanup } from '../../workers/stages/cleanup.ts';
import type { ApiDeps } from '../../api/router.ts';
import type { DistributeDeps } from '../../workers/stages/deps.ts';
import { cleanupAfterEmergency } from '../../workers/stages/emergency-cleanup.ts';
import { checkRevokedNow, revokeNow } from '../../workers/stages/emergency.ts';
import { lockout } from '../../workers/stages/lockout.ts';
import { answerLook } from '../../workers/stages/look.ts';
import { openRows, startPhase } from '../../workers/stages/fan-out.ts';
import { inspect } from '../../workers/stages/inspect.ts';
import { mint } from '../../workers/stages/mint.ts';
import { probe } from '../../workers/stages/probe.ts';
import { push } from '../../workers/stages/push.ts';
import { readBack } from '../../workers/stages/read-back.ts';
import { reconcile } from '../../workers/stages/reconcile.ts';
import { checkRevoked, revoke } from '../../workers/stages/revoke.ts';
import { sweep } from '../../workers/stages/sweep.ts';
import { verify } from '../../workers/stages/verify.ts';
import { createAuthorities } from '../../workers/vault/authorities.ts';
import type { Vault } from '../../workers/vault/contract.ts';
import { createValues } from '../../workers/vault/values.ts';
import { createHealthcheck } from '../../workers/vendors/healthcheck.ts';
import { createDoor } from '../../workers/vendors/http.ts';
import { createRegistry } from '../../workers/vendors/registry.ts';
import { fetchThrough, redisThrough, vaultThrough, type RedisAnswers } from './doors.ts';
import { CREDENTIAL, ENV, type Outside } from './outside.ts';
import type { Entry, TaskQueue } from './queue.ts';
import type { Time } from './time.ts';
import type { Process, Turns } from './turns.ts';

export const FINGERPRINT_KEY = Buffer.alloc(32, 7);
const seal = newSealKeys();

export interface Doors {
  readonly redis: Redis;
  readonly answers: RedisAnswers;
  readonly vault: Vault;
  readonly turns: Turns;
  readonly queue: TaskQueue;
  readonly time: Time;
  readonly times: Times;
  readonly outside: Outside;
  readonly write: (line: string) => void;
}

export interface VelvetProcess extends Process {
  readonly core: DistributeDeps;
  /** What the web process has beside that: who looks for it, and what it seals with. */
  readonly web: Pick<ApiDeps, 'look' | 'typedValues' | 'sealKey'>;
  /** One attempt at a task, to its end as the queue sees it. */
  attempt(entry: Entry, lock: number): Promise<void>;
  sweep(): Promise<void>;
  /** Holds the credential against the world, as a stage worker does when Redis was restarted; `since`, and the answer, as there. */
  reconcile(since: number): Promise<number>;
}

export function createProcess(name: string, doors: Doors): VelvetProcess {
  const { turns, queue, time, times } = doors;
  const log = createLog({ env: ENV, family: name, write: doors.write, clock: time });
  const deps = depsOf(doors);
  const typedValues = createTypedValues(redisThrough(turns, doors.redis, doors.answers), times.valueKeepMs);
  const handlers = handlersOf(deps, typedValues);

  return {
    name,
    state: 'up',
    core: deps,
    web: {
      look: ({ credential, env, jobId }, consumerId) =>
        answerLook(deps, { credential, env, job_id: jobId, consumer_id: consumerId }, AbortSignal.any([])),
      typedValues,
      sealKey: Buffer.from(seal.publicKey, 'base64'),
    },
    async sweep() {
      await sweep(deps, log);
    },
    reconcile(since) {
      const signal = new AbortController().signal;
      const ref = { credential: CREDENTIAL, env: ENV };
      return reconcile({ ...deps, manifest: doors.outside.manifest }, ref, { signal, log, since });
    },
    async attempt(entry, lock) {
      const { task } = entry;
      const context: TaskContext = {
        signal: new AbortController().signal,
        log: log.with({ job_id: task.jobId, task: task.effect }),
        fence: null,
      };
      const last = entry.attemptsMade + 1 >= queueTable[entry.queue].attempts;
      const outcome = await attempt(task, context, handlers[task.effect], { last, times }).catch(
        (thrown: unknown) => ({ thrown }),
      );
      // That the queue hears of the end is an effect of its own: a process may die before it.
      await turns
        .effect(
          { door: 'queue', name: `finish ${task.effect}`, change: true },
          {
            apply: () => Promise.resolve(queue.finish(entry, lock, outcome)),
            broken: () => new Error('Connection is closed.'),
          },
        )
        .catch(() => queue.abandon(entry, lock));
    },
  };
}

function depsOf({ turns, queue, time, times, outside, ...doors }: Doors): DistributeDeps {
  const redis = redisThrough(turns, doors.redis, doors.answers);
  const vault = vaultThrough(turns, doors.vault);
  const store = createJobStore(redis, times.idempotencyKeepMs);
  const relay = createRelay(queue.queues, store, () => undefined);
  const door = createDoor({ fetch: fetchThrough(turns, outside.network.fetch), clock: time, times });
  return {
    store,
    relay,
    clock: time,
    times,
    claims: createClaims(redis, time, times.leaseMs),
    transitions: createTransitions(store, relay, time),
    vault,
    values: createValues(vault, FINGERPRINT_KEY),
    fingerprintKey: FINGERPRINT_KEY,
    registry: createRegistry({
      times,
      door,
      clock: time,
      herokuApiUrl: outside.heroku.url,
      githubApiUrl: outside.heroku.url,
    }),
    authorities: createAuthorities(vault, { HK_VELVET_BOOTSTRAP: new Secret(outside.bootstrap.token) }),
    healthcheck: createHealthcheck({ door, times }),
  };
}

function handlersOf(deps: DistributeDeps, typedValues: TypedValues): Handlers {
  return {
    enqueue_verify: verify(deps),
    enqueue_mint: mint({ ...deps, typedValues, sealKey: Buffer.from(seal.privateKey, 'base64') }),
    enqueue_distribute: startPhase(deps, 'distribute'),
    enqueue_validate: startPhase(deps, 'validate'),
    open_rows: openRows(deps),
    enqueue_revoke: revoke(deps),
    enqueue_revoke_check: checkRevoked(deps),
    enqueue_cleanup: cleanup(deps),
    enqueue_lockout: startPhase(deps, 'lockout'),
    enqueue_rev_revoke: revokeNow({ ...deps, tickets: null }),
    enqueue_rev_check: checkRevokedNow({ ...deps, tickets: null }),
    enqueue_rev_cleanup: cleanupAfterEmergency(deps),
    lockout_row: lockout({ ...deps, metrics: { observe: () => undefined } }),
    push_row: push(deps),
    read_back_row: readBack(deps),
    inspect_row: inspect(deps),
    probe_row: probe(deps),
  };
}
