// Where the rows of the runbook's failure tables begin, and how a rotation must end that was mended.
import { expect } from 'vitest';
import { buildWorld, CREDENTIAL, until, type JobView, type World, type WorldOptions } from '../harness.ts';

export const KEY = 'HEROKU_API_KEY';
export const TICKET = 'ROT-2026-HK_PLATFORM_FULL';
export const apps = [{ name: 'console-prod' }, { name: 'api-prod' }] as const;
export const API = 'heroku-config-api-prod';

export const held = (world: World, index: number) => String(world.apps[index]?.env()[KEY]);
export const rowOf = (job: JobView, id: string) =>
  job.consumers.find((one) => one['consumer_id'] === id) ?? {};
export const logged = (world: World, jobId: string) =>
  world.log.filter((line) => line.includes(`job_id=${jobId}`));
export const residuals = (job: JobView) =>
  (job['residual'] as readonly { kind: string; resolved_at: string | null }[])
    .filter((one) => one.resolved_at === null)
    .map(({ kind }) => kind);

export async function cleaned(
  world: World,
  jobId: string,
  cleanup: 'done' | 'needs_person',
): Promise<JobView> {
  return until(
    async () => {
      const job = await world.job(jobId);
      return job.cleanup === cleanup ? job : null;
    },
    10_000,
    async () => JSON.stringify(await world.job(jobId), null, 1),
  );
}

/** Every consumer on the one new token, and the old one dead. */
export async function endsWell(world: World, jobId: string): Promise<void> {
  await world.reaches(jobId, 'validated');
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: TICKET });
  await world.reaches(jobId, 'done');
  expect(world.heroku.isLive(world.firstToken)).toBe(false);
  const [first] = world.apps.map((_, index) => held(world, index));
  for (const index of world.apps.keys()) expect(held(world, index)).toBe(first);
  expect(world.heroku.isLive(first ?? '')).toBe(true);
}

/** The old value everywhere, the new token dead, nothing of the job left in the vault. */
export async function asBefore(world: World, jobId: string): Promise<void> {
  await cleaned(world, jobId, 'done');
  for (const index of world.apps.keys()) expect(held(world, index)).toBe(world.firstToken);
  expect(world.heroku.live()).toHaveLength(2);
  expect(await world.vault.list(CREDENTIAL)).toEqual([CREDENTIAL]);
}

export const refusesApi = (world: World, status = 403, id = 'forbidden') =>
  world.heroku.script({
    on: 'PATCH /apps/:app/config-vars',
    where: ({ path }) => path.includes('/api-prod/'),
    times: Infinity,
    do: { status, body: { id } },
  });

/** console-prod is written, api-prod is refused. */
export async function partly(redisUrl: string, fault = refusesApi) {
  const world = await buildWorld(redisUrl, { apps });
  fault(world);
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'proceed_mint' });
  const job = await world.reaches(jobId, 'distribute_partial');
  world.heroku.clearFaults();
  return { world, jobId, job };
}

export async function verified(redisUrl: string, options: WorldOptions = {}) {
  const world = await buildWorld(redisUrl, { apps, ...options });
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  return { world, jobId };
}

export async function revokeFails(redisUrl: string) {
  const world = await buildWorld(redisUrl, { apps });
  const jobId = await world.toValidated();
  world.heroku.script({
    on: 'DELETE /oauth/authorizations/:id',
    do: { status: 403, body: { id: 'forbidden' } },
  });
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: TICKET });
  return { world, jobId, failed: await world.reaches(jobId, 'revoke_failed') };
}

/** A row that no endpoint proves, once it waits for a person. */
export async function confirmed(world: World, jobId: string, id: string): Promise<void> {
  await until(async () => {
    const row = rowOf(await world.job(jobId), id);
    return row['validate_status'] === 'manual_required' ? row : null;
  });
  const confirm = { action: 'confirm_consumer', consumer_id: id, note: 'a run that began later works' };
  expect((await world.stage(jobId, confirm)).status).toBe(202);
}
