// A world whose credential a person mints, and which has a consumer that a person writes; with the steps that every test of it begins with.
import {
  buildWorld,
  CREDENTIAL,
  ENV,
  until,
  type JobView,
  type World,
  type WorldOptions,
} from '../harness.ts';

/** A place without an API. */
export const PLACE = 'vendor-console';
export const INSTRUCTIONS = 'Open the console of the print shop, Settings, API token, and paste it there.';
export const MINT_INSTRUCTIONS = 'Dashboard, API tokens, New token, scope full.';

export const byHandRow = {
  token_name: CREDENTIAL,
  consumer_id: PLACE,
  env: ENV,
  update_method: 'OPERATOR_MANUAL',
  instructions: INSTRUCTIONS,
  healthcheck_endpoint: null,
  capabilities: ['update'],
};

/** Minted by hand; one app that Velvet writes and proves by itself. */
export function byHandWorld(url: string, options: WorldOptions = {}): Promise<World> {
  return buildWorld(url, {
    byHand: true,
    apps: [{ name: 'raxx-console-prod' }],
    ...options,
    credential: { instructions: MINT_INSTRUCTIONS, ...options.credential },
  });
}

/** Up to the moment in which a person is to make the token. */
export async function toAwaiting(world: World): Promise<string> {
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'proceed_mint' });
  await awaits(world, jobId, 'value_needed');
  return jobId;
}

/** The job, once it waits for a value for this reason. */
export function awaits(world: World, jobId: string, reason: string): Promise<JobView> {
  return until(
    async () => {
      const job = await world.job(jobId);
      return job['awaiting'] === 'operator_value' && job['awaiting_reason'] === reason ? job : null;
    },
    10_000,
    async () => `${reason}; it is ${JSON.stringify(await world.job(jobId), null, 1)}`,
  );
}

/** A token as a person makes it at the vendor. */
export function newToken(world: World): { readonly id: string; readonly token: string } {
  return world.account.authorize({ description: 'made by hand for the rotation', scope: ['global'] });
}

export function enter(world: World, jobId: string, value: string) {
  return world.stage(jobId, { action: 'submit_value', value });
}

/** A phase in which nobody but a person is left. */
export function waitsForAPerson(world: World, jobId: string, status: string): Promise<JobView> {
  return until(
    async () => {
      const job = await world.job(jobId);
      return job.status === status && job['waiting_since'] !== null ? job : null;
    },
    10_000,
    async () => `a wait in ${status}; it is ${JSON.stringify(await world.job(jobId), null, 1)}`,
  );
}

export function rowOf(job: JobView, consumerId: string): Readonly<Record<string, unknown>> {
  const row = job.consumers.find((one) => one['consumer_id'] === consumerId);
  if (row === undefined) throw new Error(`no row ${consumerId}`);
  return row;
}

export function cleanedUp(world: World, jobId: string, cleanup: 'done' | 'needs_person'): Promise<JobView> {
  return until(
    async () => {
      const job = await world.job(jobId);
      return job.status === 'aborted' && job.cleanup === cleanup ? job : null;
    },
    10_000,
    async () => `cleanup ${cleanup}; it is ${JSON.stringify(await world.job(jobId), null, 1)}`,
  );
}
