// Every key that Velvet owns. Law: all keys of one credential share one hash tag, so that a script never spans slots.
import { createHash } from 'node:crypto';
import { VelvetError } from '../lib/errors.ts';

const PART = /^[A-Za-z0-9_.-]{1,120}$/;

// Refused rather than rewritten, so that two names can never meet in one key.
function part(value: string): string {
  if (!PART.test(value))
    throw new VelvetError('invariant_broken', `not a key part: ${JSON.stringify(value)}`);
  return value;
}

export interface CredentialKeys {
  /** The job (or adoption) that owns the credential. No lifetime: a claim is freed, never forgotten. */
  readonly claim: string;
  /** The attempt that may write: `<counter>-<8 random characters>`. Never restarts, never expires. */
  readonly fence: string;
  /** Sorted set of job ids by creation. */
  readonly jobs: string;
  /** The same of the drift checks that nobody asked for: there is one a day, and they would hide the rotations. */
  readonly checks: string;
  /** What the schedule knows of the credential: how old its value is, what was begun and said for which time. */
  readonly schedule: string;
  /** Ids of the jobs that the sweeper looks at. */
  readonly open: string;
  /** The stream of everything that happened: audit trail, feed and history. */
  readonly events: string;
  /** The number of the last event. */
  readonly seq: string;
  /** The seals over the events, oldest first: a list of signed texts. It outlives what it seals. */
  readonly seals: string;
  /** Which process moves the credential's anchor now; `leaseMs` at most. */
  readonly anchoring: string;
  /** Ids of the last calls that belong to no job, so that a repeat of one does nothing. */
  readonly calls: string;
  /** The `run_id` of the Redis server under which the record was last held against the world. */
  readonly server: string;
  /** Tasks that were decided and not yet acknowledged by the queue: task id → payload. */
  readonly outbox: string;
  /** The handle that the last adoption wrote down; empty where it knew none. */
  readonly adopted: string;
  /** The alarms that were raised and are not over: alarm id (a leak's is its job's) → what is to be told, as JSON. */
  readonly alarms: string;
  /** What each channel accepted of an alarm: channel → receipt, as JSON. */
  readonly receipts: (alarmId: string) => string;
  readonly job: (jobId: string) => string;
  readonly rows: (jobId: string) => string;
  /** What an operator typed, sealed to the stage worker; `valueKeepMs` at most, and gone once it was read. */
  readonly value: (id: string) => string;
  /** `<body hash> <job id>`; while the job is open without lifetime, then `idempotencyKeepMs`. */
  readonly idem: (hash: string) => string;
  /** Pub/sub channel that says that there are new events; data is always read from the stream. */
  readonly wake: string;
}

const known = new Map<string, CredentialKeys>();

/** The same object for the same credential: a fan-out asks some ten times for each row. */
export function credentialKeys(credential: string, env: string): CredentialKeys {
  const name = `${credential} ${env}`;
  const keys = known.get(name) ?? keysOf(credential, env);
  known.set(name, keys);
  return keys;
}

function keysOf(credential: string, env: string): CredentialKeys {
  const base = `velvet:{${part(credential)}.${part(env)}}`;
  return {
    claim: `${base}:claim`,
    fence: `${base}:fence`,
    jobs: `${base}:jobs`,
    checks: `${base}:checks`,
    schedule: `${base}:schedule`,
    open: `${base}:open`,
    events: `${base}:events`,
    seq: `${base}:seq`,
    seals: `${base}:seals`,
    anchoring: `${base}:anchoring`,
    calls: `${base}:calls`,
    server: `${base}:server`,
    outbox: `${base}:outbox`,
    adopted: `${base}:adopted`,
    alarms: `${base}:alarms`,
    receipts: (alarmId) => `${base}:receipts:${part(alarmId)}`,
    job: (jobId) => `${base}:job:${part(jobId)}`,
    rows: (jobId) => `${base}:rows:${part(jobId)}`,
    value: (id) => `${base}:value:${part(id)}`,
    idem: (hash) => `${base}:idem:${part(hash)}`,
    wake: `${base}:wake`,
  };
}

/** What matches the `wake` channel of every credential, and what such a channel's name says. */
export const wakePattern = 'velvet:{*}:wake';
export function credentialOfWake(
  channel: string,
): { readonly credential: string; readonly env: string } | null {
  // The credential's name may have dots, an environment's has none.
  const [, credential, env] = /^velvet:\{(.+)\.([^.}]+)\}:wake$/.exec(channel) ?? [];
  return credential === undefined || env === undefined ? null : { credential, env };
}

const system = 'velvet:{system}';

export const systemKeys = {
  /** Every `<credential>.<env>` that ever had a job: what the sweeper walks, also after a row left the manifest. */
  credentials: `${system}:credentials`,
  flags: `${system}:flags`,
  /** Service tokens: id → record with the hash of the token. */
  serviceTokens: `${system}:service-tokens`,
  /** Changes when Redis has lost data: resumes across it are answered with a reset. */
  epoch: `${system}:epoch`,
  /** Which process has a duty that one alone should do: for a moment, or for as long as it is not due again. */
  duty: (name: string) => `${system}:duty:${part(name)}`,
  /** There while a channel of the alarm is to be left alone: its provider asked for it, or took a message a moment ago. */
  alarmPause: (channel: string) => `${system}:alarm-pause:${part(channel)}`,
  /** Which channels of the alarm the families have (`has.<family>`), and what became of the last message on each (`last.<channel>`). */
  alarmChannels: `${system}:alarm-channels`,
  /** What a question was answered; gone when nobody can be waiting for it any more. */
  answer: (id: string) => `${system}:answer:${part(id)}`,
  /** Alive while a process of the family beats. */
  beat: (family: string) => `${system}:beat:${part(family)}`,
  /** How many requests somebody made in the present window; gone with the window. */
  limit: (name: string) => `${system}:limit:${part(name)}`,
  /** What the processes counted, all together: a field for each number. */
  metrics: `${system}:metrics`,
  /** Credentials whose authority is missing or refused: name → reason. */
  unavailable: `${system}:unavailable`,
} as const;

/** BullMQ's own prefix; one hash tag for each queue is made of it and the queue's name. */
export const queuePrefix = '{velvet}';

/** What an idempotency key is stored under: scoped to its caller, and never the key itself, which a caller may choose badly. */
export function idempotencyHash(caller: string, key: string): string {
  return createHash('sha256').update(`${caller}\n${key}`).digest('hex').slice(0, 40);
}
