// Which credentials cannot be rotated now, because the vault or an authority of theirs is missing or refused. Looked at each minute.
import { isVelvetError, type VelvetError } from '../../shared/lib/errors.ts';
import { activeCredential, activeRows } from '../../shared/manifest/load.ts';
import type { Manifest } from '../../shared/manifest/schema.ts';
import type { VendorCall } from '../vendors/contract.ts';
import type { StageDeps } from './deps.ts';

/** Credential → why it is unavailable, for those that are. A vendor that cannot be reached refuses nobody. */
export async function unavailable(
  deps: StageDeps,
  manifest: Manifest,
  env: string,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  const names = manifest.credentials.map((credential) => credential.token_name);
  const reasons = await Promise.all(
    names.map(async (name) => [name, await reasonOf(deps, manifest, { name, env, signal })] as const),
  );
  return Object.fromEntries(reasons.flatMap(([name, reason]) => (reason === null ? [] : [[name, reason]])));
}

async function reasonOf(
  deps: StageDeps,
  manifest: Manifest,
  { name, env, signal }: { name: string; env: string; signal: AbortSignal },
): Promise<string | null> {
  const credential = activeCredential(manifest, name);
  const rows = activeRows(manifest, name, env);
  if (credential === null || rows.length === 0) return null;
  try {
    await deps.vault.check();
    for (const row of rows)
      if ('update_auth_token_name' in row) await deps.authorities.read(row.update_auth_token_name);
    const named = credential.issuer_auth_token_name;
    const authority = named === undefined ? null : await deps.authorities.read(named);
    const call: VendorCall = { jobId: 'availability', fence: '0-none', lease: null, signal, repeat: false };
    const verify = 'verify' in credential ? credential.verify : null;
    await deps.registry.issuer(credential.issuer, verify).verify(call, null, authority);
    return null;
  } catch (error) {
    if (!isVelvetError(error)) throw error;
    if (error.code === 'authority_invalid') return reasonFor(error, credential.issuer_auth_token_name ?? '');
    return error.code === 'vault_unavailable' ? error.detail : null;
  }
}

function reasonFor(error: VelvetError, authority: string): string {
  return error.httpStatus === undefined
    ? error.detail
    : `The vendor refuses the authority ${authority}. Put a good one in place under that name; it is probed again each minute.`;
}
