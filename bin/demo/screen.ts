// What the demo shows while a rotation runs: on a terminal one table that is redrawn in place, else one line for each change.
import { systemClock } from '../../shared/lib/clock.ts';
import { statuses, type Status } from '../../shared/rotation/statuses.ts';

/** A consumer's row as the API shows it. */
export interface RowView {
  readonly consumer_id: string;
  readonly wave: number;
  readonly distribute_status: string;
  readonly validate_status: string;
  readonly holds: string;
  readonly proof: string | null;
  readonly proven_at: string | null;
  /** What the person wrote who confirmed it, and what the place said of the write. */
  readonly note: string | null;
  readonly write_note: string | null;
  readonly error: { readonly code: string; readonly detail: string } | null;
  readonly probe?: { readonly class: string | null; readonly http_status: number | null } | null;
  /** In an emergency alone. */
  readonly lockout?: {
    readonly class: string | null;
    readonly http_status: number | null;
    readonly weak: boolean;
    readonly time_to_lockout_ms: number | null;
  } | null;
}

export interface Screen {
  /** A line that stays, above the table where there is one. */
  say(text: string): void;
  show(status: string, rows: readonly RowView[]): void;
  /** Leaves the table as it is; what follows comes below it. */
  settle(): void;
  /** All that was written. */
  written(): string;
}

const columns = ['consumer', 'wave', 'written', 'proven', 'holds', 'evidence'] as const;

export function createScreen(out: NodeJS.WriteStream): Screen {
  const startedAt = systemClock.monotonic();
  const kept: string[] = [];
  let table: readonly string[] = [];
  let before: ReadonlyMap<string, string> = new Map();

  function write(text: string): void {
    kept.push(text);
    out.write(text);
  }
  const stamp = () => `+${((systemClock.monotonic() - startedAt) / 1000).toFixed(1)} s`.padStart(8);
  // Cursor up to the table's first line, then everything below it away.
  const clear = () => (table.length === 0 ? '' : `\u001B[${table.length}A\u001B[0J`);
  const drawn = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join('');

  return {
    say: (text) => write(`${clear()}${text}\n${drawn(table)}`),
    show(status, rows) {
      if (!out.isTTY) {
        const now = new Map([
          ['status', `${status}: ${meaningOf(status)}`],
          ...rows.map((row) => [row.consumer_id, inWords(row)] as const),
        ]);
        const changed = [...now].filter(([name, text]) => before.get(name) !== text);
        before = now;
        for (const [name, text] of changed) write(`${stamp()}  ${name.padEnd(32)} ${text}\n`);
        return;
      }
      const cells = [columns, ...rows.map(cellsOf)];
      const widths = columns.map((_, index) => Math.max(...cells.map((row) => row[index]?.length ?? 0)));
      const body = cells.map(
        (row) => `  ${row.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join('  ')}`,
      );
      // A line that wraps would put the next redraw in the wrong place.
      const lines = ['', `${stamp()}  ${status}: ${meaningOf(status)}`, ...body].map((line) =>
        line.slice(0, Math.max(20, out.columns - 1)),
      );
      const erased = clear();
      table = lines;
      write(`${erased}${drawn(lines)}`);
    },
    settle() {
      table = [];
    },
    written: () => kept.join(''),
  };
}

function meaningOf(status: string): string {
  return Object.hasOwn(statuses, status) ? statuses[status as Status].means : '';
}

function cellsOf(row: RowView): readonly string[] {
  const evidence = row.lockout?.class ?? row.error?.code ?? row.proof ?? '';
  return [row.consumer_id, String(row.wave), row.distribute_status, row.validate_status, row.holds, evidence];
}

function inWords(row: RowView): string {
  if (row.lockout !== undefined && row.lockout !== null) return lockoutInWords(row, row.lockout);
  const evidence = row.proof === null ? '' : `, ${row.proof}`;
  const error = row.error === null ? '' : `, ${row.error.code}`;
  return `written: ${row.distribute_status}, proven: ${row.validate_status}, holds: ${row.holds}${evidence}${error}`;
}

function lockoutInWords(
  { validate_status }: RowView,
  { class: found, http_status, time_to_lockout_ms: ms }: NonNullable<RowView['lockout']>,
): string {
  if (found === null) return `lock-out: ${validate_status}`;
  const answer = http_status === null ? '' : `, answered ${http_status}`;
  return `lock-out: ${validate_status}, ${found}${answer}${ms === null ? '' : `, ${ms} ms after the revoke`}`;
}
