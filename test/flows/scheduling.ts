// A stage worker's schedule beside those of a world, with a clock of its own: days pass when the test says so.
import { systemClock, type Clock } from '../../shared/lib/clock.ts';
import { createLog } from '../../shared/lib/log.ts';
import { createRelay } from '../../shared/queue/enqueue.ts';
import { openQueues } from '../../shared/queue/queues.ts';
import { createClaims } from '../../shared/redis/claim.ts';
import { healthOf } from '../../shared/redis/health.ts';
import { createScheduleStore, type ScheduleStore } from '../../shared/redis/schedule-store.ts';
import type { Job } from '../../shared/rotation/job.ts';
import { createTransitions } from '../../shared/transition.ts';
import { beginWhatIsDue, goOn, type ScheduleDeps } from '../../workers/stages/schedule.ts';
import { createValues } from '../../workers/vault/values.ts';
import { CREDENTIAL, ENV, quickTimes, until, type World } from '../harness.ts';

export const DAY = 86_400_000;

/** As the world's workers have it. */
export const FINGERPRINT_KEY = Buffer.alloc(32, 7);

export interface Scheduling extends AsyncDisposable {
  readonly deps: ScheduleDeps;
  readonly clock: Clock;
  readonly schedules: ScheduleStore;
  pass(days: number): void;
  /** As many workers as are asked for, at once. */
  round(workers?: number): Promise<void>;
  goOn(): Promise<void>;
  /** What the schedule began, oldest first. */
  begun(): Promise<readonly Job[]>;
}

/** From the day on which the value was seen first. */
export async function scheduling(world: World): Promise<Scheduling> {
  let passed = 0;
  const clock: Clock = { now: () => systemClock.now() + passed, monotonic: () => systemClock.monotonic() };
  const queues = openQueues(world.redis, () => undefined);
  const relay = createRelay(queues, world.store, () => undefined);
  const log = createLog({ env: ENV, family: 'test', write: (line) => world.log.push(line) });
  const schedules = createScheduleStore(world.redis);
  const { redis, system } = world;
  const deps: ScheduleDeps = {
    store: world.store,
    relay,
    claims: createClaims(redis, clock, quickTimes.leaseMs),
    transitions: createTransitions(world.store, relay, clock),
    clock,
    times: quickTimes,
    vault: world.vault,
    values: createValues(world.vault, FINGERPRINT_KEY),
    fingerprintKey: FINGERPRINT_KEY,
    manifest: world.deps.manifest,
    env: ENV,
    schedules,
    system,
    ground: world.deps.ground,
    health: () => healthOf({ ...world.deps, redis, system, log }),
    log,
  };
  await until(async () => ((await deps.ground.sure({ credential: CREDENTIAL, env: ENV })) ? true : null));
  await beginWhatIsDue(deps);
  return {
    deps,
    clock,
    schedules,
    pass: (days) => void (passed += days * DAY),
    async round(workers = 1) {
      await Promise.all(Array.from({ length: workers }, () => beginWhatIsDue(deps)));
    },
    goOn: () => goOn(deps),
    async begun() {
      const [jobs, checks] = [
        await world.store.list(CREDENTIAL, ENV, 50),
        await world.store.checks(CREDENTIAL, ENV, 50),
      ];
      return [...jobs, ...checks].filter((job) => job.createdBy === 'schedule').toReversed();
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(Object.values(queues).map((queue) => queue.close()));
    },
  };
}
