// One consumer of one job: its statuses in each phase, and the only arithmetic over rows that the job table sees.
import { z } from 'zod';
import { lockoutSchema } from './lockout.ts';

export const rowStatuses = [
  'pending',
  'in_progress',
  'succeeded',
  'failed',
  'manual_required',
  'skipped',
] as const;
export type RowStatus = (typeof rowStatuses)[number];

/**
 * Which of a row's statuses a phase moves. `prove` is the second proving, in `revoking`; `inspect` is a test's look, which changes
 * nothing; `lockout` is an emergency's proof that the dead token is refused, where `failed` means leaking.
 */
export const phases = ['distribute', 'validate', 'prove', 'inspect', 'lockout'] as const;
export type Phase = (typeof phases)[number];

export const grades = ['possession', 'presented', 'read_back', 'by_hand', 'status_only'] as const;
export type Grade = (typeof grades)[number];

const instant = z.number().int().nonnegative();

/** What is pinned of the manifest's row when the job is created, as the manifest spells it. */
const pinnedSchema = z.looseObject({
  consumer_id: z.string(),
  update_method: z.string(),
  update_auth_token_name: z.string().optional(),
  wave: z.number().int().positive(),
  healthcheck_endpoint: z.string().nullable(),
  healthcheck_success_status: z.number().int(),
  healthcheck_after: z.number().nonnegative(),
  proof: z.literal('possession').optional(),
  instructions: z.string().optional(),
});
export type PinnedRow = z.infer<typeof pinnedSchema>;

/** A row as Redis holds it. Fields that an older version did not write have defaults. */
export const rowSchema = z.object({
  consumer_id: z.string(),
  pinned: pinnedSchema,
  distribute_status: z.enum(rowStatuses),
  validate_status: z.enum(rowStatuses),
  holds: z.enum(['old', 'new', 'other', 'unknown']),
  proof: z.enum(grades).nullable().default(null),
  proven_at: instant.nullable().default(null),
  /** Attempts of the present phase; one that was begun counts. */
  attempts: z.number().int().nonnegative(),
  error: z.object({ code: z.string(), detail: z.string() }).nullable().default(null),
  probe: z
    .object({ class: z.string(), http_status: z.number().nullable(), begun_at: instant })
    .nullable()
    .default(null),
  wave_health: z.enum(['healthy', 'waiting']).nullable().default(null),
  /** Of a test: whether everything that was asked about the consumer answered, and whether Velvet may write there. Null: not looked at. */
  reachable: z.boolean().nullable().default(null),
  may_write: z.enum(['yes', 'no', 'unknown']).nullable().default(null),
  confirmed_by: z.string().nullable().default(null),
  note: z.string().nullable().default(null),
  paced_until: instant.nullable().default(null),
  /** A write that was begun and not reported back: fence, and the wall-clock end of its lease. Counts as holding the new value. */
  started: z.object({ fence: z.string(), until: instant }).nullable().default(null),
  /** A write of the new value was begun here, and no look since has shown another one: the row counts as holding it. */
  touched: z.boolean().default(false),
  /** Of an emergency: how the consumer answered since, and how it did just before the revoke. */
  lockout: lockoutSchema.nullable().default(null),
  /** Until then (wall clock, ms) a write whose answer was lost may still be applied, beside the one in `started`. */
  quiet_after: instant.default(0),
  /** Named in a forced revoke: left unproven by an operator's word, which holds for that one revoke. */
  stale: z.boolean().default(false),
  /** What the last push left behind for later questions, and what a person should know of it. */
  receipt: z.object({ version: z.string(), note: z.string().optional() }).nullable().default(null),
  /** When everything at the destination was first seen to run on the value, and on which state of it. */
  effective_at: instant.nullable().default(null),
  effective_version: z.string().nullable().default(null),
  /** When the destination was last read back and agreed; cleared when the row is to be proven anew. */
  read_back_at: instant.nullable().default(null),
  /** When the present phase opened this row: its deadline counts from here. */
  opened_at: instant.nullable().default(null),
  updated_at: instant,
  /** Raised by each write; a write names the one it read. */
  rev: z.number().int().nonnegative(),
});
export type Row = z.infer<typeof rowSchema>;

export function newRow(pinned: PinnedRow, at: number): Row {
  return {
    consumer_id: pinned.consumer_id,
    pinned,
    distribute_status: 'pending',
    validate_status: 'pending',
    holds: 'unknown',
    proof: null,
    proven_at: null,
    attempts: 0,
    error: null,
    probe: null,
    wave_health: null,
    reachable: null,
    may_write: null,
    confirmed_by: null,
    note: null,
    paced_until: null,
    started: null,
    touched: false,
    lockout: null,
    quiet_after: 0,
    stale: false,
    receipt: null,
    effective_at: null,
    effective_version: null,
    read_back_at: null,
    opened_at: null,
    updated_at: at,
    rev: 0,
  };
}

export function parseRow(json: string): Row {
  return rowSchema.parse(JSON.parse(json));
}

// oxfmt-ignore
export const rowTransitions = [
  { from: 'pending',         on: 'open',         to: 'in_progress' },
  { from: 'in_progress',     on: 'succeed',      to: 'succeeded' },
  { from: 'in_progress',     on: 'fail',         to: 'failed' },
  { from: 'in_progress',     on: 'need_person',  to: 'manual_required' },
  { from: 'failed',          on: 'retry',        to: 'pending' },
  { from: 'skipped',         on: 'retry',        to: 'pending' },
  { from: 'succeeded',       on: 'prove_again',  to: 'pending' },
  { from: 'manual_required', on: 'prove_again',  to: 'pending' },
  { from: 'failed',          on: 'confirm',      to: 'succeeded' },
  { from: 'manual_required', on: 'confirm',      to: 'succeeded' },
  { from: 'failed',          on: 'skip',         to: 'skipped' },
  { from: 'manual_required', on: 'skip',         to: 'skipped' },
] as const satisfies readonly { from: RowStatus; on: string; to: RowStatus }[];
export type RowEvent = (typeof rowTransitions)[number]['on'];

/** The row's next status, or null where the table has no such step. */
export function rowStep(from: RowStatus, on: RowEvent): RowStatus | null {
  return rowTransitions.find((t) => t.from === from && t.on === on)?.to ?? null;
}

/** The status that a phase moves. */
export function statusIn(row: Row, phase: Phase): RowStatus {
  return phase === 'distribute' ? row.distribute_status : row.validate_status;
}

export function withStatus(row: Row, phase: Phase, status: RowStatus): Row {
  return phase === 'distribute' ? { ...row, distribute_status: status } : { ...row, validate_status: status };
}

/** Counts of one phase. `manual` is a part of `open`; `proven` (in `distribute`: written) is the part of `ok` that was not skipped. */
export interface Tally {
  readonly total: number;
  readonly pending: number;
  readonly open: number;
  readonly manual: number;
  readonly failed: number;
  readonly ok: number;
  readonly proven: number;
}
export const tallyKeys = [
  'total',
  'pending',
  'open',
  'manual',
  'failed',
  'ok',
  'proven',
] as const satisfies readonly (keyof Tally)[];
export const emptyTally: Tally = { total: 0, pending: 0, open: 0, manual: 0, failed: 0, ok: 0, proven: 0 };

// oxfmt-ignore
const countsAs: Record<RowStatus, Tally> = {
  pending:         { ...emptyTally, total: 1, pending: 1 },
  in_progress:     { ...emptyTally, total: 1, open: 1 },
  manual_required: { ...emptyTally, total: 1, open: 1, manual: 1 },
  failed:          { ...emptyTally, total: 1, failed: 1 },
  succeeded:       { ...emptyTally, total: 1, ok: 1, proven: 1 },
  skipped:         { ...emptyTally, total: 1, ok: 1 },
};

export function tally(rows: readonly Row[], phase: Phase): Tally {
  const sum: Record<keyof Tally, number> = { ...emptyTally };
  for (const row of rows) {
    const counts = countsAs[statusIn(row, phase)];
    for (const key of tallyKeys) sum[key] += counts[key];
  }
  return sum;
}

/** What a row's step changes in the counts. */
export function tallyDelta(from: RowStatus, to: RowStatus): Tally {
  const [a, b] = [countsAs[from], countsAs[to]];
  return Object.fromEntries(tallyKeys.map((key) => [key, b[key] - a[key]])) as unknown as Tally;
}

export function addTally(a: Tally, b: Tally): Tally {
  return Object.fromEntries(tallyKeys.map((key) => [key, a[key] + b[key]])) as unknown as Tally;
}

/** The counts once some rows are no longer as they were. */
export function recounted(counts: Tally, phase: Phase, before: readonly Row[], after: readonly Row[]): Tally {
  const [was, is] = [tally(before, phase), tally(after, phase)];
  return Object.fromEntries(
    tallyKeys.map((key) => [key, counts[key] - was[key] + is[key]]),
  ) as unknown as Tally;
}

/** How a phase stands: still open, or closed in exactly one of four ways. shared/redis/lua/write-row.lua decides by the same lines. */
export type Outcome = 'open' | 'wave' | 'all' | 'some' | 'none';
export const closedOutcomes = ['all', 'wave', 'some', 'none'] as const satisfies readonly Outcome[];

export function outcomeOf(t: Tally): Outcome {
  if (t.open > 0) return 'open';
  if (t.failed === 0 && t.pending > 0) return 'wave';
  if (t.failed === 0 && t.proven > 0) return 'all';
  return t.proven > 0 || t.pending > 0 ? 'some' : 'none';
}

/** The rows to open now: in `distribute` the pending rows of the first wave that is not complete, else every pending row. */
export function rowsToOpen(rows: readonly Row[], phase: Phase): readonly Row[] {
  const pending = rows.filter((row) => statusIn(row, phase) === 'pending');
  if (phase !== 'distribute') return pending;
  const wave = Math.min(
    ...rows
      .filter((row) => !['succeeded', 'skipped'].includes(statusIn(row, phase)))
      .map((row) => row.pinned.wave),
  );
  return pending.filter((row) => row.pinned.wave === wave);
}

/** A row at the beginning of a phase. One that was skipped stays skipped: nothing was written there. */
export function readied(row: Row, phase: 'distribute' | 'validate' | 'lockout'): Row {
  if (phase === 'distribute') return toBeWritten(row);
  // Who runs on a token that lives on is not to be locked out.
  const left =
    phase === 'lockout' ? row.lockout?.class === 'on_other_token' : row.distribute_status === 'skipped';
  return left ? { ...row, validate_status: 'skipped' } : toBeProven(row);
}

/** Before a write, the first one or an operator's retry. A write whose answer was lost stays known as begun. */
export function toBeWritten(row: Row): Row {
  return {
    ...row,
    distribute_status: 'pending',
    attempts: 0,
    error: null,
    opened_at: null,
    receipt: null,
    effective_at: null,
    effective_version: null,
    wave_health: null,
    confirmed_by: null,
    note: null,
  };
}

/** What an earlier proof left is cleared, so that only what is seen from now on counts. `effective_at` stays: the write is as old as it is. */
export function toBeProven(row: Row): Row {
  const cleared = {
    proof: null,
    proven_at: null,
    probe: null,
    read_back_at: null,
    confirmed_by: null,
    note: null,
    stale: false,
  };
  return { ...row, ...cleared, validate_status: 'pending', attempts: 0, error: null, opened_at: null };
}

/** From when on nothing that was sent to the row can be applied (wall clock, ms). `lateMs` is its destination's. */
export function quietAfter(row: Row, lateMs: number): number {
  return Math.max(row.quiet_after, row.started === null ? 0 : row.started.until + lateMs);
}

/** Whether an operator who forces a revoke must name the row: nothing shows, and nobody said, that it runs on the new value. */
export function unproven(row: Row): boolean {
  if (row.distribute_status === 'skipped') return false;
  return row.stale || !['succeeded', 'skipped'].includes(row.validate_status);
}

/** Whether the row's place may hold the new value. */
export function mayHoldNew(row: Row): boolean {
  return row.touched || row.holds === 'new';
}

/** Whether Velvet itself saw the proof, so that it can be asked for again. A person's word stands as it is. */
export function provenByVelvet({ validate_status: status, proof }: Row): boolean {
  return status === 'succeeded' && proof !== null && ['possession', 'presented', 'read_back'].includes(proof);
}
