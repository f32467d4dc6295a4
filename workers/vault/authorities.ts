// The tokens with which Velvet itself calls vendors. Law: read anew for each step, and never the token that is being rotated.
import { VelvetError } from '../../shared/lib/errors.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import { slots, type Vault } from './contract.ts';

export interface Authorities {
  /** Throws `authority_invalid`, naming it and saying where it belongs, where there is none. */
  read(name: string): Promise<Secret>;
}

/** Bootstrap authorities come from the environment, the others lie in the vault beside the credentials. */
export function createAuthorities(
  vault: Vault,
  bootstrap: Readonly<Record<string, Secret | null>>,
): Authorities {
  return {
    async read(name) {
      const fromEnvironment = Object.hasOwn(bootstrap, name);
      const secret = fromEnvironment ? bootstrap[name] : await vault.read(slots.current(name));
      if (secret !== null && secret !== undefined) return secret;
      const where = fromEnvironment
        ? `set ${name} in the environment of stage and distribute (and of your shell, for \`npx velvet\`)`
        : `put it into the vault with \`npx velvet adopt ${name}\``;
      throw new VelvetError('authority_invalid', `authority ${name} is missing`, {
        detail: `The authority ${name} is missing: ${where}, then retry.`,
      });
    },
  };
}
