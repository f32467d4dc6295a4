// Which credentials cannot be rotated now, because the vault or an authority of theirs is missing or refused. Looked at each minute.
import { isVelvetError, type VelvetError } from '../../shared/lib/errors.ts';
import { activeCredential, activeRows } from '../../shared/manifest/load.ts';
import type { ActiveRow, Manifest } from '../../shared/manifest/schema.ts';
import type { VendorCall } from '../vendors/contract.ts';
import type { StageDeps } from './deps.ts';

/** Credential → why it is unavailable, for those that are. A vendor that cannot be reached refuses nobody. */
export async function unavailable(
  deps: StageDeps,
  manifest: Manifest,
  env: string,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  const call: VendorCall = { jobId: 'availability', fence: '0-none', lease: null, signal, repeat: false };
  const names = manifest.credentials.map((credential) => credential.token_name);
  const logIn = logInOnce(deps, call);
  const reasons = await Promise.all(
    names.map(async (name) => [name, await reasonOf(deps, manifest, { name, env, call, logIn })] as const),
  );
  return Object.fromEntries(reasons.flatMap(([name, reason]) => (reason === null ? [] : [[name, reason]])));
}

async function reasonOf(
  deps: StageDeps,
  manifest: Manifest,
  { name, env, call, logIn }: { name: string; env: string; call: VendorCall; logIn: LogIn },
): Promise<string | null> {
  const credential = activeCredential(manifest, name);
  const rows = activeRows(manifest, name, env);
  if (credential === null || rows.length === 0) return null;
  try {
    await deps.vault.check();
    const named = credential.issuer_auth_token_name;
    const written = rows.filter(isWritten);
    for (const row of written) await deps.authorities.read(row.update_auth_token_name);
    const authority = named === undefined ? null : await deps.authorities.read(named);
    // The issuer's own is asked about by the issuer.
    const others = written.filter((row) => row.update_auth_token_name !== named);
    const refusals = await Promise.all(others.map(logIn));
    const verify = 'verify' in credential ? credential.verify : null;
    const asked = deps.registry.issuer(credential.issuer, verify).verify(call, null, authority);
    const own = await asked.then(() => null, refusedIn);
    if (own !== null) return reasonFor(own, named ?? '');
    const index = refusals.findIndex((refusal) => refusal !== null);
    const [refusal, row] = [refusals[index] ?? null, others[index]];
    return refusal === null || row === undefined ? null : reasonFor(refusal, row.update_auth_token_name);
  } catch (error) {
    if (!isVelvetError(error)) throw error;
    if (error.code === 'authority_invalid') return reasonFor(error, credential.issuer_auth_token_name ?? '');
    return error.code === 'vault_unavailable' ? error.detail : null;
  }
}

type WrittenRow = Extract<ActiveRow, { readonly update_auth_token_name: string }>;
const isWritten = (row: ActiveRow): row is WrittenRow => 'update_auth_token_name' in row;

/** What was said of a row's authority where it was refused; null where it was not, or nobody could be asked. */
type LogIn = (row: WrittenRow) => Promise<VelvetError | null>;

/** Each authority once a round, at the first of its rows: a vendor counts what is asked of it, and there may be hundreds. */
function logInOnce(deps: StageDeps, call: VendorCall): LogIn {
  const begun = new Map<string, ReturnType<LogIn>>();
  return (row) => {
    const key = `${row.update_method} ${row.update_auth_token_name}`;
    const logIn = begun.get(key) ?? refusalAt(deps, call, row);
    begun.set(key, logIn);
    return logIn;
  };
}

async function refusalAt(deps: StageDeps, call: VendorCall, row: WrittenRow): Promise<VelvetError | null> {
  try {
    const authority = await deps.authorities.read(row.update_auth_token_name);
    const known = { next: null, previous: null };
    await deps.registry.destination(row.update_method).readBack(call, row, authority, known, null);
    return null;
  } catch (error) {
    return refusedIn(error);
  }
}

/** A vendor that cannot be reached, or that keeps something else back, refuses nobody. */
function refusedIn(error: unknown): VelvetError | null {
  if (!isVelvetError(error)) throw error;
  return error.code === 'authority_invalid' ? error : null;
}

function reasonFor(error: VelvetError, authority: string): string {
  if (error.httpStatus !== undefined)
    return `The vendor refuses the authority ${authority}. Put a good one in place under that name; it is probed again each minute.`;
  return error.detail.includes(authority)
    ? error.detail
    : `The authority ${authority} cannot be used. ${error.detail}`;
}
