// What begins by itself: due rotations, daily drift checks, and how far a scheduled rotation goes without a person. Law: each due time begins one job, whoever looks, and nothing here ever revokes.
import { randomUUID } from 'node:crypto';
import { isVelvetError, type ErrorCode } from '../../shared/lib/errors.ts';
import { isoTime } from '../../shared/lib/clock.ts';
import { logfields, type Log } from '../../shared/lib/log.ts';
import { dueAt, lastDue } from '../../shared/manifest/due.ts';
import { pinned, type Pinned } from '../../shared/manifest/pin.ts';
import type { Credential, Manifest } from '../../shared/manifest/schema.ts';
import { scheduleOperator } from '../../shared/redis/events.ts';
import { firstRecord } from '../../shared/redis/first-record.ts';
import type { Ground } from '../../shared/redis/ground.ts';
import type { Health } from '../../shared/redis/health.ts';
import { idempotencyHash } from '../../shared/redis/keys.ts';
import type { Schedule, ScheduleStore } from '../../shared/redis/schedule-store.ts';
import type { SystemStore } from '../../shared/redis/system-store.ts';
import type { JobRef } from '../../shared/rotation/effects.ts';
import type { JobPatch } from '../../shared/rotation/job-record.ts';
import { kindOf, type Job } from '../../shared/rotation/job.ts';
import { agedSchedule } from './ages.ts';
import type { ValueDeps } from './deps.ts';

export interface ScheduleDeps extends ValueDeps {
  readonly manifest: Manifest;
  readonly env: string;
  readonly schedules: ScheduleStore;
  readonly system: Pick<SystemStore, 'flags'>;
  readonly ground: Pick<Ground, 'sure'>;
  readonly health: () => Promise<Health>;
  readonly log: Log;
}

type CredentialRef = Pick<JobRef, 'credential' | 'env'>;

/** One round over the manifest. Several may look at once. What fails for one credential does not hold up the others. */
export async function beginWhatIsDue(deps: ScheduleDeps): Promise<void> {
  for (const credential of deps.manifest.credentials) {
    if (credential.rotation === undefined && credential.drift_check === undefined) continue;
    const ref = { credential: credential.token_name, env: deps.env };
    try {
      const pins = pinned(deps.manifest, ref.credential, ref.env, deps.clock.now());
      // After a restart of Redis what it still knows is held against the world first.
      if (pins === null || !(await deps.ground.sure(ref))) continue;
      await rotateIfDue(deps, ref, credential, pins);
      if (credential.drift_check !== undefined) await checkIfDue(deps, ref, pins);
    } catch (error) {
      deps.log.warn('the schedule of one credential is not looked at', {
        credential: ref.credential,
        ...logfields(error),
      });
    }
  }
}

async function rotateIfDue(
  deps: ScheduleDeps,
  ref: CredentialRef,
  { rotation }: Credential,
  pins: Pinned,
): Promise<void> {
  if (rotation === undefined) return;
  const schedule = await agedSchedule(deps, ref);
  if (schedule === null) return;
  const now = deps.clock.now();
  await tellIfOverdue(
    deps,
    ref,
    schedule,
    lastDue(rotation, schedule.since, now - deps.times.overdueAfterMs),
  );
  const due = lastDue(rotation, schedule.since, now);
  if (due === null || schedule.started_for >= due || !(await mayRotate(deps, ref))) return;
  await begin(deps, ref, pins, {
    key: `rotation.${due}`,
    asked: { flow_type: 'operational', auto_until: rotation.auto_until },
    why: `due since ${isoTime(dueAt(rotation, schedule.since))}: the value is the current one since ${isoTime(schedule.since)}`,
  });
  await deps.schedules.note(ref, { started_for: due });
}

async function checkIfDue(deps: ScheduleDeps, ref: CredentialRef, pins: Pinned): Promise<void> {
  const { checked_at } = await deps.schedules.load(ref);
  const now = deps.clock.now();
  if (now - checked_at < deps.times.driftCheckMs || !(await mayCheck(deps, ref))) return;
  await begin(deps, ref, pins, {
    key: `check.${checked_at}`,
    asked: { flow_type: 'testing' },
    why: 'the daily drift check',
  });
  await deps.schedules.note(ref, { checked_at: now });
}

async function mayRotate(deps: ScheduleDeps, ref: CredentialRef): Promise<boolean> {
  return (await deps.store.claimant(ref)) === null && mayBegin(deps, ref);
}

/**
 * A test takes no claim, and a rotation may stand at a gate, or with something left behind, for weeks: just then a copy goes
 * astray. Only while one moves by itself the check waits for it, since consumers restart under its eyes.
 */
async function mayCheck(deps: ScheduleDeps, ref: CredentialRef): Promise<boolean> {
  const claimant = await deps.store.claimant(ref);
  const job = claimant === null ? null : await deps.store.load({ ...ref, jobId: claimant });
  return (job === null || kindOf(job) !== 'automatic') && mayBegin(deps, ref);
}

/** What a person would be refused, a schedule does not begin: it is begun once nothing stands in its way. */
async function mayBegin(deps: ScheduleDeps, ref: CredentialRef): Promise<boolean> {
  if (!(await deps.system.flags()).velvet_v2_rotation) return false;
  const { status, warnings = {} } = await deps.health();
  return status === 'ok' && warnings[ref.credential] === undefined;
}

interface Beginning {
  /** The same key is the same job, whoever begins it. */
  readonly key: string;
  readonly asked: JobPatch;
  readonly why: string;
}

async function begin(
  deps: ScheduleDeps,
  ref: CredentialRef,
  pins: Pinned,
  { key, asked, why }: Beginning,
): Promise<void> {
  const job = { ...ref, jobId: randomUUID() };
  const { jobId, existed } = await deps.store.open(
    firstRecord({
      ref: job,
      by: { operatorId: scheduleOperator },
      pins,
      asked,
      detail: {
        ...asked,
        reason: why,
        consumers: pins.rows.map((row) => row.consumer_id),
        inactive: pins.fields.inactive,
      },
      idem: { hash: idempotencyHash(scheduleOperator, key), bodyHash: 'schedule' },
      now: deps.clock.now(),
    }),
  );
  if (!existed) deps.log.info('begun by the schedule', { job_id: jobId, credential: ref.credential, why });
}

/** Ordered until there is a receipt; of several orders one is kept, since a task has one id. */
async function tellIfOverdue(
  deps: ScheduleDeps,
  { credential, env }: CredentialRef,
  { told_overdue }: Schedule,
  due: number | null,
): Promise<void> {
  if (due === null || told_overdue >= due) return;
  const jobId = `${scheduleOperator}.${credential}`;
  await deps.relay.addRows([{ effect: 'tell_overdue', credential, env, jobId, version: due, kick: 0 }]);
}

/** One round over every open job that the schedule began: each goes as far as it may without a person. */
export async function goOn(deps: ScheduleDeps): Promise<void> {
  for (const { credential, env } of await deps.store.credentials()) {
    try {
      for (const job of await deps.store.openJobs(credential, env)) {
        if (job.createdBy === scheduleOperator) await unlessOvertaken(step(deps, job));
      }
    } catch (error) {
      deps.log.warn('what the schedule began is not gone on with', { credential, ...logfields(error) });
    }
  }
}

/** Somebody was quicker, or another rotation has the credential: there is a next round. */
async function unlessOvertaken(going: Promise<void>): Promise<void> {
  await going.catch((error: unknown) => {
    if (!isVelvetError(error) || !overtaken.includes(error.code)) throw error;
  });
}

const overtaken: readonly ErrorCode[] = [
  'claimed',
  'version_moved',
  'action_not_allowed',
  'stale_version',
  'stale_fence',
];

async function step(deps: ScheduleDeps, job: Job): Promise<void> {
  const first = job.status === 'init';
  const second = job.status === 'verified' && job.autoUntil === 'validated' && !job.twoPerson;
  if (!(first || second) || !(await deps.ground.sure(job))) return;
  if (first && (await isPast(deps, job)))
    return apply(deps, job, 'abort', { aborted_from: job.status }, 'another value has come meanwhile');
  if (!(await deps.system.flags()).velvet_v2_rotation) return;
  if (first) await apply(deps, job, 'verify', { error: null });
  else await apply(deps, job, 'proceed_mint', { minted_by: scheduleOperator, error: null });
}

/** Another value has come since: what this job was begun for is done. */
async function isPast(deps: ScheduleDeps, job: Job): Promise<boolean> {
  if (job.flowType !== 'operational') return false;
  const schedule = await agedSchedule(deps, job);
  return schedule !== null && schedule.since > job.createdAt;
}

async function apply(
  deps: ScheduleDeps,
  job: Job,
  action: 'verify' | 'proceed_mint' | 'abort',
  patch: JobPatch,
  reason = 'scheduled',
): Promise<void> {
  const actor = { operatorId: scheduleOperator, slackUserId: null };
  // By the version that was read: an operator who came first is not overruled.
  const by = { kind: 'operator', actor, version: job.version } as const;
  await deps.transitions.apply(job, action, by, () => ({ patch, detail: { reason } }));
}
