// A job as the demo watches it: its stream from the first event on, what is known of it so far, and the picture of that on the screen.
import { systemClock } from '../../shared/lib/clock.ts';
import { refuse } from '../cli/say.ts';
import { pause, within, type Answer, type Client, type StreamEvent } from './client.ts';
import type { RowView, Screen } from './screen.ts';

export interface Seen {
  status: string;
  readonly rows: Map<string, RowView>;
  /** Every event of the job, in its order. */
  readonly trail: StreamEvent[];
}

export interface Watcher {
  readonly client: Client;
  readonly screen: Screen;
  readonly signal: AbortSignal;
}

export type JobBody = Readonly<Record<string, unknown>>;

export interface Watch {
  readonly jobId: string;
  /** Of the job in the API. */
  readonly path: string;
  readonly seen: Seen;
  /** The job as the API shows it now. */
  look(): Promise<JobBody>;
  act(action: Readonly<Record<string, unknown>>): Promise<Answer>;
  /** Asks until it is so. Refuses after `ms`, with what was waited for. */
  until(is: (job: JobBody) => boolean, ms: number, what: string): Promise<JobBody>;
  /** Lets the stream come to its own end, takes a last look, and leaves the table as it is. */
  end(): Promise<void>;
  /** Breaks the stream off where it has not ended. */
  over(): Promise<void>;
}

const STREAM_END_MS = 5_000;
const LOOK_MS = 250;

export async function watch(
  { client, screen, signal }: Watcher,
  { credential, jobId }: { readonly credential: string; readonly jobId: string },
  onEvent: (seen: Seen) => void = () => undefined,
): Promise<Watch> {
  const path = `/tokens/${credential}/rotations/${jobId}`;
  const seen: Seen = { status: 'init', rows: new Map(), trail: [] };
  const show = () => screen.show(seen.status, [...seen.rows.values()]);
  const look = async () => {
    const { body } = await client.ask('GET', path);
    take(seen, body);
    show();
    return body;
  };
  await look();
  const broken = new AbortController();
  const following = client.follow(
    `${path}/stream`,
    (event) => {
      record(seen, event);
      show();
      onEvent(seen);
    },
    AbortSignal.any([broken.signal, signal]),
  );
  return {
    jobId,
    path,
    seen,
    look,
    act: async (action) => accepted(await client.ask('POST', `${path}/stage`, action)),
    async until(is, ms, what) {
      const end = systemClock.monotonic() + ms;
      for (;;) {
        signal.throwIfAborted();
        const job = await look();
        if (is(job)) return job;
        if (systemClock.monotonic() > end)
          refuse(`waited ${ms / 1000} s in vain for ${what}; the job is ${seen.status}: ${reasonOf(job)}`);
        await pause(LOOK_MS);
      }
    },
    async end() {
      await within(following, STREAM_END_MS);
      await look();
      screen.settle();
    },
    async over() {
      broken.abort();
      await following;
    },
  };
}

/** Refuses, with the API's own words, where it did. */
export function accepted(answer: Answer): Answer {
  if (answer.status === 202) return answer;
  const { code, detail } = answer.body;
  return refuse(`refused with ${answer.status} ${String(code)}: ${String(detail)}`);
}

export function take(seen: Seen, job: JobBody): void {
  if (typeof job['status'] === 'string') seen.status = job['status'];
  if (Array.isArray(job['consumers'])) for (const row of job['consumers'] as RowView[]) takeRow(seen, row);
}

export function reasonOf(job: JobBody): string {
  return JSON.stringify(job['error'] ?? null);
}

function record(seen: Seen, event: StreamEvent): void {
  if (event.event === 'reset') return take(seen, event.data);
  if (event.event === 'done') return;
  seen.trail.push(event);
  const { status, consumer } = event.data;
  if (typeof status === 'string') seen.status = status;
  if (typeof consumer === 'object' && consumer !== null) takeRow(seen, consumer as RowView);
}

function takeRow(seen: Seen, row: RowView): void {
  seen.rows.set(row.consumer_id, row);
}
