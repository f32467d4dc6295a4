// Heroku OAuth authorizations: verify, mint, find again, revoke. Law: every answer here may echo live tokens, so none is quoted.
import { z } from 'zod';
import { VelvetError, isVelvetError } from '../../../shared/lib/errors.ts';
import { Secret } from '../../../shared/lib/secret.ts';
import { issuers } from '../../../shared/manifest/vendors.ts';
import {
  labelOf,
  readLabel,
  type Handle,
  type Issuer,
  type VendorCall,
  type VerifyResult,
} from '../contract.ts';
import type { VendorResponse } from '../http.ts';
import { errorId, herokuApi, parseAnswer, refusal } from './api.ts';
import type { HerokuApi, HerokuDeps } from './api.ts';

// Ids are GUIDs in form only: Heroku's own samples are not valid RFC 9562 UUIDs, which z.uuid() asks for.
const idShape = z.looseObject({ id: z.guid() });

const authorizationShape = z.looseObject({
  id: z.guid(),
  description: z.string().nullish(),
  scope: z.array(z.string()),
  // A token is any string: old ones are UUIDs, newer ones are not.
  access_token: z.looseObject({ token: z.string().nullish() }).nullish(),
});
type Authorization = z.output<typeof authorizationShape>;

const mintedShape = z.looseObject({
  id: z.guid(),
  access_token: z.looseObject({ token: z.string().min(1) }),
});

/** Tokens of the account that the authority belongs to. The authority needs the scope `global`. */
export function herokuIssuer(deps: HerokuDeps): Issuer {
  const api = herokuApi(deps);
  const { mint, revoke, findLeftovers, overlap } = issuers['heroku-oauth'];
  return {
    vendor: 'heroku-oauth',
    capabilities: { mint, revoke, findLeftovers, overlap, lateMs: deps.lateMs },

    verify: (call, current, authority) => verify(api, call, current, needed(authority)),

    async mint(call, authority) {
      const label = labelOf(call);
      // POST, never regenerate-tokens: that replaces the token in place, and the old one is dead before anybody has the new one.
      const json = { scope: ['global'], description: label, expires_in: null };
      const response = await api.ask(call, authority, {
        method: 'POST',
        path: '/oauth/authorizations',
        json,
      });
      const minted = parseAnswer(response, mintedShape);
      return { handle: { id: minted.id, label }, secret: new Secret(minted.access_token.token) };
    },

    async listMinted(call, authority) {
      const all = await listAuthorizations(api, call, needed(authority));
      return all.filter((one) => readLabel(one.description ?? '')?.jobId === call.jobId).map(handleOf);
    },

    isGone: (call, authority, handle, old) =>
      isGone(api, call, { authority: needed(authority), handle, old }),

    async revoke(call, authority, handle) {
      const response = await api.ask(call, authority, {
        method: 'DELETE',
        path: pathOf(handle),
        answers: [404],
      });
      if (response.status === 404) return alreadyGone(response);
      // The deleted object comes back; a success about anything else proves no revocation.
      if (!isAbout(handle, parseAnswer(response, idShape)))
        throw response.notUnderstood('the answer is about another authorization');
      return 'revoked';
    },
  };
}

/** The manifest's shape demands one; a record that lost its own names none. */
function needed(authority: Secret | null): Secret {
  if (authority !== null) return authority;
  throw new VelvetError('authority_invalid', 'heroku: no authority is named');
}

async function verify(
  api: HerokuApi,
  call: VendorCall,
  current: Secret | null,
  authority: Secret,
): Promise<VerifyResult> {
  const state = current === null ? 'absent' : await askAccount(api, call, current);
  const all = await listAuthorizations(api, call, authority).catch((error: unknown) => {
    if (isVelvetError(error) && error.code === 'vendor_forbidden') return null;
    throw error;
  });
  if (all === null) {
    const mayMintReason = 'the authority may not list authorizations (403); minting needs the scope global';
    return { current: state, handle: null, mayMint: false, mayMintReason };
  }

  const known = current === null ? undefined : all.find((one) => hasToken(one, current));
  const mayMintReason = whyNotMint(all, current, authority);
  return {
    current: state,
    handle: known === undefined ? null : handleOf(known),
    mayMint: mayMintReason === null,
    mayMintReason,
  };
}

/**
 * Why the authority may not mint, or null. One that the list does not show (Heroku documents no promise to echo tokens) counts
 * as able: the list itself was answered, and a mint that is refused leaves the old token untouched.
 */
function whyNotMint(all: readonly Authorization[], current: Secret | null, authority: Secret): string | null {
  if (current?.equals(authority) === true) return 'the authority is the very token that is to be rotated';
  const own = all.find((one) => hasToken(one, authority));
  if (own === undefined || own.scope.includes('global')) return null;
  return `the authority's scope is ${own.scope.join(', ')}; minting needs global`;
}

interface GoneQuestion {
  readonly authority: Secret;
  readonly handle: Handle | null;
  readonly old: Secret | null;
}

async function isGone(
  api: HerokuApi,
  call: VendorCall,
  question: GoneQuestion,
): Promise<'gone' | 'still_there' | 'cannot_tell'> {
  const { authority, handle, old } = question;
  if (handle === null && old === null) return 'cannot_tell';
  if (handle !== null) {
    const response = await api.ask(call, authority, { method: 'GET', path: pathOf(handle), answers: [404] });
    if (response.status !== 404) {
      if (!isAbout(handle, parseAnswer(response, idShape)))
        throw response.notUnderstood('the answer is about another authorization');
      return 'still_there';
    }
    alreadyGone(response);
  }
  // An authority of another account is answered 404 for a token that lives; where the token itself is at hand, it has the last word.
  if (old === null) return 'gone';
  return (await askAccount(api, call, old)) === 'dead' ? 'gone' : 'still_there';
}

/** Whether a token authenticates. Dead only on Heroku's own 401; a token without the scope `identity` is answered 403 and lives. */
async function askAccount(api: HerokuApi, call: VendorCall, token: Secret): Promise<'alive' | 'dead'> {
  const response = await api.ask(call, token, { method: 'GET', path: '/account', answers: [401, 403] });
  if (response.status < 300) {
    parseAnswer(response, idShape);
    return 'alive';
  }
  const id = errorId(response);
  if (response.status === 401 && id === 'unauthorized') return 'dead';
  if (response.status === 403 && id === 'forbidden') return 'alive';
  // 403 suspended: the account is locked, which says nothing about the token.
  throw refusal(response);
}

const authorizationList = { method: 'GET', path: '/oauth/authorizations', range: 'id ..; max=1000' } as const;

function listAuthorizations(
  api: HerokuApi,
  call: VendorCall,
  authority: Secret,
): Promise<readonly Authorization[]> {
  return api.list(call, authority, authorizationList, authorizationShape);
}

function hasToken(one: Authorization, token: Secret): boolean {
  const value = one.access_token?.token ?? '';
  return value !== '' && new Secret(value).equals(token);
}

function handleOf(one: Authorization): Handle {
  return { id: one.id, label: one.description ?? '' };
}

function isAbout(handle: Handle, answer: { readonly id: string }): boolean {
  return answer.id.toLowerCase() === handle.id.toLowerCase();
}

/** A 404 counts as gone only with Heroku's own id; an empty or foreign one proves nothing. */
function alreadyGone(response: VendorResponse): 'already_gone' {
  if (errorId(response) !== 'not_found') throw refusal(response);
  return 'already_gone';
}

/** A handle that was typed by hand may be anything; one that is no id would name another resource. */
function pathOf(handle: Handle): string {
  if (!z.guid().safeParse(handle.id).success) {
    throw new VelvetError('vendor_rejected', 'heroku: the handle is not the id of an authorization');
  }
  return `/oauth/authorizations/${handle.id}`;
}
