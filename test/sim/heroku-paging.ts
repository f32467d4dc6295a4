// Heroku's paging by `Range`. Law: 206 with `Next-Range` where more is left, 200 where nothing is.
import { herokuError } from './heroku-json.ts';
import type { Answer } from './server.ts';

const PAGE = 200;
const PAGE_MAX = 1000;

export interface Paging<Item> {
  readonly range: string | undefined;
  /** The attributes that a range may name, first the default one; numbers are ordered as numbers. */
  readonly by: Readonly<Record<string, (item: Item) => string | number>>;
  readonly write: (item: Item) => unknown;
}

/** One page of `items`, e.g. for `Range: version ..; order=desc,max=1`. 416 for a range that is not understood. */
export function page<Item>(items: readonly Item[], { range, by, write }: Paging<Item>): Answer {
  const asked = parseRange(range ?? `${Object.keys(by)[0] ?? 'id'} ..`);
  const attribute = asked === null ? undefined : by[asked.attribute];
  if (asked === null || attribute === undefined || asked.max < 1 || asked.max > PAGE_MAX) {
    return herokuError(416, 'requested_range_not_satisfiable', 'The range is not understood.');
  }
  const direction = asked.descending ? -1 : 1;
  const sorted = items
    .map((item) => ({ item, key: attribute(item) }))
    .toSorted((a, b) => direction * compare(a.key, b.key))
    .filter(({ key }) => isWithin(key, asked, direction));
  const shown = sorted.slice(0, asked.max);
  const [first, last] = [shown[0], shown.at(-1)];
  const headers: Record<string, string> = { 'accept-ranges': Object.keys(by).join(', ') };
  if (first !== undefined && last !== undefined)
    headers['content-range'] = `${asked.attribute} ${first.key}..${last.key}`;
  const more = last !== undefined && shown.length < sorted.length;
  if (more)
    headers['next-range'] =
      `${asked.attribute} ]${last.key}..${asked.to}; ${asked.descending ? 'order=desc,' : ''}max=${asked.max}`;
  return { status: more ? 206 : 200, headers, body: shown.map(({ item }) => write(item)) };
}

interface Range {
  readonly attribute: string;
  readonly from: string;
  /** `]`: begins behind `from`. */
  readonly exclusive: boolean;
  readonly to: string;
  readonly max: number;
  readonly descending: boolean;
}

function parseRange(text: string): Range | null {
  const groups =
    /^(?<attribute>\w+)\s+(?<exclusive>\]?)(?<from>[^.;\s]*)\.\.(?<to>[^;\s]*)\s*(?:;\s*(?<options>.*))?$/.exec(
      text,
    )?.groups;
  if (groups === undefined) return null;
  const options = new Map(
    (groups['options'] ?? '').split(/\s*,\s*/).map((option) => option.split('=', 2) as [string, string]),
  );
  const max = Number(options.get('max') ?? PAGE);
  if (!Number.isSafeInteger(max)) return null;
  const { attribute = '', exclusive, from = '', to = '' } = groups;
  return {
    attribute,
    from,
    exclusive: exclusive === ']',
    to,
    max,
    descending: options.get('order') === 'desc',
  };
}

function isWithin(key: string | number, { from, exclusive, to }: Range, direction: number): boolean {
  const typed = (bound: string) => (typeof key === 'number' ? Number(bound) : bound);
  if (from !== '') {
    const past = direction * compare(key, typed(from));
    if (past < 0 || (exclusive && past === 0)) return false;
  }
  return to === '' || direction * compare(key, typed(to)) <= 0;
}

function compare(a: string | number, b: string | number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
