// A test of the credential, as an operator asks for one; and what it must leave as it was, by everybody's own memory.
import type { Answer, JobView, World } from '../harness.ts';
import { CREDENTIAL, ENV } from '../harness.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';

export function askForTest(world: World, key: string = crypto.randomUUID()): Promise<Answer> {
  return world.api('POST', `/tokens/${CREDENTIAL}/rotate`, { flow_type: 'testing', idempotency_key: key });
}

export const ends = ['verified', 'verify_failed'] as const;

/** Created, begun, and waited for. */
export async function tested(world: World): Promise<JobView> {
  const jobId = String((await askForTest(world)).body.job_id);
  await world.stage(jobId, { action: 'verify' });
  return world.reaches(jobId, ends);
}

/** Everything that a test could change: at the vendor, at the consumers, in the vault, and who holds the credential. */
export async function everything(world: World): Promise<unknown> {
  const slots = await world.vault.list(CREDENTIAL);
  const values = await Promise.all(slots.map(async (slot) => (await world.vault.read(slot))?.reveal()));
  const keys = credentialKeys(CREDENTIAL, ENV);
  return {
    authorizations: world.account.authorizations().map(({ id, token }) => [id, token]),
    apps: world.apps.map((app) => [
      app.config,
      app.releases.length,
      app.env(),
      app.dynos.map(({ id }) => id),
    ]),
    vault: slots.map((slot, n) => [slot, values[n]]),
    claim: await world.redis.get(keys.claim),
    fence: await world.redis.get(keys.fence),
  };
}

export const changesAsked = (world: World) =>
  world.heroku.requests.filter(({ method }) => method !== 'GET').map(({ route }) => route);

export const alerts = (world: World) =>
  world.slack.messages.filter(({ channel }) => channel === 'C0ALERT').map(({ text }) => text ?? '');
