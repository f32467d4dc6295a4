// GitHub Apps, their installations and the tokens of these. Law: an App is believed by its signature alone, and a token may do what it was narrowed to.
import { createPublicKey, generateKeyPairSync, randomBytes, verify, type KeyObject } from 'node:crypto';
import type { Clock } from '../../shared/lib/clock.ts';
import type { GithubOwner, GithubRepo } from './github-places.ts';

export type Level = 'read' | 'write';
export type Permissions = Readonly<Partial<Record<string, Level>>>;

export interface GithubApp {
  readonly id: number;
  readonly clientId: string;
  readonly publicKey: KeyObject;
  /** PKCS#1, as GitHub gives it out. */
  readonly privateKey: string;
  /** What an operator puts into the vault. */
  readonly authority: string;
}

export interface Installation {
  readonly id: number;
  readonly app: GithubApp;
  readonly owner: GithubOwner;
  /** Null: all of them. */
  readonly repositories: readonly GithubRepo[] | null;
  readonly permissions: Permissions;
  suspended: boolean;
}

export interface InstallationToken {
  readonly token: string;
  readonly installation: Installation;
  readonly permissions: Permissions;
  /** Null: all that the installation has. */
  readonly repositories: readonly GithubRepo[] | null;
  readonly expiresAt: number;
  revoked: boolean;
}

const HOUR_MS = 3_600_000;
const pairs: { readonly publicKey: string; readonly privateKey: string }[] = [];

/** Making one takes a while, and no test changes any: they are made once for a process. */
function keyPair(n: number): { readonly publicKey: string; readonly privateKey: string } {
  pairs[n] ??= generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  return pairs[n];
}

/** An App like any other, of which this GitHub may know nothing. */
export function makeApp(n: number): GithubApp {
  const { publicKey, privateKey } = keyPair(n);
  const clientId = `Iv23li${String(n).padStart(14, '0')}`;
  return {
    id: 1_000 + n,
    clientId,
    publicKey: createPublicKey(publicKey),
    privateKey,
    authority: JSON.stringify({ client_id: clientId, private_key: privateKey }),
  };
}

export interface GithubApps {
  readonly apps: GithubApp[];
  readonly installations: Installation[];
  readonly tokens: InstallationToken[];
  issue(
    installation: Installation,
    narrowed: Pick<InstallationToken, 'permissions' | 'repositories'>,
  ): InstallationToken;
  /** The App that signed this, or why GitHub does not believe it. */
  appOf(jwt: string): GithubApp | string;
  tokenOf(value: string): InstallationToken | null;
}

export function createApps(clock: Clock): GithubApps {
  const apps: GithubApp[] = [];
  const tokens: InstallationToken[] = [];
  return {
    apps,
    installations: [],
    tokens,
    issue(installation, narrowed) {
      const token: InstallationToken = {
        token: newToken(installation),
        installation,
        ...narrowed,
        expiresAt: clock.now() + HOUR_MS,
        revoked: false,
      };
      tokens.push(token);
      return token;
    },
    appOf: (jwt) => signerOf(apps, jwt, Math.floor(clock.now() / 1000)),
    tokenOf: (value) =>
      tokens.find((one) => one.token === value && !one.revoked && one.expiresAt > clock.now()) ?? null,
  };
}

/** `ghs_<appid>_<JWT>`, about 520 characters with dots and dashes: the form since April 2026. */
function newToken({ app }: Installation): string {
  const part = (bytes: number): string => randomBytes(bytes).toString('base64url');
  return `ghs_${app.id}_${part(30)}.${part(90)}.${part(256)}`;
}

interface Claims {
  readonly iat?: unknown;
  readonly exp?: unknown;
  readonly iss?: unknown;
}

function signerOf(apps: readonly GithubApp[], jwt: string, nowS: number): GithubApp | string {
  const [head = '', body = '', signature = '', ...rest] = jwt.split('.');
  const header = decoded(head);
  const claims = decoded(body) as Claims | null;
  if (header?.['alg'] !== 'RS256' || claims === null || rest.length > 0)
    return 'A JSON web token could not be decoded';
  const app = apps.find((one) => claims.iss === one.clientId || claims.iss === String(one.id));
  const signed = Buffer.from(`${head}.${body}`);
  if (app === undefined || !verify('RSA-SHA256', signed, app.publicKey, Buffer.from(signature, 'base64url')))
    return 'A JSON web token could not be decoded';
  const { iat, exp } = claims;
  if (!Number.isSafeInteger(iat) || Number(iat) > nowS)
    return "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued";
  if (!Number.isSafeInteger(exp) || Number(exp) <= nowS)
    return "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires";
  if (Number(exp) > nowS + 600) return "'Expiration time' claim ('exp') is too far in the future";
  return app;
}

function decoded(part: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? { ...value } : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
