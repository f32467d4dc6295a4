// Reads the manifest once at boot. Law: every mistake is reported at once, each with its file, line and column; what is returned is frozen.
import { readFileSync } from 'node:fs';
import {
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type Document,
  type YAMLError,
} from 'yaml';
import type { z } from 'zod';
import { explain } from './explain.ts';
import { checkRules, type Entry, type Path, type Report, type RuleOptions } from './rules.ts';
import {
  anyCredentialSchema,
  anySubscriberSchema,
  credentialSchema,
  manifestSchema,
  subscriberSchema,
  type ActiveCredential,
  type ActiveRow,
  type Credential,
  type Manifest,
  type Subscriber,
} from './schema.ts';
import { destinations, issuers } from './vendors.ts';

export type LoadOptions = RuleOptions;

export interface Problem {
  readonly file: string;
  /** Both count from 1. */
  readonly line: number;
  readonly column: number;
  /** What is wrong and what to do. */
  readonly message: string;
}

/** Holds every mistake of one manifest, in the order of the file; its message prints them one per line. */
export class ManifestError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(
      problems.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`).join('\n'),
    );
    this.name = 'ManifestError';
    this.problems = problems;
  }
}

/** Reads and parses the file, synchronously; throws ManifestError, for a file that cannot be read too. */
export function loadManifest(path: string, options: LoadOptions): Manifest {
  return parseManifest(readText(path), path, options);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    const message = `the manifest cannot be read (${code}); check the path, which VELVET_MANIFEST sets`;
    throw new ManifestError([{ file: path, line: 1, column: 1, message }]);
  }
}

interface Found {
  readonly offset: number;
  readonly message: string;
}

/** The manifest, deeply frozen and with its defaults filled in, or a ManifestError with every mistake. */
export function parseManifest(text: string, file: string, options: LoadOptions): Manifest {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const found: Found[] = [];
  const report: Report = (path, message, at = 'value') =>
    void found.push({ offset: offsetOf(document, path, at), message });

  const broken = [...document.errors, ...document.warnings];
  broken.forEach((error) => found.push({ offset: error.pos[0], message: sayYaml(error) }));
  // With a doubled key the rest can still be judged; after any other fault of the syntax it would be guesswork.
  const readable = broken.every((error) => error.code === 'DUPLICATE_KEY') && hasNoAlias(document, found);
  const manifest = readable ? judge(document, options, report) : null;

  if (found.length === 0 && manifest !== null) return deepFreeze(manifest);
  throw new ManifestError(toProblems(found, file, lines));
}

function toProblems(found: readonly Found[], file: string, lines: LineCounter): Problem[] {
  return found
    .toSorted((a, b) => a.offset - b.offset)
    .map(({ offset, message }) => {
      const { line, col } = lines.linePos(offset);
      return { file, line: Math.max(1, line), column: Math.max(1, col), message };
    });
}

function sayYaml(error: YAMLError): string {
  if (error.code === 'DUPLICATE_KEY')
    return 'this key is here twice, and only one of them would count; remove one';
  return `not readable as YAML: ${error.message.replaceAll(/\s+/g, ' ')}; mend it, the rest is judged after that`;
}

/** Aliases are refused: a row must be readable where it stands, and one that holds itself would have no end. */
function hasNoAlias(document: Document.Parsed, found: Found[]): boolean {
  const before = found.length;
  visit(document, {
    Alias: (_, alias) =>
      void found.push({
        offset: startOf(alias) ?? 0,
        message: 'an alias is not taken here; write the value out',
      }),
  });
  return found.length === before;
}

function judge(document: Document.Parsed, options: LoadOptions, report: Report): Manifest | null {
  const value: unknown = document.toJS();
  if (value === null) {
    report([], 'the manifest is empty; it needs `version: 2`, `credentials` and `subscribers`');
    return null;
  }
  const parsed = manifestSchema.safeParse(value, { error: explain });
  for (const issue of parsed.error?.issues ?? []) reportIssue(issue, value, report);

  const credentials = list(value, 'credentials');
  checkRules(
    {
      credentials: entries<Credential>(credentials, credentialSchema),
      rows: entries<Subscriber>(list(value, 'subscribers'), subscriberSchema),
      declared: new Set(
        credentials.map((entry) => field(entry, 'token_name')).filter((name) => typeof name === 'string'),
      ),
    },
    options,
    report,
  );
  return parsed.success ? parsed.data : null;
}

/** One problem for each unknown key, at the key; with an unknown issuer or method, also what is wrong with the rest of the entry. */
function reportIssue(issue: z.core.$ZodIssue, value: unknown, report: Report): void {
  const path = issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step));
  if (issue.code === 'unrecognized_keys') {
    issue.keys.forEach((key) =>
      report([...path, key], `\`${key}\` is not known here; ${issue.message}`, 'key'),
    );
    return;
  }
  report(path, issue.message);
  const [part, index, key] = path;
  if (issue.code !== 'invalid_union' || typeof index !== 'number' || key === undefined) return;
  const rest = part === 'credentials' ? anyCredentialSchema : anySubscriberSchema;
  const others = rest.safeParse(list(value, String(part))[index], { error: explain }).error?.issues ?? [];
  others.forEach((other) =>
    reportIssue({ ...other, path: [String(part), index, ...other.path] }, value, report),
  );
}

// --- What can be judged in spite of mistakes -------------------------------------------------------------------------

// Their defaults would decide what the rules ask of the entry, so a guess could report what is no mistake.
const decisive = new Set(['active', 'scope', 'self', 'wave']);

/** The entries with a right shape; one that has it without its faulty keys counts too, so that the rules still see the others. */
function entries<T>(raws: readonly unknown[], schema: z.ZodType<T>): Entry<T>[] {
  return raws.flatMap((raw, index) => {
    const faulty = new Set((schema.safeParse(raw).error?.issues ?? []).flatMap(keysOf));
    const rest = isRecord(raw)
      ? Object.fromEntries(Object.entries(raw).filter(([key]) => !faulty.has(key) || decisive.has(key)))
      : raw;
    const parsed = schema.safeParse(rest);
    return parsed.success ? [{ index, value: parsed.data }] : [];
  });
}

function keysOf(issue: z.core.$ZodIssue): string[] {
  if (issue.path.length > 0) return [String(issue.path[0])];
  return issue.code === 'unrecognized_keys' ? issue.keys : [];
}

function list(value: unknown, key: string): readonly unknown[] {
  const found = field(value, key);
  return Array.isArray(found) ? found : [];
}

function field(value: unknown, key: string): unknown {
  return isRecord(value) ? value[key] : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// --- Positions -----------------------------------------------------------------------------------------------------

/** Where the value at `path` begins, or its key; for one that is missing, the mapping that lacks it. */
function offsetOf(document: Document.Parsed, path: Path, at: 'key' | 'value'): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [depth, step] of path.entries()) {
    // The last of doubled keys is the one that counts.
    const pair = isMap(node)
      ? node.items.findLast(({ key }) => isScalar(key) && String(key.value) === String(step))
      : undefined;
    const child = isSeq(node) ? node.items[Number(step)] : pair?.value;
    const key = startOf(pair?.key);
    offset = (at === 'key' && depth === path.length - 1 ? key : startOf(child)) ?? key ?? offset;
    node = child;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(deepFreeze);
  return value;
}

// --- What others ask of a manifest -----------------------------------------------------------------------------------

/** The declared credential, active or not; null where the manifest does not know it. */
export function credentialOf(manifest: Manifest, name: string): Credential | null {
  return manifest.credentials.find((credential) => credential.token_name === name) ?? null;
}

/** The credential if Velvet rotates it: declared, active, and its issuer carried out by this release. */
export function activeCredential(manifest: Manifest, name: string): ActiveCredential | null {
  const credential = credentialOf(manifest, name);
  return credential !== null && credential.active && isCarriedOut(credential) ? credential : null;
}

/** All rows of a credential, of every environment, inactive ones included; by wave, then by consumer_id. */
export function rowsOf(manifest: Manifest, name: string): readonly Subscriber[] {
  return manifest.subscribers.filter((row) => row.token_name === name).toSorted(byWave);
}

/** What a job of this environment pins: its active rows, by wave, then by consumer_id. Empty for an inactive credential. */
export function activeRows(manifest: Manifest, name: string, env: string): readonly ActiveRow[] {
  return readableRows(manifest, name, env).filter((row) => row.active);
}

/** Also those that are inactive by now, where this release can at least look at them. */
export function readableRows(manifest: Manifest, name: string, env: string): readonly ActiveRow[] {
  if (activeCredential(manifest, name) === null) return [];
  return rowsOf(manifest, name)
    .filter((row) => row.env === env)
    .filter(isWritten);
}

function byWave(a: Subscriber, b: Subscriber): number {
  if (a.wave !== b.wave) return a.wave - b.wave;
  return a.consumer_id < b.consumer_id ? -1 : 1;
}

function isCarriedOut(credential: Credential): credential is ActiveCredential {
  return Object.hasOwn(issuers, credential.issuer);
}

function isWritten(row: Subscriber): row is ActiveRow {
  return Object.hasOwn(destinations, row.update_method);
}
