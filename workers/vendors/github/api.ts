// How GitHub's REST API is asked and what its refusals mean. Law: a 403 may be a limit and a 404 a lack of access, and no answer's text leaves.
import { z } from 'zod';
import type { Clock } from '../../../shared/lib/clock.ts';
import type { VelvetError } from '../../../shared/lib/errors.ts';
import type { Secret } from '../../../shared/lib/secret.ts';
import type { VendorCall } from '../contract.ts';
import type { Door, VendorResponse } from '../http.ts';

export interface GithubDeps {
  readonly door: Door;
  readonly clock: Clock;
  /** `https://api.github.com`, or what stands in for it. Authorities are sent nowhere else. */
  readonly baseUrl: string;
  /** How long after a lost answer GitHub may still apply a change; it documents nothing shorter. */
  readonly lateMs: number;
  /** The pause after a limit for which GitHub names none: "at least one minute". */
  readonly secondaryLimitWaitMs: number;
}

export interface GithubRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Escaped by the caller. */
  readonly path: string;
  readonly json?: unknown;
  /** What it needs of the App, in words: `secrets: write`. */
  readonly needs: string;
  /** Opens or ends a session, and changes nothing. */
  readonly session?: boolean;
  readonly timeoutMs?: number;
  /** Statuses that are an answer to this request and not a refusal. */
  readonly answers?: readonly number[];
}

export interface GithubApi {
  readonly deps: GithubDeps;
  /** One request. Besides the door's errors, throws what `refusal` makes of a status that is not in `answers`. */
  ask(call: VendorCall, token: Secret, request: GithubRequest): Promise<VendorResponse>;
}

/** Supported until 2028-03-10; left out, it would be whatever GitHub takes for the default that day. */
export const API_VERSION = '2022-11-28';
/** What GitHub answers for a repository that was renamed or given away. */
export const movedStatuses: readonly number[] = [301, 307, 308];

const read: readonly number[] = [...movedStatuses, 400, 401, 403, 404, 409, 410, 413, 415, 422, 429];

export function githubApi(deps: GithubDeps): GithubApi {
  const base = deps.baseUrl.replace(/\/+$/, '');
  return {
    deps,
    async ask(call, token, request) {
      const response = await deps.door.send(call, {
        vendor: 'github',
        method: request.method,
        url: `${base}${request.path}`,
        headers: { accept: 'application/vnd.github+json', 'x-github-api-version': API_VERSION },
        authority: token,
        accept: read,
        session: request.session === true,
        ...(request.json === undefined ? {} : { json: request.json }),
        ...(request.timeoutMs === undefined ? {} : { timeoutMs: request.timeoutMs }),
      });
      if (response.status < 300 || request.answers?.includes(response.status) === true) return response;
      throw refusal(deps, response, request.needs);
    },
  };
}

/** The answer in the shape that is expected. What zod found stays here: its words could quote a key of the answer. */
export function parseAnswer<T>(response: VendorResponse, shape: z.ZodType<T>): T {
  const parsed = shape.safeParse(response.json());
  if (!parsed.success) throw response.notUnderstood(`answered ${response.status} in an unknown shape`);
  return parsed.data;
}

/** What GitHub's clock says, in milliseconds; ours, where an answer does not say. */
export function githubNow(deps: Pick<GithubDeps, 'clock'>, response: VendorResponse): number {
  const at = Date.parse(response.headers['date'] ?? '');
  return Number.isNaN(at) ? deps.clock.now() : at;
}

const errorShape = z.looseObject({ message: z.string() });

/** Source: docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api. */
function refusal(deps: GithubDeps, response: VendorResponse, needs: string): VelvetError {
  const { status } = response;
  if (movedStatuses.includes(status))
    return response.error(
      'vendor_unavailable',
      `answered ${status}: the repository is being moved; it is looked up again at the next attempt`,
    );
  // A refusal without GitHub's own form is not GitHub's API speaking, and says nothing.
  const { message } = parseAnswer(response, errorShape);
  const limited = limitWaitMs(deps, response, message);
  if (limited !== null)
    return response.error('vendor_rate_limited', `answered ${status}, over a limit`, {
      retryAfterMs: limited,
    });
  switch (status) {
    case 401:
      return unauthorized(deps, response);
    case 403:
      return response.error(
        'vendor_forbidden',
        `answered 403: the App needs "${needs}" there, and its installation must not be suspended`,
      );
    case 404:
      return response.error(
        'vendor_target_missing',
        "not found, or the App has no access: check the name in the manifest and the App's repositories",
      );
    case 409:
      return response.error('vendor_unavailable', 'answered 409: something else changes it right now');
    case 410:
      return response.error(
        'vendor_rejected',
        `answered 410: GitHub no longer speaks version ${API_VERSION} of its API, so Velvet must be brought up to date`,
      );
    default:
      return response.error('vendor_rejected', `answered ${status}`);
  }
}

/** Further apart, and the App's token is one of the past or of the future for GitHub, however good the key is. */
const CLOCKS_APART_MAX_MS = 60_000;

function unauthorized(deps: GithubDeps, response: VendorResponse): VelvetError {
  const apartMs = deps.clock.now() - githubNow(deps, response);
  if (Math.abs(apartMs) <= CLOCKS_APART_MAX_MS)
    return response.error('authority_invalid', 'answered 401, bad credentials');
  const where = apartMs > 0 ? 'ahead of' : 'behind';
  return response.error(
    'vendor_rejected',
    `answered 401, and this machine's clock is ${Math.round(Math.abs(apartMs) / 1000)} s ${where} GitHub's: mend the clock, then retry`,
  );
}

/**
 * How long GitHub asks to wait, in milliseconds; null where this is no limit. The order is GitHub's: `retry-after`, then the
 * reset of the hour's quota, then a minute. A missing permission may come with the last request of an hour.
 */
function limitWaitMs(deps: GithubDeps, response: VendorResponse, message: string): number | null {
  const { status, headers } = response;
  if (status !== 403 && status !== 429) return null;
  const after = /^\d{1,9}$/.exec(headers['retry-after']?.trim() ?? '')?.[0];
  if (after !== undefined) return Number(after) * 1000;
  if (status === 403 && /not accessible by integration/i.test(message)) return null;
  const reset = /^\d{1,12}$/.exec(headers['x-ratelimit-reset'] ?? '')?.[0];
  if (headers['x-ratelimit-remaining'] === '0' && reset !== undefined)
    return Math.max(1_000, Number(reset) * 1000 - githubNow(deps, response));
  return status === 429 || /rate limit|abuse detection/i.test(message) ? deps.secondaryLimitWaitMs : null;
}
