// Which credentials have tokens that a person makes and types, and what a process must have for that.
import { EnvError } from '../lib/env.ts';
import { activeCredential, activeRows } from './load.ts';
import type { Manifest } from './schema.ts';
import { issuers } from './vendors.ts';

/** Those of this environment that Velvet rotates, by name. */
export function mintedByHand(manifest: Manifest, env: string): readonly string[] {
  return manifest.credentials
    .map(({ token_name: name }) => activeCredential(manifest, name))
    .filter((credential) => credential !== null && issuers[credential.issuer].mint === 'operator')
    .map((credential) => credential?.token_name ?? '')
    .filter((name) => activeRows(manifest, name, env).length > 0);
}

export type SealKeyName = 'VELVET_SEAL_PUBLIC_KEY' | 'VELVET_SEAL_PRIVATE_KEY';

/** What is wrong where the key is not set; null where nothing is typed, so that nobody needs it. */
export function missingSealKey(name: SealKeyName, manifest: Manifest, env: string): string | null {
  const typed = mintedByHand(manifest, env);
  if (typed.length === 0) return null;
  return `${name} is not set, and ${typed.join(', ')} of the manifest ${typed.length === 1 ? 'is' : 'are'} minted by hand: what an operator types must be sealed on its way to the stage worker. \`npx velvet keygen\` prints the pair; web gets the public key, stage the private one.`;
}

/** Throws an `EnvError` where the key is needed and not there. */
export function demandSealKey(
  name: SealKeyName,
  key: Buffer | null,
  { manifest, env }: { readonly manifest: Manifest; readonly env: string },
): void {
  const missing = key === null ? missingSealKey(name, manifest, env) : null;
  if (missing !== null) throw new EnvError([missing]);
}
