// The runbook's day, on top of one rotation: a second operator is refused, web is killed while the stream is followed, and nothing of the stream is lost or doubled.
import { systemClock } from '../../shared/lib/clock.ts';
import { refuse } from '../cli/say.ts';
import { pause, type Client, type StreamEvent } from './client.ts';
import type { Screen } from './screen.ts';

/** What else happens while a rotation is walked. */
export interface Scenario {
  /** With the job at its gate before the mint. */
  beforeMint(jobId: string): Promise<void>;
  /** Once, when the first consumer is being written. */
  whileDistributing(): Promise<void>;
}

export interface RunbookOptions {
  readonly screen: Screen;
  readonly credential: string;
  /** Of another person. */
  readonly second: Client;
  readonly webPid: () => number | undefined;
}

const BACK_MS = 15_000;

export function runbook({ screen, credential, second, webPid }: RunbookOptions): Scenario {
  return {
    async beforeMint(jobId) {
      const base = `/tokens/${credential}`;
      const request = {
        flow_type: 'operational',
        idempotency_key: crypto.randomUUID(),
        force_revoke: false,
      };
      const created = await second.ask('POST', `${base}/rotate`, request);
      const path = `${base}/rotations/${String(created.body['job_id'])}/stage`;
      const answer = await second.ask('POST', path, { action: 'verify' });
      const { code, detail } = answer.body;
      if (answer.status !== 409 || code !== 'claimed' || !String(detail).includes(jobId))
        refuse(`the second operator was answered ${answer.status} ${String(code)}: ${String(detail)}`);
      screen.say(`a second operator's verify is refused: ${answer.status} ${code}: ${String(detail)}`);
      await second.ask('POST', path, { action: 'abort' });
    },

    async whileDistributing() {
      const before = webPid();
      if (before === undefined) throw new Error('web does not run');
      process.kill(before, 'SIGKILL');
      screen.say(`web (${before}) is killed while its stream is followed`);
      const end = systemClock.monotonic() + BACK_MS;
      for (;;) {
        const now = webPid();
        if (now !== undefined && now !== before) return;
        if (systemClock.monotonic() > end) refuse(`web did not come back within ${BACK_MS / 1000} s`);
        await pause(50);
      }
    },
  };
}

export interface StreamCheck {
  readonly events: number;
  readonly lost: number;
  readonly doubled: number;
}

interface TrailRow {
  readonly job_id?: string;
  readonly seq: string;
  readonly event: string;
}

/** What the stream told against the audit trail's rows of the job; it ends with the job, and an alarm's last receipts may come after that. */
export async function checkStream(
  client: Client,
  credential: string,
  { jobId, trail }: { readonly jobId: string; readonly trail: readonly StreamEvent[] },
): Promise<StreamCheck> {
  const written: { readonly seq: number; readonly ofAlarm: boolean }[] = [];
  let before = '';
  for (;;) {
    const page = await client.ask('GET', `/tokens/${credential}/audit?limit=100${before}`);
    const rows = page.body['rows'];
    if (!Array.isArray(rows)) return refuse(`the audit trail was answered with ${page.status}`);
    for (const row of rows as TrailRow[])
      if (row.job_id === jobId)
        written.push({ seq: Number(row.seq.split('.').at(-1)), ofAlarm: row.event.startsWith('alarm_') });
    const next = page.body['next'];
    if (typeof next !== 'string') break;
    before = `&before=${next.split('.').at(-1)}`;
  }
  const told = new Set(trail.map(({ seq }) => seq));
  const last = Math.max(...written.filter(({ ofAlarm }) => !ofAlarm).map(({ seq }) => seq));
  const due = written.filter(({ seq }) => seq <= last || told.has(seq));
  return {
    events: due.length,
    lost: due.filter(({ seq }) => !told.has(seq)).length,
    doubled: trail.length - told.size,
  };
}
