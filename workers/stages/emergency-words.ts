// What an emergency says of tokens that it could not end: which live, which are dead, and what to type by hand.
import { VelvetError, isVelvetError, type ErrorCode } from '../../shared/lib/errors.ts';
import { issuers, type IssuerName } from '../../shared/manifest/vendors.ts';
import type { EndedToken } from '../../shared/rotation/job-record.ts';
import type { Job } from '../../shared/rotation/job.ts';

/** A token as its revoke left it. `works`: that of a value which was seen to work although the vendor called all of them gone. */
export function endedOf(
  token: EndedToken,
  result: PromiseSettledResult<'revoked' | 'already_gone'> | undefined,
  works: EndedToken | null,
): EndedToken {
  if (result?.status === 'fulfilled') {
    const doubted = result.value === 'already_gone' && works?.is === token.is;
    return doubted ? token : { ...token, state: 'dead', error: null };
  }
  const error: unknown = result?.reason;
  return isVelvetError(error) ? { ...token, error: { code: error.code, detail: error.detail } } : token;
}

const named = (tokens: readonly EndedToken[]) =>
  tokens.map(({ auth_id, is }) => `${auth_id} (${is})`).join(', ');

/** What to type by hand, for each token that may live. */
export function commandsFor(job: Job): string {
  const { revokeByHand } = issuers[job.issuer as IssuerName];
  const live = job.tokens.filter((token) => token.state === 'may_live').map((token) => token.auth_id);
  const handles = live.length === 0 ? ['<id>'] : live;
  return handles.map((id) => revokeByHand.replace('<handle>', id)).join('; ');
}

/** Codes that say more than that a token may live. */
const kept: readonly ErrorCode[] = ['authority_invalid', 'manual_revoke_required', 'invariant_broken'];

/** What the job shows when its revoke has failed: with each token's state, and the way by hand. */
export function failureOf(
  job: Job,
  error: VelvetError,
): { readonly code: ErrorCode; readonly detail: string } {
  const alive = job.tokens.filter((token) => token.state === 'may_live');
  const dead = job.tokens.filter((token) => token.state === 'dead');
  const state = [
    alive.length > 0 ? `May be live: ${named(alive)}.` : '',
    dead.length > 0 ? `Dead: ${named(dead)}.` : '',
  ].filter((part) => part !== '');
  const todo = `Send retry; or by hand: ${commandsFor(job)}, then send mark_revoked.`;
  const code = kept.includes(error.code) ? error.code : 'revoke_pending';
  const detail = [error.detail, ...state, ...(code === 'manual_revoke_required' ? [] : [todo])].join(' ');
  return { code, detail };
}

export function onlyByHand(job: Job): VelvetError {
  return new VelvetError('manual_revoke_required', 'tokens of this vendor are ended by hand', {
    detail: `Velvet cannot end tokens of this vendor: end it by hand now (${commandsFor(job)}), then send mark_revoked. The consumers are proven to be locked out after that.`,
  });
}

export function noHandle(job: Job): VelvetError {
  return new VelvetError('manual_revoke_required', 'no handle is known', {
    detail: `Velvet knows no handle of ${job.credential}: neither its record, nor the vault, nor the vendor names one. Find the token at the vendor and end it by hand (${commandsFor(job)}), then send mark_revoked.`,
  });
}

export function stillWorks(job: Job, alive: readonly EndedToken[]): VelvetError {
  const whose =
    job.authority === null ? '' : ` (the authority ${job.authority} may belong to another account)`;
  return new VelvetError('revoke_pending', 'a token still works', {
    detail: `Still live: ${named(alive)}${whose}.`,
  });
}
