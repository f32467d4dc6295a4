// Simulators without sockets: the same routes, authentication and memory, asked by a function call. What breaks connections is the schedule.
import { compileRoute, requestOf, type Route, type SimRequest } from '../sim/requests.ts';
import { admit, render, type Sim, type SimOptions, type startSim } from '../sim/server.ts';

/** What the next request is answered instead; `applied` says whether it has its effect all the same. */
export interface Spoiled {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly applied: boolean;
}

export interface Network {
  readonly start: typeof startSim;
  /** Carries a request to the simulator of its origin. */
  readonly fetch: typeof fetch;
  /** For the one request that is sent next. */
  spoil(how: Spoiled): void;
}

type Host = (request: Request) => Promise<Response>;

export function createNetwork(): Network {
  const hosts = new Map<string, Host>();
  let spoiled: Spoiled | null = null;
  return {
    async start<Caller>(options: SimOptions<Caller>): Promise<Sim> {
      // Loopback, so that the manifest takes it; nothing listens there.
      const url = `http://127.0.0.1:${hosts.size + 1}`;
      const requests: SimRequest[] = [];
      const routes = Object.keys(options.routes).map(compileRoute);
      hosts.set(url, (request) => answer(options, { routes, requests }, request));
      const close = () => Promise.resolve();
      return {
        url,
        requests,
        redirects: [],
        faults: [],
        script: () => {
          throw new TypeError('a schedule breaks connections, not simulators');
        },
        clearFaults: () => undefined,
        close,
        [Symbol.asyncDispose]: close,
      };
    },
    async fetch(input, init) {
      const instead = spoiled;
      spoiled = null;
      const request = new Request(input, init);
      const host = hosts.get(new URL(request.url).origin);
      if (host === undefined) throw new TypeError(`nobody is at ${request.url}`);
      if (instead === null) return host(request);
      if (instead.applied) await host(request);
      const { status, headers = { 'content-type': 'application/json' }, body = '{}' } = instead;
      return new Response(body, { status, headers });
    },
    spoil(how) {
      spoiled = how;
    },
  };
}

interface Memory {
  readonly routes: readonly Route[];
  readonly requests: SimRequest[];
}

async function answer<Caller>(
  options: SimOptions<Caller>,
  { routes, requests }: Memory,
  sent: Request,
): Promise<Response> {
  const headers = Object.fromEntries(sent.headers);
  const authorization = headers['authorization'] ?? null;
  const text = await sent.text();
  const { request, broken } = requestOf(routes, { method: sent.method, url: sent.url, headers, text });
  requests.push(request);
  const given = await admit(options, request, { authorization, broken })();
  request.outcome = given.status;
  request.status = given.status;
  const out = render(given);
  return new Response(out.text === '' ? null : out.text, { status: given.status, headers: out.headers });
}
