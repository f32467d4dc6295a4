// Machine identities: logins by universal auth with their lock-out, and access tokens that end. Law: an ended token is 403 TokenError, a refused login 401.
import type { Clock } from '../../shared/lib/clock.ts';
import { infisicalError } from './infisical-json.ts';
import type { Admission, Answer } from './server.ts';
import type { SimRequest } from './requests.ts';

export type Right = 'see' | 'read' | 'write';

export interface IdentityOptions {
  /** All of them, unless given. `see`: whether values are shown to it. */
  readonly rights?: readonly Right[];
  /** Where it may be at all: these folders, and what lies below them. Everywhere, unless given. */
  readonly paths?: readonly string[];
}

export interface MachineIdentity {
  readonly clientId: string;
  readonly clientSecret: string;
  readonly rights: readonly Right[];
  readonly paths: readonly string[];
  /** From now on the client secret is refused; tokens that were issued for it live on, as at Infisical. */
  revokeSecret(): void;
}

export interface Identities {
  create(options?: IdentityOptions): MachineIdentity;
  login(body: unknown): Answer;
  /** Who holds this access token. */
  admit(request: SimRequest, authorization: string | null): Admission<MachineIdentity | null>;
  /** Ends every access token now. */
  endTokens(): void;
  /** Every access token that was issued. */
  readonly tokens: readonly string[];
}

const everything: readonly Right[] = ['see', 'read', 'write'];
const FAILURES_ALLOWED = 3;
const LOCKED_MS = 300_000;
const COUNTER_RESET_MS = 30_000;

interface Login {
  readonly identity: MachineIdentity;
  failures: number;
  lastFailureAt: number;
  lockedUntil: number;
  revoked: boolean;
}

export function createIdentities(clock: Clock, tokenSeconds: () => number): Identities {
  const logins: Login[] = [];
  const live = new Map<string, { readonly identity: MachineIdentity; readonly endsAt: number }>();
  const tokens: string[] = [];
  const invalid = infisicalError(401, 'UnauthorizedError', 'Invalid credentials');

  function fail(login: Login): Answer {
    const now = clock.now();
    login.failures = now - login.lastFailureAt > COUNTER_RESET_MS ? 1 : login.failures + 1;
    login.lastFailureAt = now;
    if (login.failures >= FAILURES_ALLOWED) login.lockedUntil = now + LOCKED_MS;
    return invalid;
  }

  return {
    tokens,
    create({ rights = everything, paths = ['/'] } = {}) {
      const login: Login = {
        failures: 0,
        lastFailureAt: 0,
        lockedUntil: 0,
        revoked: false,
        identity: {
          clientId: crypto.randomUUID(),
          clientSecret: Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('hex'),
          rights,
          paths,
          revokeSecret: () => (login.revoked = true),
        },
      };
      logins.push(login);
      return login.identity;
    },
    login(body) {
      const { clientId, clientSecret } = (body ?? {}) as Readonly<Record<string, unknown>>;
      if (typeof clientId !== 'string' || typeof clientSecret !== 'string')
        return infisicalError(422, 'ValidationFailure', [{ code: 'invalid_type', path: ['clientId'] }]);
      const login = logins.find((one) => one.identity.clientId === clientId);
      if (login === undefined) return invalid;
      if (login.lockedUntil > clock.now())
        return infisicalError(
          401,
          'UnauthorizedError',
          'This identity auth method is temporarily locked, please try again later',
        );
      if (login.revoked || login.identity.clientSecret !== clientSecret) return fail(login);
      login.failures = 0;
      const accessToken = `at.${crypto.randomUUID()}`;
      const seconds = tokenSeconds();
      const endsAt = seconds === 0 ? Number.POSITIVE_INFINITY : clock.now() + seconds * 1_000;
      live.set(accessToken, { identity: login.identity, endsAt });
      tokens.push(accessToken);
      return {
        status: 200,
        body: { accessToken, expiresIn: seconds, accessTokenMaxTTL: seconds, tokenType: 'Bearer' },
      };
    },
    admit(request, authorization) {
      if (request.path.endsWith('/universal-auth/login')) return { caller: null, name: null };
      if (authorization === null)
        return { refusal: infisicalError(401, 'UnauthorizedError', 'Token missing') };
      const found = live.get(authorization.replace(/^Bearer /, ''));
      if (found === undefined || found.endsAt <= clock.now())
        return {
          refusal: infisicalError(403, 'TokenError', 'Your token has expired. Please re-authenticate.'),
        };
      return { caller: found.identity, name: found.identity.clientId };
    },
    endTokens: () => live.clear(),
  };
}
