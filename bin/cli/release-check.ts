// What stops a deploy: a faulty environment of any family, a faulty manifest, an unfit Redis. Law: all of it is told at once.
import { envReader, type EnvSource } from '../../shared/lib/env-reader.ts';
import { readInfisicalPlace } from '../../shared/lib/env-vault.ts';
import { EnvError, readEnv } from '../../shared/lib/env.ts';
import { loadManifest, ManifestError } from '../../shared/manifest/load.ts';
import { missingSealKey } from '../../shared/manifest/minted-by-hand.ts';
import type { Manifest } from '../../shared/manifest/schema.ts';
import { unfitReasons } from '../../shared/redis/connection.ts';
import { reach } from './redis.ts';
import { wordsFor } from './say.ts';

export interface SetUp {
  readonly problems: readonly string[];
  /** Null where it is faulty. */
  readonly manifest: Manifest | null;
}

/** The environment of all families and the manifest; nothing outside is asked. */
export function checkSetUp(source: EnvSource): SetUp {
  const [manifest, ofManifest] = readManifest(source);
  return {
    manifest,
    problems: [...environmentProblems(source), ...ofManifest, ...sealKeyProblems(source, manifest)],
  };
}

/** Why the Redis of this environment may not be used; empty where it may, or where the environment names none that could be asked. */
export async function redisProblems(source: EnvSource): Promise<readonly string[]> {
  const reader = envReader(source);
  const address = reader.redis('REDIS_URL');
  if (reader.problems.length > 0) return [];
  try {
    const redis = await reach(address);
    const reasons = await unfitReasons(redis).finally(() => redis.disconnect());
    return allowed(source, 'VELVET_ALLOW_VOLATILE_REDIS') ? [] : reasons.map((reason) => `Redis: ${reason}`);
  } catch (error) {
    return [wordsFor(error)];
  }
}

function environmentProblems(source: EnvSource): readonly string[] {
  try {
    readEnv('release', source);
    return [];
  } catch (error) {
    if (error instanceof EnvError) return error.problems;
    throw error;
  }
}

function sealKeyProblems(source: EnvSource, manifest: Manifest | null): readonly string[] {
  if (manifest === null) return [];
  return (['VELVET_SEAL_PUBLIC_KEY', 'VELVET_SEAL_PRIVATE_KEY'] as const)
    .filter((name) => (source[name] ?? '') === '')
    .flatMap((name) => missingSealKey(name, manifest, source['APP_ENV'] ?? '') ?? []);
}

// Read for itself, so that a faulty environment does not hide a faulty manifest.
function readManifest(source: EnvSource): readonly [Manifest | null, readonly string[]] {
  const path = source['VELVET_MANIFEST'] || 'manifests/subscription-manifest.yml';
  const options = {
    allowLoopback: allowed(source, 'VELVET_ALLOW_LOOPBACK'),
    velvetApp: source['HEROKU_APP_NAME'] ?? null,
    infisicalPlace: readInfisicalPlace(envReader(source)),
  };
  try {
    return [loadManifest(path, options), []];
  } catch (error) {
    if (error instanceof ManifestError) return [null, error.message.split('\n')];
    throw error;
  }
}

function allowed(source: EnvSource, name: string): boolean {
  return source[name] === '1' && source['APP_ENV'] !== 'prod';
}
