// One rotation through the public API, as an operator walks it: create → verify → proceed_mint → proceed_revoke, following the job's stream; what failed is retried alone, what nobody can prove is confirmed.
import { systemClock } from '../../shared/lib/clock.ts';
import { statuses, type Kind, type Status } from '../../shared/rotation/statuses.ts';
import { pause, type StreamEvent } from './client.ts';
import { refuse } from '../cli/say.ts';
import type { Scenario } from './runbook.ts';
import type { RowView } from './screen.ts';
import { accepted, watch, type Watch, type Watcher } from './watch.ts';

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

export interface WalkOptions extends Watcher {
  readonly credential: string;
  readonly ticketId: string;
  readonly scenario: Scenario | null;
  /** The emergency whose dead token is replaced. */
  readonly replaces?: string;
}

/** The longest step waits `healthcheck_after` and, should a worker be killed by hand, until its task is found again. */
const STEP_MS = 150_000;
/** An operator who sees a step fail retries it; one that fails again and again is to be looked at. */
const RETRIES_MAX = 3;

/** What the operator did beside the steps. */
interface ByHand {
  readonly retried: string[];
  readonly confirmed: string[];
}

export async function walk(options: WalkOptions): Promise<Walk> {
  const { screen, credential, ticketId, scenario } = options;
  const jobId = await created(options);
  screen.say(
    `job ${jobId} created; with .velvet/demo.env sourced, \`curl -N -H "Authorization: Bearer $VELVET_TOKEN" $VELVET_URL/tokens/${credential}/rotations/${jobId}/stream\` follows it too`,
  );
  const byHand: ByHand = { retried: [], confirmed: [] };
  const disturbance: { begun: Promise<void> | null } = { begun: null };
  const job = await watch(options, { credential, jobId }, ({ status }) => {
    if (status === 'distributing') disturbance.begun ??= scenario?.whileDistributing() ?? null;
  });
  try {
    const step = stepper(options, job, byHand);
    await step({ action: 'verify' }, 'init', 'verified');
    await scenario?.beforeMint(jobId);
    await step({ action: 'proceed_mint' }, 'verified', 'validated');
    await disturbance.begun;
    await step({ action: 'proceed_revoke', ticket_id: ticketId }, 'validated', 'done');
    await job.end();
  } finally {
    await job.over();
  }
  const { status, rows, trail } = job.seen;
  return { jobId, status, rows: [...rows.values()], trail, ...byHand };
}

/** Answers with its id. */
export async function created({
  client,
  credential,
  replaces,
}: Pick<WalkOptions, 'client' | 'credential' | 'replaces'>): Promise<string> {
  const request = {
    flow_type: 'operational',
    idempotency_key: crypto.randomUUID(),
    force_revoke: false,
    ...(replaces === undefined ? {} : { replaces }),
  };
  const answer = accepted(await client.ask('POST', `/tokens/${credential}/rotate`, request));
  return String(answer.body['job_id']);
}

type Step = (action: Readonly<Record<string, string>>, from: string, to: string) => Promise<void>;

/** One action, then the wait for where it leads; a step that failed on the way is retried as an operator would. */
function stepper({ client, screen, signal }: Watcher, job: Watch, byHand: ByHand): Step {
  const { seen, path } = job;
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
        const shown = await job.look();
        if (kindOfStatus(seen.status) !== 'failed') continue;
        const failed = failedRows(job);
        screen.say(
          `${seen.status}: ${JSON.stringify(shown['error'] ?? failed.map((row) => [row.consumer_id, row.error]))}`,
        );
        retries += 1;
        if (retries > RETRIES_MAX) refuse(`the job stopped at ${seen.status}`);
        const parked = seen.status;
        const consumer_ids = failed.map(({ consumer_id }) => consumer_id);
        const only = consumer_ids.length === 0 ? {} : { consumer_ids };
        await job.act({ action: 'retry', ...only });
        byHand.retried.push(...consumer_ids);
        await changed(job, parked);
        continue;
      }
      await confirmByHand(screen, job, byHand);
      await pause(50);
    }
  };
}

async function changed({ seen }: Watch, from: string): Promise<void> {
  const end = systemClock.monotonic() + 5_000;
  while (seen.status === from && systemClock.monotonic() < end) await pause(20);
}

function failedRows({ seen }: Watch): readonly RowView[] {
  return [...seen.rows.values()].filter(
    (row) => row.distribute_status === 'failed' || row.validate_status === 'failed',
  );
}

/** What has no endpoint that anybody could ask is looked at by the operator: here, what GitHub shows of the secret. */
async function confirmByHand(screen: Watcher['screen'], job: Watch, { confirmed }: ByHand): Promise<void> {
  if (job.seen.status !== 'validating') return;
  const waiting = [...job.seen.rows.values()].find(
    (row) => row.validate_status === 'manual_required' && !confirmed.includes(row.consumer_id),
  );
  if (waiting === undefined) return;
  const { consumer_id } = waiting;
  const note = 'updated_at of the secret moved with this rotation, and nobody else writes there';
  await job.act({ action: 'confirm_consumer', consumer_id, note });
  confirmed.push(consumer_id);
  screen.say(`${consumer_id} is confirmed by hand: ${note}`);
}

function kindOfStatus(status: string): Kind | null {
  return Object.hasOwn(statuses, status) ? statuses[status as Status].kind : null;
}
