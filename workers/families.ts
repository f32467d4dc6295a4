// One worker family: its environment → what its handlers need → its queue. Each may run any number of times, in one process or many.
import type { DistributeEnv, EnvByFamily, HealthcheckEnv, NotifierEnv } from '../shared/lib/env.ts';
import { logfields } from '../shared/lib/log.ts';
import { tellMoves } from '../shared/moves.ts';
import { createRelay } from '../shared/queue/enqueue.ts';
import { openQueues } from '../shared/queue/queues.ts';
import { createClaims } from '../shared/redis/claim.ts';
import { createJobStore, type JobStore } from '../shared/redis/job-store.ts';
import { createGround } from '../shared/redis/ground.ts';
import { createMetrics } from '../shared/redis/metrics.ts';
import { createScheduleStore } from '../shared/redis/schedule-store.ts';
import { createSystemStore, type WorkerFamily } from '../shared/redis/system-store.ts';
import type { JobRef, QueueName } from '../shared/rotation/effects.ts';
import { createTransitions } from '../shared/transition.ts';
import { alarmOf } from './alarm.ts';
import { repeat, type Duty } from './duties.ts';
import { stageDeps, valueDeps, type Parts, type Surroundings } from './family-deps.ts';
import { notify } from './notify/notifier.ts';
import { tellOverdue, tellStuck } from './notify/alerts.ts';
import { createSlack } from './notify/slack.ts';
import { sureGround } from './on-sure-ground.ts';
import { startWorker } from './run.ts';
import type { CoreDeps } from './stages/deps.ts';
import { lockout } from './stages/lockout.ts';
import { inspect } from './stages/inspect.ts';
import { probe } from './stages/probe.ts';
import { push } from './stages/push.ts';
import { readBack } from './stages/read-back.ts';
import { createHealthcheck } from './vendors/healthcheck.ts';
import { createDoor } from './vendors/http.ts';
import type { RunningFamily, Work } from './family-work.ts';
import { stageWork } from './stage-family.ts';

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
  const ground = sureGround({ ground: known, times, clock, reconcile, waitsForNothing: isEmergency(store) });
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

/** An emergency is right whatever Redis may have lost: what it ends is to end, and what it asks changes nothing. */
function isEmergency(store: JobStore): (ref: JobRef) => Promise<boolean> {
  return async (ref) => (await store.load(ref))?.flowType === 'revocation';
}

type Family<E> = (env: E, parts: Parts) => Work;

const familyTable: { readonly [F in WorkerFamily]: Family<EnvByFamily[F]> } = {
  stage: stageWork,

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
    const values = valueDeps(env, parts);
    const asking = createHealthcheck({
      door: parts.door,
      times: { probeMs: parts.core.times.lockoutProbeMs },
      ...(env.probeKey === null ? {} : { probeKey: env.probeKey }),
    });
    return {
      handlers: {
        probe_row: probe({ ...values, healthcheck }),
        lockout_row: lockout({ ...values, healthcheck: asking, metrics: parts.metrics }),
      },
      duties: [],
    };
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
