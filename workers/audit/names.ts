// Which credentials may have a trail: what ever had a job, and whatever the manifest lets somebody adopt.
import type { Manifest } from '../../shared/manifest/schema.ts';
import type { JobStore } from '../../shared/redis/job-store.ts';

/** Authorities too: their adoption is audited like any other. */
export async function trailNames(
  store: Pick<JobStore, 'credentials'>,
  manifest: Manifest,
  env: string,
): Promise<readonly string[]> {
  const withJobs = (await store.credentials()).filter((one) => one.env === env);
  const adoptable = [
    ...manifest.credentials.flatMap((one) => [one.token_name, one.issuer_auth_token_name]),
    ...manifest.subscribers.map((row) =>
      'update_auth_token_name' in row ? row.update_auth_token_name : undefined,
    ),
  ].filter((name) => name !== undefined && name !== null);
  return [...new Set([...withJobs.map((one) => one.credential), ...adoptable])];
}
