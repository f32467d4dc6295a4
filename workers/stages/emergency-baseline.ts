// Before an emergency revokes: how every consumer answers while the token still lives. Law: asked once, all together, and 3 s at most; a 401 afterwards could be the revoke's own.
import { isVelvetError } from '../../shared/lib/errors.ts';
import type { Job } from '../../shared/rotation/job.ts';
import { mayHoldNew, type Row } from '../../shared/rotation/rows.ts';
import type { Healthcheck, Tickets } from '../vendors/contract.ts';
import { briefly } from './briefly.ts';
import { readCall, speaker, type StageDeps, type Step } from './deps.ts';
import { promote } from './promote.ts';
import { lookUpTicket } from './ticket.ts';

export type EmergencyDeps = StageDeps & {
  readonly healthcheck: Healthcheck;
  /** Null where no ticket system is set up. */
  readonly tickets: Tickets | null;
};

/** Everybody is asked together, once: afterwards a 401 could be the revoke's own. The promotion goes on beside it, for as long. */
export async function baseline(deps: EmergencyDeps, at: Step): Promise<Job> {
  const rows = await deps.store.rows(at.job);
  const { job, context } = at;
  const writtenSince = await mayHoldNewAfterAll(deps, job);
  const asked = rows.filter(
    (row) => row.lockout?.class !== 'on_other_token' || writtenSince.has(row.consumer_id),
  );
  const [wells, { ticket, number, reason }] = await Promise.all([
    Promise.all(asked.map((row) => answersWell(deps, at, row))),
    lookUpTicket(deps.tickets, job.ticketId ?? '', context),
    promoteBeside(deps, at),
  ]);
  const uncontrolled = asked.filter((_, n) => wells[n] !== true).map((row) => row.consumer_id);
  return deps.transitions.apply(at.task, 'baseline_taken', speaker(at.task, at.context), () => ({
    rows: asked.map((row): Row => ({
      ...row,
      lockout: {
        class: null,
        http_status: null,
        weak: false,
        uncontrolled: uncontrolled.includes(row.consumer_id),
        time_to_lockout_ms: null,
      },
    })),
    patch: { ticket },
    detail: {
      asked: asked.length,
      uncontrolled,
      ...(ticket === null ? {} : { ticket, ticket_number: number, ticket_reason: reason }),
    },
  }));
}

/** Rows are written without a version of their job: one may have been touched between the look at it and the commit that stopped it. */
async function mayHoldNewAfterAll(deps: EmergencyDeps, job: Job): Promise<ReadonlySet<string>> {
  if (job.target !== 'new' || job.takesOver === null) return new Set();
  const theirs = await deps.store.rows({ ...job, jobId: job.takesOver });
  return new Set(theirs.filter(mayHoldNew).map((row) => row.consumer_id));
}

async function answersWell(deps: EmergencyDeps, { job, fence, context }: Step, row: Row): Promise<boolean> {
  const endpoint = row.pinned.healthcheck_endpoint;
  if (endpoint === null) return false;
  try {
    const nonce = `baseline.${job.jobId}.${row.consumer_id}`;
    const target = { healthcheck_endpoint: endpoint };
    const result = await deps.healthcheck.probe(readCall(job, fence, context), target, nonce);
    return result.httpStatus === row.pinned.healthcheck_success_status;
  } catch (error) {
    if (!isVelvetError(error)) throw error;
    return false;
  }
}

/** Where the old token alone leaked the new one becomes the current one before. What the vault keeps from that is left for later. */
async function promoteBeside(deps: EmergencyDeps, at: Step): Promise<void> {
  if (!promotes(at.job)) return;
  // Called off with the time that it has: a write of unknown outcome is looked at again by the cleanup.
  const signal = AbortSignal.any([at.context.signal, AbortSignal.timeout(deps.times.baselineMs)]);
  await briefly(deps, at, 'vault', async () => {
    await promote(deps, { ...at, context: { ...at.context, signal } }).catch((error: unknown) => {
      // Its time ended between two calls: no failure of the revoke, which goes on.
      if (!signal.aborted) throw error;
    });
    return null;
  });
}

export function promotes(job: Job): boolean {
  return job.target === 'old' && job.newFingerprint !== null && !job.promoted && !job.superseded;
}
