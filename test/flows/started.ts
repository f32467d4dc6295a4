// How many of the flow tests begin: a world of its own with one rotation under way.
import { buildWorld, CREDENTIAL, until, type World, type WorldOptions } from '../harness.ts';

/** What was found unavailable when the authorities were looked at, which is forgotten: as if they were refused only since then. */
export async function sinceTheLook(world: World): Promise<string> {
  const why = await until(async () => (await world.system.unavailable())[CREDENTIAL] ?? null);
  await world.system.setUnavailable({});
  return why;
}

/** A world whose rotation was let mint, and runs on by itself. The caller disposes of the world. */
export async function started(
  redisUrl: string,
  options: WorldOptions,
  beforehand: (world: World) => Promise<unknown> = () => Promise.resolve(),
): Promise<{ readonly world: World; readonly jobId: string }> {
  const world = await buildWorld(redisUrl, options);
  await beforehand(world);
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'proceed_mint' });
  return { world, jobId };
}
