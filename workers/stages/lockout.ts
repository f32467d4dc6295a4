// rev_validating, one row: is the consumer refused with the dead token? Law: only its own 401 is a lock-out; whatever else it says at the end of the window is a leak, and says so at once.
import { randomBytes } from 'node:crypto';
import { VelvetError, isVelvetError } from '../../shared/lib/errors.ts';
import type { Metrics } from '../../shared/lib/metrics.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import type { Task } from '../../shared/rotation/effects.ts';
import type { Job } from '../../shared/rotation/job.ts';
import type { Lockout, LockoutClass } from '../../shared/rotation/lockout.ts';
import { rowStep, statusIn, withStatus, type Row } from '../../shared/rotation/rows.ts';
import type { Handler, TaskContext } from '../run.ts';
import type { ProbeClass, ProbeResult } from '../vendors/contract.ts';
import { LOOKING, readCall, type HealthcheckDeps } from './deps.ts';
import { presentRow, rowSpeaker, type OpenRow } from './row.ts';

export type LockoutDeps = HealthcheckDeps & { readonly metrics: Pick<Metrics, 'observe'> };

export function lockout(deps: LockoutDeps): Handler {
  return {
    async run(task, context) {
      const open = await presentRow(deps, task);
      if (open === null) return 'done';
      const { job, row } = open;
      const endpoint = row.pinned.healthcheck_endpoint;
      if (endpoint === null)
        throw new VelvetError('invariant_broken', `${row.consumer_id} has no endpoint to ask`);
      const nonce = randomBytes(24).toString('base64url');
      const call = readCall(job, LOOKING, context);
      const result = await deps.healthcheck.probe(call, { healthcheck_endpoint: endpoint }, nonce);
      const answeredAt = deps.clock.now();
      if (result.class === 'unauthorized') {
        await lockedOut(deps, open, result, answeredAt);
        deps.metrics.observe('lockout', { credential: job.credential }, answeredAt - job.revokedAt);
        context.log.info('locked out', { time_to_lockout_ms: answeredAt - job.revokedAt });
        return 'done';
      }
      if (await runsOnTheOther(deps, open, result, nonce)) {
        await elsewhere(deps, open, result);
        return 'done';
      }
      const leftMs = job.settleUntil - answeredAt;
      if (leftMs > 0) return { laterMs: Math.min(deps.times.lockoutPollMs, leftMs) };
      await leaked(deps, open, result, context);
      return 'done';
    },
    // A consumer that could not be asked is not known to be locked out.
    failed: (task, error, context) => unasked(deps, task, error, context),
  };
}

/** What an answer that is no 401 means. An edge's 401 is not the vendor's, and a redirect is a page that somebody is let in to. */
const classOf: Readonly<Record<Exclude<ProbeClass, 'unauthorized'>, LockoutClass>> = {
  ok: 'accepting',
  redirect: 'accepting',
  forbidden: 'forbidden',
  edge: 'forbidden',
  erroring: 'erroring',
  unreachable: 'unreachable',
};

async function lockedOut(
  deps: HealthcheckDeps,
  open: OpenRow,
  { httpStatus }: ProbeResult,
  at: number,
): Promise<void> {
  await settle(deps, open, 'succeed', (row, job) => ({
    event: 'row_locked_out',
    lockout: {
      class: 'locked_out',
      http_status: httpStatus,
      // It was not seen to answer well before: its 401 may have another reason.
      weak: row.lockout?.uncontrolled ?? true,
      uncontrolled: row.lockout?.uncontrolled ?? true,
      time_to_lockout_ms: Math.max(0, at - job.revokedAt),
    },
    error: null,
  }));
}

async function elsewhere(deps: HealthcheckDeps, open: OpenRow, { httpStatus }: ProbeResult): Promise<void> {
  await settle(deps, open, 'succeed', (row) => ({
    event: 'row_on_other_token',
    lockout: { ...before(row), class: 'on_other_token', http_status: httpStatus },
    error: null,
  }));
}

async function leaked(
  deps: HealthcheckDeps,
  open: OpenRow,
  result: Pick<ProbeResult, 'class' | 'httpStatus'>,
  context: TaskContext,
): Promise<void> {
  const found = result.class === 'unauthorized' ? 'erroring' : classOf[result.class];
  await settle(deps, open, 'fail', (row) => ({
    event: 'row_leaked',
    lockout: { ...before(row), class: found, http_status: result.httpStatus },
    error: { code: 'consumer_leaking', detail: leakDetail(row, found, result.httpStatus) },
  }));
  context.log.error('consumer leaks', { class: found, http_status: result.httpStatus });
}

async function unasked(
  deps: HealthcheckDeps,
  task: Task,
  error: VelvetError,
  context: TaskContext,
): Promise<void> {
  const open = await presentRow(deps, task);
  if (open === null) return;
  context.log.error('consumer could not be asked', { code: error.code });
  await leaked(deps, open, { class: 'unreachable', httpStatus: null }, context);
}

/** After an emergency about one of two tokens: whoever proves to run on the one that lives is no leak. */
async function runsOnTheOther(
  deps: HealthcheckDeps,
  { job }: OpenRow,
  { proof }: ProbeResult,
  nonce: string,
): Promise<boolean> {
  if (proof === null || job.target === null || job.target === 'all') return false;
  try {
    const lives = job.target === 'old' ? await nextOf(deps, job) : await deps.values.verified(job);
    return lives?.proof(nonce) === proof;
  } catch (error) {
    // Without the vault the consumer's status alone speaks.
    if (!isVelvetError(error)) throw error;
    return false;
  }
}

async function nextOf(deps: HealthcheckDeps, job: Job): Promise<Secret | null> {
  return job.newFingerprint === null ? null : deps.values.next(job);
}

const unseen: Lockout = {
  class: null,
  http_status: null,
  weak: false,
  uncontrolled: true,
  time_to_lockout_ms: null,
};
const before = (row: Row): Lockout => row.lockout ?? unseen;

interface Settled {
  readonly event: 'row_locked_out' | 'row_leaked' | 'row_on_other_token';
  readonly lockout: Lockout;
  readonly error: Row['error'];
}

/** Ends the row. One that leaks moves its job in the same write: between the two nobody would be told. */
async function settle(
  deps: HealthcheckDeps,
  open: OpenRow,
  step: 'succeed' | 'fail',
  ending: (row: Row, job: Job) => Settled,
): Promise<void> {
  const { task } = open;
  await deps.transitions.settleRow(task, task.consumerId ?? '', rowSpeaker(task, open), (row, job) => {
    const to = rowStep(statusIn(row, 'lockout'), step);
    if (to === null) return null;
    const { event, lockout: answer, error } = ending(row, job);
    const settled = { ...row, lockout: answer, error, attempts: row.attempts + 1, paced_until: null };
    return {
      row: withStatus(settled, 'lockout', to),
      event,
      ...(event === 'row_on_other_token' ? {} : { on: event }),
      detail: { class: answer.class, http_status: answer.http_status, weak: answer.weak },
    };
  });
}

function leakDetail(row: Row, found: LockoutClass, status: number | null): string {
  const who = row.consumer_id;
  // oxfmt-ignore
  const words: Readonly<Partial<Record<LockoutClass, string>>> = {
    accepting:   `${who} still answers ${status} after its token was revoked. It runs on another token, on a copy that is cached or built in, or its health endpoint does not ask the vendor. Stop or restart it, find that copy, then send retry.`,
    forbidden:   `${who} answers ${status}: something in front of it, or a policy, refuses the question, so that nothing is known of its token. Look behind it, then send retry; or resolve_leak with a note.`,
    erroring:    `${who} answers ${status} instead of 401: its token may be refused, or it may be broken by something else. Look at its logs, then send retry; or resolve_leak with a note.`,
    unreachable: `${who} did not answer, so that nothing is known of its token. Is it up? Look at it, then send retry; or resolve_leak with a note.`,
  };
  return words[found] ?? `${who} was not seen to be locked out.`;
}
