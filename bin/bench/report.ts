// What a bench says, as a table for people or as one object a line.
import type { Figure, Goal, Report } from './measure.ts';

export function jsonReport(write: (line: string) => void): Report {
  return (figure) => write(JSON.stringify(figure));
}

const HEAD = ['bench', 'metric', 'Velvet', 'beside', 'ratio', 'goal', ''] as const;
const WIDTHS = [9, 52, 18, 18, 6, 14, 8] as const;

export function tableReport(write: (line: string) => void): Report {
  let begun = false;
  return (figure, goal) => {
    if (!begun) write(line(HEAD));
    begun = true;
    write(line(cells(figure, goal)));
  };
}

function cells({ bench, metric, value, unit, baseline, ratio }: Figure, goal?: Goal): readonly string[] {
  return [
    bench,
    metric,
    amount(value, unit),
    baseline === undefined ? '' : amount(baseline, unit),
    ratio === undefined ? '' : ratio.toFixed(2),
    goal === undefined ? '' : `${goal.bound} ${goal.is}`,
    goal === undefined ? '' : verdict(goal, goal.of === 'value' ? value : ratio),
  ];
}

function verdict({ bound, is }: Goal, reached: number | undefined): string {
  if (reached === undefined) return 'unknown';
  return (bound === 'at least' ? reached >= is : reached <= is) ? 'met' : 'MISSED';
}

function amount(value: number, unit: string): string {
  return `${value.toLocaleString('en')} ${unit}`;
}

function line(texts: readonly string[]): string {
  return texts
    .map((text, index) =>
      index >= 2 && index <= 4 ? text.padStart(WIDTHS[index] ?? 0) : text.padEnd(WIDTHS[index] ?? 0),
    )
    .join('  ')
    .trimEnd();
}
