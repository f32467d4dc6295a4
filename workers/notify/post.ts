// One message to Slack: to a person, or to one of the two channels. What keeps it from being posted for good is put on record.
import { isoTime } from '../../shared/lib/clock.ts';
import { isVelvetError, type VelvetError } from '../../shared/lib/errors.ts';
import { leaseFrom } from '../../shared/lib/lease.ts';
import { systemOperator } from '../../shared/redis/events.ts';
import type { AlarmStore } from '../../shared/redis/alarm-store.ts';
import type { ScheduleStore } from '../../shared/redis/schedule-store.ts';
import type { SystemStore } from '../../shared/redis/system-store.ts';
import { isBehind, receiptNow } from '../../shared/rotation/alarm.ts';
import type { JobRef } from '../../shared/rotation/effects.ts';
import type { Handler, TaskContext } from '../run.ts';
import type { CoreDeps } from '../stages/deps.ts';
import type { VendorCall } from '../vendors/contract.ts';
import type { Slack } from './slack.ts';

export interface NotifierDeps extends CoreDeps {
  /** Null where Slack is not configured. */
  readonly slack: {
    readonly client: Slack;
    readonly operatorChannel: string;
    readonly alertChannel: string;
  } | null;
  readonly schedules: ScheduleStore;
  readonly alarms: Pick<AlarmStore, 'raised'>;
  readonly system: Pick<SystemStore, 'flags'>;
  readonly publicUrl: string | null;
}

export interface Message {
  readonly ref: JobRef;
  /** A person's Slack id, or one of the channels. */
  readonly to: 'alert' | 'operators' | { readonly person: string };
  readonly text: string;
  /** What the log says of it, beside to whom. */
  readonly logged: Readonly<Record<string, string>>;
}

/** Answers Slack's `ts` once Slack accepted it; null where there is no Slack to tell. Whom Slack does not know is told in the operators' channel. */
export async function post(
  deps: NotifierDeps,
  context: TaskContext,
  { ref, to, text, logged }: Message,
): Promise<string | null> {
  const { slack } = deps;
  if (slack === null) {
    context.log.warn('nobody told: SL_BOT_NOTIFY is not set', logged);
    return null;
  }
  const { operatorChannel, alertChannel } = slack;
  const send = async (channel: string) => {
    const ts = await slack.client.post(callOf(deps, context, ref), channel, text);
    context.log.info('operator told', { ...logged, to: channel, slack_ts: ts });
    return ts;
  };
  if (to === 'alert') return send(alertChannel);
  if (to === 'operators') return send(operatorChannel);
  try {
    return await send(to.person);
  } catch (error) {
    // Somebody who left, or a mistyped id: the message is for whoever works on it now.
    if (!isVelvetError(error) || error.code !== 'vendor_rejected') throw error;
    context.log.warn('not told in person', { to: to.person, detail: error.detail });
    return send(operatorChannel);
  }
}

/** Whether a leak waits for the alert channel, or to be told in person: Slack takes one message a second there, and that one is the alarm's. */
export async function alarmWaits(
  { alarms, slack }: Pick<NotifierDeps, 'alarms' | 'slack'>,
  channel: 'slack' | 'dm',
): Promise<boolean> {
  if (slack === null) return false;
  // Ahead of other notices, not instead of them: one that the channel refuses may be tried for a day.
  return (await alarms.raised()).some(
    (state) =>
      state.raised.kind === 'leak' &&
      isBehind(state, channel) &&
      receiptNow(state, channel).failing_since === null,
  );
}

function callOf({ clock, times }: NotifierDeps, { signal }: TaskContext, { jobId }: JobRef): VendorCall {
  const fence = '0-notify';
  const lease = leaseFrom(clock, fence, clock.now() + times.leaseMs, clock.monotonic(), times.leaseMs);
  return { jobId, fence, lease, signal, repeat: false };
}

/** The job does not depend on its message; that nobody was told is on record, with the reason. */
export function notDelivered(deps: Pick<NotifierDeps, 'claims' | 'clock'>): Handler['failed'] {
  return (task, error: VelvetError) =>
    deps.claims.record(task.credential, task.env, {
      at: isoTime(deps.clock.now()),
      env: task.env,
      job_id: task.effect === 'tell_overdue' ? null : task.jobId,
      credential: task.credential,
      operator_id: systemOperator,
      from_state: null,
      to_state: null,
      event: 'notice_lost',
      detail: { about: task.effect, code: error.code, reason: error.detail },
    });
}
