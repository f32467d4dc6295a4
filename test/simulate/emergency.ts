// An emergency in the middle of a bad day: begun while faults still strike, moved by people who err, then brought to its end.
import type { StageBody } from '../../api/stage-bodies.ts';
import { operatorActions, type OperatorAction } from '../../shared/rotation/machine.ts';
import { isOver, type Job } from '../../shared/rotation/job.ts';
import { targets } from '../../shared/rotation/job-record.ts';
import { statusIn, type Row } from '../../shared/rotation/rows.ts';
import { emergencyViolations } from '../schedule/emergency-violations.ts';
import { seenAs } from '../schedule/emergency.ts';
import { CREDENTIAL, KEY } from '../schedule/outside.ts';
import { disturbOne, wakeOne } from './faults.ts';
import { authorityLives, endByHand, replaceAuthority } from './hand.ts';
import { move, settleDown, type Odds } from './move.ts';
import { listen, operate } from './operator.ts';
import { appOf, refTo, tell, type Story } from './story.ts';

const ID = 'emergency';
const STORM_MAX = 250;
const STEPS_MAX = 30;

/** From its request to its end. What went wrong on the way is answered. */
export async function tellEmergency(story: Story, odds: Odds): Promise<readonly string[]> {
  const { world, random } = story;
  const target = random.pick(targets);
  const preempt = random.chance(0.9);
  tell(story, `#### an emergency about ${target}, ${preempt ? 'which stops' : 'beside'} what is open`);
  await world.openJob(ID, false, 'revocation', { target, preempt });
  story.jobs.push(ID);
  begin(story, preempt);
  for (let n = 0; n < STORM_MAX; n++) {
    listen(story);
    const luck = random.next();
    if (luck < 0.01) await oneStep(story, { honest: false, preempt });
    else if (luck < 0.012) disturbOne(story);
    else if (luck > 0.98) wakeOne(story);
    if ((await move(story, odds)) === 'moved') continue;
    const found = await problemsOf(story);
    if (found.length > 0) return found;
    await oneStep(story, { honest: random.chance(0.5), preempt });
  }
  return home(story);
}

async function home(story: Story): Promise<readonly string[]> {
  tell(story, '#### no more faults');
  story.outage = { until: 0, how: 'fail' };
  if (!authorityLives(story)) replaceAuthority(story);
  for (let n = 0; n < STEPS_MAX; n++) {
    await settleDown(story);
    listen(story);
    const found = await problemsOf(story);
    if (found.length > 0) return found;
    const job = await emergencyOf(story);
    if (isOver(job) || job.cleanup === 'waiting') return [];
    await oneStep(story, { honest: true, preempt: true });
  }
  const { status, cleanup, error } = await emergencyOf(story);
  return [`1 no way to an end: ${status} ${cleanup ?? ''} ${error?.code ?? ''}`];
}

const emergencyOf = ({ world }: Story): Promise<Job> => world.job(refTo(ID));

function begin(story: Story, preempt: boolean): void {
  const body = { action: 'proceed_revoke', ticket_id: 'SEV-1', confirm: CREDENTIAL, preempt } as const;
  operate(story, { jobId: ID }, body, { who: 'eve' });
}

interface Manner {
  /** Whether only what is true is said. */
  readonly honest: boolean;
  readonly preempt: boolean;
}

async function oneStep(story: Story, { honest, preempt }: Manner): Promise<void> {
  const job = await emergencyOf(story);
  if (job.status === 'rev_init') {
    const nothing = job.target !== 'all' && (await story.world.store.claimant(job)) === null;
    if (nothing && honest) operate(story, job, { action: 'abort' }, { who: 'eve' });
    else begin(story, preempt);
  } else {
    const offered = operatorActions(job);
    if (offered.length === 0) return;
    const rows = await story.world.store.rows(job);
    const body = bodyOf({ story, job, rows, honest }, story.random.pick(offered));
    if (body !== null) operate(story, job, body, { who: honest ? 'ada' : 'bob' });
  }
  await story.world.turns.settle();
}

interface Occasion {
  readonly story: Story;
  readonly job: Job;
  readonly rows: readonly Row[];
  readonly honest: boolean;
}

function bodyOf({ story, job, rows, honest }: Occasion, action: OperatorAction): StageBody | null {
  const leaking = rows.filter((row) => statusIn(row, 'lockout') === 'failed');
  const manual = rows.find((row) => statusIn(row, 'lockout') === 'manual_required');
  switch (action) {
    case 'mark_revoked':
      if (honest) for (const id of toEnd(story, job)) endByHand(story, id);
      return { action };
    case 'resolve_leak': {
      const named = honest ? leaking : leaking.slice(1);
      return { action, notes: named.map((row) => ({ consumer_id: row.consumer_id, note: 'looked after' })) };
    }
    case 'confirm_consumer':
      return manual === undefined
        ? null
        : { action, consumer_id: manual.consumer_id, note: 'its log says 401' };
    case 'skip_consumer':
      return manual === undefined ? null : { action, consumer_id: manual.consumer_id, reason: 'not needed' };
    case 'retry':
      if (honest && job.target === 'all') for (const row of leaking) stop(story, row);
      return { action };
    default:
      return null;
  }
}

/** Everything that the job names; whoever revokes by hand looks at the vendor's own list, too. */
function toEnd({ world }: Story, job: Job): readonly string[] {
  const spared = job.target === 'old' ? job.newAuthId : job.target === 'new' ? job.oldAuthId : null;
  const { account, bootstrap } = world.outside;
  return account
    .authorizations()
    .map(({ id }) => id)
    .filter((id) => id !== bootstrap.id && id !== spared);
}

/** It is given a token that has ended, and started anew. */
function stop(story: Story, row: Row): void {
  const app = appOf(story, row.consumer_id);
  app.kind = 'normal';
  app.patchConfig({ [KEY]: story.world.outside.first.token });
}

async function problemsOf(story: Story): Promise<readonly string[]> {
  const { world, ended } = story;
  const job = await emergencyOf(story);
  if (job.status === 'rev_init' || job.status === 'aborted') return [];
  const found = await emergencyViolations(seenAs(world, ID), () => Promise.resolve([]));
  const claimant = await world.store.claimant(job);
  const taken = claimant !== null && claimant !== ID && job.status === 'rev_done';
  const byHand = [...story.tokens].filter(([, token]) => ended.has(token)).map(([id]) => id);
  const explained = (one: string) => [...story.explained.keys()].some((name) => one.includes(name));
  return found.filter(
    (one) =>
      !(one.startsWith('2 handles: the authority') && ended.has(world.outside.bootstrap.token)) &&
      // What a person ended is nobody's to keep alive.
      !(one.includes('was to live on') && byHand.some((id) => one.includes(id))) &&
      // Nor is what a hand wrote there.
      !(one.includes('its own is dead') && (byHand.length > 0 || explained(one))) &&
      // Another rotation may have begun since.
      !(taken && /^(7 claim|1 silent)/.test(one)),
  );
}
