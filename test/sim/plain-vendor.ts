// A vendor that Velvet has no code for: one address that says whether a token works. Which tokens do is somebody else's to know.
import { startSim } from './server.ts';
import type { Sim } from './server.ts';

export interface PlainVendorOptions {
  readonly isLive: (token: string) => boolean;
  readonly start?: typeof startSim;
}

export interface PlainVendorSim extends Sim {
  /** Wants the token in `X-Api-Token`, or as `Authorization: Bearer`; 200 while it works, 401 where it does not. */
  readonly verifyUrl: string;
}

export async function startPlainVendor({
  isLive,
  start = startSim,
}: PlainVendorOptions): Promise<PlainVendorSim> {
  const sim = await start<null>({
    routes: { 'GET /whoami': () => ({ status: 200, body: { ok: true } }) },
    authorize: (request, authorization) => {
      const token = request.headers['x-api-token'] ?? authorization?.replace(/^Bearer /, '') ?? '';
      return isLive(token)
        ? { caller: null, name: null }
        : { refusal: { status: 401, body: { error: 'bad token' } } };
    },
    notFound: { status: 404, body: { error: 'not found' } },
    badBody: { status: 400, body: { error: 'bad request' } },
    rateLimited: (retryAfterS) => ({
      status: 429,
      body: { error: 'too many requests' },
      ...(retryAfterS === null ? {} : { headers: { 'retry-after': String(retryAfterS) } }),
    }),
  });
  return Object.assign(sim, { verifyUrl: `${sim.url}/whoami` });
}
