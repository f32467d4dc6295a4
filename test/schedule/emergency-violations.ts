// What must be true of an emergency at rest, whatever died when: who is dead, who lives, who is named, who was alarmed.
import { kindOf, isOver, type Job } from '../../shared/rotation/job.ts';
import { taskId } from '../../shared/rotation/effects.ts';
import { openResiduals } from '../../shared/rotation/residuals.ts';
import { tally, type Row } from '../../shared/rotation/rows.ts';
import type { AuditEvent } from '../../shared/redis/events.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { slots } from '../../workers/vault/contract.ts';
import { seenAs } from './emergency.ts';
import { CREDENTIAL, KEY } from './outside.ts';
import { FINGERPRINT_KEY } from './process.ts';
import { trailViolations } from './trail.ts';
import type { ScheduleWorld } from './world.ts';

interface Sight {
  readonly world: ScheduleWorld;
  readonly job: Job;
  readonly rows: readonly Row[];
  /** The rotation that it stopped. */
  readonly stopped: Job | null;
  /** Slot → value. */
  readonly held: ReadonlyMap<string, string>;
  /** Handles of the tokens that live, but for the authority's. */
  readonly live: readonly string[];
}

/** After the revoke, and after everything. */
const ended = (job: Job) => job.status === 'rev_leaked' || job.status === 'rev_done';

/** Empty where every invariant holds. `others` judges a rotation that is not the emergency's own. */
export async function emergencyViolations(
  world: ScheduleWorld,
  others: (world: ScheduleWorld) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const sight = await lookUpon(world);
  const { job } = sight;
  const found = [...(await silence(sight)), ...(await claim(sight)), ...(await alarms(sight))];
  found.push(...(await trailViolations(world, job)), ...counters(sight));
  if (job.status === 'rev_init' || job.status === 'aborted') {
    const rotations = await world.store.list(job.credential, job.env, 20);
    for (const one of rotations.filter((other) => other.flowType === 'operational'))
      found.push(...(await others(seenAs(world, one.jobId))));
    return found;
  }
  return [...found, ...handles(sight), ...vault(sight), ...consumers(sight), ...(await ofTheStopped(sight))];
}

async function lookUpon(world: ScheduleWorld): Promise<Sight> {
  const job = await world.job();
  const held = new Map<string, string>();
  for (const slot of await world.vault.list(CREDENTIAL))
    held.set(slot, (await world.vault.read(slot))?.reveal() ?? '');
  const { heroku, bootstrap } = world.outside;
  return {
    world,
    job,
    rows: await world.store.rows(world.ref),
    stopped: job.takesOver === null ? null : await world.job({ ...world.ref, jobId: job.takesOver }),
    held,
    live: heroku
      .live()
      .map(({ id }) => id)
      .filter((id) => id !== bootstrap.id),
  };
}

async function silence({ world, job }: Sight): Promise<readonly string[]> {
  const found: string[] = [];
  if (kindOf(job) === 'automatic') found.push(`1 silent: ${job.status} waits for nobody`);
  if (job.cleanup === 'waiting') found.push('1 silent: the cleanup waits, and nobody holds the credential');
  const left = await world.store.outbox(CREDENTIAL, world.ref.env);
  if (left.length > 0) found.push(`1 silent: ${left.length} tasks stand on the outbox`);
  for (const { id, state, queue } of world.queue.entries) {
    const open = state === 'active' || state === 'delayed' || state === 'waiting';
    if ((open && queue !== 'notify') || state === 'failed') found.push(`1 silent: ${id} is ${state}`);
  }
  const notice = taskId({ ...world.ref, effect: 'notify', version: job.statusVersion, kick: 0 });
  const told = job.status === 'rev_init' || job.status === 'rev_leaked' || job.cleanup === 'done';
  if (!told && !world.queue.entries.some(({ id }) => id === notice))
    found.push(`1 silent: nobody is told of ${job.status}`);
  return found;
}

async function claim({ world, job }: Sight): Promise<readonly string[]> {
  const claimant = await world.store.claimant(world.ref);
  const { status } = job;
  if (status === 'rev_init' || status === 'aborted')
    return claimant === job.jobId ? [`7 claim: ${status}, and it holds the credential`] : [];
  const due = status === 'rev_done' && job.cleanup !== 'pending' ? null : job.jobId;
  return claimant === due ? [] : [`7 claim: ${status} ${job.cleanup}, and claimed by ${claimant}`];
}

/** What the vendor says of each token, held against what the record says. */
function handles({ world, job, live }: Sight): readonly string[] {
  const { heroku, bootstrap, first } = world.outside;
  const found: string[] = [];
  if (!heroku.isLive(bootstrap.token)) found.push('2 handles: the authority is dead');
  for (const token of job.tokens)
    if (token.state === 'dead' && live.includes(token.auth_id))
      found.push(`2 handles: ${token.auth_id} (${token.is}) is recorded dead and lives`);
  const spared = sparedBy(job);
  const named = new Set([
    spared,
    ...openResiduals(job.residuals).map(({ who }) => who),
    ...job.tokens.filter((token) => token.state === 'may_live').map((token) => token.auth_id),
  ]);
  for (const one of heroku.live()) {
    if (!live.includes(one.id) || named.has(one.id)) continue;
    // Its revoke is still to be repeated, which finds by label what nobody recorded, and by its value the current one.
    const labelled = one.description?.startsWith(`velvet:${job.takesOver}:`) === true;
    const unasked = one.id === first.id && !job.tokens.some(({ auth_id }) => auth_id === one.id);
    if (job.status === 'rev_revoke_failed' && (labelled || unasked)) continue;
    found.push(`2 handles: ${one.id} (${one.description}) is live and no record names it`);
  }
  if (ended(job) && spared !== null && !mayBeGone(job) && !live.includes(spared))
    found.push(`2 handles: ${spared} was to live on, and is dead`);
  if (ended(job) && job.tokens.some((token) => token.state === 'may_live'))
    found.push(`2 handles: ${job.status}, and a token may live`);
  return found;
}

/** The token that lives on where one alone leaked. */
function sparedBy(job: Job): string | null {
  if (job.target === 'old') return job.newAuthId;
  return job.target === 'new' ? job.oldAuthId : null;
}

/** What the rotation itself was about to end may be gone by its own hand. */
function mayBeGone({ target, tookFrom }: Job): boolean {
  if (tookFrom === 'aborted') return true;
  return target === 'new' && (tookFrom === 'revoking' || tookFrom === 'revoke_failed');
}

const fingerprint = (value: string | undefined) =>
  value === undefined ? null : new Secret(value).fingerprint(FINGERPRINT_KEY);

function vault({ world, job, held, live }: Sight): readonly string[] {
  const found: string[] = [];
  const current = fingerprint(held.get(slots.current(CREDENTIAL)));
  const said = [...held.values()].map(fingerprint);
  const promotes = job.target === 'old' && job.newFingerprint !== null;
  // The vault is the only place that a value can be had from again.
  if (promotes && live.includes(job.newAuthId ?? '') && !said.includes(job.newFingerprint))
    found.push('3 vault: the value that lives on is nowhere in it');
  if (job.target === 'new' && live.includes(job.oldAuthId ?? '') && !said.includes(job.oldFingerprint))
    found.push('3 vault: the value that stays is nowhere in it');
  if (current === null) found.push('3 vault: the current slot is empty');
  if (job.vaultRef !== null && ![...held.keys()].some((slot) => world.vault.ref(slot) === job.vaultRef))
    found.push(`3 vault: vault_ref is ${job.vaultRef}, which is not there`);
  if (job.status !== 'rev_done' || !isOver(job)) return found;
  // Where the rotation was going back it may have ended the new token, and emptied its slot, before it was stopped.
  const gone = mayBeGone(job) && !live.includes(job.newAuthId ?? '');
  if (gone) return found;
  if (promotes && current !== job.newFingerprint) found.push('3 vault: the new value is not the current one');
  if (promotes && held.get(slots.handle(CREDENTIAL)) !== job.newAuthId)
    found.push('3 vault: AUTH_ID is not the new handle');
  const keeps = job.target === 'new' && current === job.newFingerprint && current !== null;
  const kept = keeps ? slots.previous(CREDENTIAL, job.takesOver ?? '') : null;
  const own = [slots.current(CREDENTIAL), slots.handle(CREDENTIAL), kept];
  const others = [...held.keys()].filter((slot) => !own.includes(slot));
  if (others.length > 0) found.push(`3 vault: left over: ${others.join(', ')}`);
  return found;
}

/** What is said of each consumer, held against what its process runs on. */
function consumers({ world, job, rows, stopped }: Sight): readonly string[] {
  const { heroku, account, apps } = world.outside;
  const spared = account.authorizations().find(({ id }) => id === sparedBy(job));
  const sparedValue = spared?.token ?? null;
  return apps.flatMap((app) => {
    const row = rows.find((one) => one.consumer_id === app.name);
    const running = app.env()[KEY] ?? '';
    const found: string[] = [];
    if (app.config['OTHER'] !== 'left alone') found.push(`4 consumers: ${app.name} lost another config var`);
    const lives = heroku.isLive(running);
    // One that proved to be on the other one may have been taken back from it since.
    const goesBack = stopped !== null && stopped.wentBack;
    if (row === undefined || !ended(job)) return found;
    const said = row.lockout?.class;
    const judged = row.validate_status === 'succeeded' && row.confirmed_by === null;
    // Refused when it was asked, it may have come to run on the one that lives since.
    const moved = running === sparedValue;
    if (judged && said === 'locked_out' && lives && !moved)
      found.push(`4 consumers: ${app.name} is called locked out, and runs on a live token`);
    if (said === 'on_other_token' && !lives && !(goesBack && row.validate_status === 'succeeded'))
      found.push(`4 consumers: ${app.name} is called to be on the other token, and its own is dead`);
    if (goesBack && job.target === 'old' && row.validate_status === 'skipped' && row.note === null)
      found.push(`4 consumers: ${app.name} was on its way back to the old one, and is not asked`);
    if (job.status === 'rev_done' && !['succeeded', 'skipped'].includes(row.validate_status))
      found.push(`4 consumers: rev_done, and ${app.name} is ${row.validate_status}`);
    const unsaid = row.validate_status === 'skipped' && said !== 'on_other_token' && row.note === null;
    if (unsaid) found.push(`4 consumers: nobody said why ${app.name} is left out`);
    return found;
  });
}

/** I5: the rotation has ended in the moment in which its credential was taken, and left nothing behind that is its own. */
async function ofTheStopped({ world, job, stopped }: Sight): Promise<readonly string[]> {
  const open = await world.store.openJobs(job.credential, job.env);
  const found = open
    // One that has touched nothing holds nothing.
    .filter((one) => one.jobId !== job.jobId && one.status !== 'init')
    .map((one) => `7 claim: ${one.jobId} is ${one.status} beside ${job.status}`);
  if (stopped === null) return found;
  const { status, cleanup } = stopped;
  if (status !== 'aborted' || cleanup !== 'done')
    found.push(`7 claim: the stopped rotation is ${status} ${cleanup}`);
  if (openResiduals(stopped.residuals).length > 0)
    found.push('7 claim: the stopped rotation kept a residual');
  const notice = taskId({ ...stopped, effect: 'notify', version: stopped.statusVersion, kick: 0 });
  if (!world.queue.entries.some(({ id }) => id === notice))
    found.push('1 silent: nobody is told that the rotation was stopped');
  return [...found, ...(await trailViolations(seenAs(world, stopped.jobId), stopped))];
}

/** I8: one alarm for each episode, raised in the moment of the leak. */
async function alarms({ world, job, rows }: Sight): Promise<readonly string[]> {
  const keys = credentialKeys(CREDENTIAL, world.ref.env);
  const raised = await world.redis.hgetall(keys.alarms);
  const entries = await world.seen.xrange(keys.events, '-', '+');
  const events = entries.map(([, fields]) => JSON.parse(fields[1] ?? '{}') as AuditEvent);
  const episodes = events.filter(
    (event) =>
      event.job_id === job.jobId && event.consumer_id === undefined && event.to_state === 'rev_leaked' && event.from_state === 'rev_validating', // prettier-ignore
  ).length;
  const others = Object.keys(raised).filter((id) => id !== job.jobId);
  const text = raised[job.jobId];
  const episode = text === undefined ? 0 : (JSON.parse(text) as { episode: number }).episode;
  const leaks = rows.some((row) => row.validate_status === 'failed');
  return [
    ...others.map((id) => `I8 alarm: raised for ${id}, which does not leak`),
    ...(episode === episodes ? [] : [`I8 alarm: episode ${episode} after ${episodes} leaks`]),
    ...(ended(job) && leaks && text === undefined ? ['I8 alarm: a row leaks and nobody is alarmed'] : []),
    ...(ended(job) && leaks && job.status !== 'rev_leaked' ? [`I8 alarm: a row leaks in ${job.status}`] : []),
  ];
}

function counters({ job, rows }: Sight): readonly string[] {
  if (job.phase === null) return [];
  const counted = tally(rows, job.phase);
  return JSON.stringify(counted) === JSON.stringify(job.tally)
    ? []
    : [`6 counters: ${JSON.stringify(job.tally)}, and the rows say ${JSON.stringify(counted)}`];
}
