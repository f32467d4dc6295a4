// Row tasks that slept while their job moved on: they end quietly, and what is missing from a job that is still there stays loud.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import { createLog } from '../../shared/lib/log.ts';
import { Secret } from '../../shared/lib/secret.ts';
import type { Effect, Task } from '../../shared/rotation/effects.ts';
import { attempt } from '../../workers/attempt.ts';
import type { Handler } from '../../workers/run.ts';
import type { DistributeDeps } from '../../workers/stages/deps.ts';
import { probe } from '../../workers/stages/probe.ts';
import { push } from '../../workers/stages/push.ts';
import { slots } from '../../workers/vault/contract.ts';
import { createValues, type Values } from '../../workers/vault/values.ts';
import { buildWorld, CREDENTIAL, ENV, quickTimes, setUpCall, until, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const APP = 'a-prod';
const CONSUMER = `heroku-config-${APP}`;
const kinds = [
  { effect: 'push_row', phase: 'distributing', handler: push },
  { effect: 'probe_row', phase: 'validating', handler: probe },
] as const satisfies readonly {
  effect: Effect;
  phase: string;
  handler: (deps: DistributeDeps) => Handler;
}[];
type Kind = (typeof kinds)[number];

/** A job whose one row has a task that nobody takes but the test. */
async function openRow(world: World, { effect, phase }: Kind): Promise<Task> {
  const ref = { credential: CREDENTIAL, env: ENV, jobId: await world.create() };
  await world.stage(ref.jobId, { action: 'verify' });
  await world.reaches(ref.jobId, 'verified');
  await world.stage(ref.jobId, { action: 'proceed_mint' });
  await world.reaches(ref.jobId, phase);
  return until(async () => {
    const standing = await world.store.standing(ref, CONSUMER);
    if (standing === null || standing.job.tally.open === 0 || standing.fence === null) return null;
    const { job, fence } = standing;
    return { effect, ...ref, version: job.statusVersion, kick: 0, fence, consumerId: CONSUMER };
  });
}

/** Runs the task as a worker does, with `sleep` right before it takes the value; answers what it logged. */
async function run(world: World, { handler }: Kind, task: Task, sleep: () => Promise<unknown>) {
  const values = createValues(world.vault, Buffer.alloc(32, 7));
  const late: Values = { ...values, next: async (job) => (await sleep(), values.next(job)) };
  const deps = {
    store: world.store,
    transitions: world.deps.transitions,
    clock: systemClock,
    times: quickTimes,
    values: late,
    authorities: { ofPhase: () => Promise.resolve(new Secret(world.bootstrapToken)) },
    registry: { destination: () => ({ capabilities: { lateMs: 0 } }) },
  } as unknown as DistributeDeps;
  const lines: string[] = [];
  const log = createLog({ env: ENV, family: 'test', write: (line) => lines.push(line) });
  const context = { signal: new AbortController().signal, log, fence: null };
  expect(await attempt(task, context, handler(deps), { last: true, times: quickTimes })).toBe('done');
  return lines.join('\n');
}

const without = {
  distributing: ['stage', 'notifier'],
  validating: ['stage', 'distribute', 'notifier'],
} as const;

test.each(kinds)(
  '$effect: an abort that empties the slot under it makes it a stale attempt, and no fault',
  async (kind) => {
    await using world = await buildWorld(redis.url, {
      apps: [{ name: APP }],
      families: without[kind.phase],
    });
    const task = await openRow(world, kind);
    const said = await run(world, kind, task, async () => {
      await world.stage(task.jobId, {
        action: 'abort',
        ...(kind.effect === 'probe_row' ? { restore: true } : {}),
      });
      await until(async () => ((await world.job(task.jobId)).cleanup === 'done' ? true : null));
    });
    expect(said).toContain('left to a later attempt');
    expect(said).not.toMatch(/invariant_broken|level=(error|warn)/);
  },
);

test.each(kinds)(
  '$effect: a value that is missing from a job that is still there is told aloud',
  async (kind) => {
    await using world = await buildWorld(redis.url, {
      apps: [{ name: APP }],
      families: without[kind.phase],
    });
    const task = await openRow(world, kind);
    const said = await run(world, kind, task, async () => {
      for (const slot of await world.vault.list(slots.pendingPrefix(CREDENTIAL)))
        await world.vault.remove(setUpCall(), slot);
    });
    expect(said).toMatch(/level=error.*invariant_broken/);
    const [row] = (await world.job(task.jobId)).consumers;
    expect(row?.['error']).toMatchObject({ code: 'invariant_broken' });
  },
);
