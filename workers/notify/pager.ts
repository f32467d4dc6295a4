// Delivers alarms. Law: each channel for itself; one try under a lease that all processes share; what was begun and not receipted is told again, as a repeat.
import { randomUUID } from 'node:crypto';
import type { Clock } from '../../shared/lib/clock.ts';
import { leaseFrom, type Lease } from '../../shared/lib/lease.ts';
import { isVelvetError, type VelvetError } from '../../shared/lib/errors.ts';
import { logfields, type Log } from '../../shared/lib/log.ts';
import type { Metrics } from '../../shared/lib/metrics.ts';
import type { AlarmStore } from '../../shared/redis/alarm-store.ts';
import type { JobStore } from '../../shared/redis/job-store.ts';
import {
  isBehind,
  isOwed,
  receiptNow,
  type AlarmState,
  type ChannelName,
} from '../../shared/rotation/alarm.ts';
import type { Times } from '../../shared/times.ts';
import type { VendorCall } from '../vendors/contract.ts';
import { compose, type Message } from './alarm-messages.ts';
import { isOverNow, type Script, type Subject } from './alarm-words.ts';
import { begunOn, deliveredOn, failedOn, mayHaveArrived, notNeeded, type Writing } from './receipts.ts';

/** What a provider took, and whom it turned away beside that. */
export interface Sent {
  readonly ref: string;
  readonly rejected: readonly { readonly to: string; readonly error: string; readonly temporary: boolean }[];
}

export interface Channel {
  readonly name: ChannelName;
  /** Least time between two messages. */
  readonly paceMs: number;
  /** How many alarms one message may be about, and how many characters it may have. */
  readonly most: number;
  readonly room: number;
  readonly script: Script;
  /** For whom it is: alarms for the same people go into one message. Null where nobody is to be told here. */
  audience(subject: Subject): string | null;
  /** One try. Throws `vendor_*`; `vendor_no_answer` where it may have been accepted. */
  send(call: VendorCall, message: Message, audience: string): Promise<Sent>;
}

export interface PagerDeps {
  readonly channels: readonly Channel[];
  readonly alarms: AlarmStore;
  readonly store: Pick<JobStore, 'load' | 'rows'>;
  readonly env: string;
  readonly publicUrl: string | null;
  readonly clock: Clock;
  readonly times: Times;
  readonly log: Log;
  readonly metrics: Metrics;
}

export interface Pager {
  /** Tells on one channel whatever has been behind for `patienceMs`, until nothing is, or it must wait. Never twice at once. */
  deliver(channel: Channel, patienceMs: number, stopping: AbortSignal): Promise<void>;
  /** The same on every channel, side by side, and at once. */
  round(stopping: AbortSignal): Promise<void>;
  /** Takes off the list what is over and told on every channel that the fleet has. */
  settle(): Promise<void>;
}

interface Standing {
  busy: boolean;
  again: boolean;
  failures: number;
  /** Monotonic; before it this process tries nothing there, but others may. */
  notBefore: number;
}

export function createPager(deps: PagerDeps): Pager {
  const holder = randomUUID();
  const standings = new Map(
    deps.channels.map(({ name }) => [name, { busy: false, again: false, failures: 0, notBefore: 0 }]),
  );
  const { alarms, clock, times } = deps;
  let listed: { readonly at: number; readonly states: Promise<readonly AlarmState[]> } | null = null;

  /** The channels look at the same moments, and one look does for all of them. What is sent is read anew under the lease. */
  function look(): Promise<readonly AlarmState[]> {
    const now = clock.monotonic();
    if (listed === null || now - listed.at >= times.alarmPollMs / 2)
      listed = { at: now, states: alarms.raised() };
    return listed.states;
  }

  async function deliver(channel: Channel, patienceMs: number, stopping: AbortSignal): Promise<void> {
    const own = standings.get(channel.name);
    if (own === undefined) return;
    if (!own.busy && due(deps, await look(), { name: channel.name, patienceMs }).length === 0) return;
    own.again = true;
    if (own.busy) return;
    own.busy = true;
    try {
      while (own.again && !stopping.aborted) {
        own.again = false;
        await drain(channel, own, { patienceMs, stopping });
      }
    } finally {
      own.busy = false;
    }
  }

  async function drain(
    channel: Channel,
    own: Standing,
    { patienceMs, stopping }: { readonly patienceMs: number; readonly stopping: AbortSignal },
  ): Promise<void> {
    while (!stopping.aborted && clock.monotonic() >= own.notBefore) {
      if (due(deps, await alarms.raised(), { name: channel.name, patienceMs }).length === 0) return;
      const pausedMs = await alarms.pausedMs(channel.name);
      // A pace is waited for; a pause that the provider asked for is looked at again at the next round.
      if (pausedMs > channel.paceMs) return;
      if (pausedMs > 0) {
        await pause(pausedMs, stopping);
        continue;
      }
      const askedAt = clock.monotonic();
      const until = clock.now() + times.alarmLeaseMs;
      if (!(await alarms.lease(channel.name, holder, times.alarmLeaseMs))) return;
      try {
        const lease = leaseFrom(clock, '0-alarm', until, askedAt, times.alarmLeaseMs);
        if (!(await one(channel, own, { patienceMs, lease }))) return;
      } finally {
        // At once, so that after a failure another process may try with what it has.
        await alarms.lease(channel.name, holder, 0);
      }
    }
  }

  /** One message. False where there is nothing left to try here for the moment. */
  async function one(
    channel: Channel,
    own: Standing,
    { patienceMs, lease }: { readonly patienceMs: number; readonly lease: Lease },
  ): Promise<boolean> {
    const writing: Writing = { ...deps, channel: channel.name };
    const behind = due(deps, await alarms.raised(), { name: channel.name, patienceMs });
    const waiting = await subjectsOf(deps, channel, behind);
    const nobody = waiting.filter((subject) => channel.audience(subject) === null);
    if (nobody.length > 0) {
      await notNeeded(writing, nobody);
      return true;
    }
    const [first] = waiting;
    const audience = first === undefined ? null : channel.audience(first);
    if (first === undefined || audience === null) return false;
    const together = waiting.filter(
      (one) => channel.audience(one) === audience && one.state.raised.kind === first.state.raised.kind,
    );
    const declared = await alarms.declared(clock.now());
    const form = { ...deps, ...channel, publicUrl: deps.publicUrl ?? declared.publicUrl };
    const marked = await begunOn(writing, compose(together, form).parts);
    if (marked.length === 0) return true;
    const message = compose(marked, form);
    const call = { jobId: first.state.ref.jobId, fence: lease.fence, lease, signal: new AbortController().signal, repeat: false }; // prettier-ignore
    try {
      const sent = await channel.send(call, message, audience);
      if (channel.paceMs > 0) await alarms.pause(channel.name, channel.paceMs);
      own.failures = 0;
      await deliveredOn(writing, message, sent);
      return true;
    } catch (error) {
      if (!isVelvetError(error) || error.code === 'store_unavailable') throw error;
      return (await failedOn(writing, message, error)) && heldBack(channel, own, error);
    }
  }

  /** After a failure: who waits, and for how long. True where it is only the provider's pace. */
  async function heldBack(channel: Channel, own: Standing, error: VelvetError): Promise<boolean> {
    if (error.code === 'vendor_rate_limited') {
      const askedMs = Math.min(error.retryAfterMs ?? times.alarmPaceMs, times.alarmPauseMaxMs);
      await alarms.pause(channel.name, askedMs);
      return askedMs <= times.alarmPaceMs;
    }
    own.failures += 1;
    const backoffMs = Math.min(times.alarmBackoffMs * 2 ** (own.failures - 1), times.alarmBackoffMaxMs);
    own.notBefore = clock.monotonic() + backoffMs;
    // From another process at once it would be a second message, as a rule.
    if (mayHaveArrived(error)) await alarms.pause(channel.name, backoffMs);
    return false;
  }

  return {
    deliver,

    async round(stopping) {
      listed = null;
      await Promise.all(
        deps.channels.map((channel) =>
          // One channel's trouble is not another's, and the next round is near.
          deliver(channel, 0, stopping).catch((error: unknown) =>
            deps.log.warn('a round of the alarm failed', { channel: channel.name, ...logfields(error) }),
          ),
        ),
      );
    },

    async settle() {
      const raised = await alarms.raised();
      if (raised.length === 0) return;
      const { channels } = await alarms.declared(clock.now());
      for (const state of raised) {
        if (channels.some((name) => isBehind(state, name) || hasOwed(state, name))) continue;
        const [subject] = await subjectsOf(deps, { name: 'slack', most: 1 }, [state]);
        if (subject !== undefined && isOverNow(subject)) await alarms.end(state);
      }
    },
  };
}

function hasOwed({ receipts }: AlarmState, name: ChannelName): boolean {
  return receipts[name]?.rejected.some(({ retry_at }) => retry_at !== null) ?? false;
}

/**
 * What is to be told on the channel: leaks before drills, what was not refused before what was (one that nobody takes must not
 * hold up the others), first messages before updates, oldest first.
 */
function due(
  { clock }: Pick<PagerDeps, 'clock'>,
  raised: readonly AlarmState[],
  { name, patienceMs }: { readonly name: ChannelName; readonly patienceMs: number },
): readonly AlarmState[] {
  const now = clock.now();
  const waiting = raised.filter(
    (state) =>
      (isBehind(state, name) || isOwed(state, name, now)) && now - state.raised.changed_at >= patienceMs,
  );
  const rank = (state: AlarmState) => {
    const { failing_since, named } = receiptNow(state, name);
    return Number(state.raised.kind === 'drill') * 4 + Number(failing_since !== null) * 2 + Number(named);
  };
  return waiting.toSorted((a, b) => rank(a) - rank(b));
}

async function subjectsOf(
  { store, log }: Pick<PagerDeps, 'store' | 'log'>,
  { name, most }: Pick<Channel, 'name' | 'most'>,
  states: readonly AlarmState[],
): Promise<readonly Subject[]> {
  return Promise.all(
    states.slice(0, most).map(async (state): Promise<Subject> => {
      const about = { state, receipt: receiptNow(state, name), channel: name, owed: !isBehind(state, name) };
      try {
        const job = state.raised.kind === 'drill' ? null : await store.load(state.ref);
        return { ...about, job, rows: job === null ? [] : await store.rows(job) };
      } catch (error) {
        if (!isVelvetError(error) || error.code !== 'invariant_broken') throw error;
        // A record that cannot be read must not keep its own alarm, or the others', from being told.
        log.error('the record of an alarm is not understood', { job_id: state.ref.jobId }, { cause: error });
        return { ...about, job: null, rows: [] };
      }
    }),
  );
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
  });
}
