// How many requests are taken, of whom, in which time. Law: nobody is refused because it could not be counted, and an emergency never is.
import type { Context, MiddlewareHandler } from 'hono';
import { VelvetError, isVelvetError } from '../shared/lib/errors.ts';
import type { Log } from '../shared/lib/log.ts';
import type { Limit, RateLimits } from '../shared/redis/rate-limits.ts';
import type { AppEnvironment } from './auth.ts';
import { clientAddress } from './client-address.ts';
import { loadJob } from './rotation-lookup.ts';
import type { ApiDeps } from './router.ts';

export interface Limits {
  readonly address: Limit;
  readonly token: Limit;
  readonly failedLogin: Limit;
  readonly deepHealth: Limit;
}

export const limits: Limits = {
  /** An office or a CI provider is one address: some twenty people and scripts at a time. */
  address: { most: 1_200, windowMs: 10_000 },
  /** A console asks about once a second and tab; sixty times a second is a script that forgot to wait. */
  token: { most: 600, windowMs: 10_000 },
  /** A token has 256 random bits, so nobody guesses one; who presents so many bad ones fills the log. */
  failedLogin: { most: 20, windowMs: 60_000 },
  /** Each logs in to the vault and every vendor, which have limits of their own. */
  deepHealth: { most: 6, windowMs: 60_000 },
};

const says: Readonly<Record<keyof Limits, (limit: Limit) => string>> = {
  address: (limit) => `Too many requests from this address: ${inWords(limit)} are taken.`,
  token: (limit) =>
    `Too many requests with this service token: ${inWords(limit)} are taken. Follow a job by its \`/stream\` instead of asking again and again.`,
  failedLogin: (limit) =>
    `Too many log-ins from this address failed: ${inWords(limit)} are looked at. Check which service token is sent, and that it was neither deleted nor expired; a good one is let in at any time.`,
  deepHealth: (limit) =>
    `Too many deep checks with this service token: ${inWords(limit)} are made. \`/healthz\` without \`deep\` answers at any time.`,
};

function inWords({ most, windowMs }: Limit): string {
  return `${most} in ${windowMs / 1000} s`;
}

export interface Limiter {
  /** Throws `rate_limited` where this one is one too many. */
  demand(name: keyof Limits, who: string): Promise<void>;
  /** As `demand`, of the address that the request came from. */
  demandOfAddress(name: keyof Limits, context: Context): Promise<void>;
}

export interface LimiterDeps {
  readonly rateLimits: RateLimits;
  readonly limits: Limits;
  readonly behindRouter: boolean;
  readonly log: Log;
}

export function createLimiter({ rateLimits, limits: table, behindRouter, log }: LimiterDeps): Limiter {
  async function demand(name: keyof Limits, who: string): Promise<void> {
    const limit = table[name];
    const { over, waitMs } = await rateLimits.take(name, who, limit).catch((error: unknown) => {
      // Redis is away, or so full that it counts nothing any more; what comes next says so, or is still possible.
      if (isVelvetError(error) && error.code === 'store_unavailable') return { over: 0, waitMs: 0 };
      throw error;
    });
    if (over === 0) return;
    // Once in a window: a line for each of them would be the next flood.
    if (over === 1) log.warn('requests are limited', { limit: name, who, wait_ms: waitMs });
    const seconds = Math.ceil(waitMs / 1000);
    throw new VelvetError('rate_limited', `${name}: over ${inWords(limit)}`, {
      detail: `${says[name](limit)} Wait ${seconds} s (\`Retry-After\`), then go on; nothing was changed.`,
      retryAfterMs: waitMs,
    });
  }
  return {
    demand,
    demandOfAddress: (name, context) => demand(name, clientAddress(context, behindRouter)),
  };
}

/** Not counted at all: monitors ask for health, and whoever follows a stream again after a break must get it. */
function isUncounted(context: Context): boolean {
  const { path } = context.req;
  if (/^\/tokens\/[^/]+\/rotations\/[^/]+\/stream$/.test(path)) return true;
  return (path === '/healthz' || path === '/health') && context.req.query('deep') === undefined;
}

/** Lets a request on unless it is one too many, and an emergency in any case. */
export function limited(
  deps: Pick<ApiDeps, 'store' | 'env'>,
  demand: (context: Context<AppEnvironment>) => Promise<void>,
): MiddlewareHandler<AppEnvironment> {
  return async (context, next) => {
    if (!isUncounted(context)) {
      await demand(context).catch(async (error: unknown) => {
        const over = isVelvetError(error) && error.code === 'rate_limited';
        if (!over || !(await isEmergency(deps, context))) throw error;
      });
    }
    await next();
  };
}

/** A revocation that is being started, or anything about one that runs. Looked into only where the answer would be 429. */
async function isEmergency(deps: Pick<ApiDeps, 'store' | 'env'>, context: Context): Promise<boolean> {
  const { method, path, raw } = context.req;
  if (method === 'POST' && /^\/tokens\/[^/]+\/rotate$/.test(path)) {
    const body: unknown = await raw
      .clone()
      .json()
      .catch(() => null);
    return (
      typeof body === 'object' && body !== null && 'flow_type' in body && body.flow_type === 'revocation'
    );
  }
  const [, name, jobId] = /^\/tokens\/([^/]+)\/rotations\/([^/]+)(?:\/stage)?$/.exec(path) ?? [];
  if (name === undefined || jobId === undefined) return false;
  return (await loadJob(deps, name, jobId))?.flowType === 'revocation';
}
