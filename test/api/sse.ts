// Reads an event stream as a browser does: block by block, remembering the last id; comments are kept apart.
import type { App } from '../../api/router.ts';

export interface StreamEvent {
  readonly event: string;
  readonly id: string | null;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Following extends AsyncDisposable {
  readonly status: number;
  readonly headers: Headers;
  /** Everything that came, as it came. */
  readonly text: string;
  readonly comments: readonly string[];
  /** The next event; null where the stream has ended. Throws where nothing comes for that long. */
  next(ms?: number): Promise<StreamEvent | null>;
  /** Reads the stream to its end. */
  rest(ms?: number): Promise<readonly StreamEvent[]>;
  /** Reads until so many comments have come. */
  heard(comments: number, ms?: number): Promise<void>;
  close(): Promise<void>;
}

export interface Ask {
  readonly token: string;
  readonly lastEventId?: string | undefined;
  /** A base URL, where the API is asked over a socket. */
  readonly url?: string;
}

export async function follow(app: App, path: string, { token, lastEventId, url }: Ask): Promise<Following> {
  const headers = {
    authorization: `Bearer ${token}`,
    ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
  };
  const leaving = new AbortController();
  const response = await (url === undefined
    ? app.request(path, { headers })
    : fetch(`${url}${path}`, { headers, signal: leaving.signal }));
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let [text, unread, ended] = ['', '', reader === undefined];
  const comments: string[] = [];

  async function more(ms: number): Promise<void> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error(`nothing came for ${ms} ms after:\n${text}`)), ms);
    try {
      const chunk = await Promise.race([reader?.read(), late.promise]);
      if (chunk === undefined || chunk.done) ended = true;
      else {
        const piece = decoder.decode(chunk.value, { stream: true });
        text += piece;
        unread += piece;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** The next block of the text, comments put aside; null where none is complete. */
  function block(): StreamEvent | null {
    for (;;) {
      const end = unread.indexOf('\n\n');
      if (end < 0) return null;
      const lines = unread.slice(0, end).split('\n');
      unread = unread.slice(end + 2);
      comments.push(...lines.filter((line) => line.startsWith(':')));
      const field = (name: string) =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const data = field('data');
      if (data === undefined) continue;
      return {
        event: field('event') ?? 'message',
        id: field('id') ?? null,
        data: JSON.parse(data) as StreamEvent['data'],
      };
    }
  }

  async function next(ms = 5_000): Promise<StreamEvent | null> {
    for (;;) {
      const event = block();
      if (event !== null || ended) return event;
      await more(ms);
    }
  }

  const close = async () => {
    // Of a stream that was read to its end nothing is left to be cancelled.
    await reader?.cancel().catch(() => undefined);
    leaving.abort();
  };
  return {
    status: response.status,
    headers: response.headers,
    get text() {
      return text;
    },
    comments,
    next,
    async rest(ms) {
      const events: StreamEvent[] = [];
      for (let event = await next(ms); event !== null; event = await next(ms)) events.push(event);
      return events;
    },
    async heard(count, ms = 5_000) {
      while (comments.length < count) {
        if (block() !== null) throw new Error('an event came where only comments were expected');
        if (comments.length < count) await more(ms);
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** What a follower makes of it, whatever it is called by: the ids, in order. */
export function seqs(events: readonly StreamEvent[]): readonly number[] {
  return events.map(({ id }) => Number(id?.split('.')[1]));
}
