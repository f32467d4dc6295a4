// A vendor that Velvet has no code for: a person mints and revokes, and the manifest says how a token is asked whether it works. Law: only the status that was named means dead, and only a success means alive.
import { VelvetError, isVelvetError } from '../../shared/lib/errors.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import type { ManualVerify } from '../../shared/manifest/schema.ts';
import { issuers } from '../../shared/manifest/vendors.ts';
import type { Issuer, VendorCall } from './contract.ts';
import type { Door } from './http.ts';

export interface OperatorManualDeps {
  readonly door: Door;
  readonly lateMs: number;
  /** The manifest's; null in a record that lost it, and then nothing can be asked. */
  readonly verify: ManualVerify | null;
}

/**
 * Says of a token whether it works, and no more: neither its handle, nor what it may do, nor which other tokens there are. An
 * authority that is named is asked the same.
 */
export function operatorManual({ door, lateMs, verify }: OperatorManualDeps): Issuer {
  const { mint, revoke, findLeftovers, overlap } = issuers.OPERATOR_MANUAL;
  const ask = (call: VendorCall, token: Secret) => whetherItWorks(door, verify, call, token);
  return {
    vendor: 'OPERATOR_MANUAL',
    capabilities: { mint, revoke, findLeftovers, overlap, lateMs },

    async verify(call, current, authority) {
      if (authority !== null && (await ask(call, authority)) === 'dead')
        throw new VelvetError('authority_invalid', 'the authority is refused');
      const state = current === null ? 'absent' : await ask(call, current);
      return { current: state, handle: null, mayMint: true, mayMintReason: null };
    },

    mint: () => Promise.reject(new VelvetError('invariant_broken', 'this vendor has no API to mint with')),

    // Nothing carries a label of Velvet's: what a person made is known by its value alone.
    listMinted: () => Promise.resolve([]),

    async isGone(call, _authority, _handle, old) {
      if (old === null) return 'cannot_tell';
      try {
        return (await ask(call, old)) === 'dead' ? 'gone' : 'still_there';
      } catch (error) {
        // An answer that stays and means nothing here must not hold a credential for ever: then a person's word counts.
        if (isVelvetError(error) && error.retry === 'never') return 'cannot_tell';
        throw error;
      }
    },

    revoke: () =>
      Promise.reject(new VelvetError('manual_revoke_required', 'this vendor has no API to revoke with')),
  };
}

async function whetherItWorks(
  door: Door,
  verify: ManualVerify | null,
  call: VendorCall,
  token: Secret,
): Promise<'alive' | 'dead'> {
  if (verify === null)
    throw new VelvetError('invariant_broken', 'the job does not say how a token is verified');
  const { url, header, dead_status: deadStatus } = verify;
  const bearer = header.toLowerCase() === 'authorization';
  const response = await door.send(call, {
    vendor: new URL(url).host,
    method: 'GET',
    url,
    ...(bearer ? { authority: token } : { headers: { [header]: token } }),
    accept: [deadStatus],
  });
  return response.status === deadStatus ? 'dead' : 'alive';
}
