// One rotation in a world of its own: how it is moved, and what must be true of the world where it stands still and where it ends.
import { expect } from 'vitest';
import { statuses, type Status } from '../../shared/rotation/statuses.ts';
import { slots } from '../../workers/vault/contract.ts';
import { buildWorld, CREDENTIAL, ENV, until, type World, type WorldOptions } from '../harness.ts';
import { dumpRedis } from '../redis-dump.ts';

export interface Run {
  readonly world: World;
  readonly jobId: string;
  /** Every value that must be nowhere but in the vault and at the vendors. */
  readonly values: readonly string[];
}

// One database for each world that runs at the same time.
const databases = Array.from({ length: 16 }, (_, n) => n);

/** A fresh world on a database that no other one uses, and in it a job at `init`. Answers what `body` does. */
export async function inWorld(
  redisUrl: string,
  options: WorldOptions,
  body: (run: Run) => Promise<Status>,
): Promise<Status> {
  const database = databases.pop();
  if (database === undefined) throw new Error('more worlds at once than databases');
  try {
    await using world = await buildWorld(`${redisUrl}/${database}`, options);
    const values = [world.firstToken, world.bootstrapToken, world.operator, 'xoxb-test'];
    const authorize = world.account.authorize.bind(world.account);
    world.account.authorize = (given) => {
      const made = authorize(given);
      values.push(made.token);
      return made;
    };
    // The stage worker asks for its authority when it starts; that is no part of the rotation.
    await until(() => world.heroku.requests.find((request) => request.status !== null) ?? null);
    return await body({ world, jobId: await world.create(), values });
  } finally {
    databases.push(database);
  }
}

// --- how it is moved ---

export const answersToGates: Readonly<Partial<Record<Status, Readonly<Record<string, unknown>>>>> = {
  init: { action: 'verify' },
  verified: { action: 'proceed_mint' },
  validated: { action: 'proceed_revoke', ticket_id: 'ROT-2026-FAULTS' },
};

const refOf = ({ jobId }: Run) => ({ credential: CREDENTIAL, env: ENV, jobId });

export async function statusOf(run: Run): Promise<Status> {
  const job = await run.world.store.load(refOf(run));
  if (job === null) throw new Error('the job is gone');
  return job.status;
}

/** The next status that waits for a person, or the end. */
async function rests(run: Run): Promise<Status> {
  const { world, jobId } = run;
  return until(
    async () => {
      const status = await statusOf(run);
      return statuses[status].kind === 'automatic' ? null : status;
    },
    15_000,
    async () => `rest: ${JSON.stringify(await world.job(jobId))}\n${world.log.slice(-15).join('\n')}`,
  );
}

export async function act({ world, jobId }: Run, body: Readonly<Record<string, unknown>>): Promise<void> {
  const answer = await world.stage(jobId, body);
  if (answer.status !== 202) throw new Error(`${JSON.stringify(body)}: ${answer.status} ${answer.text}`);
}

/** Says yes at every gate until the job stands at `goal`, is parked, or is over. */
export async function drive(run: Run, goal: Status = 'done'): Promise<Status> {
  for (;;) {
    const status = await rests(run);
    const yes = status === goal ? undefined : answersToGates[status];
    if (yes === undefined) return status;
    await act(run, yes);
  }
}

/** Ends every fault: the vendors are well again. */
export function mend({ world }: Run): void {
  world.heroku.clearFaults();
  world.slack.clearFaults();
  world.infisical?.sim.clearFaults();
  world.consumers.forEach((consumer) => consumer.clearFaults());
}

// --- what must be true ---

const tokenOf = (config: Readonly<Record<string, string>>): string => config['HEROKU_API_KEY'] ?? '';

function idOf(world: World, is: (one: { description: string | null; token: string }) => boolean) {
  return world.account.authorizations().find(is)?.id ?? null;
}

const bootstrapId = (world: World) => idOf(world, (one) => one.token === world.bootstrapToken);

/** The failed statuses that the job was in; the trail behind them is numbered without a gap. */
export async function failedStatuses({ world }: Run): Promise<readonly string[]> {
  const events = await world.feed.read(CREDENTIAL, ENV, 0, 10_000);
  expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index + 1));
  return events.flatMap(({ to_state: status }) =>
    status !== null && statuses[status as Status].kind === 'failed' ? [status] : [],
  );
}

/** A revoke shows one code for all that the vendor does; the trail keeps the vendor's own. */
export async function causeOfRevokeFailure({ world }: Run): Promise<unknown> {
  const events = await world.feed.read(CREDENTIAL, ENV, 0, 10_000);
  return events.findLast((event) => event.event === 'revoke_failed')?.detail['cause'];
}

export async function noValueOutside({ world, jobId, values }: Run): Promise<void> {
  const dump = await dumpRedis(world.redis);
  expect(dump).toContain(jobId);
  const places = {
    redis: dump,
    log: world.log.join('\n'),
    job: JSON.stringify(await world.job(jobId)),
    slack: JSON.stringify(world.slack.messages),
  };
  const found = Object.entries(places).filter(([, text]) => values.some((value) => text.includes(value)));
  expect(found.map(([place]) => place)).toEqual([]);
}

/** While a job is parked: whatever is live is recorded or labelled, and whatever runs is live and in the vault. */
export async function nothingLost(run: Run, status: Status): Promise<void> {
  const { world, jobId } = run;
  const view = await world.job(jobId);
  const first = idOf(world, (one) => one.token === world.firstToken);
  const recorded = new Set([bootstrapId(world), first, view.old_auth_id, view.new_auth_id]);
  const unknown = world.heroku
    .live()
    .filter((one) => !recorded.has(one.id) && !(one.description ?? '').startsWith(`velvet:${jobId}:`));
  expect(unknown).toEqual([]);
  if (status !== 'revoke_failed') expect(world.heroku.isLive(world.firstToken)).toBe(true);

  const slotsHeld = await world.vault.list(CREDENTIAL);
  const held = await Promise.all(slotsHeld.map((slot) => world.vault.read(slot)));
  for (const app of world.apps) {
    const running = tokenOf(app.env());
    expect(world.heroku.isLive(running), `${app.name} runs on a live token`).toBe(true);
    const kept = held.some((value) => value?.reveal() === running);
    expect(kept, `the vault holds what ${app.name} runs on`).toBe(true);
    const row = await world.store.row(refOf(run), `heroku-config-${app.name}`);
    const says = row !== null && (row.touched || row.receipt !== null || row.holds === 'new');
    const written = tokenOf(app.config) !== world.firstToken;
    expect(says || !written, `${app.name} holds the new value, and its row says that it may`).toBe(true);
  }
  expect(await world.store.claimant(refOf(run))).toBe(jobId);
}

/** The harness's own, so that the vault's value can be held against the job's record. */
const fingerprintKey = Buffer.alloc(32, 7);

/** At `done`: the authority and one new token are live, the vault holds it and nothing else, everybody runs on it. */
export async function endedWell(run: Run): Promise<void> {
  const { world, jobId } = run;
  const view = await world.job(jobId);
  expect([view.status, view.error]).toEqual(['done', null]);
  const live = world.heroku.live().map((one) => one.id);
  expect(new Set(live)).toEqual(new Set([bootstrapId(world), view.new_auth_id]));
  expect(live).toHaveLength(2);

  const [current, handle] = [slots.current(CREDENTIAL), slots.handle(CREDENTIAL)];
  expect(await world.vault.list(CREDENTIAL)).toEqual([current, handle]);
  const value = await world.vault.read(current);
  const job = await world.store.load(refOf(run));
  expect(value?.fingerprint(fingerprintKey)).toBe(job?.newFingerprint);
  expect((await world.vault.read(handle))?.reveal()).toBe(view.new_auth_id);
  for (const app of world.apps) {
    expect([tokenOf(app.config), tokenOf(app.env())]).toEqual([value?.reveal(), value?.reveal()]);
    expect(app.config['OTHER']).toBe('left alone');
  }

  expect(await world.store.claimant(refOf(run))).toBeNull();
  const ends = () => world.slack.messages.find(({ text }) => text?.startsWith('Rotation done') === true);
  const message = await until(() => ends() ?? null);
  expect(message.text).toContain(jobId);
  await noValueOutside(run);
}
