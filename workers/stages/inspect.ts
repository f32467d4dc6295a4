// A test's look at one consumer: what its place holds, whether it may be written, how it answers. Law: nothing is changed anywhere, and no lease is ever asked for.
import { randomBytes } from 'node:crypto';
import { VelvetError, isVelvetError, type ErrorCode } from '../../shared/lib/errors.ts';
import { likenessOf, type Secret } from '../../shared/lib/secret.ts';
import type { Job } from '../../shared/rotation/job.ts';
import type { Row } from '../../shared/rotation/rows.ts';
import type { Handler, TaskContext } from '../run.ts';
import { slots } from '../vault/contract.ts';
import type { KnownValues, ProbeResult } from '../vendors/contract.ts';
import { LOOKING, readCall, targetOf, type DistributeDeps } from './deps.ts';
import { inATest } from './in-a-test.ts';
import { lookAt, type Look } from './look.ts';
import { namedTarget } from './push.ts';
import { endRow, failRow, pacedRow, presentRow, type OpenRow } from './row.ts';

export function inspect(deps: DistributeDeps): Handler {
  return {
    async run(task, context) {
      const open = await presentRow(deps, task);
      if (open === null) return 'done';
      const seen = await sightOf(deps, open, context);
      const found = problemOf(open.job, seen);
      const problem = found === null ? null : inATest(found);
      const waitedMs = deps.clock.now() - (open.row.opened_at ?? 0);
      // A consumer in the middle of a restart, or a vendor that has a bad moment, is asked again before anybody is bothered.
      if (problem !== null && isPassing(problem) && waitedMs < deps.times.inspectForMs)
        return { laterMs: deps.times.provePollMs };
      await endRow(deps, task, problem === null ? 'succeed' : 'fail', (row) => ({
        row: {
          ...row,
          ...factsOf(seen),
          attempts: row.attempts + 1,
          paced_until: null,
          error: problem === null ? null : { code: problem.code, detail: problem.detail },
        },
        event: 'row_inspected',
        detail: problem === null ? {} : { code: problem.code, reason: problem.detail },
      }));
      context.log.info('inspected', { holds: seen.holds, code: problem?.code ?? null });
      return 'done';
    },
    failed: (task, error) => failRow(deps, task, inATest(error)),
    paced: pacedRow(deps),
  };
}

/** All that was seen of one consumer. What could not be asked is null. */
interface Sight {
  readonly row: Row;
  readonly look: Look;
  readonly mayWrite: 'yes' | 'no' | 'unknown';
  /** Why it could not be told, where that is the place's own refusal. */
  readonly notWritable: VelvetError | null;
  readonly probe: Probe | null;
  readonly holds: Row['holds'];
}

async function sightOf(deps: DistributeDeps, open: OpenRow, context: TaskContext): Promise<Sight> {
  const { job, row } = open;
  const current = await currentValue(deps, job);
  const known = await knownValues(deps, job, current);
  const [look] = await lookAt(deps, { job, fence: LOOKING, context }, [row], known);
  if (look === undefined) throw new VelvetError('invariant_broken', 'a look at one row saw none');
  // A vendor's own pause is the queue's business, and shown on the row.
  if (look.error?.code === 'vendor_rate_limited') throw look.error;
  const { mayWrite, notWritable } = await permission(deps, open, context, look);
  const probe = await probed(deps, open, context);
  const runsOn = shownBy(probe, current, known);
  return { row, look, mayWrite, notWritable, probe, holds: runsOn ?? look.holds };
}

/**
 * The value that the vendor was asked about. Where it could not be asked nothing is on record of it, and the vault's is looked at:
 * a copy is no less wrong while a vendor is away. Null where there is none, or the vault holds another one by now.
 */
async function currentValue(deps: DistributeDeps, job: Job): Promise<Secret | null> {
  if (job.oldFingerprint !== null) return deps.values.verified(job);
  return deps.vault.read(slots.current(job.credential)).catch((error: unknown) => {
    if (!isVelvetError(error)) throw error;
    return null;
  });
}

/**
 * `old` is the vault's current value, as verify found it; `new` is that of a rotation which is under way beside the test, or
 * came to its end meanwhile: neither is a drift.
 */
async function knownValues(deps: DistributeDeps, job: Job, current: Secret | null): Promise<KnownValues> {
  const fingerprint = await rotatingTo(deps, job);
  return {
    previous: deps.values.known(job).previous ?? current,
    next: fingerprint === null ? null : likenessOf(deps.fingerprintKey, fingerprint),
  };
}

/** More jobs than can be begun in the minute that a test takes. */
const RECENT = 5;

async function rotatingTo(deps: DistributeDeps, job: Job): Promise<string | null> {
  const claimant = await deps.store.claimant(job);
  const holding = claimant === null ? null : await deps.store.load({ ...job, jobId: claimant });
  if (holding !== null && holding.newFingerprint !== null) return holding.newFingerprint;
  const recent = await deps.store.list(job.credential, job.env, RECENT);
  const ended = recent.find((one) => one.promoted && one.updatedAt >= job.createdAt);
  return ended?.newFingerprint ?? null;
}

/** Errors that say that a write would be refused, as against those that say nothing of it. */
const refusals: readonly ErrorCode[] = ['authority_invalid', 'vendor_forbidden', 'vendor_target_missing'];

/** A place that a person writes to has no authority of Velvet's. */
const isAsked = ({ pinned }: Row) => pinned.update_auth_token_name !== undefined;

async function permission(
  deps: DistributeDeps,
  { job, row }: OpenRow,
  context: TaskContext,
  look: Look,
): Promise<Pick<Sight, 'mayWrite' | 'notWritable'>> {
  // Whose authority is refused is not asked what it may do.
  if (look.error !== null)
    return { mayWrite: refusals.includes(look.error.code) ? 'no' : 'unknown', notWritable: null };
  if (!isAsked(row)) return { mayWrite: 'unknown', notWritable: null };
  try {
    const target = targetOf(row);
    const authority = await deps.authorities.ofPhase(target.update_auth_token_name, job);
    const mayWrite = await namedTarget(row, () =>
      deps.registry
        .destination(target.update_method)
        .mayWrite(readCall(job, LOOKING, context), target, authority),
    );
    return { mayWrite, notWritable: null };
  } catch (error) {
    if (!isVelvetError(error) || error.code === 'vendor_rate_limited') throw error;
    return { mayWrite: refusals.includes(error.code) ? 'no' : 'unknown', notWritable: error };
  }
}

interface Probe {
  readonly result: ProbeResult;
  readonly nonce: string;
  readonly begunAt: number;
}

async function probed(
  deps: DistributeDeps,
  { job, row }: OpenRow,
  context: TaskContext,
): Promise<Probe | null> {
  const endpoint = row.pinned.healthcheck_endpoint;
  if (endpoint === null) return null;
  const nonce = randomBytes(24).toString('base64url');
  const begunAt = deps.clock.now();
  const call = readCall(job, LOOKING, context);
  const result = await deps.healthcheck.probe(call, { healthcheck_endpoint: endpoint }, nonce);
  return { result, nonce, begunAt };
}

/** What the consumer's own proof shows; null where it gave none, or where it may be of a rotation's value: then the place decides. */
function shownBy(probe: Probe | null, current: Secret | null, { next }: KnownValues): Row['holds'] | null {
  const proof = probe?.result.proof ?? null;
  if (probe === null || proof === null || current === null) return null;
  if (proof === current.proof(probe.nonce)) return 'old';
  return next === null ? 'other' : null;
}

function factsOf({ row, look, probe, mayWrite, holds }: Sight): Partial<Row> {
  const placeAnswers = look.error === null || look.error.retry === 'never';
  const answers = placeAnswers && probe?.result.class !== 'unreachable';
  return {
    holds,
    may_write: mayWrite,
    reachable: isAsked(row) || probe !== null ? answers : null,
    probe: probe && {
      class: probe.result.class,
      http_status: probe.result.httpStatus,
      begun_at: probe.begunAt,
    },
  };
}

const isPassing = (problem: VelvetError) =>
  problem.retry !== 'never' || problem.code === 'consumer_unhealthy';

/** What a person should mend before a rotation, the copy first; null where nothing. */
function problemOf(job: Job, seen: Sight): VelvetError | null {
  const { look, row } = seen;
  const gone = look.error ?? look.gone;
  if (gone !== undefined) return gone;
  if (seen.notWritable?.code === 'vendor_target_missing') return seen.notWritable;
  if (seen.holds === 'other') return wrongCopy(job, seen);
  return seen.notWritable ?? (seen.mayWrite === 'no' ? mayNotWrite(row) : null) ?? unwell(job, seen);
}

function wrongCopy(job: Job, { row, look }: Sight): VelvetError {
  const who = row.consumer_id;
  const what =
    look.empty === true
      ? `${who} holds no value: ${targetOf(row).update_key} is not set there.`
      : look.holds === 'other'
        ? `${who} holds another value than the vault: ${look.detail}.`
        : `${who} is configured with the vault's value, but its processes answered the challenge with another one: restart it.`;
  return new VelvetError('consumer_on_other_value', `${who} holds another value`, {
    detail: `${what} ${toMend(job, look.empty === true)}`,
  });
}

/** The three cases of a drift: the vault's value lives, is dead, or nobody could say. */
function toMend(job: Job, nothingThere: boolean): string {
  const adopt = `\`npx velvet adopt ${job.credential}\``;
  const write = `write that one there (it is in ${job.vaultRef ?? "Velvet's vault"})`;
  const mint = 'begin an operational rotation, and mint with acknowledge_dead';
  if (job.currentState === 'alive')
    return nothingThere
      ? `The vault's value is alive: ${write}, or let the next rotation do it.`
      : `The vault's value is alive: ${write}. If the copy is the right one instead, put it into the vault with ${adopt}.`;
  if (job.currentState === 'dead')
    return nothingThere
      ? `The vault's value is dead, too: if no consumer has one that works, ${mint}.`
      : `The vault's value is dead: if this copy works, put it into the vault with ${adopt} and start again; if it does not either, ${mint}.`;
  return `Whether the vault's value is a good one could not be told: the test's own \`error\` says why. Mend that first, then test again.`;
}

function mayNotWrite(row: Row): VelvetError {
  const authority = row.pinned.update_auth_token_name ?? 'its authority';
  return new VelvetError('vendor_forbidden', `${authority} may not write ${row.consumer_id}`, {
    detail: `${authority} can look at ${row.consumer_id} and may not write there: a rotation would stop at it. Give it that permission, then test again.`,
  });
}

function unwell(job: Job, { row, probe, holds }: Sight): VelvetError | null {
  if (probe === null) return null;
  const { httpStatus, class: said } = probe.result;
  if (httpStatus === row.pinned.healthcheck_success_status) return null;
  const who = row.consumer_id;
  if (said === 'unauthorized') {
    const detail =
      job.currentState === 'dead' && holds !== 'new'
        ? `${who} answered 401: it runs on a value that its vendor refuses, as it refuses the vault's. To restart it would not help; it needs a good value, and the test's own \`error\` says where one comes from.`
        : `${who} answered 401: its processes run on a value that its vendor refuses, whatever its configuration holds. Restart it, or write the right value there, then test again.`;
    return new VelvetError('consumer_unauthorized', `${who} answered 401`, { detail });
  }
  const answered = httpStatus === null ? 'does not answer' : `answers ${httpStatus}`;
  return new VelvetError('consumer_unhealthy', `${who} ${answered}`, {
    detail: `${who} ${answered} at its health endpoint instead of ${row.pinned.healthcheck_success_status}, so a rotation could not prove it. Look at its logs, then test again.`,
  });
}
