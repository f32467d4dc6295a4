// velvet audit verify: what left the trail is checked from the log that it left for, with the public key and nothing else of Velvet.
import { existsSync, readFileSync } from 'node:fs';
import {
  verifyExported,
  type ExportReport,
  type ExportedTrail,
  type FoundRecord,
} from '../../shared/audit/exported-trail.ts';
import { publicKeyring, signingKey, type Keyring } from '../../shared/audit/signing-key.ts';
import { refuse } from './say.ts';

const howToGetTheKey =
  'Give the public key that `npx velvet audit key` prints where VELVET_AUDIT_SIGNING_KEY is set, or a file that holds it';

/** Prints the public half of the key that seals the audit trail. Throws where there is none. */
export function publicKey(environment: Readonly<Record<string, string | undefined>>): void {
  const given = environment['VELVET_AUDIT_SIGNING_KEY'] ?? '';
  const seed = Buffer.from(given, 'base64');
  if (seed.length !== 32 || seed.toString('base64') !== given)
    refuse(
      'VELVET_AUDIT_SIGNING_KEY must be 32 bytes in base64, as the stage process has it. Run this where it is set, or beside the .env that holds it.',
    );
  process.stdout.write(`${signingKey(seed).publicKey}\n`);
}

/** Says of each trail in the file whether it is as it was sealed. Exit code 0 only where every record is, and none between two is missing. */
export function verifyExport(file: string, keys: readonly string[]): void {
  const known = keyringOf(keys);
  const found = recordsIn(textOf(file, 'the log of the stage process, or the part of it that you keep'));
  if (found.length === 0)
    refuse(
      `${file} holds no record of the audit trail: no line in it says \`audit segment left\`. Give the log of the stage process, unchanged, from the time when the events left (VELVET_AUDIT_DAYS after they happened).`,
    );
  const report = verifyExported(found, known);
  process.stdout.write(wordsOf(report));
  if (report.findings.length > 0 || report.trails.some(({ findings }) => findings.length > 0))
    process.exitCode = 1;
}

function keyringOf(given: readonly string[]): Keyring {
  return publicKeyring(given.map((one) => checkedKey(existsSync(one) ? textOf(one, 'the public key') : one)));
}

/** SPKI of an Ed25519 key: 12 bytes that never differ (RFC 8410), then the 32 of the key. */
const spkiHead = Buffer.from('302a300506032b6570032100', 'hex');

function checkedKey(text: string): string {
  const base64 = text.replace(/-----(BEGIN|END) PUBLIC KEY-----/g, '').replace(/\s+/g, '');
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length === 32)
    refuse(
      `--key was given 32 bytes, which may be the secret signing key: it belongs to nobody but the stage process, and was not used. ${howToGetTheKey}.`,
    );
  if (bytes.length !== 44 || !bytes.subarray(0, 12).equals(spkiHead))
    refuse(
      `--key is no Ed25519 public key (44 bytes in base64, or PEM), nor a file that is there. ${howToGetTheKey}.`,
    );
  return base64;
}

function textOf(file: string, what: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    return refuse(`${file} could not be read (${code}). Name a file that holds ${what}.`);
  }
}

interface Parts {
  readonly of: number;
  readonly texts: Map<number, string>;
}

/** The records in a log, each put together from its lines, whatever a log drain wrote before each and in whichever order they came. */
function recordsIn(text: string): readonly FoundRecord[] {
  const records = new Map<string, Parts>();
  for (const line of text.split('\n').filter((one) => one.includes('audit segment left'))) {
    const field = (name: string) => new RegExp(`(?:^|\\s)${name}="?([^"\\s]*)`).exec(line)?.[1] ?? '';
    const where = `${field('credential')}, events ${field('from_seq')} to ${field('to_seq')} (digest ${field('digest').slice(0, 12)})`;
    const parts = records.get(where) ?? { of: Number(field('of')), texts: new Map<number, string>() };
    parts.texts.set(Number(field('part')), field('record'));
    records.set(where, parts);
  }
  return [...records].map(([where, { of, texts }]) => {
    const parts = Array.from({ length: texts.size }, (_, n) => texts.get(n + 1));
    const whole = texts.size === of && !parts.includes(undefined);
    return { where, record: whole ? parts.join('') : null };
  });
}

function wordsOf({ trails, findings }: ExportReport): string {
  const lines = [
    ...trails.flatMap((trail) => [headOf(trail), ...trail.findings.map((one) => `  ${one}`)]),
    ...(findings.length === 0 ? [] : ['NOT BELIEVED:', ...findings.map((one) => `  ${one}`)]),
    'What came before the first event and after the last one of a trail, the records cannot show: `GET /audit/verify` says whether what Velvet still keeps is whole.',
  ];
  return `${lines.join('\n')}\n`;
}

function headOf(trail: ExportedTrail): string {
  const { credential, env, from, to, segments, sealedFrom, sealedTo, findings } = trail;
  const verdict = findings.length === 0 ? 'intact' : 'NOT INTACT';
  return `${credential} (${env}): ${verdict}, events ${from} to ${to} in ${segments} segment${segments === 1 ? '' : 's'}, sealed ${sealedFrom} to ${sealedTo}`;
}
