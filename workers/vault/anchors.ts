// The audit anchors in the vault, as texts: the heads of the trails, out of reach of whoever has Redis alone. An anchor is not secret.
import { Secret } from '../../shared/lib/secret.ts';
import type { VendorCall } from '../vendors/contract.ts';
import { slots, type Vault } from './contract.ts';

export async function readAnchor(vault: Vault, credential: string): Promise<string | null> {
  return (await vault.read(slots.auditAnchor(credential)))?.reveal() ?? null;
}

export function writeAnchor(vault: Vault, call: VendorCall, credential: string, text: string): Promise<void> {
  return vault.write(call, slots.auditAnchor(credential), new Secret(text));
}

/** The credentials that have one, those that the manifest has forgotten included. */
export async function anchoredCredentials(vault: Vault): Promise<readonly string[]> {
  const prefix = slots.auditAnchor('');
  return (await vault.list(prefix)).map((slot) => slot.slice(prefix.length));
}
