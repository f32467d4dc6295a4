// The deep check: Velvet logs in to the vault and to each vendor, as each authority that a rotation of this environment needs. Changes nothing anywhere.
import { VelvetError, isVelvetError } from '../../shared/lib/errors.ts';
import { activeCredential, activeRows } from '../../shared/manifest/load.ts';
import type { Manifest } from '../../shared/manifest/schema.ts';
import type { Answer } from '../../shared/queue/questions.ts';
import type { VendorCall } from '../vendors/contract.ts';
import type { StageDeps } from './deps.ts';

export type DeepCheck = Answer<'deep_health'>['checks'][number];

interface LogIn {
  readonly name: string;
  readonly credential: string | null;
  /** What is said where it went well; throws what kept it from that. */
  readonly does: (call: VendorCall) => Promise<string>;
}

/** All at once, each for `deepCheckMs` at most; in the order of the manifest. */
export async function deepHealth(
  deps: StageDeps,
  manifest: Manifest,
  env: string,
  stopping: AbortSignal,
): Promise<Answer<'deep_health'>> {
  const logIns = Map.groupBy(logInsOf(deps, manifest, env), ({ name }) => name);
  const checks = [...logIns.values()].map(async ([first, ...same]): Promise<readonly DeepCheck[]> => {
    if (first === undefined) return [];
    const credentials = [first, ...same].flatMap(({ credential }) => credential ?? []);
    const seen = await tried(deps, first, stopping);
    const needed = first.credential === null ? null : [...new Set(credentials)];
    return [{ name: first.name, credentials: needed, ...seen }];
  });
  return { checks: (await Promise.all(checks)).flat() };
}

/** One for each authority of each issuer and each update method: where its first row is read back, all of its rows could be. */
function logInsOf(deps: StageDeps, manifest: Manifest, env: string): readonly LogIn[] {
  const vault: LogIn = {
    name: `vault (${deps.vault.kind})`,
    credential: null,
    does: async () => {
      await deps.vault.check();
      return 'reached, and its folder is there';
    },
  };
  const others = manifest.credentials.flatMap(({ token_name: credential }): readonly LogIn[] => {
    const active = activeCredential(manifest, credential);
    const rows = activeRows(manifest, credential, env);
    if (active === null || rows.length === 0) return [];
    const authority = active.issuer_auth_token_name;
    const issuing: LogIn = {
      name: authority === undefined ? active.issuer : `${active.issuer} as ${authority}`,
      credential,
      does: async (call) => {
        const secret = authority === undefined ? null : await deps.authorities.read(authority);
        const { mayMint, mayMintReason } = await deps.registry
          .issuer(active.issuer, 'verify' in active ? active.verify : null)
          .verify(call, null, secret);
        if (!mayMint)
          throw new VelvetError('authority_invalid', 'logged in, may not mint', {
            detail: `Logged in, but it may not mint: ${mayMintReason ?? 'the vendor does not say why'}. Put a good one in place under that name.`,
          });
        return 'logged in, and may mint';
      },
    };
    // Where a person writes there is nothing to log in to.
    const written = rows.filter((row) => 'update_auth_token_name' in row);
    const writing = written.map((row): LogIn => ({
      name: `${row.update_method} as ${row.update_auth_token_name}`,
      credential,
      does: async (call) => {
        const secret = await deps.authorities.read(row.update_auth_token_name);
        const known = { next: null, previous: null };
        await deps.registry
          .destination(row.update_method)
          .readBack(call, row, secret, known, null)
          .catch((error: unknown) => {
            // A secret that the first rotation makes is not there before it.
            if (!isVelvetError(error) || error.code !== 'vendor_target_missing') throw error;
          });
        return `logged in; ${row.consumer_id} was looked at`;
      },
    }));
    return [issuing, ...writing];
  });
  return [vault, ...others];
}

async function tried(
  deps: StageDeps,
  { does }: LogIn,
  stopping: AbortSignal,
): Promise<Pick<DeepCheck, 'ok' | 'says'>> {
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      late.abort();
      const detail = `No answer within ${deps.times.deepCheckMs / 1000} s. Ask again; if it stays, look at its status page and at the way there.`;
      reject(new VelvetError('vendor_unavailable', 'no answer in time', { detail }));
    }, deps.times.deepCheckMs);
  });
  const signal = AbortSignal.any([stopping, late.signal]);
  const call: VendorCall = { jobId: 'deep-health', fence: '0-none', lease: null, signal, repeat: false };
  const doing = does(call);
  // What is thrown after the time is up is nobody's any more.
  doing.catch(() => undefined);
  try {
    return { ok: true, says: await Promise.race([doing, tooLate]) };
  } catch (error) {
    if (isVelvetError(error)) return { ok: false, says: error.detail };
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
