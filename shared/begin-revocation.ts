// How an emergency starts: what is to end, whose credential it takes, who is to be locked out. Law: one commit stops the rotation that is open and starts the revocation, and it needs nothing but Redis.
import { VelvetError, isVelvetError } from './lib/errors.ts';
import type { JobStore } from './redis/job-store.ts';
import type { JobRef } from './rotation/effects.ts';
import type { EndedToken, JobPatch, Target } from './rotation/job-record.ts';
import type { Job } from './rotation/job.ts';
import { operatorActions } from './rotation/machine.ts';
import { openResiduals } from './rotation/residuals.ts';
import { mayHoldNew, withStatus, type Row } from './rotation/rows.ts';
import type { Applied, Speaker } from './changes.ts';
import type { Transitions } from './transition.ts';

export interface BeginDeps {
  readonly store: JobStore;
  readonly transitions: Transitions;
}

export interface Start {
  readonly ticketId: string | null;
  readonly confirm: string | null;
  /** Whether a rotation that is open may be stopped for it. */
  readonly preempt: boolean;
}

/** Takes the credential and orders the revoke. Throws `rotation_open`, `nothing_to_target`, or what the gate refuses with. */
export async function beginRevocation(deps: BeginDeps, ref: JobRef, by: Speaker, start: Start): Promise<Job> {
  for (let n = 1; ; n++) {
    try {
      return await deps.transitions.apply(ref, 'proceed_revoke', by, (job) => beginning(deps, job, start));
    } catch (error) {
      // Between the look and the commit another job took the credential, which is a reason to look again.
      if (!isVelvetError(error) || error.code !== 'claimed' || n === LOOKS) throw error;
    }
  }
}

const LOOKS = 5;

async function beginning(deps: BeginDeps, job: Job, start: Start): Promise<Applied> {
  const facts = { ticketId: start.ticketId, confirm: start.confirm };
  const patch = { ticket_id: start.ticketId, error: null };
  // What the gate refuses anyway is refused for its own reason.
  if (job.status !== 'rev_init') return { facts, patch };
  const target = job.target ?? 'all';
  const { claimant, open, theirs } = await standing(deps.store, job, { ...start, target });
  if (open === null) {
    const handles = await currentHandles(deps.store, job);
    const tokens = handles.map((auth_id) => mayLive(auth_id, 'current'));
    // An adoption that holds the credential writes one value: an emergency does not wait for it.
    const over = claimant === null ? {} : { preempts: { claimant, job: null, patch: {} } };
    return { facts, patch: { ...patch, tokens }, ...over, detail: detailOf(start, tokens) };
  }
  const tokens = tokensOf(open, target, await currentHandles(deps.store, job));
  const own = await deps.store.rows(job);
  const rows = own.flatMap((row) => {
    const known = theirs.find((one) => one.consumer_id === row.consumer_id);
    return known === undefined ? [] : [asItStands(row, known, target, open)];
  });
  return {
    facts,
    patch: { ...patch, ...takenFrom(open), tokens, target },
    rows,
    preempts: { claimant: open.jobId, job: open, patch: handedOver(open, job) },
    detail: { ...detailOf(start, tokens), target, takes_over: open.jobId, took_from: open.status },
  };
}

interface Standing {
  /** The job, or the adoption, that holds the credential. */
  readonly claimant: string | null;
  readonly open: Job | null;
  readonly theirs: readonly Row[];
}

/** Who holds the credential, and that an emergency may take it. Throws `rotation_open` or `nothing_to_target`. */
export async function standing(
  store: JobStore,
  ref: Pick<JobRef, 'credential' | 'env'>,
  { preempt, target }: Pick<Start, 'preempt'> & { readonly target: Target },
): Promise<Standing> {
  const { credential, env } = ref;
  const claimant = await store.claimant(ref);
  const open = claimant === null ? null : await store.load({ credential, env, jobId: claimant });
  if (open === null) {
    if (target !== 'all') throw nothingToTarget(ref, target);
    return { claimant, open, theirs: [] };
  }
  const theirs = await store.rows(open);
  if (!preempt || open.flowType !== 'operational') throw rotationOpen(open, theirs);
  return { claimant, open, theirs };
}

function detailOf(start: Start, tokens: readonly EndedToken[]): Readonly<Record<string, unknown>> {
  return { ticket_id: start.ticketId, tokens: tokens.map(({ auth_id, is }) => ({ auth_id, is })) };
}

function mayLive(auth_id: string, is: EndedToken['is']): EndedToken {
  return { auth_id, is, state: 'may_live', error: null };
}

/** Jobs to look back over for the handle of the current token: tests stand among them. */
const RECENT = 100;

/**
 * Every handle that may be the current token's, from Redis alone: the vault may be away, and a token that is ended twice is no
 * harm. What was promoted last; what was verified or adopted since; and what was minted since, for an emergency about the old
 * token promotes the new one of a rotation whose own record says that it was stopped.
 */
async function currentHandles(
  store: JobStore,
  ref: Pick<JobRef, 'credential' | 'env'>,
): Promise<readonly string[]> {
  const jobs = (await store.list(ref.credential, ref.env, RECENT)).filter(
    (job) => job.flowType === 'operational',
  );
  const last = jobs.findIndex((job) => job.promoted);
  const since = last === -1 ? jobs : jobs.slice(0, last + 1);
  const handles = since.flatMap((job) => [job.newAuthId, job.promoted ? null : job.oldAuthId]);
  const all = [await store.adopted(ref), ...handles];
  return [...new Set(all.filter((handle) => handle !== null))];
}

function tokensOf(open: Job, target: Target, current: readonly string[]): readonly EndedToken[] {
  const old = open.oldAuthId === null || target === 'new' ? [] : [mayLive(open.oldAuthId, 'old')];
  const made = open.newAuthId === null || target === 'old' ? [] : [mayLive(open.newAuthId, 'new')];
  const known = [open.oldAuthId, open.newAuthId];
  const others =
    target === 'all' ? current.filter((id) => !known.includes(id)).map((id) => mayLive(id, 'current')) : [];
  return [...old, ...made, ...others];
}

/** What the emergency keeps of the job that it stops: values and handles, and what that one left for a person. */
function takenFrom(open: Job): JobPatch {
  return {
    takes_over: open.jobId,
    took_from: open.status,
    old_auth_id: open.oldAuthId,
    old_fingerprint: open.oldFingerprint,
    new_auth_id: open.newAuthId,
    new_fingerprint: open.newFingerprint,
    minted_fence: open.mintedFence,
    current_state: open.currentState,
    promoting: open.promoting,
    promoted: open.promoted,
    superseded: open.superseded,
    vault_ref: open.vaultRef,
    residuals: openResiduals(open.residuals),
  };
}

function handedOver(open: Job, to: Job): JobPatch {
  const detail = `An emergency took this rotation over: job ${to.jobId} ends its tokens, and looks after what it left. Follow that job.`;
  return {
    aborted_from: open.status === 'aborted' ? open.abortedFrom : open.status,
    residuals: [],
    error: { code: 'rotation_open', detail, at: to.updatedAt },
  };
}

/** Of a row as the open rotation knew it. Who runs on a token that is not to end must not be locked out. */
function asItStands(row: Row, known: Row, target: Target, open: Job): Row {
  const stands: Row = { ...row, holds: known.holds, touched: known.touched, proof: known.proof };
  // What was proven before the way back was taken says nothing of where a consumer is on it.
  const goesBack = open.wentBack || open.restoring;
  const onNew = known.validate_status === 'succeeded' && !goesBack;
  const elsewhere = (target === 'old' && onNew) || (target === 'new' && !mayHoldNew(known));
  if (!elsewhere) return stands;
  const lockout = { class: 'on_other_token', http_status: null, weak: false, uncontrolled: false, time_to_lockout_ms: null } as const; // prettier-ignore
  return { ...withStatus(stands, 'lockout', 'skipped'), lockout };
}

function nothingToTarget({ credential }: Pick<JobRef, 'credential'>, target: Target): VelvetError {
  return new VelvetError('nothing_to_target', `target ${target} without an open rotation`, {
    detail: `No rotation of ${credential} is open, so that there is one token and no '${target}' one beside it. Leave \`target\` out: everything that may be live is revoked.`,
  });
}

/** Shows who runs on which, so that whoever is in a hurry can still choose well. */
function rotationOpen(open: Job, rows: readonly Row[]): VelvetError {
  const on = (holds: Row['holds']) => rows.filter((row) => row.holds === holds).map((row) => row.consumer_id);
  const [onNew, onOld] = [on('new'), on('old')];
  const others = rows.length - onNew.length - onOld.length;
  const said = [
    onNew.length > 0 ? `on the new token: ${onNew.join(', ')}` : '',
    onOld.length > 0 ? `on the old one: ${onOld.join(', ')}` : '',
    others > 0 ? `not known: ${others}` : '',
  ].filter((part) => part !== '');
  const revocation = open.flowType !== 'operational';
  const gate = !revocation && operatorActions(open).includes('proceed_revoke');
  const todo = revocation
    ? 'An emergency of this credential is under way already: follow that job.'
    : `${gate ? `Every consumer is accounted for: if the old token alone leaked, send proceed_revoke to that job. Otherwise send` : 'Send'} this again with \`preempt: true\`, which stops that rotation and revokes at once; \`target\` says which token (old, new, all), and without it all of them end.`;
  return new VelvetError('rotation_open', `job ${open.jobId} is open`, {
    detail: `Job ${open.jobId} (${open.status}) is open. Consumers ${said.join('; ') || 'are not known'}. ${todo}`,
    extra: {
      active_job_id: open.jobId,
      job_status: open.status,
      consumers: rows.map(({ consumer_id, holds, distribute_status, validate_status }) => ({
        consumer_id,
        holds,
        distribute_status,
        validate_status,
      })),
      offers: [...(gate ? ['proceed_revoke'] : []), ...(revocation ? [] : ['preempt'])],
    },
  });
}
