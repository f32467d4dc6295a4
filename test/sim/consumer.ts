// An app whose health endpoint tells the truth. Law: it holds what its process was started with, asks the vendor each time, and caches nothing.
import { createHmac } from 'node:crypto';
import { admitAll, startSim } from './server.ts';
import type { Answer, Call, Sim } from './server.ts';
import type { HerokuApp } from './heroku-apps.ts';

export interface ConsumerOptions {
  /** Where the app calls its vendor: the URL of the Heroku simulator. */
  readonly heroku: string;
  readonly app: HerokuApp;
  /** The config var that it takes its token from. */
  readonly key: string;
  readonly path: string;
  /** Whether it answers `Velvet-Challenge`. */
  readonly answersChallenge: boolean;
  /** With it, a challenge is answered only to whoever sends this in `Velvet-Probe-Key`. */
  readonly probeKey?: string;
  /** How it reaches its vendor, and where it is reached itself; over the network unless given. */
  readonly fetch?: typeof fetch;
  readonly start?: typeof startSim;
}

export interface ConsumerSim extends Sim {
  readonly healthUrl: string;
}

// A consumer's own patience; a simulator that is told to hang shall not make its consumers hang for ever.
const VENDOR_TIMEOUT_MS = 4_000;

/**
 * Starts the app's web server. Its health path answers 200 where the vendor accepts the token that the process runs on, 401
 * where the vendor refuses it, 503 in every other case, also while no process is up.
 */
export async function startConsumer(options: ConsumerOptions): Promise<ConsumerSim> {
  const sim = await (options.start ?? startSim)<null>({
    routes: { [`GET ${options.path}`]: (call) => reportHealth(options, call) },
    authorize: admitAll,
    notFound: { status: 404, body: { status: 'not found' } },
    badBody: { status: 400, body: { status: 'bad request' } },
    rateLimited: (retryAfterS) => ({
      status: 429,
      body: { status: 'too many requests' },
      ...(retryAfterS === null ? {} : { headers: { 'retry-after': String(retryAfterS) } }),
    }),
  });
  return Object.assign(sim, { healthUrl: `${sim.url}${options.path}` });
}

async function reportHealth(options: ConsumerOptions, { request }: Call<null>): Promise<Answer> {
  const { state, env } = options.app.process();
  const token = env[options.key];
  if (state !== 'up' || token === undefined) return { status: 503, body: { status: 'unavailable' } };
  const health = await askVendor(options, token);
  const nonce = request.headers['velvet-challenge'];
  const trusted = options.probeKey === undefined || request.headers['velvet-probe-key'] === options.probeKey;
  if (!options.answersChallenge || !trusted || nonce === undefined) return health;
  return {
    ...health,
    headers: { 'velvet-proof': `v1=${createHmac('sha256', token).update(nonce).digest('base64url')}` },
  };
}

async function askVendor(
  { heroku, app, fetch: ask = fetch }: ConsumerOptions,
  token: string,
): Promise<Answer> {
  const status = await ask(`${heroku}/account`, {
    headers: {
      accept: 'application/vnd.heroku+json; version=3',
      authorization: `Bearer ${token}`,
      'user-agent': `consumer/${app.name}`,
    },
    redirect: 'manual',
    signal: AbortSignal.timeout(VENDOR_TIMEOUT_MS),
  }).then(
    async (response) => {
      await response.arrayBuffer();
      return response.status;
    },
    () => null,
  );
  if (status === 200) return { status: 200, body: { status: 'ok' } };
  if (status === 401) return { status: 401, body: { status: 'token refused' } };
  return { status: 503, body: { status: 'vendor unavailable' } };
}
