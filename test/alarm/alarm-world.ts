// Leaks on a real Redis, providers that answer as the real ones do, and as many processes that deliver as a test wants.
import { Redis } from 'ioredis';
import { systemClock } from '../../shared/lib/clock.ts';
import type { AlarmEnv } from '../../shared/lib/env-alarm.ts';
import { createLog } from '../../shared/lib/log.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { createAlarmStore, type AlarmStore } from '../../shared/redis/alarm-store.ts';
import { commitId } from '../../shared/redis/job-writes.ts';
import { createFeed } from '../../shared/redis/feed.ts';
import { createJobStore, type JobStore } from '../../shared/redis/job-store.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { createMetrics } from '../../shared/redis/metrics.ts';
import { runScript } from '../../shared/redis/scripts.ts';
import type { ChannelName, Receipt } from '../../shared/rotation/alarm.ts';
import type { JobRef } from '../../shared/rotation/effects.ts';
import type { LockoutClass } from '../../shared/rotation/lockout.ts';
import { newRow, tally, type Row } from '../../shared/rotation/rows.ts';
import type { Times } from '../../shared/times.ts';
import { createDoor } from '../../workers/vendors/http.ts';
import { mailChannel } from '../../workers/notify/mail.ts';
import { createPager, type Channel, type Pager } from '../../workers/notify/pager.ts';
import { slackChannels } from '../../workers/notify/slack-channels.ts';
import { webhookChannel } from '../../workers/notify/webhook.ts';
import { quickTimes } from '../harness.ts';
import { startPagerDuty, type PagerDutySim } from '../sim/pager-duty.ts';
import { startSlack, type SlackOptions, type SlackSim } from '../sim/slack.ts';
import { startSmtp, type SmtpSim } from '../sim/smtp.ts';

export const ENV = 'prod';
export const ALERT = 'C0ALERT';
export const OPERATOR = 'U0OPERATOR';
export const secrets = {
  slack: 'xoxb-alarm-token',
  password: 'smtp-password-1',
  routingKey: 'routing-key-0123456789abcdef',
};
const PUBLIC_URL = 'https://velvet.example.com';

export interface LeakSpec {
  readonly credential?: string;
  readonly jobId?: string;
  /** Consumer → how it answered. */
  readonly leaking?: Readonly<Record<string, LockoutClass>>;
  readonly settling?: readonly string[];
  readonly person?: string | null;
}

export interface Process {
  readonly pager: Pager;
  readonly channels: readonly Channel[];
  round(): Promise<void>;
  deliver(name: ChannelName, patienceMs?: number): Promise<void>;
}

export interface AlarmWorld extends AsyncDisposable {
  readonly redis: Redis;
  readonly store: JobStore;
  readonly alarms: AlarmStore;
  readonly slack: SlackSim;
  readonly smtp: SmtpSim;
  readonly pagerDuty: PagerDutySim;
  readonly log: string[];
  /** A job whose consumers leak, and its alarm, as the scripts of a job raise it. */
  leak(spec?: LeakSpec): Promise<JobRef>;
  /** Rows as they are from now on, and the alarm brought up to date; `fresh`: a new episode. */
  change(ref: JobRef, rows: readonly Row[], fresh?: boolean): Promise<void>;
  end(ref: JobRef, status?: string): Promise<void>;
  receipt(ref: JobRef, channel: ChannelName): Promise<Receipt | undefined>;
  events(
    ref: JobRef,
  ): Promise<readonly { readonly event: string; readonly detail: Readonly<Record<string, unknown>> }[]>;
  process(more?: ProcessSpec): Process;
}

export interface ProcessSpec {
  readonly only?: readonly ChannelName[];
  readonly env?: Partial<AlarmEnv>;
  readonly times?: Partial<Times>;
}

export interface WorldSpec {
  readonly slack?: Partial<SlackOptions>;
  readonly to?: readonly string[];
}

export function row(
  consumerId: string,
  status: Row['validate_status'],
  seen: LockoutClass | null = null,
): Row {
  const pinned = {
    consumer_id: consumerId,
    update_method: 'HEROKU_CONFIG_PATCH',
    wave: 1,
    healthcheck_endpoint: null,
    healthcheck_success_status: 200,
    healthcheck_after: 0,
  };
  const http = seen === null ? null : (({ accepting: 200, forbidden: 403, erroring: 500 } as Record<string, number>)[seen] ?? null); // prettier-ignore
  const lockout = seen === null ? null : { class: seen, http_status: http, weak: false, uncontrolled: false, time_to_lockout_ms: null }; // prettier-ignore
  return { ...newRow(pinned, 1), validate_status: status, lockout };
}

async function raise(redis: Redis, ref: JobRef, fresh: boolean): Promise<void> {
  const keys = credentialKeys(ref.credential, ref.env);
  const arg = { commit_id: commitId(), id: ref.jobId, at: systemClock.now(), fresh };
  await runScript(redis, 'raiseAlarm', [keys.alarms, keys.calls], { ...arg, texts: ['"kind":"leak"'] });
}

/** A job whose consumers leak, and its alarm, in any Velvet. */
export async function openLeak(
  redis: Redis,
  store: JobStore,
  leak: LeakSpec & { readonly env: string },
): Promise<JobRef> {
  const ref = {
    credential: leak.credential ?? 'HK_PLATFORM_FULL',
    env: leak.env,
    jobId: leak.jobId ?? crypto.randomUUID(),
  };
  const leaking = Object.entries(leak.leaking ?? { 'console-prod': 'accepting' as const });
  const rows = [
    ...leaking.map(([name, seen]) => row(name, 'failed', seen)),
    ...(leak.settling ?? []).map((name) => row(name, 'in_progress')),
  ];
  await store.open({
    ref,
    fields: {
      flow_type: 'revocation',
      status: 'rev_leaked',
      status_since: 1,
      status_version: 1,
      phase: 'lockout',
      created_at: 1,
      updated_at: 1,
      created_by: 'ada',
      issuer: 'heroku-oauth',
      authority: 'HK_VELVET_BOOTSTRAP',
      moved_by: 'ada',
      moved_by_slack: leak.person === undefined ? OPERATOR : leak.person,
    },
    rows,
    tally: tally(rows, 'lockout'),
    event: { at: '', env: leak.env, job_id: ref.jobId, credential: ref.credential, operator_id: 'ada', from_state: null, to_state: 'rev_leaked', event: 'created', detail: {} }, // prettier-ignore
    idem: { hash: `idem-${ref.jobId}`, bodyHash: 'body' },
    now: 1,
  });
  await raise(redis, ref, true);
  return ref;
}

export async function alarmWorld(url: string, spec: WorldSpec = {}): Promise<AlarmWorld> {
  const redis = new Redis(url, { maxRetriesPerRequest: null });
  await redis.flushall();
  const slack = await startSlack({
    token: secrets.slack,
    users: [OPERATOR],
    channels: [ALERT, 'C0OPS'],
    ...spec.slack,
  });
  const smtp = await startSmtp({ login: { user: 'velvet', password: secrets.password } });
  const pagerDuty = await startPagerDuty(secrets.routingKey);
  const store = createJobStore(redis, 60_000);
  const alarms = createAlarmStore(redis, ENV, store);
  const log: string[] = [];
  const env: AlarmEnv = {
    slack: {
      token: new Secret(secrets.slack),
      apiUrl: slack.apiUrl,
      operatorChannel: 'C0OPS',
      alertChannel: ALERT,
    },
    mail: {
      host: smtp.host,
      port: smtp.port,
      tls: 'none',
      auth: { user: new Secret('velvet'), password: new Secret(secrets.password) },
      from: 'velvet@example.com',
      to: spec.to ?? ['ops@example.com'],
    },
    webhook: { url: new Secret(pagerDuty.enqueueUrl) },
  };
  const metrics = createMetrics(redis, 20);

  return {
    redis,
    store,
    alarms,
    slack,
    smtp,
    pagerDuty,
    log,
    leak: (leak = {}) => openLeak(redis, store, { env: ENV, ...leak }),
    async change(ref, rows, fresh = false) {
      const key = credentialKeys(ref.credential, ref.env).rows(ref.jobId);
      for (const one of rows) await redis.hset(key, one.consumer_id, JSON.stringify(one));
      await raise(redis, ref, fresh);
    },
    async end(ref, status = 'rev_done') {
      await redis.hset(credentialKeys(ref.credential, ref.env).job(ref.jobId), 'status', status);
    },
    receipt: async (ref, channel) => (await alarms.of(ref))?.receipts[channel],
    events: async (ref) =>
      (await createFeed(redis, redis).read(ref.credential, ref.env, 0, 10_000)).filter(
        (event) => event.job_id === ref.jobId && event.event.startsWith('alarm_'),
      ),
    process({ only, env: own, times: ownTimes } = {}) {
      // Long enough for a machine that is busy; where a try is to end, the test says when.
      const times = { ...quickTimes, alarmPollMs: 0, alarmPaceMs: 1, alarmLeaseMs: 6_000, alarmSendMs: 5_000, ...ownTimes }; // prettier-ignore
      const door = createDoor({ fetch: globalThis.fetch, clock: systemClock, times });
      const all = { ...env, ...own };
      const words = createLog({ env: ENV, family: 'notifier', write: (line) => log.push(line) });
      const channels = [
        ...(all.slack === null ? [] : slackChannels({ env: all.slack, door, times, log: words })),
        ...(all.mail === null ? [] : [mailChannel({ env: all.mail, times })]),
        ...(all.webhook === null ? [] : [webhookChannel({ env: all.webhook, door, times })]),
      ].filter(({ name }) => only?.includes(name) ?? true);
      const pager = createPager({
        channels,
        alarms,
        store,
        env: ENV,
        publicUrl: PUBLIC_URL,
        clock: systemClock,
        times,
        log: words,
        metrics,
      });
      const never = new AbortController().signal;
      return {
        pager,
        channels,
        round: () => pager.round(never),
        async deliver(name, patienceMs = 0) {
          const channel = channels.find((one) => one.name === name);
          if (channel !== undefined) await pager.deliver(channel, patienceMs, never);
        },
      };
    },
    async [Symbol.asyncDispose]() {
      await metrics.close();
      redis.disconnect();
      await Promise.all([slack.close(), smtp.close(), pagerDuty.close()]);
    },
  };
}
