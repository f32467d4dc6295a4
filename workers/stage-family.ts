// The stage family: every step of a job that is about one credential, and what is looked after without being asked.
import type { StageEnv } from '../shared/lib/env.ts';
import { loadManifest } from '../shared/manifest/load.ts';
import { demandSealKey } from '../shared/manifest/minted-by-hand.ts';
import type { Manifest } from '../shared/manifest/schema.ts';
import { createAnswers } from '../shared/redis/answers.ts';
import { healthOf } from '../shared/redis/health.ts';
import { createScheduleStore } from '../shared/redis/schedule-store.ts';
import { createSealStore, type SealStore } from '../shared/redis/seal-store.ts';
import { createSystemStore } from '../shared/redis/system-store.ts';
import { createTypedValues } from '../shared/redis/typed-values.ts';
import { dailyDrill } from './alarm.ts';
import { answerQuestions } from './answer.ts';
import { createAudit } from './audit/duties.ts';
import { trailNames } from './audit/names.ts';
import type { Duty } from './duties.ts';
import { stageDeps, type Parts } from './family-deps.ts';
import { heartbeat } from './heartbeat.ts';
import type { Handlers } from './run.ts';
import { unavailable } from './stages/availability.ts';
import { cleanup } from './stages/cleanup.ts';
import type { StageDeps } from './stages/deps.ts';
import { openRows, startPhase } from './stages/fan-out.ts';
import { checkRevokedNow, revokeNow } from './stages/emergency.ts';
import { cleanupAfterEmergency } from './stages/emergency-cleanup.ts';
import { answerLook } from './stages/look.ts';
import { deepHealth } from './stages/deep-health.ts';
import { mint } from './stages/mint.ts';
import { keptCredentials } from './stages/bring-back.ts';
import { reconcile } from './stages/reconcile.ts';
import { beginWhatIsDue, goOn } from './stages/schedule.ts';
import { checkRevoked, revoke } from './stages/revoke.ts';
import { sweep } from './stages/sweep.ts';
import { lookUpTicket } from './stages/ticket.ts';
import { verify } from './stages/verify.ts';
import type { Tickets } from './vendors/contract.ts';
import { freescoutTickets } from './vendors/freescout.ts';
import { createHealthcheck } from './vendors/healthcheck.ts';
import type { Work } from './family-work.ts';

export function stageWork(env: StageEnv, parts: Parts): Work {
  const { core, around } = parts;
  const deps = stageDeps(env, parts);
  const tickets =
    env.freescout &&
    freescoutTickets({ ...env.freescout, door: parts.door, timeoutMs: parts.core.times.ticketCallMs });
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
    handlers: handlersOf(env, parts, { ...deps, tickets }),
    duties,
    beside: [answering, audit],
    reconcile: (ref, context) => reconcile({ ...deps, manifest }, ref, context),
    alsoLooked: async () =>
      (await keptCredentials({ ...deps, manifest }, around.log)).map((credential) => ({
        credential,
        env: env.appEnv,
      })),
  };
}

function handlersOf(
  env: StageEnv,
  { core, around, door }: Parts,
  deps: StageDeps & { readonly tickets: Tickets | null },
): Handlers {
  const healthcheck = createHealthcheck({ door, times: core.times });
  const baseline = createHealthcheck({ door, times: { probeMs: core.times.baselineMs } });
  const emergency = { ...deps, healthcheck: baseline };
  return {
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
    enqueue_lockout: startPhase(core, 'lockout'),
    enqueue_rev_revoke: revokeNow(emergency),
    enqueue_rev_check: checkRevokedNow(emergency),
    enqueue_rev_cleanup: cleanupAfterEmergency(deps),
  };
}

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
