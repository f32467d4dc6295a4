// One worker family: its environment → what its handlers need → its queue. Each may run any number of times, in one process or many.
import type { DistributeEnv, EnvByFamily, HealthcheckEnv, NotifierEnv, StageEnv } from '../shared/lib/env.ts';
import { logfields } from '../shared/lib/log.ts';
import { loadManifest } from '../shared/manifest/load.ts';
import { demandSealKey } from '../shared/manifest/minted-by-hand.ts';
import { tellMoves } from '../shared/moves.ts';
import type { Manifest } from '../shared/manifest/schema.ts';
import { createRelay } from '../shared/queue/enqueue.ts';
import { openQueues } from '../shared/queue/queues.ts';
import { createAnswers } from '../shared/redis/answers.ts';
import { createClaims } from '../shared/redis/claim.ts';
import { createJobStore } from '../shared/redis/job-store.ts';
import { createGround } from '../shared/redis/ground.ts';
import { createMetrics } from '../shared/redis/metrics.ts';
import { healthOf } from '../shared/redis/health.ts';
import { createScheduleStore } from '../shared/redis/schedule-store.ts';
import { createSealStore, type SealStore } from '../shared/redis/seal-store.ts';
import { createSystemStore, type WorkerFamily } from '../shared/redis/system-store.ts';
import type { QueueName } from '../shared/rotation/effects.ts';
import { createTypedValues } from '../shared/redis/typed-values.ts';
import { createTransitions } from '../shared/transition.ts';
import { alarmOf, dailyDrill } from './alarm.ts';
import { answerQuestions } from './answer.ts';
import { createAudit } from './audit/duties.ts';
import { trailNames } from './audit/names.ts';
import { repeat, type Duty } from './duties.ts';
import { stageDeps, valueDeps, type Parts, type Surroundings } from './family-deps.ts';
import { notify } from './notify/notifier.ts';
import { tellOverdue, tellStuck } from './notify/alerts.ts';
import { createSlack } from './notify/slack.ts';
import { heartbeat } from './heartbeat.ts';
import { sureGround, type GroundDeps } from './on-sure-ground.ts';
import { startWorker, type Handlers } from './run.ts';
import { unavailable } from './stages/availability.ts';
import { cleanup } from './stages/cleanup.ts';
import type { CoreDeps, StageDeps } from './stages/deps.ts';
import { openRows, startPhase } from './stages/fan-out.ts';
import { inspect } from './stages/inspect.ts';
import { answerLook } from './stages/look.ts';
import { deepHealth } from './stages/deep-health.ts';
import { mint } from './stages/mint.ts';
import { probe } from './stages/probe.ts';
import { push } from './stages/push.ts';
import { readBack } from './stages/read-back.ts';
import { keptCredentials } from './stages/bring-back.ts';
import { reconcile } from './stages/reconcile.ts';
import { beginWhatIsDue, goOn } from './stages/schedule.ts';
import { checkRevoked, revoke } from './stages/revoke.ts';
import { sweep } from './stages/sweep.ts';
import { lookUpTicket } from './stages/ticket.ts';
import { verify } from './stages/verify.ts';
import { freescoutTickets } from './vendors/freescout.ts';
import { createHealthcheck } from './vendors/healthcheck.ts';
import { createDoor } from './vendors/http.ts';

export interface RunningFamily {
  readonly ready: Promise<unknown>;
  stop(): Promise<void>;
}

const queueOfFamily: Readonly<Record<WorkerFamily, QueueName>> = {
  stage: 'stage',
  distribute: 'distribute',
  healthcheck: 'healthcheck',
  notifier: 'notify',
};

export function startFamily<F extends WorkerFamily>(
  family: F,
  env: EnvByFamily[F],
  around: Surroundings,
): RunningFamily {
  const { redis, clock, times, log } = around;
  const onError = (error: Error) => log.warn('queue connection failed', logfields(error));
  const queues = openQueues(redis, onError);
  const store = createJobStore(redis, times.idempotencyKeepMs);
  const relay = createRelay(queues, store, (error, task) =>
    log.warn('task stays on the outbox', { task: task.effect, job_id: task.jobId, ...logfields(error) }),
  );
  const metrics = createMetrics(redis, times.metricsMs);
  const core: CoreDeps = {
    store,
    relay,
    clock,
    times,
    claims: createClaims(redis, clock, times.leaseMs),
    transitions: createTransitions(store, relay, clock, tellMoves(log, metrics)),
  };
  const known = createGround(redis);
  const door = createDoor({
    fetch: around.fetch,
    clock,
    times,
    onHeadroom: (vendor, remaining) => metrics.set('headroom', { vendor }, remaining),
  });
  const parts = { core, door, around, metrics, ground: known };
  const alarm = alarmOf(family, env, parts);
  const {
    handlers: own,
    duties,
    reconcile = null,
    alsoLooked = () => Promise.resolve([]),
    beside = [],
  } = familyTable[family](env, { ...parts, alarms: alarm.alarms });
  const handlers = family === 'notifier' ? { ...own, page_leak: alarm.told, update_alarm: alarm.told } : own;
  // A message is never wrong to send, and the alarm waits for nobody.
  const waiting = family !== 'notifier';
  const ground = sureGround({ ground: known, times, clock, reconcile });
  const worker = startWorker({
    queue: queueOfFamily[family],
    connection: redis,
    handlers: waiting ? ground.on(handlers) : handlers,
    times,
    clock,
    log,
    onRan: ({ task, updateMethod, outcome, ms }) =>
      metrics.observe('task', { task, update_method: updateMethod ?? 'none', outcome }, ms),
  });
  const system = createSystemStore(redis);
  const looking: Duty = {
    everyMs: times.sweepMs,
    does: async (signal) =>
      ground.lookAfter([...(await alsoLooked()), ...(await store.credentials())], { signal, log }),
  };
  const beating: Duty = {
    everyMs: times.beatMs,
    does: () => system.beat(family, times.beatTtlMs),
  };
  const standing = [beating, ...(reconcile === null ? [] : [looking]), ...alarm.duties, ...duties];
  const stopDuties = repeat(standing, log);
  return {
    ready: Promise.all([worker.ready, ...beside.map((one) => one.ready)]),
    async stop() {
      // Together: a duty in the middle of a call to a vendor must not use up the time in which the tasks are to end.
      await Promise.all([stopDuties(), worker.stop()]);
      await Promise.all(beside.map((one) => one.stop()));
      await Promise.all([metrics, ...Object.values(queues)].map((one) => one.close()));
    },
  };
}

interface Work {
  readonly handlers: Handlers;
  readonly duties: readonly Duty[];
  readonly reconcile?: GroundDeps['reconcile'];
  /** Credentials that are held against the world although Redis may know nothing of them. */
  readonly alsoLooked?: () => Promise<readonly { readonly credential: string; readonly env: string }[]>;
  /** What runs beside tasks and duties, and ends after them. */
  readonly beside?: readonly RunningFamily[];
}
type Family<E> = (env: E, parts: Parts) => Work;

const familyTable: { readonly [F in WorkerFamily]: Family<EnvByFamily[F]> } = {
  stage(env: StageEnv, parts) {
    const { core, around } = parts;
    const deps = stageDeps(env, parts);
    const healthcheck = createHealthcheck({ door: parts.door, times: core.times });
    const handlers: Handlers = {
      enqueue_verify: verify({ ...deps, healthcheck }),
      enqueue_mint: mint({
        ...deps,
        typedValues: createTypedValues(around.redis, core.times.valueKeepMs),
        sealKey: env.sealKey,
      }),
      enqueue_distribute: startPhase(core, 'distribute'),
      enqueue_validate: startPhase(core, 'validate'),
      open_rows: openRows(core),
      enqueue_revoke: revoke(deps),
      enqueue_revoke_check: checkRevoked(deps),
      enqueue_cleanup: cleanup(deps),
    };
    const system = createSystemStore(around.redis);
    const manifest = loadManifest(env.manifestPath, {
      allowLoopback: env.allowLoopback,
      velvetApp: env.velvetApp,
      infisicalPlace: env.infisicalPlace,
    });
    demandSealKey('VELVET_SEAL_PRIVATE_KEY', env.sealKey, { manifest, env: env.appEnv });
    const audit = createAudit({
      ...around,
      ...core,
      system,
      env: env.appEnv,
      vault: deps.vault,
      signingSeed: env.auditSigningKey,
      keepDays: env.auditDays,
      credentials: () => trailNames(core.store, manifest, env.appEnv),
    });
    const duties = [
      { everyMs: core.times.sweepMs, does: () => sweep(core, around.log) },
      {
        everyMs: core.times.availabilityMs,
        does: async (stopping: AbortSignal) => {
          const reasons = await unavailable(deps, manifest, env.appEnv, stopping);
          // What was not asked to the end would read as available.
          if (!stopping.aborted) await system.setUnavailable(reasons);
        },
      },
      ...scheduled({ env, parts, deps, manifest }),
      ...audit.duties,
    ];
    const tickets =
      env.freescout &&
      freescoutTickets({ ...env.freescout, door: parts.door, timeoutMs: core.times.ticketCallMs });
    const answering = answerQuestions({
      ...around,
      times: core.times,
      connection: around.redis,
      answers: createAnswers(around.redis),
      handlers: {
        verify_audit: async ({ credential }) => ({ trails: await audit.verify(credential) }),
        look: (asked, signal) => answerLook(deps, asked, signal),
        deep_health: (_asked, signal) => deepHealth(deps, manifest, env.appEnv, signal),
        look_up_ticket: ({ ticket_id }, signal) =>
          lookUpTicket(tickets, ticket_id, { signal, log: around.log }),
      },
    });
    return {
      handlers,
      duties,
      beside: [answering, audit],
      reconcile: (ref, context) => reconcile({ ...deps, manifest }, ref, context),
      alsoLooked: async () =>
        (await keptCredentials({ ...deps, manifest }, around.log)).map((credential) => ({
          credential,
          env: env.appEnv,
        })),
    };
  },

  distribute(env: DistributeEnv, parts) {
    const deps = {
      ...stageDeps(env, parts),
      healthcheck: createHealthcheck({ door: parts.door, times: parts.core.times }),
    };
    return {
      handlers: { push_row: push(deps), read_back_row: readBack(deps), inspect_row: inspect(deps) },
      duties: [],
    };
  },

  healthcheck(env: HealthcheckEnv, parts) {
    const healthcheck = createHealthcheck({
      door: parts.door,
      times: parts.core.times,
      ...(env.probeKey === null ? {} : { probeKey: env.probeKey }),
    });
    return { handlers: { probe_row: probe({ ...valueDeps(env, parts), healthcheck }) }, duties: [] };
  },

  notifier(env: NotifierEnv, { core, door, around, alarms }) {
    const slack = env.slack && {
      client: createSlack({
        token: env.slack.token,
        apiUrl: env.slack.apiUrl,
        door,
        timeoutMs: core.times.slackMs,
      }),
      operatorChannel: env.slack.operatorChannel,
      alertChannel: env.slack.alertChannel,
    };
    const schedules = createScheduleStore(around.redis);
    const system = createSystemStore(around.redis);
    const deps = { ...core, slack, schedules, system, alarms, publicUrl: env.publicUrl };
    return {
      handlers: { notify: notify(deps), tell_stuck: tellStuck(deps), tell_overdue: tellOverdue(deps) },
      duties: [],
    };
  },
};

/** What a stage worker begins, and vouches for, without being asked. */
function scheduled({
  env,
  parts: { around, core, door, ground, alarms },
  deps,
  manifest,
}: {
  readonly env: StageEnv;
  readonly parts: Parts;
  readonly deps: StageDeps;
  readonly manifest: Manifest;
}): readonly Duty[] {
  const { redis, log } = around;
  const { times } = core;
  const system = createSystemStore(redis);
  const { allowVolatileRedis, appEnv } = env;
  const health = () => healthOf({ redis, system, alarms, allowVolatileRedis, env: appEnv, clock: core.clock, log }); // prettier-ignore
  const schedules = createScheduleStore(redis);
  const about = { ...deps, manifest, env: env.appEnv, schedules, system, ground, health, log };
  const seals = createSealStore(redis);
  const hold: SealStore['hold'] = (...of) => seals.hold(...of);
  const url = env.heartbeatUrl;
  return [
    dailyDrill({ alarms, hold, now: () => core.clock.now(), times }),
    { everyMs: times.sweepMs, does: () => goOn(about) },
    { everyMs: times.scheduleMs, does: () => beginWhatIsDue(about) },
    ...(url === null ? [] : [heartbeat({ url, door, hold, health, times })]),
  ];
}
