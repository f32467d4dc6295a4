// What a simulator can be told to do wrong, and when. Law: scripted, never random; a script that can match nothing is refused.
import type { SimRequest } from './requests.ts';

/** What the simulator does instead of answering as its API would. */
export type Deed =
  /** A success status, and the first half of the JSON that belongs there. Applied. */
  | 'malformed'
  /** Never answers. Nothing is applied. */
  | 'hang_before'
  /** Applied; never answers. */
  | 'hang_after'
  /** Applied; head and half of the body, then silence on an open socket. */
  | 'hang_mid_body'
  /** Applied; head and half of the body, then the socket is destroyed. */
  | 'drop_mid_body'
  /** 302 to a path of the same server that records who came. Nothing is applied. */
  | 'redirect'
  /** 403 with a captcha in HTML, as a proxy in front of the API sends it. Nothing is applied. */
  | 'edge'
  /** 429 in the vendor's own form. Nothing is applied. */
  | 'rate_limited'
  | { readonly rate_limited: { readonly retry_after_s: number } }
  /** This very answer; nothing is applied unless `applied` says so. */
  | {
      readonly status: number;
      readonly body?: unknown;
      readonly headers?: Readonly<Record<string, string>>;
      readonly applied?: boolean;
    }
  /** The socket is destroyed at once; the request, authorised on arrival, is applied this much later. */
  | { readonly applies_late_ms: number }
  /** Applied at once, answered as always, this much later. */
  | { readonly delay_ms: number };

export interface Fault {
  /** A route of the simulator (`POST /oauth/authorizations`), or `*` for every request. */
  readonly on: string;
  /** How many requests it hits: 1 unless given; Infinity is allowed. */
  readonly times?: number;
  /** How many matching requests pass before it hits the first. */
  readonly skip?: number;
  readonly where?: (request: SimRequest) => boolean;
  readonly do: Deed;
}

export interface ScriptedFault extends Fault {
  /** How many requests it has hit so far. */
  readonly fired: number;
}

export interface FaultScript {
  readonly faults: readonly ScriptedFault[];
  /** Adds a fault behind the others; the first that matches a request hits it. The returned object counts. */
  script(fault: Fault): ScriptedFault;
  clearFaults(): void;
  /** The deed for this request, counted as done; null where it shall be answered honestly. */
  next(request: SimRequest): Deed | null;
}

interface Entry {
  readonly scripted: ScriptedFault;
  passed: number;
  fired: number;
}

/** The fault list of a simulator with these routes. `script` throws on a route that it does not have: such a fault would never fire. */
export function faultScript(routes: readonly string[]): FaultScript {
  let entries: Entry[] = [];
  return {
    get faults() {
      return entries.map((entry) => entry.scripted);
    },
    script(fault) {
      if (fault.on !== '*' && !routes.includes(fault.on)) {
        throw new TypeError(`no such route: ${fault.on}; there are ${routes.join(', ')}`);
      }
      const entry: Entry = {
        passed: 0,
        fired: 0,
        scripted: {
          ...fault,
          get fired() {
            return entry.fired;
          },
        },
      };
      entries.push(entry);
      return entry.scripted;
    },
    clearFaults() {
      entries = [];
    },
    next(request) {
      const hit = entries.find((entry) => hits(entry, request));
      if (hit === undefined) return null;
      hit.fired += 1;
      return hit.scripted.do;
    },
  };
}

function hits(entry: Entry, request: SimRequest): boolean {
  const { on, where, times = 1, skip = 0 } = entry.scripted;
  if (entry.fired >= times) return false;
  if (on !== '*' && on !== request.route) return false;
  if (where !== undefined && !where(request)) return false;
  if (entry.passed < skip) {
    entry.passed += 1;
    return false;
  }
  return true;
}
