// What a failed request means. Law: an error names vendor, method and path, never a body, query, header or value, and carries no raw cause.
import { VelvetError, errorTable } from '../../shared/lib/errors.ts';
import type { ErrorCode } from '../../shared/lib/errors.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import type { CutBy } from './http-deadline.ts';

/** What may be said of a request in an error. */
export interface RequestName {
  readonly vendor: string;
  readonly method: string;
  readonly path: string;
  /** A login or logout: whatever its method, it changes nothing that a consumer could notice. */
  readonly session?: boolean;
  /** Everything that must not appear in what is said. */
  readonly secrets: readonly Secret[];
}

export interface Answer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer>;
}

export interface FailureFacts {
  readonly httpStatus?: number | undefined;
  readonly kind?: string | undefined;
  readonly retryAfterMs?: number | undefined;
}

/** The error `code` about this request; `why` must hold no value, and is cleaned of the request's secrets all the same. */
export function failure(
  name: RequestName,
  code: ErrorCode,
  why: string,
  facts: FailureFacts = {},
): VelvetError {
  const clean = (text: string): string =>
    name.secrets.reduce((rest, secret) => secret.removeFrom(rest), text);
  const said = `${name.vendor} ${name.method} ${name.path}: ${why}`;
  return new VelvetError(code, clean(said), {
    detail: clean(`${said}. ${errorTable[code].operator}`),
    ...(facts.httpStatus === undefined ? {} : { httpStatus: facts.httpStatus }),
    ...(facts.kind === undefined ? {} : { kind: facts.kind }),
    ...(facts.retryAfterMs === undefined ? {} : { retryAfterMs: facts.retryAfterMs }),
  });
}

export function isChange({ method, session }: Pick<RequestName, 'method' | 'session'>): boolean {
  return session !== true && method !== 'GET' && method !== 'HEAD';
}

/**
 * The request got no whole answer. On a read that is `vendor_unavailable`; on a change `vendor_no_answer`, for it may have
 * been applied, unless the connection was never made.
 */
export function lostAnswer(name: RequestName, error: unknown, cutBy: CutBy | null): VelvetError {
  const code =
    isChange(name) && !(cutBy === null && neverSent(error)) ? 'vendor_no_answer' : 'vendor_unavailable';
  if (cutBy === 'Aborted') return failure(name, code, 'let go before the answer came', { kind: 'Aborted' });
  if (cutBy === 'LeaseOver')
    return failure(name, code, 'no answer before the lease was over', { kind: cutBy });
  if (cutBy !== null) return failure(name, code, 'no answer in time', { kind: 'Timeout' });
  const codes = leafCodes(error);
  const kind = codes.some((code) => code.includes('TIMEOUT') || code === 'ETIMEDOUT')
    ? 'Timeout'
    : 'ConnectionError';
  const because = codes.length === 0 ? '' : ` (${[...new Set(codes)].join(', ')})`;
  return failure(name, code, `the connection failed${because}`, { kind });
}

/** What the handler said of statuses when it asked. */
export interface StatusPolicy {
  readonly accept?: readonly number[] | 'any';
  readonly rateLimitWaitMs?: number;
}

/**
 * What a status means whoever the vendor is, or null where its handler must say. A 5xx to a change is an unknown outcome, not
 * a refusal: an application may fail after it has written, and 502 and 504 come from an edge that lost the origin's answer.
 */
export function statusFailure(
  name: RequestName,
  answer: Answer,
  nowMs: number,
  { rateLimitWaitMs, accept }: StatusPolicy,
): VelvetError | null {
  const { status } = answer;
  const unknownIfChange = isChange(name) ? 'vendor_no_answer' : 'vendor_unavailable';
  const facts = {
    httpStatus: status,
    kind: `HTTP${status}`,
    retryAfterMs: retryAfterMs(answer.headers, nowMs),
  };
  const fail = (code: ErrorCode, why: string): VelvetError => failure(name, code, why, facts);

  const handlersOwn = Array.isArray(accept) && accept.includes(status);

  if (status >= 300 && status < 400 && !handlersOwn)
    return fail('vendor_bad_answer', `answered with a redirect (${status}), which is never followed`);
  if (status >= 500 && isChange(name))
    return fail('vendor_no_answer', `answered ${status}; it may have been applied`);
  if (
    status >= 400 &&
    isHtml({ headers: answer.headers, text: new TextDecoder().decode(answer.body.subarray(0, 1024)) })
  )
    return fail('vendor_edge_refused', `a proxy or edge answered ${status} in HTML`);
  if (status === 429 && !handlersOwn) {
    const wait = { ...facts, retryAfterMs: facts.retryAfterMs ?? rateLimitWaitMs };
    return failure(name, 'vendor_rate_limited', 'answered 429, too many requests', wait);
  }
  if (status >= 500 || status === 408) return fail(unknownIfChange, `answered ${status}`);
  return null;
}

/** Whether a person's browser was meant to read it. APIs refuse in JSON; HTML comes from what stands before them. */
export function isHtml(answer: { readonly headers: Answer['headers']; readonly text: string }): boolean {
  if ((answer.headers['content-type'] ?? '').toLowerCase().includes('text/html')) return true;
  const beginning = answer.text.slice(0, 256).trimStart().toLowerCase();
  return beginning.startsWith('<!doctype html') || beginning.startsWith('<html');
}

/** `Retry-After` in milliseconds, given as seconds or as a date; undefined where absent or not understood. */
function retryAfterMs(headers: Readonly<Record<string, string>>, nowMs: number): number | undefined {
  const text = headers['retry-after']?.trim() ?? '';
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  // A date has a month's name in it; Date.parse alone would take "-5" for a year.
  const date = /[A-Za-z]{3}/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

const beforeTheFirstByte = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']);

/** Whether every address that was tried failed before there was a connection to send anything over. */
function neverSent(error: unknown): boolean {
  const codes = leafCodes(error);
  return codes.length > 0 && codes.every((code) => beforeTheFirstByte.has(code));
}

/** The `code`s at the ends of an error's causes: fetch wraps them once, and once more where it tried several addresses. */
function leafCodes(error: unknown, depth = 0): readonly string[] {
  if (!(error instanceof Error) || depth > 4) return ['unknown'];
  if (error instanceof AggregateError)
    return error.errors.flatMap((one: unknown) => leafCodes(one, depth + 1));
  if (error.cause instanceof Error) return leafCodes(error.cause, depth + 1);
  const code: unknown = 'code' in error ? error.code : undefined;
  return [typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,60}$/.test(code) ? code : 'unknown'];
}
