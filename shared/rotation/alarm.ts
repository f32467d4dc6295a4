// What an alarm is, what a channel's receipt says of it, and what of both a caller sees. Pure: delivery is the pager's.
import { z } from 'zod';
import type { JobRef } from './effects.ts';

export const channelNames = ['slack', 'dm', 'mail', 'webhook'] as const;
export type ChannelName = (typeof channelNames)[number];

/** Who carries them: two channels of one provider fall silent together. */
export function providersOf(channels: readonly ChannelName[]): readonly string[] {
  return [...new Set(channels.map((name) => (name === 'dm' ? 'slack' : name)))];
}

const instant = z.number().int().nonnegative();

/** An alarm as its raising wrote it. What it is about is read when it is told: the job and its rows may have moved on since. */
export const raisedSchema = z.object({
  kind: z.enum(['leak', 'drill']),
  /** A leak's next probing of everything (`retry`) that finds it leaking again is another episode, and another first message. */
  episode: z.number().int().positive(),
  raised_at: instant,
  /** Raised by each change that is to be told. */
  rev: z.number().int().positive(),
  changed_at: instant,
  /** Of a drill: whose direct messages it tries. */
  person: z.string().nullable().default(null),
});
export type Raised = z.infer<typeof raisedSchema>;

const rejectedSchema = z.object({
  to: z.string(),
  error: z.string(),
  /** When it is tried again; null where it was refused for good. */
  retry_at: instant.nullable(),
});

export const receiptSchema = z.object({
  episode: z.number().int().positive(),
  /** Up to which change the channel has accepted everything; 0: nothing yet. */
  rev: z.number().int().nonnegative(),
  /** `not_needed`: nobody is to be told there. */
  status: z.enum(['delivered', 'failed', 'trying', 'not_needed']),
  at: instant,
  /** Of this episode. */
  attempts: z.number().int().nonnegative(),
  /** When a message of the episode was accepted first. */
  first_at: instant.nullable(),
  /** Whether the episode's first message is through to its end: everything was named that leaked. */
  named: z.boolean(),
  /** The first of the episodes before this one that nobody was told of here: it is named with this one. */
  missed: z.number().int().positive().nullable(),
  /** A sending was begun, and how it ended is not known: the next message may be a repeat. */
  begun: z.boolean(),
  /** Whether the last message said so. */
  repeat: z.boolean(),
  /** The consumers that were named in this episode, each with what was said of it. */
  told: z.record(z.string(), z.string()),
  error: z.object({ code: z.string(), detail: z.string() }).nullable(),
  failing_since: instant.nullable(),
  /** Whether the trail says already that it failed in this episode. */
  failure_told: z.boolean(),
  rejected: z.array(rejectedSchema),
  retries: z.number().int().nonnegative(),
  /** The provider's own name for the message. */
  ref: z.string().nullable(),
});
export type Receipt = z.infer<typeof receiptSchema>;

/** One alarm with all receipts, of one moment. Its id is its job's; a drill has an id and no job. */
export interface AlarmState {
  readonly ref: JobRef;
  readonly raised: Raised;
  readonly receipts: Readonly<Partial<Record<ChannelName, Receipt>>>;
  /** The same as they are stored: what the next writing is compared with. */
  readonly stored: Readonly<Partial<Record<ChannelName, string>>>;
}

/** Whether the channel lacks something that is to be told there. */
export function isBehind({ raised, receipts }: AlarmState, channel: ChannelName): boolean {
  const receipt = receipts[channel];
  return receipt === undefined || receipt.episode < raised.episode || receipt.rev < raised.rev;
}

/** Whether somebody who was turned away for the moment is due to be tried again there. */
export function isOwed({ receipts }: AlarmState, channel: ChannelName, now: number): boolean {
  return owedTo(receipts[channel]).some(({ retry_at }) => (retry_at ?? 0) <= now);
}

export function owedTo(receipt: Receipt | undefined): Receipt['rejected'] {
  return (receipt?.rejected ?? []).filter(({ retry_at }) => retry_at !== null);
}

/** What is written down of the channel's work on this episode so far; of an earlier episode only what is still under way. */
export function receiptNow({ raised, receipts }: AlarmState, channel: ChannelName): Receipt {
  const known = receipts[channel];
  if (known?.episode === raised.episode) return known;
  return {
    episode: raised.episode,
    rev: 0,
    status: 'trying',
    at: raised.raised_at,
    attempts: 0,
    first_at: null,
    named: false,
    missed: missedBefore(raised.episode, known),
    begun: false,
    repeat: false,
    told: {},
    error: null,
    failing_since: known?.failing_since ?? null,
    failure_told: false,
    rejected: [],
    retries: 0,
    ref: null,
  };
}

/** The first episode before this one that nobody was told of on the channel. */
function missedBefore(episode: number, known: Receipt | undefined): number | null {
  const first = known === undefined ? 1 : known.named ? known.episode + 1 : (known.missed ?? known.episode);
  return first < episode ? first : null;
}

/** The `alarm` of a job, as the API shows it: `channels` are those that the fleet has, whether they were reached or not. */
export function publicAlarm(
  state: AlarmState | null,
  channels: readonly ChannelName[],
): Record<string, unknown> | null {
  if (state === null) return null;
  const shown = channelNames.filter((name) => channels.includes(name) || state.receipts[name] !== undefined);
  return {
    episode: state.raised.episode,
    raised_at: iso(state.raised.raised_at),
    changed_at: iso(state.raised.changed_at),
    channels: Object.fromEntries(shown.map((name) => [name, publicReceipt(state, name)])),
  };
}

/** `waiting`: not tried yet in this episode. `up_to_date`: nothing is left to be told there. */
export function publicReceipt(state: AlarmState, channel: ChannelName): Record<string, unknown> {
  const receipt = receiptNow(state, channel);
  const known = state.receipts[channel]?.episode === state.raised.episode;
  return {
    status: known ? receipt.status : 'waiting',
    at: known ? iso(receipt.at) : null,
    latency_ms: receipt.first_at === null ? null : Math.max(0, receipt.first_at - state.raised.raised_at),
    attempts: receipt.attempts,
    up_to_date: !isBehind(state, channel),
    error: receipt.error,
    rejected: receipt.rejected.map(({ to, error, retry_at }) => ({
      to,
      error,
      tried_again: retry_at !== null,
    })),
    repeat: receipt.repeat,
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
