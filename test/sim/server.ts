// The base of every simulator: a real HTTP server with memory, authentication and scripted faults. Law: it logs nothing.
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { faultScript } from './faults.ts';
import type { Deed, FaultScript } from './faults.ts';
import { compileRoute, readRequest } from './requests.ts';
import type { Route, SimRequest } from './requests.ts';
import { createSteps } from './steps.ts';
import type { Steps } from './steps.ts';

export interface Answer {
  readonly status: number;
  /** A string is sent as HTML, anything else as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Call<Caller> {
  readonly request: SimRequest;
  readonly caller: Caller;
}

/** Who calls, with the name under which `requests` shows them; or the answer that turns them away. */
export type Admission<Caller> =
  | { readonly caller: Caller; readonly name: string | null }
  | { readonly refusal: Answer };

export interface SimOptions<Caller> {
  /** `METHOD /path/:parameter` → what the API does. Changes and answer are one step: a fault decides what becomes of the answer. */
  readonly routes: Readonly<Record<string, (call: Call<Caller>) => Answer | Promise<Answer>>>;
  readonly authorize: (request: SimRequest, authorization: string | null) => Admission<Caller>;
  readonly notFound: Answer;
  /** For a body that its content type cannot parse. */
  readonly badBody: Answer;
  /** The vendor's own 429. */
  readonly rateLimited: (retryAfterS: number | null) => Answer;
  /** Headers that the API itself adds to each of its answers; scripted answers go without. */
  readonly headers?: (caller: Caller | null) => Readonly<Record<string, string>>;
}

/** One request that followed a scripted redirect. */
export interface FollowedRedirect {
  readonly method: string;
  readonly at: number;
  readonly hadAuthorization: boolean;
}

export interface Sim extends Omit<FaultScript, 'next'>, AsyncDisposable {
  /** `http://127.0.0.1:<port>`, without a slash at its end. */
  readonly url: string;
  /** Everything received, oldest first, in the order of arrival. */
  readonly requests: readonly SimRequest[];
  readonly redirects: readonly FollowedRedirect[];
  /** Destroys every socket and forgets what was still to be applied. Twice is harmless. */
  readonly close: () => Promise<void>;
}

const REDIRECT_PATH = '/simulated-redirect';

const EDGE_PAGE: Answer = {
  status: 403,
  headers: { server: 'cloudflare', 'cf-mitigated': 'challenge' },
  body: '<!DOCTYPE html><html><head><title>Just a moment...</title></head><body><h1>Checking that you are human</h1><div class="cf-turnstile"></div><p>Error 1010</p></body></html>',
};

interface Live<Caller> {
  readonly options: SimOptions<Caller>;
  readonly routes: readonly Route[];
  readonly script: FaultScript;
  readonly steps: Steps;
  readonly requests: SimRequest[];
  readonly redirects: FollowedRedirect[];
}

/** For a simulator that lets everybody in. */
export function admitAll(): Admission<null> {
  return { caller: null, name: null };
}

/** Starts a simulator on a free port of the loopback interface. */
export async function startSim<Caller>(options: SimOptions<Caller>): Promise<Sim> {
  const keys = Object.keys(options.routes);
  const script = faultScript(keys);
  const steps = createSteps();
  const requests: SimRequest[] = [];
  const redirects: FollowedRedirect[] = [];
  const live: Live<Caller> = { options, routes: keys.map(compileRoute), script, steps, requests, redirects };
  const server = createServer((req, res) => {
    receive(live, req, res).catch((error: unknown) => {
      // A client that went away while it was sending is no failure. One of the simulator itself is loud: it must not pass for a fault.
      if (req.complete) throw error;
    });
  });
  // Longer than any test: an idle connection closed under a client's next request would be a fault that nobody scripted.
  server.keepAliveTimeout = 120_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = () => shut(server, steps);
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    redirects,
    get faults() {
      return script.faults;
    },
    script: (fault) => script.script(fault),
    clearFaults: () => script.clearFaults(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function shut(server: Server, steps: Steps): Promise<void> {
  steps.cancel();
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}

async function receive<Caller>(live: Live<Caller>, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const authorization = req.headers.authorization ?? null;
  const { request, broken } = await readRequest(live.routes, req);
  if (request.path === REDIRECT_PATH) {
    live.redirects.push({ method: request.method, at: request.at, hadAuthorization: authorization !== null });
    send(res, { status: 200, body: {} });
    return;
  }
  live.requests.push(request);
  const deed = live.script.next(request);
  const apply = async (): Promise<Answer> => {
    const answer = await admit(live.options, request, { authorization, broken })();
    request.outcome = answer.status;
    return answer;
  };
  if (deed === null) {
    const answer = await apply();
    request.status = send(res, answer);
    return;
  }
  if (typeof deed === 'object' && 'applies_late_ms' in deed) {
    // Authorised now, as a vendor does that takes a request in and works it off later.
    const late = admit(live.options, request, { authorization, broken });
    const finish = async () => {
      request.outcome = (await late()).status;
    };
    res.destroy();
    live.steps.after(deed.applies_late_ms, () => {
      void finish();
    });
    return;
  }
  await misbehave(live, { request, res, deed, apply });
}

interface Misdeed {
  readonly request: SimRequest;
  readonly res: ServerResponse;
  readonly deed: Exclude<Deed, { applies_late_ms: number }>;
  readonly apply: () => Promise<Answer>;
}

async function misbehave<Caller>(live: Live<Caller>, { request, res, deed, apply }: Misdeed): Promise<void> {
  if (typeof deed === 'object') {
    if ('delay_ms' in deed) {
      const answer = await apply();
      live.steps.after(deed.delay_ms, () => (request.status = send(res, answer)));
    } else if ('rate_limited' in deed) {
      request.status = send(res, live.options.rateLimited(deed.rate_limited.retry_after_s));
    } else {
      if (deed.applied === true) await apply();
      request.status = send(res, deed);
    }
    return;
  }
  switch (deed) {
    case 'hang_before':
      return;
    case 'hang_after':
      await apply();
      return;
    case 'hang_mid_body':
    case 'drop_mid_body':
      request.status = sendHalf(res, await apply(), deed === 'drop_mid_body');
      return;
    case 'malformed':
      request.status = send(res, truncated(await apply()));
      return;
    case 'redirect':
      request.status = send(res, { status: 302, headers: { location: REDIRECT_PATH } });
      return;
    case 'edge':
      request.status = send(res, EDGE_PAGE);
      return;
    case 'rate_limited':
      request.status = send(res, live.options.rateLimited(null));
  }
}

interface Arrival {
  readonly authorization: string | null;
  readonly broken: boolean;
}

/** Decides now who calls; the returned function then does what they ask. */
export function admit<Caller>(
  options: SimOptions<Caller>,
  request: SimRequest,
  arrival: Arrival,
): () => Promise<Answer> {
  const admission = options.authorize(request, arrival.authorization);
  const dressed = (answer: Answer, caller: Caller | null): Answer => ({
    ...answer,
    headers: { ...options.headers?.(caller), ...answer.headers },
  });
  if ('refusal' in admission) return () => Promise.resolve(dressed(admission.refusal, null));
  const { caller } = admission;
  request.caller = admission.name;
  return async () => {
    if (arrival.broken) return dressed(options.badBody, caller);
    const route = options.routes[request.route];
    return dressed(route === undefined ? options.notFound : await route({ request, caller }), caller);
  };
}

// --- what is sent ---

export function render(answer: Answer): { text: string; headers: Record<string, string> } {
  const { body } = answer;
  const html = typeof body === 'string';
  const text = html ? body : body === undefined ? '' : JSON.stringify(body);
  const type = html ? 'text/html; charset=UTF-8' : 'application/json; charset=utf-8';
  return {
    text,
    headers: { 'content-type': type, ...answer.headers, 'content-length': String(Buffer.byteLength(text)) },
  };
}

function send(res: ServerResponse, answer: Answer): number | null {
  if (res.destroyed) return null;
  const { text, headers } = render(answer);
  res.writeHead(answer.status, headers).end(text);
  return answer.status;
}

function sendHalf(res: ServerResponse, answer: Answer, drop: boolean): number {
  const { text, headers } = render(answer);
  res.writeHead(answer.status, headers);
  res.write(half(text), () => {
    if (drop) res.destroy();
  });
  return answer.status;
}

function truncated(answer: Answer): Answer {
  const headers = { ...answer.headers, 'content-type': 'application/json; charset=utf-8' };
  return { status: answer.status < 300 ? answer.status : 200, headers, body: half(render(answer).text) };
}

function half(text: string): string {
  // At least one character, so that there is a body to be broken.
  return text.slice(0, Math.ceil(text.length / 2)) || '{';
}
