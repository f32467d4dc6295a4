// What several routes ask before they act on a rotation: is there such a job, what is it, may anything new be started?
import { VelvetError } from '../shared/lib/errors.ts';
import { claimedBy } from '../shared/redis/refusals.ts';
import { manualProcedure } from '../shared/manifest/by-hand.ts';
import { publicAlarm } from '../shared/rotation/alarm.ts';
import type { Job } from '../shared/rotation/job.ts';
import type { Caller } from './auth.ts';
import { clipped } from './problem.ts';
import { rotationView } from './rotation-view.ts';
import type { ApiDeps } from './router.ts';

export async function view(deps: ApiDeps, job: Job, caller: Caller): Promise<Record<string, unknown>> {
  const { store, clock, times } = deps;
  const [rows, alarm] = await Promise.all([store.rows(job), alarmOf(deps, job)]);
  return { ...rotationView(job, rows, caller, clock.now(), times.stuckAfterMs), ...alarm };
}

/** Each channel's receipt of a leak; nothing where none was raised. */
async function alarmOf({ alarms, clock }: ApiDeps, job: Job): Promise<Record<string, unknown>> {
  if (job.flowType !== 'revocation') return {};
  const [state, { channels }] = await Promise.all([alarms.of(job), alarms.declared(clock.now())]);
  return { alarm: publicAlarm(state, channels) };
}

/** Null where this credential has no such job, or neither can be a name. */
export async function loadJob(
  deps: Pick<ApiDeps, 'store' | 'env'>,
  name: string,
  jobId: string,
): Promise<Job | null> {
  const named = /^[A-Za-z0-9-]{1,64}$/.test(jobId) && /^[A-Za-z0-9_.-]{1,120}$/.test(name);
  return named ? deps.store.load({ credential: name, env: deps.env, jobId }) : null;
}

/** Throws `not_found` for a job that this credential does not have. */
export async function demandJob(deps: ApiDeps, name: string, jobId: string): Promise<Job> {
  const job = await loadJob(deps, name, jobId);
  if (job !== null) return job;
  throw new VelvetError('not_found', 'no such job', {
    detail: `${clipped(name)} has no job '${clipped(jobId)}' in ${deps.env}. \`GET /tokens/${clipped(name)}/rotations\` lists them.`,
  });
}

/**
 * An operator decides on a record that was held against the world, or not at all: after a restart of Redis the job may be further
 * than it shows. That takes a moment as a rule, so it is waited for; then 503.
 */
export async function demandSureGround(deps: ApiDeps, job: Job): Promise<void> {
  const ends = deps.clock.monotonic() + deps.times.sureGroundMs;
  while (!(await deps.ground.sure(job))) {
    if (deps.clock.monotonic() >= ends)
      throw new VelvetError('degraded', 'not held against the world yet', {
        detail: `Redis was restarted, and may have lost the last that it knew of ${job.credential}: a stage worker holds the record against the vendor, the vault and the consumers first. Nothing was changed. Read the job again in a minute, for it may move by that; its \`error\`, or the stage worker's log, says what keeps it.`,
        retryAfterMs: deps.times.sureGroundMs,
        extra: { job_status: job.status, allowed_actions: [] },
      });
    await new Promise((resolve) => setTimeout(resolve, deps.times.answerPollMs));
  }
}

/** 503 where the flag is off; what runs goes on. */
export async function demandFlag(deps: ApiDeps, name: string): Promise<void> {
  const flags = await deps.system.flags();
  if (!flags.velvet_v2_rotation)
    throw new VelvetError('rotation_disabled', 'flag off', {
      extra: { manual_procedure: manualProcedure(deps.manifest, name, deps.env) },
    });
}

/** What an operator is told whose job does not hold its credential any more: who holds it now, and what to do. */
export async function claimLost(deps: ApiDeps, { credential, env, jobId }: Job): Promise<VelvetError> {
  const job = await demandJob(deps, credential, jobId);
  const claimant = await deps.store.claimant({ credential, env });
  const other = claimant === null || claimant === jobId ? null : claimedBy(claimant);
  const next = other?.detail ?? 'Nobody holds it: create a new rotation, whose verify takes it.';
  return new VelvetError(other?.code ?? 'action_not_allowed', `job ${jobId} has lost its claim`, {
    detail: `This job does not hold ${credential} any more, so nothing was changed. ${next} What this job made stands in its \`new_auth_id\` and \`vault_ref\`.`,
    extra: { ...other?.extra, job_status: job.status, allowed_actions: [] },
  });
}
