// After the faults: an honest operator brings every job to an end, by whatever way is open, without a word that is not true.
import type { StageBody } from '../../api/stage-bodies.ts';
import { operatorActions } from '../../shared/rotation/machine.ts';
import { isOver, type Job } from '../../shared/rotation/job.ts';
import { openResiduals } from '../../shared/rotation/residuals.ts';
import { statusIn, type Row } from '../../shared/rotation/rows.ts';
import { CREDENTIAL } from '../schedule/outside.ts';
import { problemsAtRest } from './checks.ts';
import { authorityLives, endByHand, mendByHand, replaceAuthority, writeByHand } from './hand.ts';
import { settleDown } from './move.ts';
import { listen, operate } from './operator.ts';
import { appOf, focusOf, held, newTokenOf, refTo, tell, type Story } from './story.ts';

const STEPS_MAX = 60;

interface Guest {
  readonly story: Story;
  readonly job: Job;
  readonly rows: readonly Row[];
  /** How often the job was seen to stand here. */
  readonly seen: number;
}

/** To the end of every job. What went wrong on the way is answered. */
export async function bringHome(story: Story): Promise<readonly string[]> {
  const { world } = story;
  tell(story, '#### no more faults');
  story.outage = { until: 0, how: 'fail' };
  if (!authorityLives(story)) replaceAuthority(story);
  await settleDown(story);
  listen(story);
  const found = [...(await problemsAtRest(story))];
  const seen = new Map<string, number>();
  for (let n = 0; n < STEPS_MAX && found.length === 0; n++) {
    const job = await focusOf(story);
    if (isOver(job)) return found;
    const key = `${job.jobId} ${job.status}`;
    seen.set(key, (seen.get(key) ?? 0) + 1);
    const rows = await world.store.rows(job);
    const body = stepOf({ story, job, rows, seen: seen.get(key) ?? 0 });
    await settleDown(story);
    if (body !== null) operate(story, job, body, { who: 'ada' });
    await settleDown(story);
    listen(story);
    found.push(...(await problemsAtRest(story)));
  }
  if (found.length > 0) return found;
  const job = await focusOf(story);
  const left = openResiduals(job.residuals).map(({ kind, who }) => `${kind} of ${who}`);
  return [
    `1 no way to an end: ${job.status} ${job.cleanup ?? ''} ${job.error?.code ?? ''} ${left.join(', ')}`,
  ];
}

const abort = ({ story }: Guest): StageBody => ({
  action: 'abort',
  ...(story.random.chance(0.5) ? { restore: true } : {}),
});
const retry: StageBody = { action: 'retry' };

function stepOf(guest: Guest): StageBody | null {
  const { story, job, rows, seen } = guest;
  const offered = operatorActions(job);
  const goingBack =
    job.status !== 'init' && seen === 1 && offered.includes('abort') && story.random.chance(0.15);
  if (goingBack) return abort(guest);
  switch (job.status) {
    case 'init':
      return seen > 3 ? { action: 'abort' } : { action: 'verify' };
    case 'verify_failed':
      if (seen > 3) return { action: 'abort' };
      return offered.includes('proceed_mint')
        ? { action: 'proceed_mint', acknowledge_dead: true, confirm: CREDENTIAL }
        : retry;
    case 'verified':
      return { action: 'proceed_mint' };
    case 'mint_failed':
      return seen > 3 ? abort(guest) : retry;
    case 'validated': {
      const stale = rows.filter((row) => row.stale).map((row) => row.consumer_id);
      if (seen > 4) return abort(guest);
      return {
        action: 'proceed_revoke',
        ticket_id: 'ROT-HOME',
        ...(stale.length > 0 ? { acknowledge_stale: stale } : {}),
      };
    }
    case 'revoke_failed':
      if (seen <= 2) return retry;
      if (job.oldAuthId !== null) endByHand(story, job.oldAuthId);
      return { action: 'mark_revoked' };
    case 'aborted':
      return deal(guest);
    default:
      return mendRows(guest);
  }
}

/** Consumers that failed, or that only a person can judge. */
function mendRows(guest: Guest): StageBody | null {
  const { story, job, rows, seen } = guest;
  const phase = job.phase ?? 'distribute';
  const offered = operatorActions(job);
  const open = rows.filter((row) => ['failed', 'manual_required'].includes(statusIn(row, phase)));
  const next = newTokenOf(story, job);
  if (seen > 12) return offered.includes('abort') ? abort(guest) : null;
  if (seen === 1 && offered.includes('retry')) return retry;
  for (const row of open) {
    const app = appOf(story, row.consumer_id);
    const [running, written] = held(app);
    if (running === next && written === next) {
      if (offered.includes('confirm_consumer') && (statusIn(row, phase) === 'manual_required' || seen > 3))
        return {
          action: 'confirm_consumer',
          consumer_id: row.consumer_id,
          note: 'it runs on it',
          acknowledge_disproof: true,
        };
    } else if (phase !== 'distribute' && next !== null) {
      if (written !== next) writeByHand(story, row.consumer_id, next);
      else mendByHand(story, row.consumer_id);
      if (statusIn(row, phase) === 'manual_required') return null;
    } else mendByHand(story, row.consumer_id);
  }
  if (offered.includes('retry') && seen % 4 !== 0) return retry;
  return offered.includes('abort') ? abort(guest) : null;
}

/** What an aborted job left behind. */
function deal(guest: Guest): StageBody | null {
  const { story, job, seen } = guest;
  const offered = operatorActions(job);
  const [left] = openResiduals(job.residuals);
  if (left === undefined) return null;
  const old = story.tokens.get(job.oldAuthId ?? '') ?? null;
  const oldLives = old !== null && story.world.outside.heroku.isLive(old);
  if (offered.includes('restore') && oldLives && (seen === 1 || (seen < 4 && story.random.chance(0.4))))
    return { action: 'restore' };
  if (left.kind === 'old_token_live' || left.kind === 'manual_revoke') {
    if (job.oldAuthId !== null) endByHand(story, job.oldAuthId);
    return { action: 'mark_revoked' };
  }
  if (left.kind === 'orphan_token') endByHand(story, left.who);
  else {
    const app = appOf(story, left.who);
    // Back to a token that somebody ended is no way: then everybody is helped on to the new one.
    const wanted = job.promoted || !oldLives ? newTokenOf(story, job) : old;
    if (wanted !== null && held(app)[1] !== wanted) writeByHand(story, left.who, wanted);
    // Its processes may have to be started anew, also where they are on the right value and nothing shows it.
    else if (wanted !== null && (held(app)[0] !== wanted || seen % 2 === 0)) mendByHand(story, left.who);
    if (!job.promoted && !oldLives && offered.includes('mark_revoked')) return { action: 'mark_revoked' };
  }
  return { action: 'resolve_residual', kind: left.kind, who: left.who, note: 'put right' };
}

/** One more rotation, to see that the credential is free and everything still works. */
export async function onceMore(story: Story): Promise<readonly string[]> {
  const jobId = `job-${story.jobs.length + 1}`;
  tell(story, `#### once more: ${jobId}`);
  await story.world.openJob(jobId, false);
  story.jobs.push(jobId);
  const found = await bringHome(story);
  const { status } = await story.world.job(refTo(jobId));
  return found.length > 0 || status === 'done' || status === 'aborted' ? found : [`1 once more: ${status}`];
}
