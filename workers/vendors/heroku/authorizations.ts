// The authorizations of a Heroku account, and which of them a token is. Law: a list may echo live tokens, so nothing of one leaves.
import { z } from 'zod';
import { isVelvetError } from '../../../shared/lib/errors.ts';
import { Secret } from '../../../shared/lib/secret.ts';
import type { VendorCall } from '../contract.ts';
import type { HerokuApi } from './api.ts';

const authorizationShape = z.looseObject({
  // Ids are GUIDs in form only: Heroku's own samples are not valid RFC 9562 UUIDs, which z.uuid() asks for.
  id: z.guid(),
  description: z.string().nullish(),
  scope: z.array(z.string()),
  // A token is any string: old ones are UUIDs, newer ones are not.
  access_token: z.looseObject({ token: z.string().nullish() }).nullish(),
});
export type Authorization = z.output<typeof authorizationShape>;

const authorizationList = { method: 'GET', path: '/oauth/authorizations', range: 'id ..; max=1000' } as const;

export function listAuthorizations(
  api: HerokuApi,
  call: VendorCall,
  authority: Secret,
): Promise<readonly Authorization[]> {
  return api.list(call, authority, authorizationList, authorizationShape);
}

export function hasToken(one: Authorization, token: Secret): boolean {
  const value = one.access_token?.token ?? '';
  return value !== '' && new Secret(value).equals(token);
}

/**
 * What a token may do, as its own account says it; null where that is not shown: a token with less than `global` may not list,
 * and Heroku documents no promise to echo tokens.
 */
export async function scopeOf(
  api: HerokuApi,
  call: VendorCall,
  token: Secret,
): Promise<readonly string[] | null> {
  try {
    const all = await listAuthorizations(api, call, token);
    return all.find((one) => hasToken(one, token))?.scope ?? null;
  } catch (error) {
    if (isVelvetError(error) && error.code === 'vendor_forbidden') return null;
    throw error;
  }
}
