// How a figure is measured: warmed up, in turns with what it is compared with, and the median of several turns. Law: both sides see the same Redis.

/** Odd, so that the median is a value that was measured. */
const TURNS = 5;

/** What one bench says: one line of `--json`. */
export interface Figure {
  readonly bench: string;
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline?: number;
  /** `value` by `baseline`. */
  readonly ratio?: number;
}

/** What a figure should be. Shown to people; a bench is no test, so that a figure that falls short fails nothing. */
export interface Goal {
  readonly of: 'value' | 'ratio';
  readonly bound: 'at least' | 'at most';
  readonly is: number;
}

export type Report = (figure: Figure, goal?: Goal) => void;

export interface Sides<T> {
  readonly own: readonly T[];
  readonly baseline: readonly T[];
}

/** Each side once unmeasured, then A B A B …. */
export async function inTurns(
  own: () => Promise<number>,
  baseline: () => Promise<number>,
): Promise<Sides<number>> {
  await own();
  await baseline();
  const sides: { own: number[]; baseline: number[] } = { own: [], baseline: [] };
  for (let turn = 0; turn < TURNS; turn++) {
    sides.own.push(await own());
    sides.baseline.push(await baseline());
  }
  return sides;
}

/** One side alone: for what is compared with a calculation. */
export async function repeatedly<T>(measured: () => Promise<T>): Promise<readonly T[]> {
  await measured();
  const all: T[] = [];
  for (let turn = 0; turn < TURNS; turn++) all.push(await measured());
  return all;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new Error('a median of nothing');
  return middle;
}

/** The value that `p` of a hundred do not exceed: one that was measured. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const found = sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)];
  if (found === undefined) throw new Error('a percentile of nothing');
  return found;
}

export function rounded(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}
