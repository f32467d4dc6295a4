// One whole operational rotation by API, as an operator would drive it: every gate is served as soon as it is reached; nothing is retried.
import { systemClock } from '../../shared/lib/clock.ts';
import { pause, type StreamEvent } from '../../bin/demo/client.ts';
import type { AuditEvent } from '../../shared/redis/events.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { statuses, type Status } from '../../shared/rotation/statuses.ts';
import { until } from '../harness.ts';
import type { Fleet } from './fleet.ts';
import { ENV, type Held } from './outside.ts';

export interface Rotation {
  readonly jobId: string;
  readonly credential: Held;
  /** What the job's own stream told, in the order of arrival. */
  readonly streamed: readonly StreamEvent[];
  /** Resolves once the stream has told that the job is in this status, or was. */
  reaches(status: Status): Promise<void>;
  /** Resolves at `done`; rejects, with the logs, where the job parks or does not get there in time. */
  readonly done: Promise<void>;
}

export interface RotateOptions {
  /** Called before a gate is served, for what must be in place when the next step begins. */
  readonly before?: Partial<Record<Gate, () => void | Promise<void>>>;
  readonly withinMs?: number;
}

const answers = {
  init: { action: 'verify' },
  verified: { action: 'proceed_mint' },
  validated: { action: 'proceed_revoke', ticket_id: 'ROT-2026-FLEET' },
} as const;
export type Gate = keyof typeof answers;

const POLL_MS = 150;
const WITHIN_MS = 300_000;

/** Creates the job and drives it in the background. */
export async function rotate(
  fleet: Fleet,
  credential: Held,
  { before = {}, withinMs = WITHIN_MS }: RotateOptions = {},
): Promise<Rotation> {
  const base = `/tokens/${credential.name}`;
  const request = { flow_type: 'operational', idempotency_key: crypto.randomUUID(), force_revoke: false };
  const created = await fleet.client.ask('POST', `${base}/rotate`, request);
  if (created.status !== 202) throw new Error(`create: ${created.status} ${JSON.stringify(created.body)}`);
  const jobId = String(created.body['job_id']);
  const path = `${base}/rotations/${jobId}`;

  const streamed: StreamEvent[] = [];
  const over = new AbortController();
  const following = fleet.client.follow(`${path}/stream`, (event) => streamed.push(event), over.signal);

  async function serve(gate: Gate): Promise<void> {
    await before[gate]?.();
    const sent = await fleet.client.ask('POST', `${path}/stage`, answers[gate]);
    // The answer to an earlier sending was lost with the process, or the Redis, that gave it; the job has moved.
    const moved = sent.status === 409 && sent.body['job_status'] !== gate;
    // Not answered for too long: the gate is still there, or not, and is looked at again.
    if (sent.status === 202 || sent.status === 503 || moved) return;
    throw new Error(`${gate}: ${sent.status} ${JSON.stringify(sent.body)}`);
  }

  async function drive(): Promise<void> {
    const end = systemClock.monotonic() + withinMs;
    for (;;) {
      const job = await fleet.client.ask('GET', path);
      const status = String(job.body['status']);
      if (job.status === 200) {
        if (status === 'done') return;
        if (Object.hasOwn(answers, status)) await serve(status as Gate);
        else if (statuses[status as Status].kind !== 'automatic')
          throw new Error(`parked in ${status}: ${JSON.stringify(job.body, null, 1)}\n${fleet.tail(40)}`);
      }
      if (systemClock.monotonic() > end)
        throw new Error(
          `after ${withinMs / 1000} s: ${JSON.stringify(job.body, null, 1)}\n${fleet.tail(40)}`,
        );
      await pause(POLL_MS);
    }
  }

  async function toItsEnd(): Promise<void> {
    await drive();
    // The stream ends by itself with what was seen last.
    await Promise.race([following, pause(10_000)]);
  }
  const ended = toItsEnd().finally(() => over.abort());
  // Whoever waits for something else first must not be ended by it; `done` is awaited by every scenario.
  ended.catch(() => undefined);
  return {
    jobId,
    credential,
    streamed,
    done: ended,
    async reaches(status) {
      const told = until(() => (streamed.some(({ data }) => data['status'] === status) ? true : null), withinMs); // prettier-ignore
      await Promise.race([told, ended]);
    },
  };
}

export interface TrailEvent extends AuditEvent {
  readonly seq: number;
  /** Wall clock, ms. */
  readonly ms: number;
}

/** Every event on the credential's stream, as it lies in Redis. */
export async function trailOf({ redis }: Fleet, credential: string): Promise<readonly TrailEvent[]> {
  const entries = await redis.xrange(credentialKeys(credential, ENV).events, '-', '+');
  return entries.map(([id, fields]) => {
    const event = JSON.parse(fields[1] ?? '{}') as AuditEvent;
    return { ...event, seq: Number(id.split('-')[0]), ms: Date.parse(event.at) };
  });
}

/** The first time after `at` that the job came to a gate or an end; null where it did not. */
export function nextGate(trail: readonly TrailEvent[], jobId: string, at: number): TrailEvent | null {
  const found = trail.find(
    ({ job_id: id, from_state: from, to_state: to, ms }) =>
      id === jobId && ms >= at && to !== from && to !== null && ['gate', 'end'].includes(kindOf(to)),
  );
  return found ?? null;
}

function kindOf(status: string): string {
  return Object.hasOwn(statuses, status) ? statuses[status as Status].kind : 'unknown';
}
