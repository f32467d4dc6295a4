// Infisical as the vault: the contract suite, and the traps that are Infisical's own.
import { contractTest } from '../contract/contract-test.ts';
import { infisicalVaultWorld } from '../contract/infisical-worlds.ts';
import { vaultChecks } from '../contract/vault.ts';

contractTest(vaultChecks, () => infisicalVaultWorld(), {
  skip: [
    {
      check: 'no value lies readable at rest',
      reason: 'Infisical encrypts what it keeps, on its own disks: infisical.com/docs/internals/security',
    },
    {
      check: 'what a killed writer leaves is neither read nor listed, and the slot can be written again',
      reason: 'a write is one request, which is applied whole or not at all',
    },
  ],
});
