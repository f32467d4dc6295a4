// The keys for what operators type: who gets which half, and what stops a release.
import { describe, expect, test } from 'vitest';
import { readEnv } from '../../shared/lib/env.ts';
import { newSealKeys } from '../../shared/lib/seal-keys.ts';
import { full, problemsOf } from './env-fixture.ts';

describe('the seal', () => {
  test('of the seal web gets the public half alone, stage the private one, and nobody else any', () => {
    const { publicKey, privateKey } = newSealKeys();
    const source = { ...full, VELVET_SEAL_PUBLIC_KEY: publicKey, VELVET_SEAL_PRIVATE_KEY: privateKey };

    expect(readEnv('web', source).sealKey?.toString('base64')).toBe(publicKey);
    expect(readEnv('stage', source).sealKey?.toString('base64')).toBe(privateKey);
    for (const family of ['distribute', 'healthcheck', 'notifier', 'cli'] as const)
      expect(readEnv(family, source)).not.toHaveProperty('sealKey');
    expect(readEnv('stage', full).sealKey).toBeNull();
    for (const name of ['VELVET_SEAL_PUBLIC_KEY', 'VELVET_SEAL_PRIVATE_KEY'])
      expect(problemsOf('release', { ...source, [name]: 'short' })).toEqual([
        `${name} must be 32 random bytes in base64; \`npx velvet keygen\` prints one.`,
      ]);
  });

  test('a release stops at two halves that do not belong together', () => {
    const [one, other] = [newSealKeys(), newSealKeys()];
    const pair = (VELVET_SEAL_PUBLIC_KEY: string, VELVET_SEAL_PRIVATE_KEY: string) =>
      problemsOf('release', { ...full, VELVET_SEAL_PUBLIC_KEY, VELVET_SEAL_PRIVATE_KEY });

    expect(pair(one.publicKey, one.privateKey)).toEqual([]);
    expect(pair(one.publicKey, other.privateKey)).toEqual([
      expect.stringMatching(/^VELVET_SEAL_PUBLIC_KEY must be the other half of VELVET_SEAL_PRIVATE_KEY/),
    ]);
  });
});
