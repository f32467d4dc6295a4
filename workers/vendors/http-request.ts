// A handler's request, made into what travels. Law: a Secret becomes its value here and nowhere earlier.
import { Secret } from '../../shared/lib/secret.ts';
import { failure } from './http-failures.ts';
import type { RequestName } from './http-failures.ts';

export interface VendorRequest {
  /** Who is asked, as an operator knows it: `heroku`. */
  readonly vendor: string;
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: string;
  /** A `Secret` is revealed on the wire only. */
  readonly headers?: Readonly<Record<string, string | Secret>>;
  /** Sent as JSON. A `Secret` at any depth is revealed on the wire only. */
  readonly json?: unknown;
  /** Sent as `Authorization: Bearer`. */
  readonly authority?: Secret;
  /** Further values that must not appear in an error; those above are known. */
  readonly secrets?: readonly Secret[];
  /**
   * Statuses that the handler reads itself, besides every 2xx: from 400, and a redirect, which is never followed. `any`: no status is an error, and the body is only a
   * hint: the beginning of a refusal (from 400), empty where it did not come.
   */
  readonly accept?: readonly number[] | 'any';
  /**
   * This request opens or ends a session of Velvet's own and changes nothing else: it needs no lease, and where its answer is
   * lost nothing has happened.
   */
  readonly session?: boolean;
  /** What a 429 without `Retry-After` is reported to ask for. */
  readonly rateLimitWaitMs?: number;
  readonly timeoutMs?: number;
  readonly bodyBytesMax?: number;
}

/** What leaves, and what errors may say of it. Throws `vendor_rejected` where a header cannot carry its value. */
export function onTheWire(request: VendorRequest): {
  name: RequestName;
  headers: Headers;
  body: string | undefined;
} {
  const secrets = [...(request.secrets ?? [])];
  const reveal = (value: unknown): unknown => {
    if (!(value instanceof Secret)) return value;
    secrets.push(value);
    return value.reveal();
  };
  const name = {
    vendor: request.vendor,
    method: request.method,
    path: pathOf(request.url),
    session: request.session === true,
    secrets,
  };
  const headers = new Headers({ 'user-agent': 'velvet' });
  const given = request.json === undefined ? {} : { 'content-type': 'application/json' };
  for (const [key, value] of Object.entries({ ...given, ...request.headers }))
    setHeader(name, headers, key, String(reveal(value)));
  if (request.authority !== undefined)
    setHeader(name, headers, 'authorization', `Bearer ${String(reveal(request.authority))}`);
  return {
    name,
    headers,
    body: request.json === undefined ? undefined : JSON.stringify(withValues(request.json, reveal)),
  };
}

function setHeader(name: RequestName, headers: Headers, key: string, value: string): void {
  try {
    headers.set(key, value);
  } catch {
    // The platform's own message quotes the value.
    throw failure(
      name,
      'vendor_rejected',
      `not sent: the value for ${key} holds a character that no header can carry`,
    );
  }
}

/** `json` with each Secret in its place revealed. Left to JSON.stringify it would be sent as `[secret]`, and stored as that. */
function withValues(json: unknown, reveal: (value: unknown) => unknown): unknown {
  if (json instanceof Secret) return reveal(json);
  if (Array.isArray(json)) return json.map((item) => withValues(item, reveal));
  if (typeof json !== 'object' || json === null || 'toJSON' in json) return json;
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, withValues(value, reveal)]));
}

/** The path alone, for errors: no host, no query, and no part that may be more than a name. */
export function pathOf(url: string): string {
  if (!URL.canParse(url)) return '(not a URL)';
  const parts = new URL(url).pathname.split('/');
  return parts
    .map((part) => (part.length > 48 || /^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(part) ? ':id' : part))
    .join('/');
}
