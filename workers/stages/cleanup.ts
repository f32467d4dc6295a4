// aborted: takes back what the job left behind, or says who must. Law: no value that a consumer may run on is deleted, and nothing is decided before nothing can be applied late.
import { isVelvetError, type ErrorCode } from '../../shared/lib/errors.ts';
import { openResiduals, reckoned, type Finding, type Residual } from '../../shared/rotation/residuals.ts';
import type { JobPatch } from '../../shared/rotation/job-record.ts';
import type { Job } from '../../shared/rotation/job.ts';
import { isMinted, isValueNowhere } from '../../shared/rotation/new-token.ts';
import { mayHoldNew, type Row } from '../../shared/rotation/rows.ts';
import type { Handler, Verdict } from '../run.ts';
import { slots } from '../vault/contract.ts';
import { errorPatch, presentJob, speaker, step, untilQuiet, type StageDeps, type Step } from './deps.ts';
import { cannotGoBack, oldTokenLive, onPassedValue, staleOnDead, staleOnNew } from './findings.ts';
import { demandAnswers, lookAt, type Look } from './look.ts';
import { emptySlots, pendingSlots, isPromoted, isSuperseded, promote, whereItIsNow } from './promote.ts';
import { note, restoreRows } from './restore.ts';
import { demandRevoked } from './revoke.ts';
import {
  heldUnclaimed,
  leftToAPerson,
  orphansIn,
  removePending,
  revokeMinted,
  type Held,
} from './take-back.ts';

type Later = Exclude<Verdict, 'done'>;

export function cleanup(deps: StageDeps): Handler {
  return {
    run: step(deps, async (at) => {
      const { job } = at;
      const rows = await deps.store.rows(job);
      const quietMs = untilQuiet(deps, rows);
      if (quietMs > 0) return { laterMs: quietMs };
      if (await isSuperseded(deps, job)) return superseded(deps, at, rows);
      if (job.step === 'check') return afterRevocationByHand(deps, at, rows);
      // The record may have lost a promotion that was still on its way when somebody looked; by now it is there or never comes.
      if (job.promoting || job.promoted || (await isPromoted(deps, job))) return stayOnNew(deps, at, rows);
      // Where the old one was dead there is nothing to put back, whatever was asked of a record that did not know it.
      if (job.restoring && job.currentState !== 'dead') return restoring(deps, at, rows);
      if (job.currentState === 'alive' && job.abortedFrom === 'validated' && !job.wentBack)
        return keepBoth(deps, at, [oldTokenLive(job)]);
      return backOut(deps, at, rows);
    }),

    // The job keeps its claim and says why; the sweeper orders the step again, with an authority read anew, until it can be done.
    async failed(task, error, context) {
      const detail = `The cleanup is not done yet, and is tried again by itself. ${error.detail}`;
      const job = await presentJob(deps, task);
      const where = job === null ? {} : await whereItIsNow(deps, job);
      await deps.transitions.apply(task, 'cleanup_delayed', speaker(task, context), () => ({
        patch: { ...where, ...errorPatch(deps, { code: error.code, detail }) },
        detail: { code: error.code, reason: detail },
      }));
    },
  };
}

/** Nobody is to be moved: where somebody may hold the new value it stays, and each of them is named; where nobody does it goes. */
async function backOut(deps: StageDeps, at: Step, rows: readonly Row[]): Promise<Later | void> {
  const { job } = at;
  // Promoted, by a step whose record Redis lost, is as if the old one had been dead: there is no going back.
  const dead = job.currentState !== 'alive' || job.promoting;
  // Where there is no going back, those that still hold the old value are to be named, too.
  const concerned = dead && isMinted(job) ? rows : rows.filter(mayHoldNew);
  const looks = await lookAt(deps, at, concerned, deps.values.known(job));
  demandAnswers(deps, job, looks);
  if (!dead && looks.some((look) => stillTurning(deps, job, look)))
    return { laterMs: deps.times.settlePollMs };
  for (const look of looks) await noteLook(deps, at, look);
  const holders = looks.filter((look) => mayHold(at.job, look));
  if (holders.length === 0) return leaveNothing(deps, at);
  if (!dead) return keepBoth(deps, at, holders.map(staleOnNew));
  // A mint that was lost without anybody knowing its value: there is nothing to stay on.
  if (job.newFingerprint === null) return passed(deps, at, holders, {});
  return stayOnNew(deps, at, rows);
}

/** Its place holds the new value no more, and not everything there was seen to run on what it holds. */
function stillTurning(deps: StageDeps, job: Job, look: Look): boolean {
  const waitedMs = deps.clock.now() - job.cleanupSince;
  const left = look.holds === 'old' || look.holds === 'other';
  return left && mayHoldNew(look.row) && look.effect === 'not_yet' && waitedMs <= deps.times.settleForMs;
}

/** Whether somebody there may run on the new value, as the look has it. */
function mayHold(job: Job, look: Look): boolean {
  if (look.holds === 'unknown') return mayHoldNew(look.row);
  if (look.holds === 'other' && isValueNowhere(job)) return mayHoldNew(look.row);
  const turned = look.effect === 'running' || look.effect === 'unknown';
  return look.holds === 'new' || (!turned && mayHoldNew(look.row));
}

/**
 * Another rotation ended, or a value was adopted, while this job waited. The current value is not its to replace, whatever its
 * record says: whoever is left on its own one is named, and once nobody is it leaves nothing.
 */
async function superseded(deps: StageDeps, at: Step, rows: readonly Row[]): Promise<Later | void> {
  const looks = await lookAt(deps, at, rows, deps.values.known(at.job));
  demandAnswers(deps, at.job, looks);
  if (looks.some((look) => stillTurning(deps, at.job, look))) return { laterMs: deps.times.settlePollMs };
  for (const look of looks) await noteLook(deps, at, look);
  const patch = { superseded: true, promoted: false };
  const holders = looks.filter((look) => mayHold(at.job, look));
  return holders.length === 0 ? leaveNothing(deps, at, patch) : passed(deps, at, holders, patch);
}

/** What they hold is not going to be the current value, and there is no previous one to send them back to. */
function passed(deps: StageDeps, at: Step, holders: readonly Look[], patch: JobPatch): Promise<void> {
  const current = deps.vault.ref(slots.current(at.job.credential));
  const found = holders.map((look) => onPassedValue(look, current));
  return keepBoth(deps, at, found, patch);
}

async function noteLook(deps: StageDeps, at: Step, look: Look): Promise<void> {
  await note(deps, at, look.row.consumer_id, 'row_read_back', (row) => ({
    ...row,
    holds: look.holds === 'unknown' ? row.holds : look.holds,
    touched: mayHold(at.job, look),
    started: null,
    quiet_after: 0,
    error: look.error === null ? null : { code: look.error.code, detail: look.error.detail },
  }));
}

/** The previous token is dead, or its value is not what it was: nobody is moved. */
const noWayBack: readonly ErrorCode[] = ['current_token_invalid', 'invariant_broken'];

async function restoring(deps: StageDeps, at: Step, rows: readonly Row[]): Promise<Later | void> {
  try {
    const { waiting, failed } = await restoreRows(deps, at, rows);
    if (waiting) return { laterMs: deps.times.settlePollMs };
    if (failed.size === 0) return await leaveNothing(deps, at);
    const left = [...failed].map(([who, why]): Finding => ({
      kind: 'stale_consumer',
      who,
      what_to_do: `${why} Put the previous value back there, or mend what is in the way and send restore again; then resolve this.`,
    }));
    return await keepBoth(deps, at, left);
  } catch (error) {
    if (!isVelvetError(error) || !noWayBack.includes(error.code)) throw error;
    // What was left before is what is left; and if no consumer ever went back, the way forward is as open as it was.
    const allThere = rows.every((row) => mayHoldNew(row) || row.distribute_status === 'skipped');
    const before = at.job.residuals;
    const left =
      openResiduals(before).length > 0
        ? before
        : reckoned(before, rows.filter(mayHoldNew).map(cannotGoBack), deps.clock.now());
    return blocked(deps, at, left, { ...errorPatch(deps, error), went_back: !allThere });
  }
}

/** A person says that they revoked the old token: believed where the vendor says so, or cannot tell. Then the new value is the current one. */
async function afterRevocationByHand(deps: StageDeps, at: Step, rows: readonly Row[]): Promise<void> {
  if (!at.job.promoting) {
    try {
      await demandRevoked(deps, at);
    } catch (error) {
      if (!isVelvetError(error) || error.code !== 'revoke_pending') throw error;
      return blocked(deps, at, at.job.residuals, errorPatch(deps, error));
    }
  }
  return stayOnNew(deps, at, rows);
}

/** The new value is, or becomes, the current one; whoever is still on the dead one is named. */
async function stayOnNew(deps: StageDeps, at: Step, rows: readonly Row[]): Promise<void> {
  const alive = at.job.currentState === 'alive';
  // Promoted by a step that Redis forgot: whether the old token was revoked then, or has been since, only the vendor knows.
  const wasLive = openResiduals(at.job.residuals).some(({ kind }) => kind === 'old_token_live');
  const asks = alive && at.job.step !== 'check' && (wasLive || !at.job.promoted);
  const oldLives = asks && (await stillLives(deps, at));
  await promote(deps, at);
  // Who was skipped is left on what it had by a person's word; where there never was anything to go back to, all are looked after.
  const concerned = rows.filter((row) => !(alive && isSkipped(row)));
  const looks = await lookAt(deps, at, concerned, deps.values.known(at.job));
  // The authority may be the reason why it was done by hand: who was seen on the new value is taken to be there.
  const left = looks.filter((look) => look.holds !== 'unknown' || look.row.holds !== 'new');
  demandAnswers(deps, at.job, left);
  for (const look of looks) await noteLook(deps, at, look);
  const held = await heldUnclaimed(deps, at);
  const pending = await pendingSlots(deps, at);
  const others = [...held.found, ...orphansIn(deps, at, held, pending)];
  // What a person resolved, because nobody can look, is not found again.
  const closed = at.job.residuals.filter((one) => one.resolved_at !== null);
  const own = [...(oldLives ? [oldTokenLive(at.job)] : []), ...left.flatMap(staleOnDead)].filter(
    (one) => one.kind !== 'may_hold_dead_token' || !closed.some(({ who }) => who === one.who),
  );
  const found = [...own, ...others.filter(({ who }) => !own.some((one) => one.who === who))];
  const patch = await emptySlots(deps, at, pending, { previous: leftIn(deps, at, found).length === 0 });
  return close(deps, at, found, { ...patch, promoted: true });
}

/** What would be open after this round. */
function leftIn(deps: StageDeps, { job }: Step, found: readonly Finding[]): readonly Residual[] {
  return openResiduals(reckoned(job.residuals, found, deps.clock.now()));
}

async function stillLives(deps: StageDeps, at: Step): Promise<boolean> {
  try {
    await demandRevoked(deps, at);
    return false;
  } catch (error) {
    if (isVelvetError(error) && error.code === 'revoke_pending') return true;
    throw error;
  }
}

const isSkipped = (row: Row): boolean =>
  row.distribute_status === 'skipped' || row.validate_status === 'skipped';

/** Old and new token stay alive, for somebody is named who needs them; what earlier attempts minted and nobody holds goes. */
async function keepBoth(
  deps: StageDeps,
  at: Step,
  found: readonly Finding[],
  patch: JobPatch = {},
): Promise<void> {
  return nameThem(deps, at, await heldUnclaimed(deps, at), { found, patch });
}

interface Named {
  readonly found: readonly Finding[];
  readonly patch: JobPatch;
}

/** Goes by the look that was taken: a second one may see less, and then nobody would be named and nothing emptied. */
async function nameThem(deps: StageDeps, at: Step, held: Held, { found, patch }: Named): Promise<void> {
  await revokeMinted(deps, at, { own: true, fences: held.fences });
  const pending = await pendingSlots(deps, at);
  await removePending(deps, at, pending);
  const named = new Set(found.map(({ kind, who }) => `${kind} ${who}`));
  const more = [...held.found, ...orphansIn(deps, at, held, pending)];
  const fresh = more.filter(({ kind, who }) => !named.has(`${kind} ${who}`));
  return close(deps, at, [...found, ...fresh], patch);
}

/** Nobody holds the new value. Before the gate was passed nothing can have been minted, and an authority that is dead must not hold the credential. */
async function leaveNothing(deps: StageDeps, at: Step, also: JobPatch = {}): Promise<void> {
  const held = await heldUnclaimed(deps, at);
  if (held.found.length > 0) return nameThem(deps, at, held, { found: [], patch: also });
  const byHand = await leftToAPerson(deps, at);
  if (byHand.length > 0) return nameThem(deps, at, held, { found: byHand, patch: also });
  const { mintedBy, mintBegun } = at.job;
  const revoked =
    mintedBy === null && !mintBegun ? [] : await revokeMinted(deps, at, { own: false, fences: held.fences });
  const pending = await pendingSlots(deps, at);
  const orphans = orphansIn(deps, at, held, pending);
  const patch = await emptySlots(deps, at, pending, { previous: leftIn(deps, at, orphans).length === 0 });
  at.context.log.info('cleaned up', { revoked: revoked.join(',') });
  return close(deps, at, orphans, { ...patch, ...also });
}

/** Ends the round: what is left is named and held, or the credential is free. */
async function close(deps: StageDeps, at: Step, found: readonly Finding[], patch: JobPatch): Promise<void> {
  const residuals = reckoned(at.job.residuals, found, deps.clock.now());
  if (openResiduals(residuals).length > 0) return blocked(deps, at, residuals, { ...patch, error: null });
  const promoted = patch.promoted ?? at.job.promoted;
  await deps.transitions.apply(at.task, 'cleanup_finished', speaker(at.task, at.context), () => ({
    patch: { ...patch, residuals, error: null },
    detail: { promoted, new_auth_id: at.job.newAuthId, residual: residuals },
  }));
}

async function blocked(
  deps: StageDeps,
  { task, context }: Step,
  residuals: readonly Residual[],
  patch: JobPatch,
): Promise<void> {
  const left = openResiduals(residuals);
  await deps.transitions.apply(task, 'cleanup_blocked', speaker(task, context), () => ({
    patch: { ...patch, residuals },
    detail: { residual: left },
  }));
  context.log.warn('cleanup needs a person', {
    residual: left.map(({ kind, who }) => `${kind}:${who}`).join(','),
  });
}
