// A plain client for the simulators' own tests; it knows nothing of Velvet.
import { createPrivateKey, sign } from 'node:crypto';
import { systemClock } from '../../shared/lib/clock.ts';
import type { GithubApp } from './github-apps.ts';

export interface Asked {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed where it is whole JSON, else the text. */
  readonly body: unknown;
}

export interface AskOptions {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly redirect?: 'follow' | 'manual';
}

/** `ask('GET /account')`: one request to Heroku as the holder of `token`. Rejects where no whole answer came. */
export function herokuClient(url: string, token: string) {
  return (line: string, options: AskOptions = {}): Promise<Asked> => {
    const headers = { accept: 'application/vnd.heroku+json; version=3', authorization: `Bearer ${token}` };
    return ask(url, line, { ...options, headers: { ...headers, ...options.headers } });
  };
}

/** A GitHub App's own token, with claims that are good now unless others are given. */
export function jwtOf(app: GithubApp, claims: object = {}, header: object = { alg: 'RS256' }): string {
  const part = (object: object) => Buffer.from(JSON.stringify(object)).toString('base64url');
  const nowS = Math.floor(systemClock.now() / 1000);
  const all = { iat: nowS - 60, exp: nowS + 500, iss: app.clientId, ...claims };
  const text = `${part(header)}.${part(all)}`;
  return `${text}.${sign('RSA-SHA256', Buffer.from(text), createPrivateKey(app.privateKey)).toString('base64url')}`;
}

export async function ask(url: string, line: string, options: AskOptions = {}): Promise<Asked> {
  const [method = 'GET', path = '/'] = line.split(' ', 2);
  const response = await fetch(`${url}${path}`, {
    method,
    redirect: options.redirect ?? 'manual',
    signal: AbortSignal.timeout(options.timeoutMs ?? 5_000),
    headers: {
      ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...options.headers,
    },
    ...(options.body === undefined
      ? {}
      : { body: typeof options.body === 'string' ? options.body : JSON.stringify(options.body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: parsed(text) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}
