// What must be true at every rest, whatever was decided, broken and done by hand before; what a person took upon themselves is no fault.
import { isOver, type Job } from '../../shared/rotation/job.ts';
import { openResiduals } from '../../shared/rotation/residuals.ts';
import type { Row } from '../../shared/rotation/rows.ts';
import { isVelvetError } from '../../shared/lib/errors.ts';
import { slots } from '../../workers/vault/contract.ts';
import type { HerokuApp } from '../sim/heroku-apps.ts';
import { CREDENTIAL, KEY } from '../schedule/outside.ts';
import { jobViolations, leaks } from '../schedule/violations.ts';
import type { ScheduleWorld } from '../schedule/world.ts';
import { eventViolations } from './events.ts';
import { explain, focusOf, held, newTokenOf, refTo, spokenFor, tell, type Story } from './story.ts';

interface Sight {
  readonly story: Story;
  readonly job: Job;
  readonly rows: readonly Row[];
  /** The value before this job. */
  readonly base: { readonly id: string; readonly token: string };
  readonly next: string | null;
  readonly named: ReadonlySet<string>;
  readonly kept: ReadonlySet<string>;
}

/** Empty where everything holds. To be asked at rest. */
export async function problemsAtRest(story: Story): Promise<readonly string[]> {
  if (!story.unseen) return [];
  story.unseen = false;
  story.rests += 1;
  const sight = await look(story);
  await settleEarlier(sight);
  tell(
    story,
    `== ${sight.job.jobId} ${sight.job.status} ${sight.job.cleanup ?? ''} v${sight.job.version} ${sight.job.error?.code ?? ''}`,
  );
  const found = [
    ...(await ofTheJob(sight)),
    ...sight.story.world.outside.apps.flatMap((app) => consumer(sight, app)),
    ...cuts(sight),
    ...broken(sight),
    ...(await others(sight)),
    ...(await eventViolations(story)),
    ...story.world.log.filter((line) => /unforeseen failure|failure not recorded/.test(line)),
  ];
  if (isOver(sight.job)) settleAccounts(sight);
  return found;
}

/** No value of any kind where it may not be. Dear, so not for each seed. */
export async function secretProblems({ world }: Story): Promise<readonly string[]> {
  const answers = world.answers
    .filter(isVelvetError)
    .map((one) => `${one.message} ${one.detail} ${JSON.stringify(one.extra)}`);
  const said = answers.join('\n');
  const told = world.outside.values.some((value) => said.includes(value))
    ? ['9 secrets: a value is in an answer']
    : [];
  return [...told, ...(await leaks(world))];
}

async function look(story: Story): Promise<Sight> {
  const { world } = story;
  const job = await focusOf(story);
  const values = await Promise.all(
    (await world.vault.list(CREDENTIAL)).map(async (slot) => (await world.vault.read(slot))?.reveal() ?? ''),
  );
  return {
    story,
    job,
    rows: await world.store.rows(job),
    base: await baseOf(story, job),
    next: newTokenOf(story, job),
    named: new Set(openResiduals(job.residuals).map((one) => one.who)),
    kept: new Set(values),
  };
}

/** What the last job that was promoted before this one left as the current value. */
async function baseOf(story: Story, job: Job): Promise<Sight['base']> {
  const all = await Promise.all(story.jobs.map((id) => story.world.job(refTo(id))));
  const before = all
    .filter((one) => one.jobId !== job.jobId && one.promoted)
    .toSorted((a, b) => b.updatedAt - a.updatedAt)[0];
  const id = before?.newAuthId ?? null;
  return id === null ? story.world.outside.first : { id, token: story.tokens.get(id) ?? '' };
}

async function ofTheJob(sight: Sight): Promise<readonly string[]> {
  const { story, job, base } = sight;
  const { world } = story;
  const view: ScheduleWorld = {
    ...world,
    ref: refTo(job.jobId),
    job: async () => job,
    outside: { ...world.outside, first: base },
  };
  const found = await jobViolations(view);
  const authorityDead = story.ended.has(world.outside.bootstrap.token);
  const handle = await world.vault.read(slots.handle(CREDENTIAL));
  const stale = handle !== null && isOver(job) && !job.promoted && handle.reveal() !== base.id;
  return [
    ...found.filter(
      (one) =>
        !(authorityDead && one.startsWith('2 handles: the authority')) &&
        // What was not verified to the end is asked again before anything is minted.
        // Nor what a refusal of the vendor's made of a token that a person ended.
        !(
          ((job.mintedBy === null && !job.mintBegun) || story.ended.has(base.token)) &&
          one === '3 vault: what was verified is not what the job recorded'
        ) &&
        // A phase that waits for a person alone is told of by the sweeper, whose tasks have other names.
        !(job.tally.manual > 0 && one === `1 silent: nobody is told of ${job.status}`) &&
        !(story.ended.has(base.token) && one === '5 old token: dead before it was time') &&
        !(story.ended.has(sight.next ?? '') && one.startsWith('2 handles: the new token')),
    ),
    ...(stale ? ['3 vault: AUTH_ID is not the handle of the current value'] : []),
  ];
}

/** Whether a value that an app has is a person's doing, and none of Velvet's. */
function excused({ story, next }: Sight, app: HerokuApp, value: string, row: Row | undefined): boolean {
  if (story.explained.get(app.name)?.has(value) === true || story.ended.has(value)) return true;
  // To skip a consumer is to leave it on what it had; nobody gives leave to take the new value away from it.
  return value !== next && spokenFor(row);
}

const lies = (app: HerokuApp) => app.kind === 'never_restarts_looks_new';

function consumer(sight: Sight, app: HerokuApp): readonly string[] {
  const { story, job, rows, base, next, named, kept } = sight;
  const { heroku } = story.world.outside;
  const row = rows.find((one) => one.consumer_id === app.name);
  const [running = '', written = ''] = held(app);
  const found: string[] = [];
  const wentBack = job.status === 'aborted' && job.cleanup === 'done' && !job.promoted;
  if (app.config['OTHER'] !== 'left alone') found.push(`4 consumers: ${app.name} lost another config var`);
  for (const [value, how] of [
    [running, 'runs on'],
    [written, 'holds'],
  ] as const) {
    if (excused(sight, app, value, row) || named.has(app.name)) continue;
    // What its own vendor shows of it is untrue: nobody could know.
    if (lies(app) && how === 'runs on' && job.status === 'aborted') continue;
    if (!heroku.isLive(value)) found.push(`4 consumers: ${app.name} ${how} a dead token`);
    else if (!kept.has(value)) found.push(`8 kept: the vault does not hold what ${app.name} ${how}`);
    if (job.status === 'done' && value !== next)
      found.push(`4 consumers: ${app.name} ${how} another than the new token`);
    if (wentBack && value !== base.token)
      found.push(`4 consumers: ${app.name} ${how} another than the old token`);
  }
  const says =
    row !== undefined && (row.touched || row.started !== null || row.receipt !== null || row.holds === 'new');
  if (next !== null && written === next && !says && story.explained.get(app.name)?.has(written) !== true)
    found.push(`4 consumers: nothing says that ${app.name} may hold the new value`);
  return found;
}

/** Every token that Velvet ended since the last look: nobody was on it who had not been spoken for. */
function cuts(sight: Sight): readonly string[] {
  const { story, rows } = sight;
  return story.cuts.splice(0).flatMap(({ token, holders }) =>
    holders
      .filter((name) => {
        const app = story.world.outside.apps.find((one) => one.name === name);
        if (app === undefined || (lies(app) && app.config[KEY] !== token)) return false;
        return !excused(
          sight,
          app,
          token,
          rows.find((one) => one.consumer_id === name),
        );
      })
      .map(
        (name) =>
          `3 revoked: ${name} was on it when Velvet ended ${token === sight.next ? 'the new token' : token === sight.base.token ? 'the old token' : 'a token'}`,
      ),
  );
}

/** Codes that say that Velvet misunderstood itself. */
function broken({ story, job, rows }: Sight): readonly string[] {
  const own = ['internal', 'invariant_broken'];
  const shown = [job.error?.code, ...rows.map((row) => row.error?.code)].filter((code) =>
    own.includes(code ?? ''),
  );
  const told = story.world.answers.filter(
    (one) => one !== undefined && one !== 'done' && (!isVelvetError(one) || own.includes(one.code)),
  );
  return [...shown, ...told.map(String)].map((one) => `9 unforeseen: ${one}`);
}

/** I5: no other job has gone further than a job may without the claim. */
async function others({ story, job }: Sight): Promise<readonly string[]> {
  const rest = await Promise.all(
    story.jobs.filter((id) => id !== job.jobId).map((id) => story.world.job(refTo(id))),
  );
  return rest
    .filter((one) => !isOver(one) && one.status !== 'init')
    .map((one) => `7 claim: ${one.jobId} is ${one.status} while ${job.jobId} is ${job.status}`);
}

/** At a job's end: what consumers were left on is left to whoever said so. */
function settleAccounts({ story, rows }: Pick<Sight, 'story' | 'rows'>): void {
  for (const app of story.world.outside.apps) {
    const row = rows.find((one) => one.consumer_id === app.name);
    if (spokenFor(row) || lies(app)) explain(story, app.name, held(app));
  }
}

/** A job may end and the next one begin without a rest between them. */
async function settleEarlier({ story, job }: Sight): Promise<void> {
  for (const jobId of story.jobs) {
    if (jobId === job.jobId || story.settled.has(jobId)) continue;
    const other = await story.world.job(refTo(jobId));
    if (!isOver(other)) continue;
    story.settled.add(jobId);
    settleAccounts({ story, rows: await story.world.store.rows(other) });
  }
}
