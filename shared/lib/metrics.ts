// What is measured, in one table: each number's name, its labels and its buckets. Law: a label is one of few words that Velvet itself chose, never a credential, a job or a person.

interface MetricRow {
  readonly type: 'counter' | 'histogram' | 'gauge';
  readonly name: `velvet_${string}`;
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper ends in seconds; of a histogram alone. */
  readonly buckets?: readonly number[];
}

// oxfmt-ignore
export const metricTable = {
  entered:  { type: 'counter',   name: 'velvet_job_status_entered_total',     labels: ['flow', 'status'], help: 'How often jobs came into a status.' },
  stayed:   { type: 'histogram', name: 'velvet_job_status_seconds',           labels: ['flow', 'status'], help: 'How long jobs stayed in a status, counted when they leave it.', buckets: [1, 5, 15, 60, 300, 1_800, 7_200, 86_400] },
  task:     { type: 'histogram', name: 'velvet_task_seconds',                 labels: ['task', 'update_method', 'outcome'], help: 'How long one run of a task took: ok, later (it waits for something), again (it failed and is tried again), failed.', buckets: [0.05, 0.25, 1, 5, 15, 60] },
  handler:  { type: 'histogram', name: 'velvet_handler_seconds',              labels: ['handler', 'verb', 'outcome'], help: 'How long one call to a vendor took, by issuer or update method: ok, or the code of the error.', buckets: [0.1, 0.5, 1, 2.5, 5, 10] },
  alarm:    { type: 'histogram', name: 'velvet_alarm_seconds',                labels: ['channel', 'kind'], help: 'From the raising of an alarm to the acceptance of its first message by a channel; kind: leak or drill.', buckets: [0.5, 1, 2, 5, 10, 30, 60, 300] },
  lockout:  { type: 'histogram', name: 'velvet_lockout_seconds',              labels: ['credential'], help: "From the vendor's confirmation of an emergency's revoke to a consumer's first 401.", buckets: [0.5, 1, 2, 5, 10, 30, 60] },
  alarmFailed: { type: 'counter', name: 'velvet_alarm_failures_total',        labels: ['channel', 'code'], help: 'Tries to deliver an alarm that failed, by the code of the error.' },
  headroom: { type: 'gauge',     name: 'velvet_vendor_rate_limit_remaining',  labels: ['vendor'], help: 'Requests that the vendor said are left before it asks for a pause, in its last answer that said so.' },
} as const satisfies Record<string, MetricRow>;

export type MetricName = keyof typeof metricTable;
type OfType<T extends MetricRow['type']> = {
  [N in MetricName]: (typeof metricTable)[N]['type'] extends T ? N : never;
}[MetricName];
export type LabelsOf<N extends MetricName> = Readonly<
  Record<(typeof metricTable)[N]['labels'][number], string>
>;

export interface Metrics {
  count<N extends OfType<'counter'>>(name: N, labels: LabelsOf<N>): void;
  observe<N extends OfType<'histogram'>>(name: N, labels: LabelsOf<N>, ms: number): void;
  /** The last one said counts, whichever process said it. */
  set<N extends OfType<'gauge'>>(name: N, labels: LabelsOf<N>, value: number): void;
}

/** One number as it is kept: its metric, its labels' values in the table's order, and which part of the metric it is. */
export interface Kept {
  readonly metric: MetricName;
  readonly values: readonly string[];
  /** `value`, or of a histogram `sum` (milliseconds) and `0`… for the observations in each bucket alone, the last without an upper end. */
  readonly part: string;
}

export function encodeKept({ metric, values, part }: Kept): string {
  // What is none of our words would be a label too many; cut to one, it does no harm.
  return [metric, ...values.map((value) => value.replaceAll(/[^\w.:-]/g, '_').slice(0, 60)), part].join(' ');
}

/** Null where it is no number of this release: an older or a newer process wrote it. */
export function parseKept(field: string): Kept | null {
  const [metric = '', ...rest] = field.split(' ');
  const part = rest.pop();
  if (!isMetricName(metric) || part === undefined) return null;
  return rest.length === metricTable[metric].labels.length ? { metric, values: rest, part } : null;
}

export function bucketsOf(metric: MetricName): readonly number[] {
  const row: MetricRow = metricTable[metric];
  return row.buckets ?? [];
}

function isMetricName(name: string): name is MetricName {
  return Object.hasOwn(metricTable, name);
}
