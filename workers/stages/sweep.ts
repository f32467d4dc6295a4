// The rescuer: relays what was decided and not queued, and orders the work of silent jobs once more. Several may sweep at once.
import { beginRevocation } from '../../shared/begin-revocation.ts';
import { isVelvetError, type ErrorCode } from '../../shared/lib/errors.ts';
import { movesByItself, onlyAPersonIsLeft, type Job } from '../../shared/rotation/job.ts';
import { noticeReceipt, stuckOf, stuckReceipt } from '../../shared/rotation/notices.ts';
import { taskId, type Effect, type Task } from '../../shared/rotation/effects.ts';
import { statusIn, type Row } from '../../shared/rotation/rows.ts';
import { logfields, type Log } from '../../shared/lib/log.ts';
import type { CoreDeps } from './deps.ts';
import { rowEffect } from './fan-out.ts';

export interface SweepReport {
  readonly relayed: number;
  readonly kicked: number;
}

/** One round over every credential that ever had a job. What fails for one credential does not hold up the others. */
export async function sweep(deps: CoreDeps, log: Log): Promise<SweepReport> {
  let [relayed, kicked] = [0, 0];
  for (const { credential, env } of await deps.store.credentials()) {
    try {
      const tasks = await deps.store.outbox(credential, env);
      await deps.relay.relay(tasks);
      relayed += tasks.length;
      for (const job of await deps.store.openJobs(credential, env)) {
        await tellOfWaiting(deps, job);
        await tellOfStuck(deps, job);
        await beginWaitingCleanup(deps, job);
        await startWaiting(deps, job);
        if (await rescued(deps, job)) {
          kicked += 1;
          log.warn('silent job kicked', {
            job_id: job.jobId,
            credential,
            status: job.status,
            task: job.resume,
            kick: job.kick + 1,
          });
        }
      }
    } catch (error) {
      log.error('sweep of one credential failed', { credential, ...logfields(error) }, { cause: error });
    }
  }
  return { relayed, kicked };
}

/**
 * That nobody but a person can go on is no transition: it comes about when the last row that Velvet could settle itself is
 * settled, and no writer of a row can see it. So it is found here, and the order repeated until there is a receipt.
 */
async function tellOfWaiting(deps: CoreDeps, job: Job): Promise<void> {
  if (!onlyAPersonIsLeft(job) || (await deps.store.hasReceipt(job, noticeReceipt(job)))) return;
  const notice = taskOf(job, 'notify');
  if ((await deps.relay.alive([notice])).size === 0) await deps.relay.addRows([notice]);
}

/** Said of each stuck status once, when it has stood for as long as one waits before anybody is bothered. */
async function tellOfStuck(deps: CoreDeps, job: Job): Promise<void> {
  const { stuckAfterMs } = deps.times;
  const now = deps.clock.now();
  const isStuck = (rows: readonly Row[]) => {
    const stuck = stuckOf(job, rows, now, stuckAfterMs);
    return stuck !== null && now - stuck.since >= stuckAfterMs;
  };
  // Rows can only have moved later than their job: they are read of one alone that stands still without them.
  if (!isStuck([]) || (await deps.store.hasReceipt(job, stuckReceipt(job)))) return;
  if (!isStuck(await deps.store.rows(job))) return;
  const notice = taskOf(job, 'tell_stuck');
  if ((await deps.relay.alive([notice])).size === 0) await deps.relay.addRows([notice]);
}

/** What a job left that was stopped while another held the credential is taken back once nobody does. */
async function beginWaitingCleanup(deps: CoreDeps, job: Job): Promise<void> {
  if (job.cleanup !== 'waiting') return;
  const claimant = await deps.store.claimant(job);
  const told = job.status === 'aborted' && claimant?.startsWith('adopt.') === true;
  if (claimant !== null) return told ? tellOfAdoption(deps, job) : undefined;
  const by = { kind: 'attempt', fence: null, statusVersion: job.statusVersion } as const;
  const patch = { cleanup_since: deps.clock.now() };
  await deps.transitions
    .apply(job, 'cleanup_due', by, () => ({ patch }))
    .catch((error: unknown) => {
      // Somebody was quicker; there is a next round.
      if (!isVelvetError(error) || !overtaken.includes(error.code)) throw error;
    });
}

/** An emergency that was asked for whole, and whose request was cut off between its record and its start. */
async function startWaiting(deps: CoreDeps, job: Job): Promise<void> {
  if (job.status !== 'rev_init' || !job.atOnce) return;
  if (deps.clock.now() - job.createdAt < deps.times.silentMs) return;
  const actor = { operatorId: job.createdBy, slackUserId: job.movedBy?.slackUserId ?? null };
  const by = { kind: 'operator', actor, version: undefined } as const;
  const { ticketId, credential: confirm, preempt } = job;
  await beginRevocation(deps, job, by, { ticketId, confirm, preempt }).catch((error: unknown) => {
    if (!isVelvetError(error) || ![...overtaken, ...held].includes(error.code)) throw error;
  });
}

/** Somebody opened a rotation meanwhile, or began the emergency: the job waits for a person. */
const held: readonly ErrorCode[] = ['rotation_open', 'nothing_to_target', 'action_not_allowed'];

/** An adoption holds the credential for one write. One that died is taken over by another adoption alone, so somebody must be told. */
async function tellOfAdoption(deps: CoreDeps, job: Job): Promise<void> {
  const todo = `An adoption of ${job.credential} was begun and not finished, and holds the credential: run \`npx velvet adopt ${job.credential}\` once more, and the cleanup begins.`;
  const said = job.error?.detail ?? '';
  if (said.endsWith(todo) || deps.clock.now() - job.updatedAt < deps.times.leaseMs) return;
  const error = {
    code: job.error?.code ?? 'claimed',
    detail: `${said} ${todo}`.trim(),
    at: deps.clock.now(),
  };
  const by = { kind: 'attempt', fence: null, statusVersion: job.statusVersion } as const;
  await deps.transitions.apply(job, 'reconcile_delayed', by, () => ({
    patch: { error },
    detail: { code: error.code, reason: todo },
  }));
}

const overtaken: readonly ErrorCode[] = ['claimed', 'stale_version', 'stale_fence'];

async function rescued(deps: CoreDeps, job: Job): Promise<boolean> {
  if (!movesByItself(job) || job.resume === null) return false;
  const quietMs =
    job.cleanup === 'pending' && job.error !== null ? deps.times.cleanupRetryMs : deps.times.silentMs;
  if (deps.clock.now() - job.updatedAt < quietMs) return false;
  const own = taskOf(job, job.resume);
  if ((await someAlive(deps, job, [own])).size > 0) return false;
  if (job.phase !== null && job.tally.open > 0 && (await everyOpenRowHasATask(deps, job))) return false;
  const next = { ...own, kick: job.kick + 1 };
  if (!(await deps.store.kick(job, next))) return false;
  await deps.relay.relay([next]);
  return true;
}

const ROWS_A_ROUND = 500;

/** Of thousands of rows another part in each round: a queue that lost its tasks is seen at once, a single task within a few rounds more. */
function partDue(rows: readonly Row[], now: number, everyMs: number): readonly Row[] {
  const parts = Math.max(1, Math.ceil(rows.length / ROWS_A_ROUND));
  const from = (Math.floor(now / everyMs) % parts) * ROWS_A_ROUND;
  return rows.slice(from, from + ROWS_A_ROUND);
}

async function everyOpenRowHasATask(deps: CoreDeps, job: Job): Promise<boolean> {
  const phase = job.phase ?? 'distribute';
  const open = (await deps.store.rows(job)).filter((row) => statusIn(row, phase) === 'in_progress');
  const rows = partDue(open, deps.clock.now(), deps.times.sweepMs);
  const tasks = rows.map((row) => ({ ...taskOf(job, rowEffect[phase]), consumerId: row.consumer_id }));
  return (await someAlive(deps, job, tasks)).size === rows.length;
}

/** Of these tasks (of kick 0) those that live under this kick or an earlier one, by the id of kick 0. */
async function someAlive(deps: CoreDeps, job: Job, tasks: readonly Task[]): Promise<ReadonlySet<string>> {
  const kicks = Array.from({ length: job.kick + 1 }, (_, kick) => kick);
  const alive = await deps.relay.alive(tasks.flatMap((task) => kicks.map((kick) => ({ ...task, kick }))));
  return new Set(
    tasks.filter((task) => kicks.some((kick) => alive.has(taskId({ ...task, kick })))).map(taskId),
  );
}

function taskOf(job: Job, effect: Effect): Task {
  return {
    effect,
    credential: job.credential,
    env: job.env,
    jobId: job.jobId,
    version: job.statusVersion,
    kick: 0,
  };
}
