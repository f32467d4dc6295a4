// Reading consumers' places back outside the proof of a rotation: before a cleanup decides, after a restore, when a person asks. Changes nothing there.
import { VelvetError, isVelvetError } from '../../shared/lib/errors.ts';
import type { Fence } from '../../shared/lib/lease.ts';
import type { Answer, Question } from '../../shared/queue/questions.ts';
import type { Job } from '../../shared/rotation/job.ts';
import type { Row } from '../../shared/rotation/rows.ts';
import type { TaskContext } from '../run.ts';
import type { Evidence, KnownValues } from '../vendors/contract.ts';
import { isByHand, readCall, targetOf, type StageDeps } from './deps.ts';
import { namedTarget } from './push.ts';

/** What one place was seen to hold. Where it could not be read, `holds` is unknown and `error` says why. */
export interface Look extends Evidence {
  readonly row: Row;
  readonly error: VelvetError | null;
  /** What the vendor said of a place that is not there: it holds nothing, so that this is no error of a look. */
  readonly gone?: VelvetError;
}

/** Enough to be quick with hundreds of consumers, few enough to leave a vendor's limits to others. */
const AT_ONCE = 10;

export interface Looker {
  readonly job: Job;
  readonly fence: Fence;
  readonly context: Pick<TaskContext, 'signal'>;
}

/** Reads each row's place back and compares it with the job's values. What a vendor refuses becomes a look that says so. */
export async function lookAt(
  deps: StageDeps,
  at: Looker,
  rows: readonly Row[],
  known: KnownValues,
): Promise<readonly Look[]> {
  return inParallel(rows, (row) => lookAtOne(deps, at, row, known));
}

async function lookAtOne(deps: StageDeps, at: Looker, row: Row, known: KnownValues): Promise<Look> {
  if (isByHand(row)) {
    const detail = 'Velvet cannot look there.';
    return { row, holds: 'unknown', effect: 'unknown', version: null, detail, error: null };
  }
  try {
    const target = targetOf(row);
    const authority = await deps.authorities.read(target.update_auth_token_name);
    const call = readCall(at.job, at.fence, at.context);
    // Whichever release is the newest now: what an earlier push left behind says nothing about the place of today.
    const seen = await namedTarget(row, () =>
      deps.registry.destination(target.update_method).readBack(call, target, authority, known, null),
    );
    return { ...seen, row, error: null };
  } catch (error) {
    if (!isVelvetError(error)) throw error;
    const nothing = { row, effect: 'unknown', version: null, detail: error.detail } as const;
    // A place that is gone holds nothing.
    if (error.code === 'vendor_target_missing')
      return { ...nothing, holds: 'other', empty: true, gone: error, error: null };
    return { ...nothing, holds: 'unknown', error };
  }
}

/** A vendor that is away for a moment is asked again, before anybody is bothered; one that stays away is named with what it hides. */
export function demandAnswers(deps: StageDeps, job: Job, looks: readonly Look[]): void {
  if (deps.clock.now() - job.cleanupSince > deps.times.settleForMs) return;
  const passing = looks.find((look) => look.error !== null && look.error.retry !== 'never')?.error;
  if (passing !== undefined && passing !== null) throw passing;
}

/** Each of them, ten at a time, in order. */
export async function inParallel<T, R>(items: readonly T[], does: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const next = items.entries();
  const lane = async () => {
    for (const [index, item] of next) results[index] = await does(item);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, lane));
  return results;
}

/** For the API, which has no vendor: the same look at one consumer of one job. */
export async function answerLook(
  deps: StageDeps,
  asked: Question<'look'>,
  signal: AbortSignal,
): Promise<Answer<'look'>> {
  const ref = { credential: asked.credential, env: asked.env, jobId: asked.job_id };
  const [job, row] = await Promise.all([deps.store.load(ref), deps.store.row(ref, asked.consumer_id)]);
  if (job === null || row === null) throw new VelvetError('not_found', 'no such row to look at');
  const at = { job, fence: '0-look', context: { signal } };
  const [look] = await lookAt(deps, at, [row], deps.values.known(job));
  return {
    holds: look?.holds ?? 'unknown',
    effect: look?.effect ?? 'unknown',
    readable:
      !isByHand(row) &&
      deps.registry.destination(targetOf(row).update_method).capabilities.readBack === 'value',
    detail: look?.detail ?? '',
    problem: look?.error?.detail ?? null,
    blocked_by: look?.error ? blockedBy(look.error) : null,
  };
}

/** A dead authority is replaced, and then the place can be read: nobody's word is taken for it meanwhile. */
function blockedBy(error: VelvetError): Answer<'look'>['blocked_by'] {
  if (error.code === 'authority_invalid') return 'authority';
  return error.retry === 'never' ? null : 'away';
}
