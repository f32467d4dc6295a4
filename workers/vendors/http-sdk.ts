// One request of an SDK that knows the global fetch alone. Law: it is sent once, and what counts is what the vendor answered, not what the SDK made of it.
import { VelvetError, isVelvetError } from '../../shared/lib/errors.ts';
import type { VendorCall } from './contract.ts';
import type { Answer, RequestName } from './http-failures.ts';
import { insideDoor } from './http-global.ts';
import { pathOf } from './http-request.ts';
import { readable } from './http.ts';
import type { Door, SdkOptions, VendorResponse } from './http.ts';

/** What the vendor answered to the one request, with what is needed to judge it. */
export interface Heard {
  readonly name: RequestName;
  readonly answer: Answer;
  readonly response: VendorResponse;
}

/**
 * Lets `ask` send its one request. Throws the door's errors; every status is an answer. Whatever the SDK would repeat by
 * itself is not sent: it is told at once that all is over, so no timer of it outlives the call.
 */
export async function askThroughSdk(
  door: Door,
  call: VendorCall,
  options: SdkOptions,
  ask: () => Promise<unknown>,
): Promise<Heard> {
  const send = door.fetchFor(call, options);
  let heard: Heard | VelvetError | null = null;
  let sent = false;
  const once: typeof fetch = async (input, init) => {
    if (sent) return over();
    sent = true;
    try {
      // Without the SDK's own timer: it stops watching once the headers are there, the door's does not.
      const { signal: _, ...rest } = init ?? {};
      heard = await hear(options, input, rest, await send(input, rest));
      const { status, headers, body } = heard.answer;
      if (status === 429) return over();
      return new Response(status === 204 || status === 205 ? null : body, { status, headers });
    } catch (error) {
      heard = isVelvetError(error)
        ? error
        : new VelvetError('internal', `${options.vendor}: the door failed`);
      return over();
    }
  };
  // What it throws says less than what was heard; its text quotes the address.
  await insideDoor(once, ask).catch(() => undefined);
  // Assigned in the closure, which the compiler does not follow.
  const outcome = heard as Heard | VelvetError | null;
  if (outcome === null)
    throw new VelvetError('invariant_broken', `${options.vendor}: the SDK sent nothing through the door`);
  if (isVelvetError(outcome)) throw outcome;
  return outcome;
}

/** An answer that no SDK repeats a request for. */
function over(): Response {
  return new Response('{"message":"ended by the door"}', { status: 499 });
}

async function hear(
  { vendor, secrets = [] }: SdkOptions,
  input: Parameters<typeof fetch>[0],
  init: RequestInit,
  response: Response,
): Promise<Heard> {
  const url = input instanceof Request ? input.url : String(input);
  const name = { vendor, method: init.method ?? 'GET', path: pathOf(url), secrets };
  const answer = {
    status: response.status,
    headers: Object.fromEntries(response.headers),
    body: new Uint8Array(await response.arrayBuffer()),
  };
  return { name, answer, response: readable(name, answer) };
}
