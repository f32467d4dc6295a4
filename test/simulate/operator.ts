// What operators do at random moments: whatever the job offers, with and without names, sometimes too late, sometimes untrue.
import type { StageBody } from '../../api/stage-bodies.ts';
import { operatorActions } from '../../shared/rotation/machine.ts';
import { kindOf, type Job } from '../../shared/rotation/job.ts';
import type { OperatorAction } from '../../shared/rotation/machine.ts';
import { openResiduals } from '../../shared/rotation/residuals.ts';
import { statusIn, unproven, type Row } from '../../shared/rotation/rows.ts';
import { CREDENTIAL } from '../schedule/outside.ts';
import { endByHand, writeByHand } from './hand.ts';
import { answered, appOf, explain, focusOf, held, newTokenOf, refTo, tell, type Story } from './story.ts';

interface Occasion {
  readonly story: Story;
  readonly job: Job;
  readonly rows: readonly Row[];
}
type Body = (at: Occasion) => StageBody | null;

const phaseOf = (job: Job) => job.phase ?? 'distribute';

function openRow({ story, job, rows }: Occasion): Row | null {
  const open = rows.filter((row) => ['failed', 'manual_required'].includes(statusIn(row, phaseOf(job))));
  return open.length > 0 ? story.random.pick(open) : null;
}

/** Whoever vouches for a consumer answers for what it has then. */
function vouched({ story }: Occasion, row: Row): void {
  explain(story, row.consumer_id, held(appOf(story, row.consumer_id)));
}

const bodies: Readonly<Partial<Record<OperatorAction, Body>>> = {
  verify: () => ({ action: 'verify' }),
  proceed_mint: ({ story, job }) => ({
    action: 'proceed_mint',
    ...(job.status === 'verify_failed' || story.random.chance(0.1)
      ? { acknowledge_dead: true, confirm: CREDENTIAL }
      : {}),
  }),
  retry: ({ story, job, rows }) => ({
    action: 'retry',
    ...(job.phase !== null && story.random.chance(0.35)
      ? { consumer_ids: story.random.some(rows.map((row) => row.consumer_id)) }
      : {}),
  }),
  confirm_consumer(at) {
    const row = openRow(at);
    if (row === null) return null;
    vouched(at, row);
    const sure = at.story.random.chance(0.6) ? { acknowledge_disproof: true } : {};
    return { action: 'confirm_consumer', consumer_id: row.consumer_id, note: 'seen with own eyes', ...sure };
  },
  skip_consumer(at) {
    const row = openRow(at);
    return row === null
      ? null
      : { action: 'skip_consumer', consumer_id: row.consumer_id, reason: 'not needed' };
  },
  proceed_revoke({ story, job, rows }) {
    const stale = rows.filter((row) => (job.status === 'validated' ? row.stale : unproven(row)));
    const names = story.random.chance(0.85) ? stale : rows.filter(() => story.random.chance(0.5));
    return {
      action: 'proceed_revoke',
      ...(story.random.chance(0.9) ? { ticket_id: 'ROT-2026-SIM' } : {}),
      ...(names.length > 0 ? { acknowledge_stale: names.map((row) => row.consumer_id) } : {}),
    };
  },
  abort: ({ story }) => ({ action: 'abort', ...(story.random.chance(0.4) ? { restore: true } : {}) }),
  restore: () => ({ action: 'restore' }),
  mark_revoked({ story, job }) {
    if (story.random.chance(0.5) && job.oldAuthId !== null) endByHand(story, job.oldAuthId);
    return { action: 'mark_revoked' };
  },
  resolve_residual({ story, job }) {
    const left = openResiduals(job.residuals);
    if (left.length === 0) return null;
    const { kind, who } = story.random.pick(left);
    const known = story.world.outside.apps.some((app) => app.name === who);
    const value = job.promoted ? newTokenOf(story, job) : (story.tokens.get(job.oldAuthId ?? '') ?? null);
    if (known && value !== null && story.random.chance(0.5)) writeByHand(story, who, value);
    return { action: 'resolve_residual', kind, who, note: 'looked after' };
  },
};

/** To go back is rarer than to go on. */
const weightOf = (action: OperatorAction) =>
  action === 'abort' ? 0.2 : action === 'proceed_revoke' ? 1.5 : 1;

function chosen(story: Story, offered: readonly OperatorAction[]): OperatorAction | null {
  let left = story.random.next() * offered.reduce((sum, one) => sum + weightOf(one), 0);
  return offered.find((one) => (left -= weightOf(one)) <= 0) ?? offered.at(-1) ?? null;
}

/** One action of one person, if there is anything to do. */
export async function act(story: Story, { atRest }: { atRest: boolean }): Promise<void> {
  const { random } = story;
  const job = await focusOf(story);
  const offered = operatorActions(job);
  // Now and then somebody asks for what is not offered.
  const asked = random.chance(0.04)
    ? random.pick(Object.keys(bodies) as OperatorAction[])
    : chosen(story, offered);
  const second = random.chance(0.08);
  if (asked === null || (!atRest && !second && kindOf(job) === 'automatic' && random.chance(0.5))) return;
  const rows = await story.world.store.rows(job);
  const body = bodies[asked]?.({ story, job, rows }) ?? null;
  if (body === null) return;
  const seen = random.next();
  const version = second
    ? Math.max(1, job.version - random.between(0, 2))
    : seen < 0.75
      ? job.version
      : undefined;
  operate(story, job, body, { who: second ? 'bob' : 'ada', version });
  await story.world.turns.settle();
}

/** In the name of a person, who waits for the answer before the next one. */
export function operate(
  story: Story,
  job: Pick<Job, 'jobId'>,
  body: StageBody,
  { who, version }: { readonly who: string; readonly version?: number | undefined },
): void {
  const { world } = story;
  const before = story.busy.get(who);
  if (before !== undefined && !before.ended && before.process.state !== 'dead') return;
  const at = world.answers.length;
  tell(story, `${who} → ${job.jobId}: ${JSON.stringify(body)} v${version}`);
  story.unseen = true;
  story.calm.moved = true;
  const strand = world.operate(body, who, { ref: refTo(job.jobId), version });
  story.busy.set(who, strand);
  story.heard.push({ at, who });
}

/** What people have been answered since they were last asked. */
export function listen(story: Story): void {
  for (const one of story.heard.splice(0)) {
    const answer = story.world.answers[one.at];
    if (answer === undefined) story.heard.push(one);
    else tell(story, `${one.who} ← ${answered(answer)}`);
  }
}

/** A second rotation of the credential, while one is open or after one. */
export async function openAnother(story: Story): Promise<void> {
  const jobId = `job-${story.jobs.length + 1}`;
  tell(story, `eve opens ${jobId}`);
  await story.world.openJob(jobId, story.random.chance(0.35));
  story.jobs.push(jobId);
  story.unseen = true;
  if (story.random.chance(0.7)) operate(story, { jobId }, { action: 'verify' }, { who: 'eve' });
  await story.world.turns.settle();
}
