// The part of the environment that says where the vendors are, for the families that call them.
import type { EnvReader } from './env-reader.ts';
import { readInfisical } from './env-vault.ts';
import type { InfisicalEnv } from './env-vault.ts';
import type { Secret } from './secret.ts';

export interface HerokuEnv {
  /** Without a slash at its end. */
  readonly apiUrl: string;
  /** Null where it is not set: its credentials are unavailable then, the process runs. */
  readonly bootstrap: Secret | null;
}

export interface GithubEnv {
  /** Without a slash at its end. The App's key lies in the vault. */
  readonly apiUrl: string;
}

/** The ticket system, for whoever looks tickets up. */
export interface FreescoutEnv {
  /** Without a slash at its end; the API is below it. */
  readonly url: string;
  readonly apiKey: Secret;
}

export interface VendorsEnv {
  readonly heroku: HerokuEnv;
  readonly github: GithubEnv;
  /** Null where Velvet has no machine identity there. */
  readonly infisical: InfisicalEnv | null;
}

export function readVendors(reader: EnvReader): VendorsEnv {
  return {
    heroku: readHeroku(reader),
    github: { apiUrl: readVendorUrl(reader, 'GITHUB_API_URL', 'https://api.github.com') },
    infisical: readInfisical(reader),
  };
}

function readHeroku(reader: EnvReader): HerokuEnv {
  return {
    apiUrl: readVendorUrl(reader, 'HEROKU_API_URL', 'https://api.heroku.com'),
    bootstrap: reader.secret('HK_VELVET_BOOTSTRAP'),
  };
}

/** Null where neither of its variables is set. */
export function readFreescout(reader: EnvReader): FreescoutEnv | null {
  const url = reader.baseUrl('FREESCOUT_URL', { loopback: reader.get('VELVET_ALLOW_LOOPBACK') === '1' });
  const apiKey = reader.secret('FREESCOUT_API_KEY');
  if (url !== null && apiKey !== null) return { url, apiKey };
  if (url !== null)
    reader.problem(
      "FREESCOUT_API_KEY is not set: set it to a key of FreeScout's API & Webhooks module, or leave FREESCOUT_URL out; then tickets are not looked up.",
    );
  if (apiKey !== null)
    reader.problem(
      'FREESCOUT_URL is not set: set it to the address of FreeScout, since FREESCOUT_API_KEY is set, or leave both out.',
    );
  return null;
}

/** Https, or http on the own machine where that is allowed. */
export function readVendorUrl(reader: EnvReader, name: string, fallback: string): string {
  return reader.baseUrl(name, { loopback: reader.get('VELVET_ALLOW_LOOPBACK') === '1' }) ?? fallback;
}
