// One rotation through the public API, as an operator walks it: create → verify → proceed_mint → proceed_revoke, following the job's stream.
import { systemClock } from '../../shared/lib/clock.ts';
import { statuses, type Kind, type Status } from '../../shared/rotation/statuses.ts';
import { pause, within, type Answer, type Client, type StreamEvent } from './client.ts';
import type { RowView, Screen } from './screen.ts';
import { refuse } from '../cli/say.ts';

export interface Walk {
  readonly jobId: string;
  readonly status: string;
  readonly rows: readonly RowView[];
  /** Every event of the job, in its order. */
  readonly trail: readonly StreamEvent[];
}

export interface WalkOptions {
  readonly client: Client;
  readonly screen: Screen;
  readonly credential: string;
  readonly ticketId: string;
  readonly signal: AbortSignal;
}

/** The longest step waits `healthcheck_after` and, should a worker be killed by hand, until its task is found again. */
const STEP_MS = 150_000;
/** An operator who sees a step fail retries it; one that fails again and again is to be looked at. */
const RETRIES_MAX = 3;

interface Seen {
  status: string;
  readonly rows: Map<string, RowView>;
  readonly trail: StreamEvent[];
}

export async function walk(options: WalkOptions): Promise<Walk> {
  const { client, screen, credential, ticketId } = options;
  const base = `/tokens/${credential}`;
  const request = { flow_type: 'operational', idempotency_key: crypto.randomUUID(), force_revoke: false };
  const created = accepted(await client.ask('POST', `${base}/rotate`, request));
  const jobId = String(created.body['job_id']);
  const path = `${base}/rotations/${jobId}`;
  screen.say(
    `job ${jobId} created; with .velvet/demo.env sourced, \`curl -N -H "Authorization: Bearer $VELVET_TOKEN" $VELVET_URL${path}/stream\` follows it too`,
  );

  const seen: Seen = { status: 'init', rows: new Map(), trail: [] };
  take(seen, (await client.ask('GET', path)).body);
  const over = new AbortController();
  const show = () => screen.show(seen.status, [...seen.rows.values()]);
  show();
  const following = client.follow(
    `${path}/stream`,
    (event) => {
      record(seen, event);
      show();
    },
    AbortSignal.any([over.signal, options.signal]),
  );
  try {
    const step = stepper({ ...options, path, seen });
    await step({ action: 'verify' }, 'init', 'verified');
    await step({ action: 'proceed_mint' }, 'verified', 'validated');
    await step({ action: 'proceed_revoke', ticket_id: ticketId }, 'validated', 'done');
    // What was seen last ends with the stream's own `done`.
    await within(following, 5_000);
  } finally {
    over.abort();
    await following;
  }
  take(seen, (await client.ask('GET', path)).body);
  show();
  screen.settle();
  return { jobId, status: seen.status, rows: [...seen.rows.values()], trail: seen.trail };
}

type Step = (action: Readonly<Record<string, string>>, from: string, to: string) => Promise<void>;

/** One action, then the wait for where it leads; a step that failed on the way is retried as an operator would. */
function stepper({
  client,
  screen,
  signal,
  path,
  seen,
}: WalkOptions & { readonly path: string; readonly seen: Seen }): Step {
  return async (action, from, to) => {
    const sent = await client.ask('POST', `${path}/stage`, action);
    // The answer to an earlier try may have been lost with the process that gave it; then the job has moved already.
    const moved =
      sent.status === 409 && sent.body['code'] === 'action_not_allowed' && sent.body['job_status'] !== from;
    if (!moved) accepted(sent);
    const end = systemClock.monotonic() + STEP_MS;
    for (let retries = 0; seen.status !== to;) {
      signal.throwIfAborted();
      if (systemClock.monotonic() > end)
        refuse(`the job is still ${seen.status} after ${STEP_MS / 1000} s, not ${to}`);
      if (kindOfStatus(seen.status) === 'failed') {
        const job = (await client.ask('GET', path)).body;
        take(seen, job);
        if (kindOfStatus(seen.status) !== 'failed') continue;
        screen.say(`${seen.status}: ${JSON.stringify(job['error'] ?? failedRows(seen))}`);
        retries += 1;
        if (retries > RETRIES_MAX) refuse(`the job stopped at ${seen.status}`);
        const parked = seen.status;
        accepted(await client.ask('POST', `${path}/stage`, { action: 'retry' }));
        await changed(seen, parked);
        continue;
      }
      await pause(50);
    }
  };
}

async function changed(seen: Seen, from: string): Promise<void> {
  const end = systemClock.monotonic() + 5_000;
  while (seen.status === from && systemClock.monotonic() < end) await pause(20);
}

function failedRows(seen: Seen): unknown {
  return [...seen.rows.values()].flatMap((row) => (row.error === null ? [] : [[row.consumer_id, row.error]]));
}

function accepted(answer: Answer): Answer {
  if (answer.status === 202) return answer;
  const { code, detail } = answer.body;
  return refuse(`refused with ${answer.status} ${String(code)}: ${String(detail)}`);
}

function record(seen: Seen, event: StreamEvent): void {
  if (event.event === 'reset') return take(seen, event.data);
  if (event.event === 'done') return;
  seen.trail.push(event);
  const { status, consumer } = event.data;
  if (typeof status === 'string') seen.status = status;
  if (typeof consumer === 'object' && consumer !== null) takeRow(seen, consumer as RowView);
}

function take(seen: Seen, job: Readonly<Record<string, unknown>>): void {
  if (typeof job['status'] === 'string') seen.status = job['status'];
  if (Array.isArray(job['consumers'])) for (const row of job['consumers'] as RowView[]) takeRow(seen, row);
}

function takeRow(seen: Seen, row: RowView): void {
  seen.rows.set(row.consumer_id, row);
}

function kindOfStatus(status: string): Kind | null {
  return Object.hasOwn(statuses, status) ? statuses[status as Status].kind : null;
}
