// A whole Velvet under the schedule's control: real Redis and real handlers, but every effect, every wait and every death is decided here.
import type { Redis } from 'ioredis';
import { act } from '../../api/actions.ts';
import type { ApiDeps } from '../../api/router.ts';
import type { StageBody } from '../../api/stage-bodies.ts';
import { pinned } from '../../shared/manifest/pin.ts';
import { firstRecord } from '../../shared/redis/first-record.ts';
import { createJobStore, type JobStore } from '../../shared/redis/job-store.ts';
import type { JobRef } from '../../shared/rotation/effects.ts';
import type { JobPatch } from '../../shared/rotation/job-record.ts';
import type { Job } from '../../shared/rotation/job.ts';
import type { FlowType } from '../../shared/rotation/statuses.ts';
import { times as productTimes, type Times } from '../../shared/times.ts';
import type { Vault } from '../../workers/vault/contract.ts';
import { redisAnswers, redisThrough } from './doors.ts';
import { createGround, type Ground } from './ground.ts';
import { CREDENTIAL, ENV, type AppSpec, type Outside } from './outside.ts';
import { createProcess, type Doors, type VelvetProcess } from './process.ts';
import { createTaskQueue, type Entry, type TaskQueue } from './queue.ts';
import type { Time } from './time.ts';
import { createTurns, type Process, type Strand, type Turn, type Turns } from './turns.ts';

/** No ticket system is set up. */
const noTickets: ApiDeps['lookUpTicket'] = () =>
  Promise.resolve({ ticket: null, number: null, reason: null });

export interface WorldOptions {
  readonly apps?: readonly AppSpec[];
  readonly times?: Partial<Times>;
  readonly forceRevoke?: boolean;
  /** A person mints and revokes; the vendor is only asked whether a token works. */
  readonly byHand?: boolean;
  /** What the world's own job is; a rotation unless given. */
  readonly flow?: FlowType;
  /** What else it is asked for with. */
  readonly asked?: JobPatch;
}

/** A world as it stood at rest: each world that begins there is as cheap as what happens in it. */
export interface Moment extends AsyncDisposable {
  /** The earlier world is over, and so is any other that began here. */
  resume(): Promise<ScheduleWorld>;
}

/** Of which job an action is asked, and which version the operator saw. */
export interface Asked {
  readonly ref?: JobRef;
  readonly version?: number | undefined;
}

export interface ScheduleWorld extends AsyncDisposable {
  readonly time: Time;
  readonly times: Times;
  readonly turns: Turns;
  readonly queue: TaskQueue;
  readonly outside: Outside;
  /** Straight to Redis and the vault, for whoever looks on. */
  readonly redis: Redis;
  /** The same for one command at a time, asked only where a key may have changed. */
  readonly seen: Redis;
  readonly store: JobStore;
  readonly vault: Vault;
  readonly ref: JobRef;
  readonly log: readonly string[];
  job(of?: JobRef): Promise<Job>;
  /** Turns that may be served now: of processes that are awake, and of Redis only while it is there. */
  ready(): readonly Turn[];
  /** The process of this name; a new one where the last one died. */
  process(name: string): VelvetProcess;
  /** Gives a waiting task to a process. */
  start(entry: Entry, process: VelvetProcess): Strand;
  sweep(): Strand;
  /** An operator's action; what it was answered is in `answers`, in order. */
  operate(body: StageBody, who?: string, asked?: Asked): Strand;
  /** A further job of the credential. */
  openJob(jobId: string, forceRevoke: boolean, flow?: FlowType, asked?: JobPatch): Promise<void>;
  readonly answers: readonly unknown[];
  /** The process stops for good, in the middle of whatever it does. Its tasks are found later. */
  kill(process: Process): void;
  /** The process stops (SIGSTOP, a paused machine) until it is woken. Its tasks are given to others meanwhile. */
  sleep(process: Process): void;
  wake(process: Process): void;
  /** Redis is away for so long: its commands wait, as those of a worker's connection do. */
  dropRedis(forMs: number): void;
  readonly redisDown: boolean;
  /** Redis was put back behind everybody's back: what it answered before holds no more. */
  redisLostData(): void;
  /** To come back to this rest again and again. The moment takes the place of this world, which is over. */
  save(): Promise<Moment>;
}

/** A connection of the caller's; the world takes the database for its own and empties it first. */
export async function scheduleWorld(redis: Redis, options: WorldOptions = {}): Promise<ScheduleWorld> {
  await redis.flushdb();
  const ground = await createGround(redis, options.apps ?? twoApps, options.byHand ?? false);
  const times = { ...productTimes, ...options.times };
  const world = worldOn(ground, times, { entries: [], log: [] }, () => ground.remove());
  await world.openJob(ref.jobId, options.forceRevoke ?? false, options.flow, options.asked);
  return world;
}

const ref: JobRef = { credential: CREDENTIAL, env: ENV, jobId: '7d1b6f0e-3c52-4b0a-9e57-0a6c5d1e2f31' };

interface Memory {
  readonly entries: readonly Entry[];
  readonly log: readonly string[];
}

function worldOn(ground: Ground, times: Times, memory: Memory, end: () => void): ScheduleWorld {
  const { redis, time, outside, vault } = ground;
  const turns = createTurns((ms, deed) => void time.at(time.now() + ms, deed));
  const queue = createTaskQueue(turns, time, times, memory.entries);
  const log = [...memory.log];
  const doors: Doors = {
    redis,
    answers: redisAnswers(),
    vault,
    turns,
    queue,
    time,
    times,
    outside,
    write: (line) => log.push(line),
  };
  // Whoever looks on is no strand, and waits for no turn.
  const seen = redisThrough(turns, redis, doors.answers);
  const store = createJobStore(seen, times.idempotencyKeepMs);

  const processes = new Map<string, VelvetProcess>();
  const answers: unknown[] = [];
  let redisDown = false;

  const held = (process: Process) =>
    queue.entries.filter((one) => one.state === 'active' && one.holder === process);
  function giveAwayAfter(process: Process, ms: number): void {
    for (const entry of held(process)) {
      const { given } = entry;
      time.at(time.now() + ms, () => {
        // Woken in time, it has renewed its lock.
        if (process.state !== 'up' && entry.given === given) queue.release(entry);
      });
    }
  }

  function process(name: string): VelvetProcess {
    const known = processes.get(name);
    if (known !== undefined && known.state !== 'dead') return known;
    const made = createProcess(name, doors);
    processes.set(name, made);
    return made;
  }

  return {
    time,
    times,
    turns,
    queue,
    outside,
    redis,
    seen,
    store,
    vault,
    ref,
    log,
    answers,
    process,
    get redisDown() {
      return redisDown;
    },
    async job(of = ref) {
      const job = await store.load(of);
      if (job === null) throw new Error('the job is gone');
      return job;
    },
    ready: () =>
      turns
        .pending()
        .filter(
          ({ strand, effect }) =>
            strand.process.state === 'up' &&
            !(redisDown && (effect.door === 'redis' || effect.door === 'queue')),
        ),
    start(entry, on) {
      const lock = queue.take(entry, on);
      const { effect, consumerId = '' } = entry.task;
      return turns.begin(on, `${effect} ${consumerId}`.trim(), () => on.attempt(entry, lock));
    },
    sweep() {
      const on = process('sweeper');
      return turns.begin(on, 'sweep', () => on.sweep());
    },
    operate(body, who = 'ada', { ref: of = ref, version } = {}) {
      const on = process(`operator ${who}`);
      const by = {
        kind: 'operator',
        actor: { operatorId: who, slackUserId: null },
        version,
      } as const;
      const at = answers.push(undefined) - 1;
      return turns.begin(on, body.action, () =>
        act({ ...on.core, ...on.web, lookUpTicket: noTickets } as unknown as ApiDeps, of, body, by).then(
          () => void (answers[at] = 'done'),
          (error: unknown) => void (answers[at] = error),
        ),
      );
    },
    async openJob(jobId, forceRevoke, flow = 'operational', asked = {}) {
      const straight = createJobStore(redis, times.idempotencyKeepMs);
      await openJob(straight, { ...ref, jobId }, { outside, time, forceRevoke, flow, asked });
      doors.answers.forget();
    },
    kill(on) {
      giveAwayAfter(on, times.taskLockMs + times.stalledCheckMs);
      on.state = 'dead';
    },
    sleep(on) {
      on.state = 'asleep';
      // Its last renewal may have been half a lock ago.
      giveAwayAfter(on, times.taskLockMs / 2);
    },
    wake(on) {
      if (on.state === 'asleep') on.state = 'up';
    },
    dropRedis(forMs) {
      redisDown = true;
      time.at(time.now() + forMs, () => {
        redisDown = false;
      });
    },
    redisLostData: () => doors.answers.forget(),
    async save() {
      await turns.close();
      const back = await ground.save();
      const then: Memory = { entries: queue.entries.map((one) => ({ ...one })), log: [...log] };
      return {
        async resume() {
          await back();
          return worldOn(ground, times, then, () => undefined);
        },
        [Symbol.asyncDispose]: async () => ground.remove(),
      };
    },
    async [Symbol.asyncDispose]() {
      await turns.close();
      end();
    },
  };
}

/** One that proves itself, and one that has to be read back. */
const twoApps: readonly AppSpec[] = [
  { name: 'raxx-console-prod' },
  { name: 'raxx-worker-prod', answersChallenge: false },
];

interface Opened {
  readonly outside: Outside;
  readonly time: Time;
  readonly forceRevoke: boolean;
  readonly flow: FlowType;
  readonly asked: JobPatch;
}

async function openJob(store: JobStore, ref: JobRef, { outside, time, ...opened }: Opened): Promise<void> {
  const now = time.now();
  const pins = pinned(outside.manifest, ref.credential, ref.env, now);
  if (pins === null) throw new Error('the manifest has no such credential');
  await store.open(
    firstRecord({
      ref,
      by: { operatorId: 'ada' },
      pins,
      asked: { force_revoke: opened.forceRevoke, flow_type: opened.flow, ...opened.asked },
      detail: {},
      idem: { hash: ref.jobId, bodyHash: 'schedule' },
      now,
    }),
  );
}
