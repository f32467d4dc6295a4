// How many of the flow tests begin: a world of its own with one rotation under way.
import { buildWorld, type World, type WorldOptions } from '../harness.ts';

/** A world whose rotation was let mint, and runs on by itself. The caller disposes of the world. */
export async function started(
  redisUrl: string,
  options: WorldOptions,
): Promise<{ readonly world: World; readonly jobId: string }> {
  const world = await buildWorld(redisUrl, options);
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'proceed_mint' });
  return { world, jobId };
}
