// The log: logfmt, one line per event, the job's id in each. Law: a secret, or a field that is named like one, prints as `[secret]`.
import { getLogfmtFormatter } from '@logtape/logtape';
import type { LogLevel } from '@logtape/logtape';
import { systemClock } from './clock.ts';
import type { Clock } from './clock.ts';
import { isVelvetError } from './errors.ts';
import { Secret } from './secret.ts';

/** Plain values alone: what has members could hold a value where no field's name gives it away. */
export type LogValue = string | number | boolean | null | undefined | Secret;
export type LogFields = Readonly<Record<string, LogValue>>;

export interface Log {
  info(msg: string, fields?: LogFields): void;
  warn(msg: string, fields?: LogFields): void;
  /** `cause` adds what `logfields` says of it and, where it is no VelvetError, its stack. */
  error(msg: string, fields?: LogFields, options?: { readonly cause?: unknown }): void;
  /** The same log with fields that stand in each of its lines; a later field of the same name wins. */
  with(fields: LogFields): Log;
}

export interface LogOptions {
  readonly env: string;
  /** The process family, shown as `logger=`. */
  readonly family: string;
  /** Gets each line without its line end. Standard output where it is left out. */
  readonly write?: (line: string) => void;
  readonly clock?: Clock;
}

/** A log of its own: nothing is configured for the process, so that two of them never share a destination. */
export function createLog({ env, family, write = writeToStdout, clock = systemClock }: LogOptions): Log {
  // LogTape's configuration is one per process; its formatter alone keeps the logs apart.
  const format = getLogfmtFormatter();

  function line(level: LogLevel, msg: string, fields: LogFields): void {
    const record = { category: [family], level, message: [msg], rawMessage: msg, timestamp: clock.now() };
    write(format({ ...record, properties: printable(fields) }).trimEnd());
  }

  function bound(standing: LogFields): Log {
    return {
      info: (msg, fields) => line('info', msg, { ...standing, ...fields }),
      warn: (msg, fields) => line('warning', msg, { ...standing, ...fields }),
      error: (msg, fields, options) =>
        line('error', msg, { ...standing, ...causeFields(options), ...fields }),
      with: (fields) => bound({ ...standing, ...fields }),
    };
  }
  return bound({ env });
}

/** What a log line says of an error: of a VelvetError its kind, code and words; of any other its name and message, without the stack. */
export function logfields(error: unknown): LogFields {
  if (isVelvetError(error)) {
    const { kind, code, httpStatus, detail, message } = error;
    return { error: kind ?? code, code, http_status: httpStatus, detail, reason: message };
  }
  if (error instanceof Error) return { error: error.name, reason: error.message };
  return { error: 'NotAnError', reason: typeof error };
}

// Named like what must not be printed, unless the name's end says that it is only about it.
const sensitive = /token|secret|passw|passphrase|authorization|bearer|cookie|api_?key|private_?key|value/i;
const harmlessEnd = /_(name|names|id|ids|count|total|kind|type|status|version|fingerprint|at|ms)$/;

// Heroku cuts a line at about 10 kB: with this no single field uses it up.
const fieldCharactersMax = 4000;

function printable(fields: LogFields): Record<string, LogValue> {
  const shown: Record<string, LogValue> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    shown[name] = sensitive.test(name) && !harmlessEnd.test(name) ? '[secret]' : shortened(plain(value));
  }
  return shown;
}

function plain(value: Exclude<LogValue, undefined>): string | number | boolean | null {
  if (value instanceof Secret) return value.toString();
  // The type refuses objects; one that comes by a cast is not looked into.
  return typeof value === 'object' && value !== null ? '[object]' : value;
}

function shortened(value: string | number | boolean | null): string | number | boolean | null {
  if (typeof value !== 'string' || value.length <= fieldCharactersMax) return value;
  return `${value.slice(0, fieldCharactersMax)}… (${value.length - fieldCharactersMax} more)`;
}

function causeFields(options: { readonly cause?: unknown } | undefined): LogFields {
  if (options === undefined || !('cause' in options)) return {};
  const { cause } = options;
  // A VelvetError was foreseen: its code says where it comes from.
  const stack = cause instanceof Error && !isVelvetError(cause) ? cause.stack : undefined;
  return { ...logfields(cause), stack };
}

function writeToStdout(line: string): void {
  process.stdout.write(`${line}\n`);
}
