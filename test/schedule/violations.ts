// What must be true of a world at rest, whatever died when. Each line that is answered names the invariant that it breaks.
import { credentialKeys } from '../../shared/redis/keys.ts';
import { taskId } from '../../shared/rotation/effects.ts';
import { isMinted } from '../../shared/rotation/new-token.ts';
import { isOver, kindOf, takesClaim, type Job } from '../../shared/rotation/job.ts';
import { openResiduals } from '../../shared/rotation/residuals.ts';
import { mayHoldNew, tally, type Row } from '../../shared/rotation/rows.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { slots } from '../../workers/vault/contract.ts';
import type { HerokuApp } from '../sim/heroku-apps.ts';
import { dumpRedis } from '../redis-dump.ts';
import { CREDENTIAL, KEY } from './outside.ts';
import { emergencyViolations } from './emergency-violations.ts';
import { FINGERPRINT_KEY } from './process.ts';
import { trailViolations } from './trail.ts';
import type { ScheduleWorld } from './world.ts';

/** Everything that is looked at, read once. */
interface Sight {
  readonly world: ScheduleWorld;
  readonly job: Job;
  readonly rows: readonly Row[];
  /** Slot → value, of this credential. */
  readonly held: ReadonlyMap<string, string>;
  /** Who an open residual is about. */
  readonly named: ReadonlySet<string>;
}

/** Empty where every invariant holds. To be asked of a world at rest. */
export async function violations(world: ScheduleWorld): Promise<readonly string[]> {
  if ((await world.job()).flowType === 'revocation')
    return [...(await emergencyViolations(world, ofARotation)), ...(await leaks(world))];
  return [...(await ofARotation(world)), ...(await leaks(world))];
}

async function ofARotation(world: ScheduleWorld): Promise<readonly string[]> {
  const sight = await lookUpon(world);
  return [
    ...(await ofTheJob(sight)),
    ...consumers(sight),
    ...waves(sight),
    ...changedByTest(sight),
    ...(await unread(sight)),
  ];
}

/** All but what is said of consumers, and the search for leaked values. */
export async function jobViolations(world: ScheduleWorld): Promise<readonly string[]> {
  return ofTheJob(await lookUpon(world));
}

async function lookUpon(world: ScheduleWorld): Promise<Sight> {
  const job = await world.job();
  const held = new Map<string, string>();
  for (const slot of await world.vault.list(CREDENTIAL))
    held.set(slot, (await world.vault.read(slot))?.reveal() ?? '');
  const named = new Set(openResiduals(job.residuals).map((residual) => residual.who));
  return { world, job, rows: await world.store.rows(world.ref), held, named };
}

async function ofTheJob(sight: Sight): Promise<readonly string[]> {
  const { world, job } = sight;
  return [
    ...(await silence(sight)),
    ...liveHandles(sight),
    ...vaultSlots(sight),
    ...oldToken(sight),
    ...(await trailViolations(world, job)),
    ...(await claim(sight)),
    ...counters(sight),
  ];
}

const over = (job: Job) => isOver(job);

/** The job's new token at the vendor: by its handle or, where a person made it, by its value. */
export function newTokenOf(
  world: ScheduleWorld,
  job: Job,
): { readonly id: string; readonly token: string } | undefined {
  const all = world.outside.account.authorizations();
  return job.newAuthId === null
    ? all.find(({ token }) => fingerprint(token) === job.newFingerprint)
    : all.find(({ id }) => id === job.newAuthId);
}
const wentBack = (job: Job) => job.status === 'aborted' && job.cleanup === 'done' && !job.promoted;

async function silence({ world, job }: Sight): Promise<readonly string[]> {
  const found: string[] = [];
  if (kindOf(job) === 'automatic') found.push(`1 silent: ${job.status} waits for nobody`);
  const left = await world.store.outbox(CREDENTIAL, world.ref.env);
  if (left.length > 0) found.push(`1 silent: ${left.length} tasks stand on the outbox`);
  for (const { id, state, queue } of world.queue.entries) {
    const open = state === 'active' || state === 'delayed' || state === 'waiting';
    if ((open && queue !== 'notify') || state === 'failed') found.push(`1 silent: ${id} is ${state}`);
  }
  const notice = taskId({ ...world.ref, effect: 'notify', version: job.statusVersion, kick: 0 });
  if (job.status !== 'init' && !world.queue.entries.some(({ id }) => id === notice))
    found.push(`1 silent: nobody is told of ${job.status}`);
  return found;
}

function liveHandles({ world, job, named }: Sight): readonly string[] {
  const { heroku, bootstrap, first } = world.outside;
  const live = heroku.live();
  const ids = new Set(live.map((one) => one.id));
  const found: string[] = [];
  if (!ids.has(bootstrap.id)) found.push('2 handles: the authority is dead');
  const minted = isMinted(job) && !wentBack(job);
  const newId = newTokenOf(world, job)?.id ?? null;
  if (minted && !ids.has(newId ?? ''))
    found.push(`2 handles: the new token ${job.newAuthId} is recorded and dead`);
  // What a person made and Velvet never took is theirs to look after; from then on it is Velvet's to name.
  const theirs = world.outside.madeByHand();
  const own = theirs === null || (isMinted(job) && over(job)) ? null : theirs.id;
  const recorded = new Set([bootstrap.id, first.id, wentBack(job) ? null : newId, own]);
  for (const one of live) {
    if (recorded.has(one.id) || named.has(one.id)) continue;
    // A failed mint may have left one with its label; the next attempt, or the cleanup, ends it.
    const labelled = one.description?.startsWith(`velvet:${job.jobId}:`) === true;
    if (!(labelled && job.status === 'mint_failed'))
      found.push(`2 handles: ${one.id} (${one.description}) is live and unknown`);
  }
  return found;
}

const fingerprint = (value: string) => new Secret(value).fingerprint(FINGERPRINT_KEY);

function vaultSlots({ world, job, held }: Sight): readonly string[] {
  const found: string[] = [];
  const { first } = world.outside;
  const [old, next] = [fingerprint(first.token), job.newFingerprint];
  const said = (slot: string) => {
    const value = held.get(slot);
    return value === undefined || value === '' ? null : fingerprint(value);
  };
  // Nobody names the tokens of a vendor that is only asked whether they work.
  const oldId = world.outside.byHand ? null : first.id;
  if (job.currentState === 'alive' && (job.oldFingerprint !== old || job.oldAuthId !== oldId))
    found.push('3 vault: what was verified is not what the job recorded');
  const minted = newTokenOf(world, job);
  if (minted !== undefined && fingerprint(minted.token) !== next)
    found.push('3 vault: the recorded handle and the recorded fingerprint are of two tokens');

  const current = said(slots.current(CREDENTIAL));
  const promoted = job.status === 'done' || job.promoted;
  const may = promoted ? [next] : job.promoting ? [old, next] : [old];
  if (!may.includes(current))
    found.push(`3 vault: the current slot is not the ${promoted ? 'new' : 'old'} value`);
  const byHand = world.outside.revokedByHand.has(first.id);
  if (
    job.currentState === 'alive' &&
    !byHand &&
    !world.outside.heroku.isLive(held.get(slots.current(CREDENTIAL)) ?? '')
  )
    found.push('3 vault: the current value is dead');
  const previous = said(slots.previous(CREDENTIAL, job.jobId));
  if (previous !== null && previous !== old) found.push('3 vault: PREVIOUS is not the old value');

  if (job.vaultRef !== null && ![...held.keys()].some((slot) => world.vault.ref(slot) === job.vaultRef))
    found.push(`3 vault: vault_ref is ${job.vaultRef}, which is not there`);

  if (over(job)) {
    const others = [...held.keys()].filter(
      (slot) => slot !== slots.current(CREDENTIAL) && slot !== slots.handle(CREDENTIAL),
    );
    if (others.length > 0) found.push(`3 vault: left over: ${others.join(', ')}`);
    if (promoted && (held.get(slots.handle(CREDENTIAL)) ?? null) !== job.newAuthId)
      found.push('3 vault: AUTH_ID is not the new handle');
  } else if (next !== null && current !== next) {
    if (said(slots.pending(CREDENTIAL, job.mintedFence ?? '')) !== next)
      found.push('3 vault: the pending slot is not the new value');
    if (job.currentState === 'alive' && previous === null && !job.promoting)
      found.push('3 vault: PREVIOUS is missing');
  }
  return found;
}

function consumers({ world, job, rows, held, named }: Sight): readonly string[] {
  const { heroku, apps, first } = world.outside;
  const newToken = newTokenOf(world, job)?.token;
  return apps.flatMap((app) => {
    const row = rows.find((one) => one.consumer_id === app.name);
    const [running, written] = [app.env()[KEY] ?? '', app.config[KEY] ?? ''];
    const found: string[] = [];
    if (app.config['OTHER'] !== 'left alone') found.push(`4 consumers: ${app.name} lost another config var`);
    // What becomes of a row that was skipped is the word of whoever skipped it.
    const skipped = row?.distribute_status === 'skipped';
    if (!named.has(app.name) && !skipped) {
      if (!heroku.isLive(running)) found.push(`4 consumers: ${app.name} runs on a dead token`);
      if (!heroku.isLive(written)) found.push(`4 consumers: ${app.name} holds a dead token`);
      if (job.status === 'done' && row?.validate_status !== 'skipped' && running !== newToken)
        found.push(`4 consumers: ${app.name} does not run on the new token`);
      if (wentBack(job) && written !== first.token)
        found.push(`4 consumers: ${app.name} is not back on the old token`);
    }
    const said =
      named.has(app.name) || openResiduals(job.residuals).some((one) => one.kind === 'old_token_live');
    if (job.status === 'aborted' && !job.promoted && written !== first.token && !said)
      found.push(`4 consumers: no residual says that ${app.name} holds the new value`);
    const mayHold = row !== undefined && mayHoldNew(row);
    if (written !== first.token && !mayHold)
      found.push(`4 consumers: nothing says that ${app.name} may hold the new value`);
    return skipped ? found : [...found, ...notKept(app, held)];
  });
}

const complete: readonly Row['distribute_status'][] = ['succeeded', 'skipped'];

/** By the places' own memory: nobody was written to before every earlier wave was complete. */
function waves({ world, rows }: Sight): readonly string[] {
  return world.outside.apps.flatMap((app) => {
    const row = rows.find((one) => one.consumer_id === app.name);
    if (row === undefined || app.releases.length === 1) return [];
    return rows
      .filter((one) => one.pinned.wave < row.pinned.wave && !complete.includes(one.distribute_status))
      .map(
        (one) =>
          `W waves: ${app.name} was written before ${one.consumer_id}, which is ${one.distribute_status}`,
      );
  });
}

/** By everybody's own memory: a test asked for no change, and came by none. Whoever holds the credential still does. */
function changedByTest({ world, job, held }: Sight): readonly string[] {
  if (job.flowType !== 'testing') return [];
  const { heroku, account, apps, bootstrap, first } = world.outside;
  const found = heroku.requests
    .filter(({ method }) => method !== 'GET' && method !== 'HEAD')
    .map(({ route }) => `T test: asked for ${route}`);
  const tokens = account.authorizations().map(({ id }) => id);
  if (tokens.toSorted().join() !== [bootstrap.id, first.id].toSorted().join())
    found.push(`T test: the account has ${tokens.length} authorizations`);
  for (const app of apps)
    if (app.releases.length !== 1 || app.config[KEY] !== first.token)
      found.push(`T test: ${app.name} was changed`);
  if ([...held].join() !== [slots.current(CREDENTIAL), first.token].join())
    found.push(`T test: the vault holds ${[...held.keys()].join(', ')}`);
  return found;
}

function notKept(app: HerokuApp, held: ReadonlyMap<string, string>): readonly string[] {
  const kept = new Set(held.values());
  return [app.env()[KEY], app.config[KEY]]
    .filter((value) => value === undefined || !kept.has(value))
    .map(() => `8 kept: the vault does not hold what ${app.name} has`);
}

function oldToken({ world, job }: Sight): readonly string[] {
  const { heroku, first, revokedByHand } = world.outside;
  const ended =
    job.status === 'done' || job.status === 'revoking' || job.status === 'revoke_failed' || job.promoted;
  if (revokedByHand.has(first.id)) return [];
  const lives = heroku.isLive(first.token);
  if (!ended && job.currentState !== 'dead' && !lives) return ['5 old token: dead before it was time'];
  return job.status === 'done' && lives ? ['5 old token: live after done'] : [];
}

async function claim({ world, job, named }: Sight): Promise<readonly string[]> {
  const claimant = await world.store.claimant(world.ref);
  if (!takesClaim(job)) return claimant === job.jobId ? ['7 claim: a test has taken it'] : [];
  const free = job.status === 'init' || over(job);
  if (free && claimant !== null) return [`7 claim: ${job.status}, and still claimed by ${claimant}`];
  if (free && named.size > 0) return ['7 claim: free while a residual is open'];
  return !free && claimant !== job.jobId ? [`7 claim: ${job.status}, and claimed by ${claimant}`] : [];
}

function counters({ job, rows }: Sight): readonly string[] {
  if (job.phase === null) return [];
  const counted = tally(rows, job.phase);
  return JSON.stringify(counted) === JSON.stringify(job.tally)
    ? []
    : [`6 counters: ${JSON.stringify(job.tally)}, and the rows say ${JSON.stringify(counted)}`];
}

/** What was typed is gone from Redis once somebody read it, though sealed. A mint that failed, or was aborted, before that leaves it to its ten minutes. */
async function unread({ world, job }: Sight): Promise<readonly string[]> {
  const waits = job.status === 'minting' && job.awaiting === null;
  if (job.valueId === null || waits || ['aborted', 'mint_failed'].includes(job.status)) return [];
  const key = credentialKeys(CREDENTIAL, world.ref.env).value(job.valueId);
  return (await world.redis.exists(key)) === 0
    ? []
    : ['9 secrets: a typed value was read and is still there'];
}

export async function leaks(world: ScheduleWorld): Promise<readonly string[]> {
  const places = { Redis: await dumpRedis(world.redis), 'the log': world.log.join('\n') };
  const found = Object.entries(places)
    .filter(([, text]) => world.outside.values.some((value) => text.includes(value)))
    .map(([place]) => `9 secrets: a value is in ${place}`);
  const unforeseen = world.log.filter((line) => /unforeseen failure|failure not recorded/.test(line));
  return [...found, ...unforeseen.map((line) => `9 unforeseen: ${line}`)];
}
