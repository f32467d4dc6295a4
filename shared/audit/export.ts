// The form in which a segment leaves: its own seal and its events, byte for byte. With the public key alone it can be told that nothing was changed.
import { gunzipSync, gzipSync } from 'node:zlib';
import { z } from 'zod';
import { entriesDigest, openSeal, type Entry, type OpenedSeal } from './seal.ts';
import type { Keyring } from './signing-key.ts';

const recordSchema = z.strictObject({
  seal: z.string(),
  events: z.array(z.tuple([z.string(), z.array(z.string())])),
});

/** gzip, base64: no byte is lost in a log, and nothing in it is taken for a field of the line. */
export function exportRecord(seal: Buffer, entries: readonly Entry[]): string {
  const events = entries.map(({ id, fields }) => [id, fields.map((field) => field.toString('base64'))]);
  return gzipSync(JSON.stringify({ seal: seal.toString('latin1'), events })).toString('base64');
}

export interface Exported {
  readonly seal: OpenedSeal['seal'];
  /** The seal's own digest, which the next one names. */
  readonly digest: string;
  readonly entries: readonly Entry[];
}

/** What was exported; null where it is not byte for byte what was signed by a known key. */
export function openExport(record: string, keys: Keyring): Exported | null {
  const { seal: text, events } = recordSchema.parse(
    JSON.parse(gunzipSync(Buffer.from(record, 'base64')).toString('utf8')),
  );
  const opened = openSeal(Buffer.from(text, 'latin1'));
  if (opened === null || !keys(opened.seal.key_id, opened.body, opened.signature)) return null;
  const { seal } = opened;
  const entries = events.map(([id, fields]) => ({
    id,
    fields: fields.map((field) => Buffer.from(field, 'base64')),
  }));
  const made = entriesDigest(seal.credential, seal.env);
  for (const entry of entries) made.add(entry);
  const { digest, count } = made.end();
  const same = seal.kind === 'segment' ? digest === seal.digest && count === seal.count : count === 0;
  return same ? { seal, digest: opened.digest, entries } : null;
}
