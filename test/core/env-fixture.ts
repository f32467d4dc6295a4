// Environments that are complete, for tests to spoil.
import { randomBytes } from 'node:crypto';
import { EnvError, readEnv } from '../../shared/lib/env.ts';
import type { Family } from '../../shared/lib/env.ts';

export type Source = Record<string, string | undefined>;

export const vaultKey = randomBytes(32);
export const fingerprintKey = randomBytes(32);
export const auditSigningKey = randomBytes(32);
export const common: Source = { APP_ENV: 'staging', REDIS_URL: 'redis://127.0.0.1:6379' };
export const full: Source = {
  ...common,
  VELVET_FILE_VAULT_KEY: vaultKey.toString('base64'),
  VELVET_FINGERPRINT_KEY: fingerprintKey.toString('base64'),
  VELVET_AUDIT_SIGNING_KEY: auditSigningKey.toString('base64'),
};
export const infisicalIdentity: Source = {
  INFISICAL_CLIENT_ID: '6c5e0e1c-0000-4000-8000-5b1f2a3c4d5e',
  INFISICAL_CLIENT_SECRET: 'client-secret-value',
  INFISICAL_PROJECT_ID: 'project-1',
};
export const every: readonly Family[] = [
  'web',
  'stage',
  'distribute',
  'healthcheck',
  'notifier',
  'cli',
  'release',
];

/** The problems of a source; none where it is fine. */
export function problemsOf(family: Family, source: Source): readonly string[] {
  try {
    readEnv(family, source);
    return [];
  } catch (error) {
    if (error instanceof EnvError) return error.problems;
    throw error;
  }
}
