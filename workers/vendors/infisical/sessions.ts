// Logins to Infisical by universal auth. Law: one at a time for an identity, and a refused one is not tried again while that could lock it out.
import { randomBytes } from 'node:crypto';
import type { InfisicalSDK } from '@infisical/sdk';
import { z } from 'zod';
import type { Clock } from '../../../shared/lib/clock.ts';
import { VelvetError, isVelvetError } from '../../../shared/lib/errors.ts';
import { leaseFrom } from '../../../shared/lib/lease.ts';
import { Secret } from '../../../shared/lib/secret.ts';
import type { VendorCall } from '../contract.ts';
import { askThroughSdk } from '../http-sdk.ts';
import type { Heard } from '../http-sdk.ts';
import type { Door } from '../http.ts';
import { parseAnswer, refusalOf } from './answers.ts';

export interface Identity {
  readonly clientId: string;
  readonly clientSecret: Secret;
}

export interface InfisicalDeps {
  readonly door: Door;
  readonly clock: Clock;
  /** `https://app.infisical.com`, or another region, or a self-hosted one. Nothing is sent anywhere else. */
  readonly siteUrl: string;
  readonly times: {
    readonly vendorCallMs: number;
    readonly rateLimitWaitMs: number;
    readonly loginCoolDownMs: number;
  };
}

export interface Session {
  readonly sdk: InfisicalSDK;
  readonly token: Secret;
}

export interface Sessions {
  /** Logs in where there is no session, or its time is over. Throws `authority_invalid` for a refused identity, else what kept it from asking; nothing was changed then. */
  of(identity: Identity): Promise<Session>;
  /** To be called when Infisical refuses the session's token; the next one is made by a new login. */
  drop(identity: Identity, session: Session): void;
}

/** Velvet has one identity of its own and perhaps one for each group of rows. */
const KEPT = 32;
// 0 means that the token never expires.
const loginShape = z.looseObject({ accessToken: z.string().min(1), expiresIn: z.number().min(0) });

interface Known {
  readonly session: Session;
  /** On the monotonic clock. */
  readonly endsAt: number;
}

export function createSessions(deps: InfisicalDeps): Sessions {
  const known = new Map<string, Promise<Known>>();
  const current = new Map<string, Session>();
  const refused = new Map<string, { readonly until: number; readonly error: VelvetError }>();
  // Names an identity in this process's memory without its secret.
  const key = randomBytes(32);
  const nameOf = ({ clientId, clientSecret }: Identity) => `${clientId} ${clientSecret.fingerprint(key)}`;

  async function of(identity: Identity): Promise<Session> {
    const name = nameOf(identity);
    for (;;) {
      const pending = known.get(name);
      // One that was made just now is used, however short its life: a slow clock must not make logins without end.
      if (pending === undefined) return (await begin(identity, name)).session;
      const { session, endsAt } = await pending;
      if (endsAt > deps.clock.monotonic()) return session;
      if (known.get(name) === pending) known.delete(name);
    }
  }

  function remember(name: string, session: Session): void {
    current.set(name, session);
    keepFew(current);
  }

  function begin(identity: Identity, name: string): Promise<Known> {
    const refusal = refused.get(name);
    if (refusal !== undefined && refusal.until > deps.clock.monotonic())
      return Promise.reject(stillRefused(refusal.error));
    const pending = logIn(deps, identity);
    known.set(name, pending);
    keepFew(known);
    pending.then(
      ({ session }) => remember(name, session),
      (error: unknown) => {
        if (known.get(name) === pending) known.delete(name);
        if (!isVelvetError(error) || error.httpStatus !== 401) return;
        refused.set(name, { until: deps.clock.monotonic() + deps.times.loginCoolDownMs, error });
        keepFew(refused);
      },
    );
    return pending;
  }

  return {
    of,
    drop(identity, session) {
      const name = nameOf(identity);
      // Another task may have had a new one made since.
      if (current.get(name) !== session) return;
      current.delete(name);
      known.delete(name);
    },
  };
}

async function logIn(deps: InfisicalDeps, { clientId, clientSecret }: Identity): Promise<Known> {
  // Loaded where it is needed: it brings the AWS SDK's credential chain along, 29 MB of memory in every process.
  const { InfisicalSDK: Sdk } = await import('@infisical/sdk');
  const askedAt = deps.clock.monotonic();
  const sdk = new Sdk({ siteUrl: deps.siteUrl });
  const heard = await heardLogin(deps, clientSecret, () =>
    sdk.auth().universalAuth.login({ clientId, clientSecret: clientSecret.reveal() }),
  );
  const options = { nowMs: deps.clock.now(), rateLimitWaitMs: deps.times.rateLimitWaitMs };
  const refusal = refusalOf(heard, options);
  if (heard.answer.status === 401 && refusal?.code === 'authority_invalid') throw loginRefused(refusal);
  if (refusal !== null) throw nothingChanged(refusal);
  const { accessToken, expiresIn } = parseLogin(heard);
  const token = new Secret(accessToken);
  // The SDK threw `expiresIn` away. A tenth of it, a minute at most, is left for what is under way.
  const lifeMs = expiresIn * 1_000;
  const endsAt =
    expiresIn === 0 ? Number.POSITIVE_INFINITY : askedAt + lifeMs - Math.min(60_000, lifeMs / 10);
  sdk.auth().accessToken(accessToken);
  return { session: { sdk, token }, endsAt };
}

/** A login is a POST that changes nothing a successor would have to wait for, and many calls share it: it has a lease of its own. */
async function heardLogin(
  { door, clock, times }: InfisicalDeps,
  clientSecret: Secret,
  ask: () => Promise<unknown>,
): Promise<Heard> {
  const ms = times.vendorCallMs;
  const lease = leaseFrom(clock, '0-login', clock.now() + ms, clock.monotonic(), ms);
  const call: VendorCall = {
    jobId: 'login',
    fence: '0-login',
    lease,
    signal: new AbortController().signal,
    repeat: false,
  };
  try {
    return await askThroughSdk(door, call, { vendor: 'infisical', secrets: [clientSecret] }, ask);
  } catch (error) {
    throw isVelvetError(error) ? nothingChanged(error) : error;
  }
}

function parseLogin(heard: Heard): z.output<typeof loginShape> {
  try {
    return parseAnswer(heard, loginShape);
  } catch (error) {
    throw isVelvetError(error) ? nothingChanged(error) : error;
  }
}

/** A login whose answer was lost has changed nothing; what it was made for was not sent. */
function nothingChanged(error: VelvetError): VelvetError {
  if (error.retry !== 'reconcile') return error;
  const code = error.kind?.startsWith('HTTP2') === true ? 'vendor_bad_answer' : 'vendor_unavailable';
  return new VelvetError(code, `login: ${error.message}`, {
    ...(error.httpStatus === undefined ? {} : { httpStatus: error.httpStatus }),
    ...(error.kind === undefined ? {} : { kind: error.kind }),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  });
}

const why =
  'The client secret is wrong, revoked, expired or used up, or three refused logins have locked the client id out for five minutes.';
const todo =
  "Give the identity a good client secret and put it in place (INFISICAL_CLIENT_ID and INFISICAL_CLIENT_SECRET for Velvet's own), then retry. Velvet does not try this one again for five minutes, since each failure counts for all who use the client id.";

function loginRefused(error: VelvetError): VelvetError {
  return new VelvetError('authority_invalid', error.message, {
    detail: `Infisical refused the login of this machine identity. ${why} ${todo}`,
    extra: { todo: `${why} ${todo}` },
    ...(error.httpStatus === undefined ? {} : { httpStatus: error.httpStatus }),
    ...(error.kind === undefined ? {} : { kind: error.kind }),
  });
}

function stillRefused(error: VelvetError): VelvetError {
  return new VelvetError(error.code, `not asked again yet: ${error.message}`, {
    detail: error.detail,
    extra: error.extra,
    ...(error.httpStatus === undefined ? {} : { httpStatus: error.httpStatus }),
    ...(error.kind === undefined ? {} : { kind: error.kind }),
  });
}

function keepFew(map: Map<string, unknown>): void {
  const [oldest] = map.keys();
  if (map.size > KEPT && oldest !== undefined) map.delete(oldest);
}
