// The alarm's part of every worker family: its channels, the duty that looks for alarms, and the drill. Law: any family that is left delivers.
import type { AlarmEnv } from '../shared/lib/env-alarm.ts';
import { logfields } from '../shared/lib/log.ts';
import { createAlarmStore, type AlarmStore } from '../shared/redis/alarm-store.ts';
import type { SealStore } from '../shared/redis/seal-store.ts';
import type { WorkerFamily } from '../shared/redis/system-store.ts';
import { providersOf } from '../shared/rotation/alarm.ts';
import type { Duty } from './duties.ts';
import type { Parts } from './family-deps.ts';
import { mailChannel } from './notify/mail.ts';
import { createPager, type Channel } from './notify/pager.ts';
import { slackChannels } from './notify/slack-channels.ts';
import { webhookChannel } from './notify/webhook.ts';
import type { Handler } from './run.ts';

export interface FamilyEnv extends AlarmEnv {
  readonly appEnv: string;
  readonly publicUrl?: string | null;
}

export interface Alarm {
  readonly alarms: AlarmStore;
  readonly duties: readonly Duty[];
  /** For the orders that come with the flag: the fast way. Whatever they miss the duty finds. */
  readonly told: Handler;
}

export function alarmOf(family: WorkerFamily, env: FamilyEnv, parts: Omit<Parts, 'alarms'>): Alarm {
  const { core, around, metrics } = parts;
  const { times, clock, store } = core;
  const { log } = around;
  const alarms = createAlarmStore(around.redis, env.appEnv, store);
  const channels = channelsOf(env, parts);
  const publicUrl = env.publicUrl ?? null;
  const pager = createPager({
    channels,
    alarms,
    store,
    env: env.appEnv,
    publicUrl,
    clock,
    times,
    log,
    metrics,
  });
  const names = channels.map(({ name }) => name);
  if (env.appEnv === 'prod' && providersOf(names).length < 2)
    log.warn('the alarm has fewer than two channels: whatever silences one silences it', { channels: names.join(',') }); // prettier-ignore
  const [everyMs, patienceMs] =
    family === 'notifier' ? [times.alarmPollMs, 0] : [times.alarmStandInPollMs, times.alarmStandInMs];
  return {
    alarms,
    duties: [
      // Each for itself: a channel that hangs holds up none of the others.
      ...channels.map((channel) => ({
        everyMs,
        does: (stopping: AbortSignal) => pager.deliver(channel, patienceMs, stopping),
      })),
      {
        everyMs: times.availabilityMs,
        does: () => alarms.declare(family, { channels: names, publicUrl }, clock.now()),
      },
      { everyMs: times.alarmStandInMs, does: () => pager.settle() },
    ],
    told: {
      async run(_task, { signal }) {
        await pager.round(signal);
        return 'done';
      },
      failed: (task, error) => {
        log.warn('the order to tell an alarm failed; the duty tells it', {
          job_id: task.jobId,
          ...logfields(error),
        });
        return Promise.resolve();
      },
    },
  };
}

function channelsOf(env: AlarmEnv, { door, core, around }: Omit<Parts, 'alarms'>): readonly Channel[] {
  const { times } = core;
  return [
    ...(env.slack === null ? [] : slackChannels({ env: env.slack, door, times, log: around.log })),
    ...(env.mail === null ? [] : [mailChannel({ env: env.mail, times })]),
    ...(env.webhook === null ? [] : [webhookChannel({ env: env.webhook, door, times })]),
  ];
}

export interface DrillDeps {
  readonly alarms: AlarmStore;
  readonly hold: SealStore['hold'];
  readonly now: () => number;
  readonly times: { readonly alarmDrillMs: number; readonly scheduleMs: number };
}

/** Once a day, from one process. That it was done is kept for as long as it is not due again, across every restart of ours. */
export function dailyDrill({ alarms, hold, now, times }: DrillDeps): Duty {
  return {
    everyMs: times.scheduleMs,
    async does() {
      const { channels } = await alarms.declared(now());
      if (channels.length === 0) return;
      const id = crypto.randomUUID();
      if (!(await hold('alarm-drill', id, times.alarmDrillMs))) return;
      try {
        await alarms.drill(id, now(), null);
      } catch (error) {
        await hold('alarm-drill', id, 0);
        throw error;
      }
    },
  };
}
