// Who may ask GitHub what. Law: the version, then who calls, then the hour's quota; what a token may do is its route's business.
import type { GithubApp, InstallationToken } from './github-apps.ts';
import { githubError } from './github-json.ts';
import type { GithubWorld } from './github.ts';
import type { Admission, Answer } from './server.ts';
import type { SimRequest } from './requests.ts';

/** An App by its own signature, or one of its installations by a token. */
export type Caller = { readonly app: GithubApp } | { readonly token: InstallationToken };

export interface Limits {
  remaining: number;
  resetAt: number;
}

const versions = new Set([undefined, '2022-11-28', '2026-03-10']);

export function admitCaller(
  { apps, limits }: GithubWorld,
  request: SimRequest,
  authorization: string | null,
): Admission<Caller> {
  if (request.headers['user-agent'] === undefined)
    return { refusal: githubError(403, 'Request forbidden by administrative rules.') };
  if (!versions.has(request.headers['x-github-api-version']))
    return { refusal: githubError(410, 'This API version is no longer supported.') };
  const [scheme = '', value = ''] = (authorization ?? '').split(' ', 2);
  if (!/^(bearer|token)$/i.test(scheme)) return { refusal: githubError(401, 'Requires authentication') };
  const caller = callerOf(apps, value);
  if (typeof caller === 'string') return { refusal: githubError(401, caller) };
  if (limits.remaining <= 0)
    return { refusal: githubError(403, 'API rate limit exceeded for installation ID 50000.') };
  limits.remaining -= 1;
  return {
    caller,
    name: 'app' in caller ? caller.app.clientId : `installation ${caller.token.installation.id}`,
  };
}

function callerOf(apps: GithubWorld['apps'], value: string): Caller | string {
  if (value.startsWith('gh')) {
    const token = apps.tokenOf(value);
    return token === null ? 'Bad credentials' : { token };
  }
  const app = apps.appOf(value);
  return typeof app === 'string' ? app : { app };
}

/** A secondary limit. GitHub names a pause for some of them. */
export function limited(status: 403 | 429, retryAfterS: number | null): Answer {
  const answer = githubError(
    status,
    'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.',
  );
  return retryAfterS === null ? answer : { ...answer, headers: { 'retry-after': String(retryAfterS) } };
}
