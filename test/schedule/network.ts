// Simulators without sockets: the same routes, authentication and memory, asked by a function call. What breaks connections is the schedule.
import { compileRoute, requestOf, type Route, type SimRequest } from '../sim/requests.ts';
import { admit, render, type Sim, type SimOptions, type startSim } from '../sim/server.ts';

export interface Network {
  readonly start: typeof startSim;
  /** Carries a request to the simulator of its origin. */
  readonly fetch: typeof fetch;
}

type Host = (request: Request) => Promise<Response>;

export function createNetwork(): Network {
  const hosts = new Map<string, Host>();
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
      const request = new Request(input, init);
      const host = hosts.get(new URL(request.url).origin);
      if (host === undefined) throw new TypeError(`nobody is at ${request.url}`);
      return host(request);
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
