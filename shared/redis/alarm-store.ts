// Alarms that are raised, and each channel's receipts. Law: a receipt is written only over the one that was read; an alarm leaves only as it was read.
import type { Redis } from 'ioredis';
import { z } from 'zod';
import {
  channelNames,
  raisedSchema,
  receiptSchema,
  type AlarmState,
  type ChannelName,
  type Receipt,
} from '../rotation/alarm.ts';
import type { JobRef } from '../rotation/effects.ts';
import type { AuditEvent } from './events.ts';
import { commitId } from './job-writes.ts';
import { credentialKeys, systemKeys } from './keys.ts';
import { guarded } from './refusals.ts';
import { answers, runScript } from './scripts.ts';
import type { JobStore } from './job-store.ts';
import { workerFamilies, type WorkerFamily } from './system-store.ts';

/** Under which name drills lie: no credential can be called so, and nothing else of one is kept there. */
export const drillName = 'drill';
/** Long enough to look at last week's drill, no longer. */
const DRILL_KEPT_MS = 8 * 86_400_000;
/** What a family said it has counts for so long: it says it again each minute. */
const DECLARED_FOR_MS = 300_000;

/** What became of the last message on a channel, whatever it was about. */
const outcomeSchema = z.object({
  status: z.enum(['delivered', 'failed']),
  kind: z.enum(['leak', 'drill']),
  at: z.number(),
  code: z.string().nullable(),
});
export type ChannelOutcome = z.infer<typeof outcomeSchema>;

const declarationSchema = z.object({
  channels: z.array(z.enum(channelNames)),
  public_url: z.string().nullable(),
  at: z.number(),
});

/** What the fleet has of the alarm: the channels of all families together, and where links lead. */
export interface Declared {
  readonly channels: readonly ChannelName[];
  readonly publicUrl: string | null;
}

export interface AlarmStore {
  /** Raises a drill; answers what it will be found under. `person`: whose direct messages it tries. */
  drill(id: string, at: number, person: string | null): Promise<JobRef>;
  /** Every alarm that is on a list, of all credentials, with its receipts; oldest first. */
  raised(): Promise<readonly AlarmState[]>;
  /** One alarm, also one that is over and told; null where none was ever raised under this id. */
  of(ref: JobRef): Promise<AlarmState | null>;
  /** The alarm with the receipt that it has now; null where somebody else wrote the channel's receipt since it was read. */
  writeReceipt(
    state: AlarmState,
    channel: ChannelName,
    next: Receipt,
    events: readonly AuditEvent[],
  ): Promise<AlarmState | null>;
  /** Takes an alarm off its list; false where it was raised again since it was read. */
  end(state: AlarmState): Promise<boolean>;
  /** Whether the holder has the channel to itself for `ms`; with 0 it lets go. */
  lease(channel: ChannelName, holder: string, ms: number): Promise<boolean>;
  /** Nobody sends anything there for so long. */
  pause(channel: ChannelName, ms: number): Promise<void>;
  /** How long it is still to be left alone; 0: no longer. */
  pausedMs(channel: ChannelName): Promise<number>;
  declare(family: WorkerFamily, has: Declared, at: number): Promise<void>;
  declared(now: number): Promise<Declared>;
  noteOutcome(channel: ChannelName, outcome: ChannelOutcome): Promise<void>;
  outcomes(): Promise<Readonly<Partial<Record<ChannelName, ChannelOutcome>>>>;
}

export function createAlarmStore(
  redis: Redis,
  env: string,
  store: Pick<JobStore, 'credentials'>,
): AlarmStore {
  const drillRef = (jobId: string): JobRef => ({ credential: drillName, env, jobId });

  async function stateOf(ref: JobRef, text: string): Promise<readonly AlarmState[]> {
    const { receipts } = credentialKeys(ref.credential, ref.env);
    return assembled(ref, text, await guarded(redis.hgetall(receipts(ref.jobId))));
  }

  return {
    async drill(id, at, person) {
      const { alarms, calls } = credentialKeys(drillName, env);
      const head = `"kind":"drill","person":${JSON.stringify(person)}`;
      await runScript(redis, 'raiseAlarm', [alarms, calls], {
        commit_id: commitId(),
        id,
        at,
        fresh: true,
        texts: [head],
      });
      return drillRef(id);
    },

    async raised() {
      const credentials = [...(await store.credentials()), drillRef('')];
      // Sent together, so that they travel together.
      const lists = await guarded(
        Promise.all(credentials.map((ref) => redis.hgetall(credentialKeys(ref.credential, ref.env).alarms))),
      );
      const found = credentials.flatMap(({ credential, env: of }, n) =>
        Object.entries(lists[n] ?? {}).map(([jobId, text]) => ({
          ref: { credential, env: of, jobId },
          text,
        })),
      );
      const states = await Promise.all(found.map(({ ref, text }) => stateOf(ref, text)));
      return states.flat().toSorted((a, b) => a.raised.raised_at - b.raised.raised_at);
    },

    async of(ref) {
      const keys = credentialKeys(ref.credential, ref.env);
      const [listed, kept] = await guarded(
        Promise.all([redis.hget(keys.alarms, ref.jobId), redis.hgetall(keys.receipts(ref.jobId))]),
      );
      const text = listed ?? kept['~alarm'];
      return text === undefined ? null : (assembled(ref, text, kept)[0] ?? null);
    },

    async writeReceipt(state, channel, next, events) {
      const { ref } = state;
      const keys = credentialKeys(ref.credential, ref.env);
      const text = JSON.stringify(next);
      const [code] = await runScript(
        redis,
        'writeReceipt',
        [keys.receipts(ref.jobId), keys.events, keys.seq],
        {
          channel,
          wake: keys.wake,
          texts: [state.stored[channel] ?? '', text, ...events.map((event) => JSON.stringify(event))],
        },
      );
      if (code !== answers.applied) return null;
      return {
        ...state,
        receipts: { ...state.receipts, [channel]: next },
        stored: { ...state.stored, [channel]: text },
      };
    },

    async end({ ref, raised }) {
      const keys = credentialKeys(ref.credential, ref.env);
      const [code] = await runScript(redis, 'endAlarm', [keys.alarms, keys.receipts(ref.jobId)], {
        id: ref.jobId,
        rev: raised.rev,
        keep_ms: raised.kind === 'drill' ? DRILL_KEPT_MS : 0,
      });
      return code === answers.applied;
    },

    async lease(channel, holder, ms) {
      const [code] = await runScript(redis, 'hold', [systemKeys.duty(`alarm.${channel}`)], { holder, ms });
      return code === answers.applied;
    },

    async pause(channel, ms) {
      await guarded(redis.set(systemKeys.alarmPause(channel), '1', 'PX', Math.max(1, Math.ceil(ms))));
    },

    pausedMs: async (channel) => Math.max(0, await guarded(redis.pttl(systemKeys.alarmPause(channel)))),

    async declare(family, { channels, publicUrl }, at) {
      const has = JSON.stringify({ channels, public_url: publicUrl, at });
      await guarded(redis.hset(systemKeys.alarmChannels, `has.${family}`, has));
    },

    async declared(now) {
      const fields = await guarded(redis.hgetall(systemKeys.alarmChannels));
      const all = workerFamilies
        .flatMap((family) => readAs(declarationSchema, fields[`has.${family}`]))
        .filter(({ at }) => now - at <= DECLARED_FOR_MS);
      return {
        channels: channelNames.filter((name) => all.some(({ channels }) => channels.includes(name))),
        publicUrl: all.find(({ public_url }) => public_url !== null)?.public_url ?? null,
      };
    },

    async noteOutcome(channel, outcome) {
      await guarded(redis.hset(systemKeys.alarmChannels, `last.${channel}`, JSON.stringify(outcome)));
    },

    async outcomes() {
      const fields = await guarded(redis.hgetall(systemKeys.alarmChannels));
      return Object.fromEntries(
        channelNames.flatMap((name) =>
          readAs(outcomeSchema, fields[`last.${name}`]).map((outcome) => [name, outcome] as const),
        ),
      );
    },
  };
}

/** None where the alarm is of a kind that only a newer release knows; a receipt that is not understood counts as none, for a message too many is better than none. */
function assembled(ref: JobRef, text: string, kept: Readonly<Record<string, string>>): readonly AlarmState[] {
  const receipts = channelNames.flatMap((name) =>
    readAs(receiptSchema, kept[name]).map((receipt) => [name, receipt] as const),
  );
  return readAs(raisedSchema, text).map((raised) => ({
    ref,
    raised,
    receipts: Object.fromEntries(receipts),
    stored: Object.fromEntries(channelNames.map((name) => [name, kept[name]])),
  }));
}

/** None where it is not there, or an older or newer process wrote it. */
function readAs<T>(schema: z.ZodType<T>, json: string | undefined): readonly T[] {
  if (json === undefined) return [];
  const read = schema.safeParse(JSON.parse(json));
  return read.success ? [read.data] : [];
}
