// Who may write: claim (which job owns the credential), fence (which attempt), lease (until when). None of them expires by itself.
import type { Redis } from 'ioredis';
import type { Clock } from '../lib/clock.ts';
import { VelvetError } from '../lib/errors.ts';
import { leaseFrom, type Fence, type Lease } from '../lib/lease.ts';
import type { JobRef } from '../rotation/effects.ts';
import type { Job } from '../rotation/job.ts';
import type { AuditEvent } from './events.ts';
import { commitId, fenceSuffix } from './job-writes.ts';
import { credentialKeys } from './keys.ts';
import { claimedBy, refuse } from './refusals.ts';
import { answers, runScript } from './scripts.ts';

export interface Claims {
  /**
   * Makes the caller the attempt that may write for a step of the job. What an earlier attempt may have begun is over at
   * `quietAfter` (wall clock, ms): nothing may be changed before. Throws `stale_version`, `stale_fence`.
   */
  beginStep(job: Job, lateMs: number): Promise<{ readonly fence: Fence; readonly quietAfter: number }>;

  /** Fences off every attempt of before, also those whose fences Redis lost: the new one, which is answered, is higher than `above`, too. */
  raiseFence(ref: Pick<JobRef, 'credential' | 'env'>, above: number): Promise<Fence>;

  /** A lease for changing calls, recorded before it is given. Throws `stale_fence` where a later attempt has begun. */
  openLease(ref: JobRef, fence: Fence): Promise<Lease>;

  /** Reports that nothing sent under the lease is under way any more: its outcome is known. */
  closeLease(ref: JobRef, fence: Fence): Promise<void>;

  /** Takes the credential for an adoption. Throws `claimed` while a job holds it; takes over an adoption that died. */
  beginAdoption(credential: string, env: string, id: string): Promise<Fence>;
  /** `authId`: the handle of what was adopted, for the day on which the vault is away; null where it is not known. */
  endAdoption(
    ref: Pick<JobRef, 'credential' | 'env'>,
    id: string,
    authId: string | null,
    events: readonly AuditEvent[],
  ): Promise<void>;

  /** Appends an audit row that belongs to no job. */
  record(credential: string, env: string, event: AuditEvent): Promise<void>;
}

export function createClaims(redis: Redis, clock: Clock, leaseMs: number): Claims {
  async function adopt(credential: string, env: string, arg: Record<string, unknown>): Promise<Fence> {
    const keys = credentialKeys(credential, env);
    const own = [keys.claim, keys.fence, keys.events, keys.seq, keys.calls, keys.adopted];
    const [code, rest] = await runScript(redis, 'adopt', own, {
      commit_id: commitId(),
      events: [],
      suffix: '',
      wake: keys.wake,
      ...arg,
    });
    if (code === answers.claimed) throw claimedBy(String(rest));
    return String(rest);
  }

  async function lease(ref: JobRef, fence: Fence, until: number): Promise<void> {
    const keys = credentialKeys(ref.credential, ref.env);
    const arg = { job_id: ref.jobId, fence, until_ms: String(until) };
    refuse(ref, await runScript(redis, 'openLease', [keys.job(ref.jobId), keys.claim, keys.fence], arg));
  }

  return {
    async beginStep(job, lateMs) {
      const keys = credentialKeys(job.credential, job.env);
      const arg = {
        job_id: job.jobId,
        status_version: String(job.statusVersion),
        suffix: fenceSuffix(),
        late_ms: lateMs,
      };
      const answer = await runScript(redis, 'beginStep', [keys.job(job.jobId), keys.claim, keys.fence], arg);
      refuse(job, answer);
      return { fence: String(answer[1]), quietAfter: Number(answer[2]) };
    },

    async raiseFence({ credential, env }, above) {
      const { fence, calls } = credentialKeys(credential, env);
      const arg = { suffix: fenceSuffix(), above };
      const [, raised] = await runScript(redis, 'raiseFence', [fence, calls], arg);
      return String(raised);
    },

    async openLease(ref, fence) {
      const askedAt = clock.monotonic();
      const until = clock.now() + leaseMs;
      await lease(ref, fence, until);
      return leaseFrom(clock, fence, until, askedAt, leaseMs);
    },

    closeLease: (ref, fence) => lease(ref, fence, 0),

    beginAdoption: (credential, env, id) =>
      adopt(credential, env, { step: 'take', claimant: id, suffix: fenceSuffix() }),

    async endAdoption({ credential, env }, id, authId, events) {
      await adopt(credential, env, {
        step: 'free',
        claimant: id,
        auth_id: authId ?? '',
        events: events.map((event) => JSON.stringify(event)),
      });
    },

    async record(credential, env, event) {
      const keys = credentialKeys(credential, env);
      const [code] = await runScript(redis, 'record', [keys.events, keys.seq, keys.calls], {
        commit_id: commitId(),
        events: [JSON.stringify(event)],
        wake: keys.wake,
      });
      if (code !== answers.applied) throw new VelvetError('invariant_broken', `record answered ${code}`);
    },
  };
}
