// The only fetch of the product. Law: no change leaves without a lease that has time left, no redirect is followed, and nothing is sent twice.
import { VelvetError } from '../../shared/lib/errors.ts';
import type { ErrorCode } from '../../shared/lib/errors.ts';
import type { Clock } from '../../shared/lib/clock.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import type { VendorCall } from './contract.ts';
import { openDeadline } from './http-deadline.ts';
import type { Deadline } from './http-deadline.ts';
import { failure, isChange, lostAnswer, statusFailure } from './http-failures.ts';
import type { Answer, FailureFacts, RequestName } from './http-failures.ts';
import { doorAware } from './http-global.ts';
import { onTheWire, pathOf } from './http-request.ts';
import type { VendorRequest } from './http-request.ts';

export interface VendorResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  /** The body; throws `notUnderstood` where it is not JSON. */
  json(): unknown;
  /** An error about this very answer; `why` must hold nothing of the body but what the handler knows to be a name. */
  error(code: ErrorCode, why: string, facts?: FailureFacts): VelvetError;
  /** `vendor_bad_answer`; after a change that was answered with success `vendor_no_answer`: it happened, and only a look can tell what. */
  notUnderstood(why: string): VelvetError;
}

export interface SdkOptions {
  readonly vendor: string;
  readonly timeoutMs?: number;
  /** What the SDK sends and no error may hold. */
  readonly secrets?: readonly Secret[];
}

export interface Door {
  /**
   * One request, one answer. Throws `vendor_unavailable` (nothing happened), `vendor_no_answer` (it may have),
   * `vendor_rate_limited`, `vendor_edge_refused`, `vendor_bad_answer`, `vendor_rejected` (a 4xx that is not in `accept`), and for
   * a change `lease_over` or `invariant_broken` before anything is sent.
   */
  send(call: VendorCall, request: VendorRequest): Promise<VendorResponse>;
  /** The same door in the form of `fetch`, for an SDK: its requests obey the same laws; what a status means stays the SDK's business. */
  fetchFor(call: VendorCall, options: SdkOptions): typeof fetch;
}

export interface DoorDeps {
  readonly fetch: typeof fetch;
  readonly clock: Clock;
  readonly times: { readonly vendorCallMs: number };
  /** Told what a vendor says is left before it asks for a pause. */
  readonly onHeadroom?: (vendor: string, remaining: number) => void;
}

/** The largest answer of use is a page of 1,000 Heroku authorizations, about 1 MB. */
const bodyBytesMaxDefault = 8 * 1024 * 1024;
/** Enough to see that a refusal is a page and not an API's. */
const hintBytesMax = 512;

export function createDoor(deps: DoorDeps): Door {
  return {
    send: (call, request) => send(deps, call, request),
    fetchFor: (call, options) => (input, init) =>
      sendForSdk(deps, call, options, () => new Request(input, init)),
  };
}

/** Stands in for `globalThis.fetch` in a worker: a library that was not given the door finds no way around it. */
export const noOtherFetch: typeof fetch = doorAware(() =>
  Promise.reject(
    new VelvetError('invariant_broken', 'a request outside the door: give this library door.fetchFor(call)'),
  ),
);

async function send(deps: DoorDeps, call: VendorCall, request: VendorRequest): Promise<VendorResponse> {
  const asHint = request.accept === 'any';
  const { name, headers, body } = onTheWire(request);
  const answer = await exchange(deps, call, {
    name,
    url: request.url,
    headers,
    body,
    asHint,
    timeoutMs: request.timeoutMs,
    bodyBytesMax: request.bodyBytesMax ?? (asHint ? hintBytesMax : bodyBytesMaxDefault),
  });
  const response = readable(name, answer);
  if (asHint) return response;

  const failed = statusFailure(name, answer, deps.clock.now(), request);
  if (failed !== null) throw failed;
  if (answer.status < 300 || request.accept?.includes(answer.status) === true) return response;
  throw response.error('vendor_rejected', `answered ${answer.status}`);
}

async function sendForSdk(
  deps: DoorDeps,
  call: VendorCall,
  options: SdkOptions,
  make: () => Request,
): Promise<Response> {
  const request = made(options, make);
  const name = {
    vendor: options.vendor,
    method: request.method,
    path: pathOf(request.url),
    secrets: options.secrets ?? [],
  };
  // Read before it is sent: a body that the SDK still produces could be held back past the end of the lease.
  const body = request.body === null ? undefined : new Uint8Array(await request.arrayBuffer());
  const answer = await exchange(
    deps,
    { ...call, signal: AbortSignal.any([call.signal, request.signal]) },
    {
      name,
      url: request.url,
      headers: request.headers,
      body,
      asHint: false,
      timeoutMs: options.timeoutMs,
      bodyBytesMax: bodyBytesMaxDefault,
    },
  );
  const { status } = answer;
  if (status >= 300 && status < 400) {
    throw failure(
      name,
      'vendor_bad_answer',
      `answered with a redirect (${status}), which is never followed`,
      { httpStatus: status },
    );
  }
  const headers = new Headers(answer.headers);
  // Both speak of the body as it travelled; this one is unpacked.
  headers.delete('content-encoding');
  headers.delete('content-length');
  const bodyless = status === 204 || status === 205;
  return new Response(bodyless ? null : answer.body, { status, headers });
}

function made(options: SdkOptions, make: () => Request): Request {
  try {
    return make();
  } catch {
    // The platform's own message quotes the URL, or the header's value.
    const name = { vendor: options.vendor, method: '(SDK)', path: '', secrets: options.secrets ?? [] };
    throw failure(name, 'vendor_rejected', 'not sent: the URL or a header is malformed');
  }
}

interface Outgoing {
  readonly name: RequestName;
  readonly url: string;
  readonly headers: Headers;
  readonly body: string | Uint8Array<ArrayBuffer> | undefined;
  readonly asHint: boolean;
  readonly timeoutMs: number | undefined;
  readonly bodyBytesMax: number;
}

async function exchange(deps: DoorDeps, call: VendorCall, outgoing: Outgoing): Promise<Answer> {
  const { name } = outgoing;
  const deadline = openDeadline(call, outgoing.timeoutMs ?? deps.times.vendorCallMs);
  try {
    // Nothing may stand between this check and the request.
    refuseToSend(call, name);
    const answered = deps.fetch(outgoing.url, {
      method: name.method,
      headers: outgoing.headers,
      redirect: 'manual',
      signal: deadline.signal,
      ...(outgoing.body === undefined ? {} : { body: outgoing.body }),
    });
    deadline.watchTheSocket();
    const response = await deadline.race(answered);
    const headers = Object.fromEntries(response.headers);
    tellHeadroom(deps, name, headers);
    return { status: response.status, headers, body: await readBody(response, outgoing, deadline) };
  } catch (error) {
    throw error instanceof VelvetError ? error : lostAnswer(name, error, deadline.cutBy());
  } finally {
    deadline.close();
  }
}

/** Heroku says RateLimit-Remaining; GitHub and Infisical say it with X- before it. */
function tellHeadroom({ onHeadroom }: DoorDeps, { vendor }: RequestName, headers: Answer['headers']): void {
  const left = headers['ratelimit-remaining'] ?? headers['x-ratelimit-remaining'];
  if (left !== undefined && /^\d{1,9}$/.test(left)) onHeadroom?.(vendor, Number(left));
}

function refuseToSend(call: VendorCall, name: RequestName): void {
  if (call.lease === null && isChange(name))
    throw failure(name, 'invariant_broken', 'a change without a lease');
  if (call.lease !== null && call.lease.remainingMs() <= 0)
    throw failure(name, 'lease_over', 'not sent, the lease is over');
  if (call.signal.aborted)
    throw failure(name, 'vendor_unavailable', 'not sent, the work was called off', { kind: 'Aborted' });
}

async function readBody(
  response: Response,
  outgoing: Outgoing,
  deadline: Deadline,
): Promise<Uint8Array<ArrayBuffer>> {
  const { asHint, bodyBytesMax, name } = outgoing;
  if (response.body === null) return new Uint8Array();
  const reader = response.body.getReader();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  let wanted = !asHint || response.status >= 400;
  try {
    while (wanted) {
      const part = await deadline.race(reader.read());
      if (part.done) break;
      chunks.push(part.value);
      bytes += part.value.byteLength;
      wanted = bytes < bodyBytesMax;
      if (wanted || asHint) continue;
      const code = isChange(name) ? 'vendor_no_answer' : 'vendor_bad_answer';
      throw failure(name, code, 'the answer is too large', { httpStatus: response.status });
    }
  } catch (error) {
    // The status has been seen, and it is all that a hint is added to.
    if (!asHint) throw error;
  } finally {
    // Gives the connection up where the body was not read to its end; that a broken one cannot be cancelled changes nothing.
    reader.cancel().catch(() => undefined);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

/** An answer that was received whole, as handlers read it. */
export function readable(name: RequestName, answer: Answer): VendorResponse {
  const text = new TextDecoder().decode(answer.body);
  const requestId = /^[\w-]{1,64}$/.exec(answer.headers['request-id'] ?? '')?.[0];
  const facts = { httpStatus: answer.status, kind: `HTTP${answer.status}` };
  const error: VendorResponse['error'] = (code, why, more = {}) =>
    failure(name, code, requestId === undefined ? why : `${why} [request-id ${requestId}]`, {
      ...facts,
      ...more,
    });
  const notUnderstood = (why: string): VelvetError =>
    error(isChange(name) && answer.status < 300 ? 'vendor_no_answer' : 'vendor_bad_answer', why);
  const json = (): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      // The parser's message quotes the text.
      throw notUnderstood(`answered ${answer.status} with something that is not JSON`);
    }
  };
  return { status: answer.status, headers: answer.headers, text, json, error, notUnderstood };
}
