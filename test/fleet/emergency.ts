// One emergency in a fleet: started as an operator does it, with consumers that answer as a test says, and its alarm, measured where it arrives.
import { expect } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import { createAlarmStore } from '../../shared/redis/alarm-store.ts';
import { createJobStore } from '../../shared/redis/job-store.ts';
import type { AlarmState } from '../../shared/rotation/alarm.ts';
import type { JobRef } from '../../shared/rotation/effects.ts';
import type { Job } from '../../shared/rotation/job.ts';
import type { Row } from '../../shared/rotation/rows.ts';
import { times } from '../../shared/times.ts';
import { until } from '../harness.ts';
import type { Deed, ScriptedFault } from '../sim/faults.ts';
import type { SimRequest } from '../sim/requests.ts';
import { noValueLeaked } from './ends.ts';
import type { Fleet } from './fleet.ts';
import { ALERT_CHANNEL, ENV, HEALTH_ROUTE, SLACK_USER, type Consumer, type Held } from './outside.ts';
import { trailOf, type TrailEvent } from './rotation.ts';

export interface Emergency {
  readonly ref: JobRef;
  readonly credential: Held;
}

/** The specification's bound, from the flag to a channel that is up. */
const ALARM_MS = 30_000;
/** For what is no bound of its own: a busy machine is no finding. */
const COMES_MS = 90_000;
export const POST = 'POST /api/chat.postMessage';
/** What a consumer says that never asks its vendor. */
export const WELL: Deed = { status: 200, body: { status: 'ok' } };

export function credentialOf({ outside }: Fleet, n: number): Held {
  const credential = outside.credentials[n - 1];
  if (credential === undefined) throw new Error(`there is no credential ${n}`);
  return credential;
}

export function consumerOf({ name, consumers }: Held, n: number): Consumer {
  const consumer = consumers[n - 1];
  if (consumer === undefined) throw new Error(`${name} has no consumer ${n}`);
  return consumer;
}

/** One request, and the token is on its way to its end. */
export async function raise(fleet: Fleet, credential: Held): Promise<Emergency> {
  const sent = await fleet.client.ask('POST', `/tokens/${credential.name}/rotate`, {
    flow_type: 'revocation',
    idempotency_key: crypto.randomUUID(),
    ticket_id: 'SEV-FLEET',
    confirm: credential.name,
  });
  expect([sent.status, sent.body['status']]).toEqual([202, 'rev_revoking']);
  const ref = { credential: credential.name, env: ENV, jobId: String(sent.body['job_id']) };
  return { ref, credential };
}

/** An emergency in which the first consumer accepts the dead token for ever, and the others do not. */
export async function raiseLeak(fleet: Fleet, n: number): Promise<Emergency> {
  const credential = credentialOf(fleet, n);
  sinceDeath(fleet, credential, { n: 1, deed: WELL });
  return raise(fleet, credential);
}

interface Answering {
  readonly n: number;
  readonly deed: Deed;
  readonly forMs?: number;
  readonly times?: number;
}

/** How a consumer answers from the end of its token on; before it, honestly, so that its baseline is good. */
export function sinceDeath(
  { outside }: Fleet,
  credential: Held,
  { n, deed, forMs = Number.POSITIVE_INFINITY, times: often = Number.POSITIVE_INFINITY }: Answering,
): ScriptedFault {
  const where = () => {
    const death = outside.deaths.find(({ id }) => id === credential.first.id);
    return death !== undefined && systemClock.now() - death.at < forMs;
  };
  return consumerOf(credential, n).sim.script({ on: HEALTH_ROUTE, times: often, do: deed, where });
}

export async function fired(fault: ScriptedFault, what: string): Promise<number> {
  await until(
    () => (fault.fired > 0 ? true : null),
    COMES_MS,
    () => what,
  );
  return systemClock.now();
}

const storeOf = ({ redis }: Fleet) => createJobStore(redis, times.idempotencyKeepMs);

export async function alarmOf(fleet: Fleet, { ref }: Emergency): Promise<AlarmState | null> {
  return createAlarmStore(fleet.redis, ENV, storeOf(fleet)).of(ref);
}

/** When the leak was flagged (wall clock, ms); waits for it. */
export async function flagged(fleet: Fleet, emergency: Emergency): Promise<number> {
  const state = await until(
    () => alarmOf(fleet, emergency),
    COMES_MS,
    () => `the flag\n${fleet.tail(30)}`,
  );
  return state.raised.raised_at;
}

export async function endOf(
  fleet: Fleet,
  { ref }: Emergency,
): Promise<{ readonly job: Job; readonly rows: readonly Row[]; readonly trail: readonly TrailEvent[] }> {
  const store = storeOf(fleet);
  const job = await store.load(ref);
  if (job === null) throw new Error(`no job ${ref.jobId}`);
  const trail = (await trailOf(fleet, ref.credential)).filter((event) => event.job_id === ref.jobId);
  return { job, rows: await store.rows(job), trail };
}

/** Resolves when the job has come to the status; answers when it did (wall clock, ms). */
export async function comesTo(
  fleet: Fleet,
  { ref }: Emergency,
  status: 'rev_done' | 'rev_leaked',
): Promise<number> {
  const came = await until(
    async () =>
      (await trailOf(fleet, ref.credential)).find(
        (event) => event.job_id === ref.jobId && event.to_state === status,
      ) ?? null,
    COMES_MS,
    () => `${ref.credential} to come to ${status}\n${fleet.tail(30)}`,
  );
  return came.ms;
}

export type Via = 'slack' | 'dm' | 'mail';
export const everyVia: readonly Via[] = ['slack', 'dm', 'mail'];

interface Arrival {
  readonly at: number;
  readonly text: string;
}

/** Every message about the emergency that a channel took, oldest first. */
export function heard({ outside }: Fleet, { ref }: Emergency, via: Via): readonly Arrival[] {
  const { slack, smtp } = outside;
  const place = { slack: ALERT_CHANNEL, dm: slack.dm(SLACK_USER) };
  const posts = () => slack.messages.filter(({ channel }) => via !== 'mail' && channel === place[via]);
  const all = via === 'mail' ? smtp.mails : posts();
  return all.map(({ at, text }) => ({ at, text: text ?? '' })).filter(({ text }) => text.includes(ref.jobId));
}

/** Whether Slack was asked, by this request, to take a message about the emergency into the channel. */
export function isAbout({ ref }: Emergency, channel: string): (request: SimRequest) => boolean {
  return ({ route, body }) => {
    const text = JSON.stringify(body ?? '');
    return route === POST && text.includes(ref.jobId) && text.includes(channel);
  };
}

export interface Latencies {
  readonly flag: number;
  /** From the flag, in seconds. */
  readonly seconds: Readonly<Partial<Record<Via, number>>>;
}

/** Demands the alarm on each of these channels within the 30 s: the leaking consumer named, with its class, and nobody who does not accept it. */
export async function alarmed(
  fleet: Fleet,
  emergency: Emergency,
  { on, since = 0 }: { readonly on: readonly Via[]; readonly since?: number },
): Promise<Latencies> {
  const flag = await flagged(fleet, emergency);
  const seconds: Partial<Record<Via, number>> = {};
  for (const via of on) {
    const first = await until(
      () => heard(fleet, emergency, via).find(({ at }) => at >= since) ?? null,
      Math.max(1_000, flag + ALARM_MS - systemClock.now()),
      () => `${via} to hear of ${emergency.ref.credential} within 30 s of the flag\n${fleet.tail(30)}`,
    );
    seconds[via] = (first.at - flag) / 1000;
    expect(first.at - flag, `${via} hears in time`).toBeLessThanOrEqual(ALARM_MS);
    expect(first.text).toMatch(/consumer-1: accepting/);
    expect(first.text).toContain(emergency.ref.credential);
    expect(first.text).not.toContain('consumer-2: accepting');
  }
  return { flag, seconds };
}

/** How long until the last of those that were locked out was, in seconds; null where none was. */
export function lockoutSeconds(rows: readonly Row[]): number | null {
  const each = rows.flatMap(({ lockout }) => lockout?.time_to_lockout_ms ?? []);
  return each.length === 0 ? null : Math.max(...each) / 1000;
}

/** One line of what was measured, with who delivered. */
export async function reportAlarm(
  fleet: Fleet,
  name: string,
  emergency: Emergency,
  { seconds }: Latencies,
): Promise<void> {
  const { rows } = await endOf(fleet, emergency);
  const each = Object.entries(seconds).map(([via, took]) => `${via} ${took.toFixed(1)} s`);
  console.log(`fleet: alarm, ${name}: ${each.join(', ')} after the flag; lock-out of the others ${inSeconds(lockoutSeconds(rows))}; delivered by ${whoSays(fleet, emergency, 'alarm delivered').join(', ')}`); // prettier-ignore
}

export function inSeconds(seconds: number | null): string {
  return seconds === null ? 'none' : `${seconds.toFixed(1)} s`;
}

/** Who has delivered it, or tried to: `stage-1 (slack)`, by their own logs. */
export function whoSays(
  fleet: Fleet,
  { ref }: Emergency,
  what: 'alarm delivered' | 'alarm not delivered',
): readonly string[] {
  return fleet.members.all().flatMap((member) =>
    member
      .log()
      .split('\n')
      .filter((line) => line.includes(`"${what}"`) && line.includes(ref.jobId))
      .map((line) => `${member.name} (${/\bchannel=(\w+)/.exec(line)?.[1] ?? '?'})`),
  );
}

/** The drill that a fleet begins with is told everywhere: from then on every message, and every fault, is an emergency's. */
export async function drillIsOver(fleet: Fleet): Promise<void> {
  const alarms = createAlarmStore(fleet.redis, ENV, storeOf(fleet));
  await until(
    async () => {
      const outcomes = await alarms.outcomes();
      return everyVia.every((via) => outcomes[via]?.status === 'delivered') ? true : null;
    },
    ALARM_MS,
    () => `the drill of the first minute\n${fleet.tail(30)}`,
  );
}

/** No value is in any place that has heard of the emergency; waits until Slack has. */
export async function nothingLeaked(fleet: Fleet, emergency: Emergency): Promise<void> {
  const { jobId } = emergency.ref;
  const { slack, smtp } = fleet.outside;
  await until(
    () => slack.messages.find(({ text }) => text?.includes(jobId)) ?? null,
    ALARM_MS,
    () => `Slack to be told of ${jobId}; it heard ${JSON.stringify(slack.messages.map(({ text }) => text))}\n${fleet.tail(20)}`, // prettier-ignore
  );
  const mails = smtp.mails.map(({ raw, text }) => `${raw}\n${text}`).join('\n');
  // Of what is no leak no mail tells.
  const named = heard(fleet, emergency, 'mail').length > 0;
  await noValueLeaked(fleet, jobId, named ? { mails: Buffer.from(mails) } : {});
}
