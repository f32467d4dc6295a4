// The append-only file of a redis-server that is down, cut as a crash of its machine would: whole commands and transactions are lost from the end.
import { readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';

export interface Lost {
  readonly commands: number;
  /** Rows of Velvet's own event streams among them, oldest first. */
  readonly events: readonly string[];
}

/**
 * Cuts the writes of the last `seconds` (whole seconds of the server's clock, which must have written its times), or everything
 * from the `events`-th event from the end on. The server must not run. Throws where there is less than that.
 */
export function cutAof(
  redisDir: string,
  how: { readonly seconds: number } | { readonly events: number },
): Lost {
  const file = newestFile(join(redisDir, 'appendonlydir'));
  const units = unitsOf(readFileSync(file));
  const from = 'events' in how ? byEvents(units, how.events) : bySeconds(units, how.seconds);
  const lost = units.slice(from);
  const [first] = lost;
  if (first === undefined) throw new Error('nothing would be lost');
  truncateSync(file, first.start);
  const commands = lost.flatMap((unit) => unit.commands);
  return { commands: commands.length, events: commands.flatMap(eventOf) };
}

/** The last incremental file that the manifest names: what is written to now. */
function newestFile(dir: string): string {
  const manifest = readFileSync(join(dir, 'appendonly.aof.manifest'), 'utf8');
  const name = [...manifest.matchAll(/^file (\S+) seq \d+ type i/gm)].at(-1)?.[1];
  if (name === undefined) throw new Error(`no incremental file in ${dir}`);
  return join(dir, name);
}

/** One command, or one transaction: Redis itself never replays half of one. */
interface Unit {
  readonly start: number;
  /** Unix seconds of the last time written before it; 0 where there was none. */
  readonly second: number;
  readonly commands: readonly (readonly string[])[];
}

function unitsOf(bytes: Buffer): readonly Unit[] {
  const units: Unit[] = [];
  let open: { readonly start: number; readonly commands: (readonly string[])[] } | null = null;
  let second = 0;
  for (let at = 0; at < bytes.length;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (bytes[at] === 0x23) {
      second = Number(/^#TS:(\d+)/.exec(bytes.toString('latin1', at, lineEnd))?.[1] ?? second);
      at = lineEnd + 2;
      continue;
    }
    const { args, end } = commandAt(bytes, at);
    // The crash has torn the last one already.
    if (end > bytes.length) break;
    const name = args[0]?.toUpperCase();
    if (name === 'MULTI') open = { start: at, commands: [] };
    else if (open === null) units.push({ start: at, second, commands: [args] });
    else if (name === 'EXEC') {
      units.push({ ...open, second });
      open = null;
    } else open.commands.push(args);
    at = end;
  }
  return units;
}

/** `*<n>\r\n` and n times `$<length>\r\n<bytes>\r\n`. */
function commandAt(bytes: Buffer, start: number): { readonly args: readonly string[]; readonly end: number } {
  const number = (at: number) => {
    const lineEnd = bytes.indexOf('\r\n', at);
    return { value: Number(bytes.toString('latin1', at + 1, lineEnd)), next: lineEnd + 2 };
  };
  const count = number(start);
  if (bytes[start] !== 0x2a || !Number.isInteger(count.value)) throw new Error(`no command at byte ${start}`);
  const args: string[] = [];
  let at = count.next;
  for (let n = 0; n < count.value; n += 1) {
    const length = number(at);
    args.push(bytes.toString('utf8', length.next, length.next + length.value));
    at = length.next + length.value + 2;
  }
  return { args, end: at };
}

function byEvents(units: readonly Unit[], events: number): number {
  let left = events;
  for (const [index, { commands }] of [...units.entries()].toReversed()) {
    left -= commands.flatMap(eventOf).length;
    if (left <= 0) return index;
  }
  throw new Error(`there are fewer than ${events} events`);
}

function bySeconds(units: readonly Unit[], seconds: number): number {
  const last = units.at(-1)?.second ?? 0;
  if (last === 0) throw new Error('the server writes no times: start it with --aof-timestamp-enabled yes');
  const from = units.findIndex(({ second }) => second > last - seconds);
  if (from <= 0) throw new Error(`there are fewer than ${seconds} seconds`);
  return from;
}

/** What is written to one of Velvet's streams; BullMQ has streams of its own. */
function eventOf([name = '', key = '', ...rest]: readonly string[]): readonly string[] {
  return name.toUpperCase() === 'XADD' && /^velvet:\{.+\}:events$/.test(key) ? [rest.at(-1) ?? ''] : [];
}
