// How a simulator reads and remembers what it received. Law: what is remembered stays in memory, and never holds the value of Authorization.
import type { IncomingMessage } from 'node:http';
import { systemClock } from '../../shared/lib/clock.ts';

/** One request as a simulator saw it. Bodies may hold secrets, so this stays in memory and is never printed. */
export interface SimRequest {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** Method and pattern, e.g. `PATCH /apps/:app/config-vars`; method and path where no route matches. */
  readonly route: string;
  readonly params: Readonly<Record<string, string>>;
  /** Lower-case names; the value of Authorization is removed. */
  readonly headers: Readonly<Record<string, string>>;
  readonly hasAuthorization: boolean;
  /** Parsed from JSON or a form; undefined where there is none or it cannot be parsed. */
  readonly body: unknown;
  readonly at: number;
  /** Whom the simulator recognised (Heroku: the authorization's id); set once it was asked, so still null in `where`. */
  caller: string | null;
  /** The status that the API itself decided on, whether or not it was ever sent; null while nothing was applied. */
  outcome: number | null;
  /** The status that was sent; null where the answer never left. */
  status: number | null;
}

export interface Route {
  readonly key: string;
  readonly method: string;
  readonly pattern: RegExp;
}

/** The matcher of `METHOD /path/:parameter`. */
export function compileRoute(key: string): Route {
  const [method = '', path = ''] = key.split(' ', 2);
  const source = path.replaceAll(/[.\\]/g, String.raw`\$&`).replaceAll(/:(\w+)/g, '(?<$1>[^/]+)');
  return { key, method, pattern: new RegExp(`^${source}$`) };
}

/** Reads the whole request. `broken` says that its body is not what its content type promises. Rejects where the client goes away first. */
export async function readRequest(
  routes: readonly Route[],
  req: IncomingMessage,
): Promise<{ request: SimRequest; broken: boolean }> {
  const chunks: Buffer[] = [];
  for await (const chunk of req) chunks.push(chunk as Buffer);
  const headers = Object.fromEntries(
    Object.entries(req.headers).map(([name, value]) => [name, String(value)]),
  );
  const { method = 'GET', url = '/' } = req;
  return requestOf(routes, { method, url, headers, text: Buffer.concat(chunks).toString('utf8') });
}

/** A request as it travels; header names in lower case. */
export interface Sent {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly text: string;
}

/** The request as a simulator remembers it. */
export function requestOf(
  routes: readonly Route[],
  { method, url, headers, text }: Sent,
): { request: SimRequest; broken: boolean } {
  const { pathname: path, searchParams } = new URL(url, 'http://sim');
  const route = routes.find((known) => known.method === method && known.pattern.test(path));
  const { body, broken } = parseBody(text, headers['content-type'] ?? '');
  const hasAuthorization = headers['authorization'] !== undefined;
  if (hasAuthorization) headers['authorization'] = '[removed]';
  const request: SimRequest = {
    method,
    path,
    query: Object.fromEntries(searchParams),
    route: route?.key ?? `${method} ${path}`,
    params: { ...route?.pattern.exec(path)?.groups },
    headers,
    hasAuthorization,
    body,
    at: systemClock.now(),
    caller: null,
    outcome: null,
    status: null,
  };
  return { request, broken };
}

function parseBody(text: string, contentType: string): { body: unknown; broken: boolean } {
  if (text === '') return { body: undefined, broken: false };
  if (contentType.startsWith('application/x-www-form-urlencoded')) {
    return { body: Object.fromEntries(new URLSearchParams(text)), broken: false };
  }
  try {
    return { body: JSON.parse(text) as unknown, broken: false };
  } catch (error) {
    if (error instanceof SyntaxError) return { body: undefined, broken: true };
    throw error;
  }
}
