// One rotation through the public API, as an operator walks it: create → verify → proceed_mint → proceed_revoke, following the job's stream; what failed is retried alone, what nobody can prove is confirmed.
import { systemClock } from '../../shared/lib/clock.ts';
import { statuses, type Kind, type Status } from '../../shared/rotation/statuses.ts';
import { pause, within, type Answer, type Client, type StreamEvent } from './client.ts';
import { refuse } from '../cli/say.ts';
import type { Scenario } from './runbook.ts';
import type { RowView, Screen } from './screen.ts';

export interface Walk {
  readonly jobId: string;
  readonly status: string;
  readonly rows: readonly RowView[];
  /** Every event of the job, in its order. */
  readonly trail: readonly StreamEvent[];
  /** Consumers that were retried, and that were confirmed by hand. */
  readonly retried: readonly string[];
  readonly confirmed: readonly string[];
}

export interface WalkOptions {
  readonly client: Client;
  readonly screen: Screen;
  readonly credential: string;
  readonly ticketId: string;
  readonly signal: AbortSignal;
  readonly scenario: Scenario | null;
}

/** The longest step waits `healthcheck_after` and, should a worker be killed by hand, until its task is found again. */
const STEP_MS = 150_000;
/** An operator who sees a step fail retries it; one that fails again and again is to be looked at. */
const RETRIES_MAX = 3;

interface Seen {
  status: string;
  readonly rows: Map<string, RowView>;
  readonly trail: StreamEvent[];
  readonly retried: string[];
  readonly confirmed: string[];
}

export async function walk(options: WalkOptions): Promise<Walk> {
  const { client, screen, credential, ticketId, scenario } = options;
  const base = `/tokens/${credential}`;
  const request = { flow_type: 'operational', idempotency_key: crypto.randomUUID(), force_revoke: false };
  const created = accepted(await client.ask('POST', `${base}/rotate`, request));
  const jobId = String(created.body['job_id']);
  const path = `${base}/rotations/${jobId}`;
  screen.say(
    `job ${jobId} created; with .velvet/demo.env sourced, \`curl -N -H "Authorization: Bearer $VELVET_TOKEN" $VELVET_URL${path}/stream\` follows it too`,
  );

  const seen: Seen = { status: 'init', rows: new Map(), trail: [], retried: [], confirmed: [] };
  take(seen, (await client.ask('GET', path)).body);
  const over = new AbortController();
  const show = () => screen.show(seen.status, [...seen.rows.values()]);
  const disturbance: { begun: Promise<void> | null } = { begun: null };
  show();
  const following = client.follow(
    `${path}/stream`,
    (event) => {
      record(seen, event);
      show();
      if (seen.status === 'distributing') disturbance.begun ??= scenario?.whileDistributing() ?? null;
    },
    AbortSignal.any([over.signal, options.signal]),
  );
  try {
    const step = stepper({ ...options, path, seen });
    await step({ action: 'verify' }, 'init', 'verified');
    await scenario?.beforeMint(jobId);
    await step({ action: 'proceed_mint' }, 'verified', 'validated');
    await disturbance.begun;
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
  const { status, rows, ...rest } = seen;
  return { jobId, status, rows: [...rows.values()], ...rest };
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
        screen.say(
          `${seen.status}: ${JSON.stringify(job['error'] ?? failedRows(seen).map((row) => [row.consumer_id, row.error]))}`,
        );
        retries += 1;
        if (retries > RETRIES_MAX) refuse(`the job stopped at ${seen.status}`);
        const parked = seen.status;
        const consumer_ids = failedRows(seen).map(({ consumer_id }) => consumer_id);
        const only = consumer_ids.length === 0 ? {} : { consumer_ids };
        accepted(await client.ask('POST', `${path}/stage`, { action: 'retry', ...only }));
        seen.retried.push(...consumer_ids);
        await changed(seen, parked);
        continue;
      }
      await confirmByHand({ client, screen, path, seen });
      await pause(50);
    }
  };
}

async function changed(seen: Seen, from: string): Promise<void> {
  const end = systemClock.monotonic() + 5_000;
  while (seen.status === from && systemClock.monotonic() < end) await pause(20);
}

function failedRows(seen: Seen): readonly RowView[] {
  return [...seen.rows.values()].filter(
    (row) => row.distribute_status === 'failed' || row.validate_status === 'failed',
  );
}

/** What has no endpoint that anybody could ask is looked at by the operator: here, what GitHub shows of the secret. */
async function confirmByHand({
  client,
  screen,
  path,
  seen,
}: Pick<WalkOptions, 'client' | 'screen'> & { readonly path: string; readonly seen: Seen }): Promise<void> {
  if (seen.status !== 'validating') return;
  const waiting = [...seen.rows.values()].find(
    (row) => row.validate_status === 'manual_required' && !seen.confirmed.includes(row.consumer_id),
  );
  if (waiting === undefined) return;
  const { consumer_id } = waiting;
  const note = 'updated_at of the secret moved with this rotation, and nobody else writes there';
  accepted(await client.ask('POST', `${path}/stage`, { action: 'confirm_consumer', consumer_id, note }));
  seen.confirmed.push(consumer_id);
  screen.say(`${consumer_id} is confirmed by hand: ${note}`);
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
