// What must be true of the world after every rotation, whatever happened during it, and how long it may have stood still.
import { FORGOTTEN_MAX } from '../../workers/stages/loss-record.ts';
import { join } from 'node:path';
import { expect } from 'vitest';
import { filesBelow, search, type Places } from '../../bin/demo/secrets.ts';
import { credentialKeys, queuePrefix } from '../../shared/redis/keys.ts';
import { queueNames } from '../../shared/rotation/effects.ts';
import { times } from '../../shared/times.ts';
import { slots } from '../../workers/vault/contract.ts';
import { until } from '../harness.ts';
import { dumpRedis } from '../redis-dump.ts';
import type { Fleet } from './fleet.ts';
import { ENV, KEY } from './outside.ts';
import { nextGate, trailOf, type Rotation, type TrailEvent } from './rotation.ts';

/** What a job may take to move on after the last fault, where nothing has to be waited for. */
const MOVES_ON_S = 35;
/** Law 5: the lease that was given out, and the vendor's longest late application after it. */
const QUIET_S = (times.leaseMs + times.lateMs) / 1000;

export interface EndOptions {
  /** Redis lost data meanwhile: whoever followed the stream was told so, and what they heard is not what is kept. */
  readonly dataLost?: boolean;
}

/** Everything at once; throws with the first thing that is not as it must be. */
export async function endedWell(fleet: Fleet, rotation: Rotation, given: EndOptions = {}): Promise<void> {
  await rotation.done;
  const trail = await trailOf(fleet, rotation.credential.name);
  const job = await jobOf(fleet, rotation);
  expect(job['status']).toBe('done');
  vendorIsRight(fleet, rotation, job);
  await vaultIsRight(fleet, rotation, job);
  trailIsWhole(rotation, job, trail);
  if (given.dataLost !== true) {
    provenBefore(fleet, rotation, trail);
    streamToldAll(rotation, trail);
  }
  await nothingIsLeft(fleet, rotation);
  await noValueLeaked(fleet, rotation.jobId, { 'SSE streams': Buffer.from(fleet.client.streamed()) });
}

async function jobOf({ redis }: Fleet, { jobId, credential }: Rotation): Promise<Record<string, string>> {
  return redis.hgetall(credentialKeys(credential.name, ENV).job(jobId));
}

function vendorIsRight(
  { outside }: Fleet,
  { credential, jobId }: Rotation,
  job: Readonly<Record<string, string>>,
): void {
  const newId = job['new_auth_id'] ?? '';
  const ofJob = outside.heroku.live().filter((one) => one.description?.startsWith(`velvet:${jobId}:`));
  expect(
    ofJob.map(({ id }) => id),
    'one new token is live, the recorded one',
  ).toEqual([newId]);
  const live = outside.heroku.live().map(({ id }) => id);
  expect(live, 'the old token is dead').not.toContain(credential.first.id);
  expect(live, 'the authority and one token for each credential, no orphan').toHaveLength(
    1 + outside.credentials.length,
  );

  const value = outside.made.find(({ id }) => id === newId)?.token;
  expect(value).toBeDefined();
  for (const { app } of credential.consumers)
    expect([app.config[KEY], app.env()[KEY], app.config['OTHER']]).toEqual([value, value, 'left alone']);

  const death = outside.deaths.filter(({ id }) => id === credential.first.id);
  expect(death, 'it died once').toHaveLength(1);
  for (const { id, app } of credential.consumers)
    expect(death[0]?.running.get(app.name), `${id} ran on the new value when the old one died`).toBe(value);
}

/** By what is on record, which is not all where data was lost. */
function provenBefore({ outside }: Fleet, { credential }: Rotation, trail: readonly TrailEvent[]): void {
  const diedAt = outside.deaths.find(({ id }) => id === credential.first.id)?.at ?? 0;
  const proofs = trail.filter(({ event }) => event === 'row_proven');
  for (const { id } of credential.consumers) {
    const own = proofs.filter(({ consumer_id: of }) => of === id);
    for (const status of ['validating', 'revoking']) {
      const last = own.findLast(({ from_state: from }) => from === status);
      expect(last?.ms, `${id} was proven in ${status} before the old token died`).toBeLessThanOrEqual(diedAt);
    }
  }
  const grades = new Set(proofs.map(({ detail }) => detail['proof']));
  expect(grades, 'one at least was proven by read_back').toEqual(new Set(['possession', 'read_back']));
}

async function vaultIsRight(
  { outside, vault }: Fleet,
  { credential: { name } }: Rotation,
  job: Readonly<Record<string, string>>,
): Promise<void> {
  expect(await vault.list(name)).toEqual([slots.current(name), slots.handle(name)]);
  const value = outside.made.find(({ id }) => id === job['new_auth_id'])?.token;
  expect((await vault.read(slots.current(name)))?.reveal() === value, 'the vault holds the new value').toBe(
    true,
  );
  expect((await vault.read(slots.handle(name)))?.reveal()).toBe(job['new_auth_id']);
}

/** A job that was held against the world leaves out the versions that Redis may have forgotten. */
const leaping = ['reconciled', 'loss_found', 'loss_put_off', 'mint_found', 'verify_forgotten'];

function trailIsWhole(
  { jobId }: Rotation,
  job: Readonly<Record<string, string>>,
  trail: readonly TrailEvent[],
): void {
  // After a loss the numbers go on beyond all that were ever given, and a row says so.
  const jumps = trail.filter(({ seq }, index) => seq !== (trail[index - 1]?.seq ?? 0) + 1);
  // Another event may come between the leap of the numbers and the row that explains it.
  const noted = trail.filter(({ event }) => event === 'events_lost').length;
  expect(jumps.length, 'numbers are dense, but for a loss that was noted').toBeLessThanOrEqual(noted);
  // One change of the job is one version and one event; rows have events of their own, and so have lost notices.
  const changes = trail.filter((one) => one.job_id === jobId && one.consumer_id === undefined && one.to_state !== null); // prettier-ignore
  const leaps = changes.filter(({ event }) => leaping.includes(event)).length;
  expect(changes.length + leaps * FORGOTTEN_MAX, 'versions have no gap').toBe(Number(job['version']));
  for (const [index, one] of changes.entries())
    if (index > 0) expect(one.from_state, `event ${one.seq} goes on from the one before`).toBe(changes[index - 1]?.to_state); // prettier-ignore
}

function streamToldAll({ jobId, streamed }: Rotation, trail: readonly TrailEvent[]): void {
  expect(streamed.filter(({ event }) => event === 'reset').length, 'the stream was never reset').toBe(0);
  const told = streamed.filter(({ event }) => event !== 'done').map(({ seq }) => seq);
  const own = trail.filter((one) => one.job_id === jobId && one.to_state !== null).map(({ seq }) => seq);
  expect(told, 'the stream told each event once').toEqual(own);
}

async function nothingIsLeft(fleet: Fleet, { credential, jobId }: Rotation): Promise<void> {
  const { redis, outside } = fleet;
  const keys = credentialKeys(credential.name, ENV);
  expect(await redis.get(keys.claim), 'no claim is left').toBeNull();
  expect(await redis.sismember(keys.open, jobId)).toBe(0);
  await until(
    () => outside.slack.messages.find(({ text }) => text?.includes(jobId) && /done|complete/i.test(text)) ?? null, // prettier-ignore
    40_000,
    () => `Slack to be told of the end; it heard ${JSON.stringify(outside.slack.messages.map(({ text }) => text))}\n${fleet.tail(20)}`, // prettier-ignore
  );
  await until(
    async () => {
      const tasks = await liveTasks(redis, jobId);
      return tasks.length === 0 && (await redis.hlen(keys.outbox)) === 0 ? true : null;
    },
    40_000,
    async () =>
      `no task to be left; there are ${JSON.stringify(await liveTasks(redis, jobId))}\n${fleet.tail(20)}`,
  );
}

async function liveTasks(redis: Fleet['redis'], jobId: string): Promise<readonly string[]> {
  const lists = await Promise.all(
    queueNames.flatMap((queue) => [
      redis.lrange(`${queuePrefix}:${queue}:wait`, 0, -1),
      redis.lrange(`${queuePrefix}:${queue}:active`, 0, -1),
      redis.zrange(`${queuePrefix}:${queue}:delayed`, 0, '-1'),
    ]),
  );
  return lists.flat().filter((id) => id.includes(jobId));
}

/** `more`: places beside those that every job leaves its id in. */
export async function noValueLeaked(fleet: Fleet, jobId: string, more: Places): Promise<void> {
  const places = {
    'Redis, every key': Buffer.from(await dumpRedis(fleet.redis)),
    "Redis's append-only files": filesBelow(join(fleet.folder, 'redis')),
    'logs of all processes': filesBelow(fleet.logDir),
    'HTTP answers': Buffer.from(fleet.client.received()),
    'messages to Slack': Buffer.from(JSON.stringify(fleet.outside.slack.messages)),
    ...more,
  };
  const values = [...fleet.outside.made.map(({ token }) => token), ...fleet.ownSecrets];
  expect(search(places, values, jobId).where).toEqual([]);
}

export interface Pace {
  readonly fault: string;
  readonly secondsToGate: number;
  readonly gate: string;
  /** How long after the fault nothing could be changed, by law 5. */
  readonly waitSeconds: number;
}

/** How long the job stood still after the last fault; throws where that was longer than the specification allows. */
export async function movedOn(fleet: Fleet, rotation: Rotation): Promise<Pace> {
  const trail = await trailOf(fleet, rotation.credential.name);
  const endedAt = trail.findLast((one) => one.job_id === rotation.jobId && one.to_state === 'done')?.ms ?? 0;
  // What happened after the end had nothing left to hold up.
  const last = fleet.faults
    .filter(({ at }) => at <= endedAt)
    .toSorted((a, b) => a.at - b.at)
    .at(-1);
  if (last === undefined)
    return { fault: 'all faults', secondsToGate: 0, gate: 'over before', waitSeconds: 0 };
  const gate = nextGate(trail, rotation.jobId, last.at);
  const seconds = gate === null ? Number.POSITIVE_INFINITY : (gate.ms - last.at) / 1000;
  const quiet = Number((await jobOf(fleet, rotation))['quiet_after'] ?? 0);
  const pace = {
    fault: last.what,
    secondsToGate: seconds,
    gate: gate?.to_state ?? 'none',
    waitSeconds: last.changing ? Math.max(0, (quiet - last.at) / 1000) : 0,
  };
  expect(seconds, `${pace.fault}: the job stood still`).toBeLessThanOrEqual(
    MOVES_ON_S + (last.changing ? QUIET_S : 0),
  );
  return pace;
}
