// The demo as a client of the public API: requests that outlast a restart of web, and SSE with a gapless resume. Law: every byte received is kept.
import { systemClock } from '../../shared/lib/clock.ts';
import { refuse } from '../cli/say.ts';

export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface StreamEvent {
  readonly event: string;
  /** The number behind the epoch in `id`. */
  readonly seq: number;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Client {
  readonly url: string;
  /** One request; repeated while nothing answers or the answer is 503, since web may be restarting just then. */
  ask(method: 'GET' | 'POST', path: string, body?: unknown): Promise<Answer>;
  /** Follows a stream until its `done`, across any number of connections. */
  follow(path: string, onEvent: (event: StreamEvent) => void, signal: AbortSignal): Promise<void>;
  /** All that was received, headers included. */
  received(): string;
  streamed(): string;
}

const REQUEST_MS = 10_000;
const OUTLAST_MS = 30_000;
const AGAIN_MS = 300;

interface Progress {
  readonly lastId: string | null;
  readonly over: boolean;
}

/** Aborting `stop` ends what is under way, and every wait. */
export function createClient(url: string, token: string, stop: AbortSignal): Client {
  const answers: string[] = [];
  const stream: string[] = [];

  function headers(more: Readonly<Record<string, string>>): Record<string, string> {
    return { ...more, authorization: `Bearer ${token}` };
  }

  async function once(method: string, path: string, body: unknown): Promise<Answer> {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: headers(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.any([stop, AbortSignal.timeout(REQUEST_MS)]),
    });
    const text = await response.text();
    answers.push(`${JSON.stringify([...response.headers])}\n${text}`);
    return { status: response.status, body: parsed(text) };
  }

  async function ask(method: 'GET' | 'POST', path: string, body?: unknown): Promise<Answer> {
    const end = systemClock.monotonic() + OUTLAST_MS;
    for (;;) {
      const answer = await once(method, path, body).catch((error: unknown) => {
        stop.throwIfAborted();
        if (systemClock.monotonic() > end) refuse(`${url} did not answer for ${OUTLAST_MS / 1000} s.`);
        if (error instanceof Error) return null;
        throw error;
      });
      if (answer !== null && (answer.status !== 503 || stop.aborted || systemClock.monotonic() > end))
        return answer;
      await pause(AGAIN_MS);
    }
  }

  /** One connection; the last id it saw, and whether the stream is complete. */
  async function connection(
    path: string,
    lastId: string | null,
    onEvent: (event: StreamEvent) => void,
    signal: AbortSignal,
  ) {
    const response = await fetch(`${url}${path}`, {
      headers: headers(lastId === null ? {} : { 'last-event-id': lastId }),
      signal,
    });
    answers.push(JSON.stringify([...response.headers]));
    if (response.status === 204) return { lastId, over: true };
    if (!response.ok || response.body === null) return { lastId, over: false };
    const seen = { lastId, over: false };
    let rest = '';
    try {
      for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
        stream.push(chunk);
        const blocks = (rest + chunk).split('\n\n');
        rest = blocks.pop() ?? '';
        for (const block of blocks) {
          const event = parseEvent(block);
          if (event === null) continue;
          seen.lastId = event.id;
          onEvent(event);
          seen.over ||= event.event === 'done';
        }
      }
    } catch (error) {
      // A stream that broke off is taken up where it was.
      if (!(error instanceof Error)) throw error;
    }
    return seen;
  }

  return {
    url,
    ask,
    received: () => answers.join('\n'),
    streamed: () => stream.join(''),
    async follow(path, onEvent, signal) {
      let lastId: string | null = null;
      while (!signal.aborted) {
        const seen: Progress | null = await connection(path, lastId, onEvent, signal).catch(
          (error: unknown) => {
            if (error instanceof Error) return null;
            throw error;
          },
        );
        if (seen?.over === true) return;
        lastId = seen?.lastId ?? lastId;
        await pause(AGAIN_MS);
      }
    },
  };
}

/** Null for a block without data: the comments that keep the connection alive. */
function parseEvent(block: string): (StreamEvent & { readonly id: string }) | null {
  const fields = new Map(
    block.split('\n').map((line) => {
      const colon = line.indexOf(': ');
      return [line.slice(0, colon), line.slice(colon + 2)] as const;
    }),
  );
  const [data, id = ''] = [fields.get('data'), fields.get('id')];
  if (data === undefined) return null;
  return {
    event: fields.get('event') ?? 'message',
    id,
    seq: Number(id.split('.').at(-1)),
    data: parsed(data),
  };
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

export async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** Whether it came to its end in time; its failure is the caller's. */
export async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
