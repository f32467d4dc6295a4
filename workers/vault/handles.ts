// The handle of the current token, beside its value: whoever restores the vault alone can still revoke. A handle is not secret.
import { Secret } from '../../shared/lib/secret.ts';
import type { VendorCall } from '../vendors/contract.ts';
import { slots, type Vault } from './contract.ts';

export async function readHandle(vault: Vault, credential: string): Promise<string | null> {
  return (await vault.read(slots.handle(credential)))?.reveal() ?? null;
}

/** Null empties the slot: a handle that is not known must not name an older token. */
export async function writeHandle(
  vault: Vault,
  call: VendorCall,
  credential: string,
  handle: string | null,
): Promise<void> {
  if (handle === null) await vault.remove(call, slots.handle(credential));
  else await vault.write(call, slots.handle(credential), new Secret(handle));
}
