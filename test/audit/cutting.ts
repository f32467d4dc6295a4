// A trail that is about to be cut, and how it goes on afterwards.
import { openSeal } from '../../shared/audit/seal.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { ENV, keep, ONE, TWO, type Kept, type Stage, type TrailWorld } from './trail-world.ts';

export const keys = credentialKeys(ONE, ENV);
export const ref = { credential: ONE, env: ENV };
export const idsOf = async (world: TrailWorld) =>
  (await world.redis.xrange(keys.events, '-', '+')).map(([id]) => id);
export const lastSeal = async (world: TrailWorld) =>
  openSeal((await world.redis.lindexBuffer(keys.seals, -1)) as Buffer)?.seal;

/** Two trails; ONE has five events sealed and anchored, of which `earlier` knows three. */
export async function arranged(
  world: TrailWorld,
): Promise<{ readonly earlier: Kept; readonly epoch: string }> {
  await using before = world.stage();
  await world.write(TWO, 1);
  await world.write(ONE, 3);
  await before.settle();
  const earlier = await keep(world.redis, ONE);
  await world.write(ONE, 2);
  await before.settle();
  return { earlier, epoch: (await world.system.epoch()) ?? '' };
}

/** Somebody writes on, and the trail is sealed and anchored again. */
export async function goesOn(world: TrailWorld, stage: Stage, events = 2): Promise<void> {
  await world.write(ONE, events);
  await stage.settle();
}
