// The text format of Prometheus (version 0.0.4). Pure: numbers in, lines out.
import { bucketsOf, metricTable, type MetricName } from '../shared/lib/metrics.ts';
import type { KeptNumber } from '../shared/redis/metrics.ts';

export const metricsType = 'text/plain; version=0.0.4; charset=utf-8';

/** A number that is looked up when somebody asks. */
export interface Gauge {
  readonly name: `velvet_${string}`;
  readonly help: string;
  readonly samples: readonly {
    readonly labels: Readonly<Record<string, string>>;
    readonly value: number;
  }[];
}

/** What the processes measured and what was looked up now; a metric that nobody has seen yet is there with its name alone. */
export function metricsText(kept: readonly KeptNumber[], gauges: readonly Gauge[]): string {
  const measured = (Object.keys(metricTable) as MetricName[]).flatMap((metric) => {
    const own = Object.groupBy(
      kept.filter((one) => one.metric === metric),
      ({ values }) => values.join(' '),
    );
    const series = Object.entries(own).toSorted(([a], [b]) => (a < b ? -1 : 1));
    const { name, help, type } = metricTable[metric];
    return [
      ...heading(name, help, type),
      ...series.flatMap(([, numbers = []]) => seriesLines(metric, numbers)),
    ];
  });
  const looked = gauges.flatMap(({ name, help, samples }) => [
    ...heading(name, help, 'gauge'),
    ...samples.map(({ labels, value }) => sample(name, Object.entries(labels), value)),
  ]);
  return `${[...measured, ...looked].join('\n')}\n`;
}

function heading(name: string, help: string, type: string): readonly string[] {
  return [`# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', ' ')}`, `# TYPE ${name} ${type}`];
}

function seriesLines(metric: MetricName, numbers: readonly KeptNumber[]): readonly string[] {
  const { name, labels, type } = metricTable[metric];
  const own = labels.map((label, n) => [label, numbers[0]?.values[n] ?? ''] as const);
  const part = (wanted: string) => numbers.find((one) => one.part === wanted)?.value ?? 0;
  if (type !== 'histogram') return [sample(name, own, part('value'))];
  let count = 0;
  const buckets = [...bucketsOf(metric).map(String), '+Inf'].map((le, n) => {
    count += part(String(n));
    return sample(`${name}_bucket`, [...own, ['le', le]], count);
  });
  return [...buckets, sample(`${name}_sum`, own, part('sum') / 1000), sample(`${name}_count`, own, count)];
}

function sample(name: string, labels: readonly (readonly [string, string])[], value: number): string {
  const shown = labels.map(([label, text]) => `${label}="${escaped(text)}"`).join(',');
  return `${name}${shown === '' ? '' : `{${shown}}`} ${value}`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
