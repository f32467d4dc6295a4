// Who may ask Heroku what. Law: 406, then 401, then the account's standing, then its rate limit, then the token's scope.
import type { Authorization, HerokuAccounts, HerokuScope } from './heroku-accounts.ts';
import { herokuError } from './heroku-json.ts';
import type { Admission, Answer, Call } from './server.ts';
import type { SimRequest } from './requests.ts';

export type Caller = Authorization;
export type Handler = (call: Call<Caller>) => Answer;

const ACCEPT = 'application/vnd.heroku+json; version=3';

/** Whose token this is, and whether it may ask now at all; takes one request out of the account's bucket. */
export function admitCaller(
  accounts: HerokuAccounts,
  request: SimRequest,
  authorization: string | null,
): Admission<Caller> {
  if (request.headers['accept']?.replaceAll(' ', '') !== ACCEPT.replaceAll(' ', '')) {
    return { refusal: herokuError(406, 'not_acceptable', `Accept header must be \`${ACCEPT}\`.`) };
  }
  const caller = accounts.find(tokenIn(authorization ?? ''));
  if (caller === null) return { refusal: herokuError(401, 'unauthorized', 'Invalid credentials provided.') };
  const { account } = caller;
  if (account.standing === 'suspended')
    return { refusal: herokuError(403, 'suspended', 'Your account was suspended.') };
  if (account.standing === 'delinquent')
    return { refusal: herokuError(402, 'delinquent', 'You have unpaid invoices.') };
  // The one request that costs nothing.
  const free = request.route === 'GET /account/rate-limits';
  if (!free && !account.take()) return { refusal: tooMany(account.remaining(), null) };
  return { caller, name: caller.id };
}

/** `Bearer <token>`, or Basic with the token as password and no user. */
function tokenIn(authorization: string): string {
  const [scheme = '', value = ''] = authorization.split(' ', 2);
  if (scheme.toLowerCase() !== 'basic') return scheme.toLowerCase() === 'bearer' ? value : '';
  const decoded = Buffer.from(value, 'base64').toString('utf8');
  return decoded.startsWith(':') ? decoded.slice(1) : '';
}

/** Heroku's 429; it documents no Retry-After, so there is one only where a script asks for it. */
export function tooMany(remaining: number, retryAfterS: number | null): Answer {
  const headers = {
    'ratelimit-remaining': String(remaining),
    ...(retryAfterS === null ? {} : { 'retry-after': String(retryAfterS) }),
  };
  return {
    ...herokuError(
      429,
      'rate_limit',
      'Your account reached the API rate limit. Please wait a few minutes before making new requests.',
    ),
    headers,
  };
}

/** `handler` for tokens that have one of these scopes; 403 `forbidden` for all others, which says nothing against the token. */
export function scoped(scopes: readonly HerokuScope[], handler: Handler): Handler {
  return (call) =>
    call.caller.scope.some((scope) => scopes.includes(scope))
      ? handler(call)
      : herokuError(
          403,
          'forbidden',
          `This token's scope does not allow it; one of ${scopes.join(', ')} does.`,
        );
}
