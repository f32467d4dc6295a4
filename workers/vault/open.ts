// The vault that the environment names.
import type { Clock } from '../../shared/lib/clock.ts';
import type { VaultEnv } from '../../shared/lib/env.ts';
import type { InfisicalSecrets } from '../vendors/infisical/secrets.ts';
import type { Vault } from './contract.ts';
import { fileVault } from './file.ts';
import { infisicalVault } from './infisical.ts';

export interface OpenVault extends Vault {
  /** Makes ready what Velvet may make; an Infisical folder is a person's to make, since who may read it is theirs to say. Throws `vault_unavailable`. */
  initialise(): Promise<void>;
}

export interface VaultDeps {
  /** Null where the vault is not Infisical and no machine identity is set. */
  readonly secrets: InfisicalSecrets | null;
  readonly clock: Clock;
}

export function openVault(vault: VaultEnv, env: string, { secrets, clock }: VaultDeps): OpenVault {
  if (vault.kind === 'file')
    return fileVault({ dir: vault.dir, key: vault.key, folder: vault.folder, env, clock });
  if (secrets === null) throw new TypeError('an Infisical vault without a client for it');
  const { siteUrl, clientId, clientSecret, projectId } = vault.infisical;
  const place = {
    identity: { clientId, clientSecret },
    projectId,
    environment: env,
    path: vault.folder,
  };
  const opened = infisicalVault({ secrets, place, siteUrl });
  return { ...opened, initialise: () => opened.check() };
}
