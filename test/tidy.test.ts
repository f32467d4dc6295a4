// Conventions as a test: who may import whom, what may be said where, and how large things grow. A checker that sees nothing fails.
import { readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { dirname, join, normalize } from 'node:path';
import { parseSync } from 'oxc-parser';
import { expect, test } from 'vitest';
import { emergencyMutants } from './flows/mutants-emergency.ts';
import { mutants } from './flows/mutants-list.ts';

const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  encoding: 'utf8',
})
  .split('\n')
  .filter(
    (file) => /\.(ts|lua|md|yml|json|sh)$/.test(file) || file.startsWith('bin/') || file === 'Procfile',
  );
const sources = files.filter((file) => file.endsWith('.ts'));
const text = new Map(files.map((file) => [file, readFileSync(file, 'utf8')]));
const product = sources.filter((file) => /^(api|workers|shared)\//.test(file));

interface Edge {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

const edges: readonly Edge[] = sources.flatMap((from) => {
  const { module } = parseSync(from, text.get(from) ?? '');
  const all = [
    ...module.staticImports.map((one) => ({
      to: one.moduleRequest.value,
      typeOnly: one.entries.length > 0 && one.entries.every((entry) => entry.isType),
    })),
    ...module.staticExports
      .flatMap((one) => one.entries)
      .flatMap((entry) =>
        entry.moduleRequest === null ? [] : [{ to: entry.moduleRequest.value, typeOnly: entry.isType }],
      ),
  ];
  return all.map(({ to, typeOnly }) => ({
    from,
    to: to.startsWith('.') ? normalize(join(dirname(from), to)) : to,
    typeOnly,
  }));
});

/** What files in a place may import: folders or files of the project, packages, `node:`; with `type ` in front types alone. */
const layers: readonly (readonly [place: string, may: readonly string[]])[] = [
  ['shared/rotation/', ['shared/rotation/', 'zod', 'type shared/lib/errors.ts']],
  ['shared/lib/', ['shared/lib/', 'node:', 'zod', '@logtape/logtape', 'libsodium-wrappers']],
  ['shared/manifest/', ['shared/manifest/', 'shared/rotation/', 'shared/lib/', 'zod', 'yaml', 'node:']],
  [
    'shared/redis/',
    ['shared/redis/', 'shared/rotation/', 'shared/lib/', 'type shared/times.ts', 'ioredis', 'zod', 'node:'],
  ],
  [
    'shared/queue/',
    [
      'shared/queue/',
      'shared/rotation/',
      'shared/lib/',
      'shared/redis/keys.ts',
      'type shared/redis/',
      'type shared/times.ts',
      'type ioredis',
      'bullmq',
      'zod',
      'node:crypto',
    ],
  ],
  ['shared/audit/', ['shared/audit/', 'shared/rotation/', 'shared/redis/', 'shared/lib/', 'zod', 'node:']],
  [
    'shared/transition.ts',
    [
      'shared/changes.ts',
      'shared/refusal.ts',
      'shared/rotation/',
      'shared/redis/',
      'shared/queue/',
      'shared/lib/',
      'shared/manifest/',
    ],
  ],
  [
    'shared/begin-revocation.ts',
    [
      'shared/rotation/',
      'shared/lib/',
      'type shared/redis/',
      'type shared/changes.ts',
      'type shared/transition.ts',
    ],
  ],
  ['shared/changes.ts', ['shared/rotation/', 'shared/redis/', 'shared/lib/']],
  ['shared/refusal.ts', ['shared/rotation/', 'shared/lib/']],
  ['shared/moves.ts', ['shared/rotation/', 'shared/lib/']],
  ['shared/times.ts', []],
  ['api/', ['api/', 'shared/', 'hono', '@hono/', 'zod', 'node:', 'type ioredis', 'type zod']],
  [
    'workers/vendors/',
    [
      'workers/vendors/',
      'shared/lib/',
      'type shared/manifest/',
      'shared/manifest/vendors.ts',
      'shared/manifest/addresses.ts',
      'type @infisical/sdk',
      'zod',
      'jose',
      'node:',
    ],
  ],
  [
    'workers/vault/',
    [
      'workers/vault/',
      'shared/lib/',
      'type shared/rotation/',
      'workers/vendors/http.ts',
      'workers/vendors/infisical/secrets.ts',
      'type workers/vendors/contract.ts',
      'node:',
    ],
  ],
  [
    'workers/notify/',
    [
      'workers/notify/',
      'shared/',
      '@slack/web-api',
      'nodemailer',
      'node:crypto',
      'type workers/run.ts',
      'type workers/duties.ts',
      'type workers/stages/deps.ts',
      'type workers/vendors/',
    ],
  ],
  [
    'workers/stages/',
    [
      'workers/stages/',
      'workers/vendors/contract.ts',
      'workers/vendors/registry.ts',
      'workers/vault/',
      'type workers/run.ts',
      'shared/',
      'node:',
    ],
  ],
  ['workers/audit/', ['workers/audit/', 'workers/vault/', 'shared/', 'type ioredis', 'node:crypto']],
  ['workers/', ['workers/', 'shared/', 'bullmq', 'type ioredis']],
  ['bin/', ['bin/', 'api/', 'workers/', 'shared/', 'test/', 'node:', '']],
  ['test/', ['']],
  ['', ['']],
];

function allowed({ from, to, typeOnly }: Edge): boolean {
  const may = layers.find(([place]) => from.startsWith(place))?.[1] ?? [];
  return may.some((rule) => {
    const [typesOnly, target] = rule.startsWith('type ') ? [true, rule.slice(5)] : [false, rule];
    return to.startsWith(target) && (typeOnly || !typesOnly);
  });
}

test('nobody imports what its layer may not', () => {
  expect(edges.length).toBeGreaterThan(400);
  expect(edges.filter((edge) => !allowed(edge)).map(({ from, to }) => `${from} → ${to}`)).toEqual([]);
});

test('nothing in the product imports a test or a command, and api and workers never each other', () => {
  const wrong = edges.filter(({ from, to }) => {
    if (!product.includes(from)) return false;
    return (
      /^(test|bin)\//.test(to) ||
      (from.startsWith('api/') && to.startsWith('workers/')) ||
      (from.startsWith('workers/') && to.startsWith('api/'))
    );
  });
  expect(wrong).toEqual([]);
});

/** What may be said only in some places: pattern, where it is allowed, and why. */
const reserved: readonly { readonly pattern: RegExp; readonly only: RegExp; readonly why: string }[] = [
  {
    pattern: /['"`]velvet:(?!<|\$\{call|\$\{job|equals)/,
    only: /^shared\/redis\/keys\.ts$|^workers\/vendors\//,
    why: 'keys are built in one place',
  },
  {
    pattern: /new Queue\(|\.addBulk\(|queues\[[^\]]+\]\.add\(/,
    only: /^shared\/queue\//,
    why: 'tasks are added in one place',
  },
  {
    pattern: /new Worker\(/,
    only: /^workers\/(run|answer)\.ts$/,
    why: 'one wrapper around BullMQ for tasks, one for questions',
  },
  { pattern: /redis\.call\(/, only: /^shared\/redis\/lua\//, why: 'Lua stays in .lua' },
  { pattern: /process\.env/, only: /^shared\/lib\/env(-reader)?\.ts$/, why: 'one reader of the environment' },
  { pattern: /(?<![.\w])fetch\(/, only: /^workers\/vendors\/http\.ts$/, why: 'one HTTP door' },
  {
    pattern: /\.reveal\(\)/,
    only: /^workers\/(vendors|vault|notify)\/|^shared\/lib\/sealed-box\.ts$/,
    why: 'values are revealed where they are sent, stored or sealed',
  },
  { pattern: /Date\.now\(|performance\.now\(/, only: /^shared\/lib\/clock\.ts$/, why: 'time is injected' },
  { pattern: /console\./, only: /^$/, why: 'the log is the only voice' },
  { pattern: /export default/, only: /^$/, why: 'named exports' },
];

test('what is reserved to one place is said nowhere else', () => {
  const lines = [...product, ...files.filter((file) => file.endsWith('.lua'))].flatMap((file) =>
    (text.get(file) ?? '').split('\n').map((line, index) => ({ file, line, at: index + 1 })),
  );
  expect(lines.length).toBeGreaterThan(4_000);
  const code = lines.filter(({ line }) => !/^\s*(\/\/|\*|\/\*)/.test(line));
  const wrong = reserved.flatMap(({ pattern, only, why }) =>
    code
      .filter(({ file, line }) => pattern.test(line) && !only.test(file))
      .map(({ file, at }) => `${file}:${at} ${why}`),
  );
  expect(wrong).toEqual([]);
});

/** Tables are exempt from the size law, by name. */
const tables = ['shared/rotation/machine.ts', 'shared/lib/errors.ts', 'test/harness.ts'];

test('files stay within 300 lines and functions within 60', () => {
  const long = sources.filter(
    (file) => !tables.includes(file) && (text.get(file) ?? '').split('\n').length > 301,
  );
  const functions = product.flatMap((file) => longFunctions(file, text.get(file) ?? ''));
  expect({ long, functions }).toEqual({ long: [], functions: [] });
});

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

/** Functions over 60 lines, without those that only hold others: a factory of closures is as long as its verbs. */
function longFunctions(file: string, source: string): readonly string[] {
  const found: string[] = [];
  const linesOf = (node: Node) => source.slice(node.start, node.end).split('\n').length;
  const visit = (node: unknown): number => {
    if (typeof node !== 'object' || node === null) return 0;
    const children = Object.values(node).reduce<number>(
      (sum, child) =>
        sum + (Array.isArray(child) ? child.reduce<number>((n, one) => n + visit(one), 0) : visit(child)),
      0,
    );
    const one = node as Node;
    if (!/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(one.type ?? ''))
      return children;
    const own = linesOf(one) - children;
    if (own > 60) found.push(`${file}: ${own} lines at offset ${one.start}`);
    return linesOf(one);
  };
  visit(parseSync(file, source).program);
  return found;
}

test('every source file begins by saying what it is for', () => {
  const silent = product.filter((file) => !(text.get(file) ?? '').startsWith('// '));
  expect(silent).toEqual([]);
});

test('every link between documents leads somewhere', () => {
  const documents = files.filter((file) => file.endsWith('.md'));
  expect(documents.length).toBeGreaterThan(8);
  const dead = documents.flatMap((file) =>
    [...(text.get(file) ?? '').matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)]*)?\)/g)]
      .map(([, target]) => normalize(join(dirname(file), target ?? '')))
      .filter(
        (target) => !files.includes(target) && !['LICENSE', 'Procfile', '.env.example'].includes(target),
      )
      .map((target) => `${file} → ${target}`),
  );
  expect(dead).toEqual([]);
});

test('every mutant of a law finds its line exactly once', () => {
  const lost = [...mutants, ...emergencyMutants].filter(
    ({ file, find }) => (text.get(file) ?? '').split(find).length !== 2,
  );
  expect(lost.map(({ name }) => name)).toEqual([]);
});
