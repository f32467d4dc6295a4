// Redis loses the end of its log in the middle of a rotation: the record is put back some effects, the world outside is not.
import { saveRedis } from './ground.ts';
import { standing, toRest, workers, type Director } from './run.ts';
import type { ScheduleWorld } from './world.ts';

export interface Loss {
  /** After how many effects of the walk it happens. */
  readonly at: number;
  /** How many of them the record loses; all that Redis ever had, the job itself with it. */
  readonly lost: number | 'everything';
  /** Whether the processes live through it, with what they had in hand. */
  readonly survivors: boolean;
}

export interface LossDirector extends Director {
  /** Effects served so far. */
  readonly effects: number;
  readonly struck: boolean;
}

/** Strikes once. From then on nothing runs before the credential was held against the world. */
export function losing({ at, lost, survivors }: Loss): LossDirector {
  let effects = 0;
  let struck = false;
  let back: (() => Promise<void>) | null = null;

  return {
    get effects() {
      return effects;
    },
    get struck() {
      return struck;
    },
    async turn(_, world) {
      if (struck) return false;
      if (lost === 'everything') back = async () => void (await world.redis.flushdb());
      else if (effects === at - lost) back = await saveRedis(world.redis);
      if (effects === at && back !== null) {
        struck = true;
        await back();
        await afterTheLoss(world, survivors);
        return true;
      }
      effects += 1;
      return false;
    },
  };
}

/** The processes learn that Redis was restarted, and one of them looks. */
export async function afterTheLoss(world: ScheduleWorld, survivors: boolean): Promise<void> {
  world.redisLostData();
  if (!survivors) for (const name of [...workers, 'sweeper']) world.kill(world.process(name));
  const since = world.time.now();
  // A later one looks again where the first cannot: what happened in a minute of vendor trouble is another schedule's.
  for (let tries = 0; tries < 5; tries++) {
    const waitMs = await lookedAt(world, since);
    if (waitMs === 0) return;
    if (waitMs !== null) await inHandEnds(world);
    await world.time.moveTo(world.time.now() + (waitMs ?? 5_000));
  }
  throw new Error(`not reconciled: ${await standing(world)}`);
}

/** One look to its end. In how many milliseconds to look again; null where it failed. */
async function lookedAt(world: ScheduleWorld, since: number): Promise<number | null> {
  const on = world.process('reconciler');
  let waitMs: number | null = null;
  const strand = world.turns.begin(on, 'reconcile', async () => {
    waitMs = await on.reconcile(since).catch(() => null);
  });
  await world.turns.settle();
  for (let n = 0; n < 2_000 && !strand.ended; n++) {
    const own = world.turns.pending().find((one) => one.strand === strand);
    if (own === undefined) break;
    await world.turns.serve(own);
  }
  return strand.ended ? waitMs : null;
}

/** What the processes had in hand comes to its end; nothing new is begun before the ground is sure. */
async function inHandEnds(world: ScheduleWorld): Promise<void> {
  for (let turn = world.ready()[0]; turn !== undefined; turn = world.ready()[0])
    await world.turns.serve(turn);
}

/** What a person does with a job that was stopped because its record was lost: back to the old value, or on with the new one. */
export async function homeFromLoss(world: ScheduleWorld): Promise<void> {
  for (let n = 0; n < 6; n++) {
    const job = await world.job();
    if (job.status !== 'aborted' || job.cleanup !== 'needs_person') return;
    const oldLives = world.outside.heroku.isLive(world.outside.first.token);
    world.operate(oldLives && !job.promoting ? { action: 'restore' } : { action: 'mark_revoked' });
    await toRest(world);
  }
}
