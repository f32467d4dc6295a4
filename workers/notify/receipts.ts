// What is written down of a delivery: before it, that it was begun; after it, what became of it, in the trail and the numbers too.
import { isoTime, type Clock } from '../../shared/lib/clock.ts';
import type { VelvetError } from '../../shared/lib/errors.ts';
import { logfields, type Log } from '../../shared/lib/log.ts';
import type { Metrics } from '../../shared/lib/metrics.ts';
import type { AlarmStore } from '../../shared/redis/alarm-store.ts';
import { systemOperator, type AuditEvent } from '../../shared/redis/events.ts';
import type { ChannelName, Receipt } from '../../shared/rotation/alarm.ts';
import type { Times } from '../../shared/times.ts';
import type { Message, Part } from './alarm-messages.ts';
import type { Subject } from './alarm-words.ts';
import type { Sent } from './pager.ts';

export interface Writing {
  readonly alarms: AlarmStore;
  readonly channel: ChannelName;
  readonly clock: Clock;
  readonly times: Times;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Marks them as begun, so that whoever comes after a holder that died knows. Those that somebody else has taken meanwhile are left out. */
export async function begunOn(at: Writing, parts: readonly Part[]): Promise<readonly Subject[]> {
  const now = at.clock.now();
  const marked = await Promise.all(
    parts.map(async ({ subject }): Promise<readonly Subject[]> => {
      const { receipt } = subject;
      // A failure shows until a message is through, and a message that is through until an update fails.
      const status = receipt.named || receipt.status === 'failed' ? receipt.status : 'trying';
      const next = { ...receipt, status, at: now, attempts: receipt.attempts + 1, begun: true };
      const state = await at.alarms.writeReceipt(subject.state, at.channel, next, []);
      // The words are made of what was known before: whether this is a repeat, above all.
      return state === null ? [] : [{ ...subject, state }];
    }),
  );
  return marked.flat();
}

/** Whether the provider may have accepted it all the same: a 5xx is no refusal either. */
export function mayHaveArrived({ code, httpStatus = 0 }: VelvetError): boolean {
  return code === 'vendor_no_answer' || code === 'vendor_bad_answer' || httpStatus >= 500;
}

/** Nobody is to be told here; that is as good as told. */
export async function notNeeded(at: Writing, subjects: readonly Subject[]): Promise<void> {
  for (const { state, receipt } of subjects) {
    const { rev } = state.raised;
    const next: Receipt = { ...receipt, rev, status: 'not_needed', at: at.clock.now(), named: true };
    await at.alarms.writeReceipt(state, at.channel, next, []);
  }
}

export async function deliveredOn(at: Writing, { parts }: Message, sent: Sent): Promise<void> {
  const now = at.clock.now();
  await Promise.all(
    parts.map(async (part) => {
      const { state, receipt, owed } = part.subject;
      const first = receipt.first_at === null;
      const next: Receipt = {
        ...receipt,
        at: now,
        attempts: receipt.attempts + 1,
        status: part.complete ? 'delivered' : 'trying',
        rev: part.complete ? Math.max(receipt.rev, state.raised.rev) : receipt.rev,
        first_at: receipt.first_at ?? now,
        named: receipt.named || part.complete,
        missed: part.complete ? null : receipt.missed,
        begun: false,
        repeat: receipt.begun,
        told: part.told,
        error: null,
        failing_since: null,
        rejected: rejectedNow(at, receipt, sent, now),
        retries: owed ? receipt.retries + 1 : 0,
        ref: sent.ref,
      };
      const latencyMs = Math.max(0, now - state.raised.raised_at);
      if (first) at.metrics.observe('alarm', { channel: at.channel, kind: state.raised.kind }, latencyMs);
      const rejected = next.rejected.map(({ to, error }) => ({ to, error }));
      const { rev, attempts, repeat } = next;
      const detail = { rev, attempts, repeat, complete: part.complete, ref: sent.ref, rejected, latency_ms: latencyMs }; // prettier-ignore
      await at.alarms.writeReceipt(state, at.channel, next, eventOf(at, part, 'alarm_delivered', detail));
      const fields = { ...named(at, part), ref: sent.ref, latency_ms: latencyMs, attempt: attempts };
      at.log.info('alarm delivered', fields);
      if (rejected.length > 0)
        at.log.warn('alarm: some recipients were refused', { ...fields, to: rejected.map(({ to }) => to).join(',') }); // prettier-ignore
    }),
  );
  await noted(at, parts, 'delivered', null);
}

/** Those turned away for the moment are tried again, ever more seldom, and for no longer than all else. */
function rejectedNow(at: Writing, receipt: Receipt, sent: Sent, now: number): Receipt['rejected'] {
  const { alarmRecipientMs, alarmRecipientMaxMs, alarmGiveUpMs } = at.times;
  const waitMs = Math.min(alarmRecipientMs * 2 ** receipt.retries, alarmRecipientMaxMs);
  const over = receipt.first_at !== null && now - receipt.first_at > alarmGiveUpMs;
  return [
    ...receipt.rejected.filter(({ to, retry_at }) => retry_at === null && sent.rejected.every((one) => one.to !== to)), // prettier-ignore
    ...sent.rejected.map(({ to, error, temporary }) => ({
      to,
      error,
      retry_at: temporary && !over ? now + waitMs : null,
    })),
  ];
}

/** False where somebody else has taken all of it meanwhile: then this failure says nothing of the channel any more. */
export async function failedOn(at: Writing, { parts }: Message, error: VelvetError): Promise<boolean> {
  const now = at.clock.now();
  // A pause of a second is the provider's pace, not a failure.
  const paced = error.code === 'vendor_rate_limited' && (error.retryAfterMs ?? 0) <= 2 * at.times.alarmPaceMs;
  const written = await Promise.all(parts.map((part) => failedPart(at, part, { error, now, paced })));
  if (paced) return true;
  at.metrics.count('alarmFailed', { channel: at.channel, code: error.code });
  if (!written.includes(true)) return false;
  await noted(at, parts, 'failed', error.code);
  return true;
}

async function failedPart(
  at: Writing,
  part: Part,
  { error, now, paced }: { readonly error: VelvetError; readonly now: number; readonly paced: boolean },
): Promise<boolean> {
  const { state, receipt, owed } = part.subject;
  const { raised } = state;
  const since = receipt.failing_since ?? now;
  const patienceMs = raised.kind === 'drill' ? at.times.alarmDrillGiveUpMs : at.times.alarmGiveUpMs;
  const givenUp = !owed && now - since >= patienceMs;
  const next: Receipt = {
    ...receipt,
    at: now,
    attempts: receipt.attempts + 1,
    status: owed ? receipt.status : paced ? 'trying' : 'failed',
    // That this try was refused says nothing of an earlier one whose answer was lost.
    begun: mayHaveArrived(error) || receipt.begun,
    error: paced ? receipt.error : { code: error.code, detail: error.detail },
    failing_since: paced ? receipt.failing_since : since,
    failure_told: receipt.failure_told || !paced,
    ...(givenUp ? { rev: raised.rev, named: true } : {}),
    ...(owed ? retriedLater(at, receipt, error, now) : {}),
  };
  const detail = { code: error.code, reason: error.detail, attempts: next.attempts };
  const events = [
    ...(receipt.failure_told || paced ? [] : eventOf(at, part, 'alarm_failed', detail)),
    ...(givenUp ? eventOf(at, part, 'alarm_given_up', detail) : []),
  ];
  const written = await at.alarms.writeReceipt(state, at.channel, next, events);
  const fields = { ...named(at, part), attempt: next.attempts, ...logfields(error) };
  if (paced) at.log.info('alarm waits for its turn', fields);
  else at.log.warn(givenUp ? 'alarm given up' : 'alarm not delivered', fields);
  return written !== null;
}

/** Of a message that was for those alone who were turned away: they are still owed it. */
function retriedLater(
  at: Writing,
  receipt: Receipt,
  { code }: VelvetError,
  now: number,
): Pick<Receipt, 'rejected' | 'retries'> {
  const again = receipt.rejected
    .filter(({ retry_at }) => retry_at !== null)
    .map(({ to }) => ({ to, error: code, temporary: code !== 'vendor_rejected' }));
  return {
    rejected: rejectedNow(at, receipt, { ref: '', rejected: again }, now),
    retries: receipt.retries + 1,
  };
}

async function noted(
  at: Writing,
  parts: readonly Part[],
  status: 'delivered' | 'failed',
  code: string | null,
): Promise<void> {
  const kind = parts[0]?.subject.state.raised.kind ?? 'leak';
  await at.alarms.noteOutcome(at.channel, { status, kind, at: at.clock.now(), code });
}

function named({ channel }: Writing, { subject: { state } }: Part) {
  const { ref, raised } = state;
  return {
    job_id: ref.jobId,
    credential: ref.credential,
    channel,
    kind: raised.kind,
    episode: raised.episode,
  };
}

/** Drills leave no rows in a trail: they are about no credential. */
function eventOf(
  { clock, channel }: Writing,
  { subject: { state } }: Part,
  event: string,
  detail: Readonly<Record<string, unknown>>,
): readonly AuditEvent[] {
  const { ref, raised } = state;
  if (raised.kind === 'drill') return [];
  return [
    {
      at: isoTime(clock.now()),
      env: ref.env,
      job_id: ref.jobId,
      credential: ref.credential,
      operator_id: systemOperator,
      from_state: null,
      to_state: null,
      event,
      detail: { channel, episode: raised.episode, ...detail },
    },
  ];
}
