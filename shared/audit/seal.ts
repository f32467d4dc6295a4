// What a seal is: a signed digest over some events of a credential, chained to the seal before. Law: what is not byte for byte as it was signed is no seal.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { SigningKey } from './signing-key.ts';

/** One entry of a stream, byte for byte as Redis keeps it. */
export interface Entry {
  readonly id: string;
  readonly fields: readonly Buffer[];
}

const number = z.int().nonnegative();
const text = z.string();
const lossSchema = z.strictObject({ at: text, epoch: text, from_seq: number, to_seq: number });
/** Events that were sealed, or seen, and are gone: their numbers, and when that was noted. `from_seq` above `to_seq`: a seal alone was damaged. */
export type Loss = z.infer<typeof lossSchema>;

const common = {
  credential: text,
  env: text,
  /** The place in the chain, from 1. */
  n: number,
  from_seq: number,
  to_seq: number,
  /** Events covered; fewer than there are numbers says that some were missing when they were sealed. */
  count: number,
  digest: text,
  /** The digest of the seal before; empty where there is none. */
  prev: text,
  epoch: text,
  /** How often data of this credential were lost so far. */
  losses: number,
  at: text,
  key_id: text,
};

/**
 * segment: `digest` covers the events from_seq to to_seq. loss: the trail was shorter than what was known of it; `digest` is
 * the head that is gone, no event has the numbers from_seq to to_seq. stub: stands for all that left, up to n and to_seq;
 * `digest` is that of the last seal that left, `prev` that of the stub before.
 */
const sealSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('segment'), ...common }),
  z.strictObject({ kind: z.literal('loss'), ...common, lost: lossSchema }),
  z.strictObject({ kind: z.literal('stub'), ...common, past: z.array(lossSchema) }),
]);
export type Seal = z.infer<typeof sealSchema>;
export type Unsigned = WithoutKey<Seal>;
type WithoutKey<T> = T extends unknown ? Omit<T, 'key_id'> : never;

/** The one order in which a seal is written, whatever the order in memory. */
const written = ['kind', ...Object.keys(common), 'lost', 'past'];

/** `<signature> <JSON>`, as it is stored, logged and chained. */
export function sealed(seal: Unsigned, key: SigningKey): string {
  const body = JSON.stringify({ ...seal, key_id: key.id }, written);
  return `${key.sign(body)} ${body}`;
}

export interface OpenedSeal {
  readonly seal: Seal;
  /** What the next seal names as `prev`: SHA-256 over the whole text, the signature included. */
  readonly digest: string;
  readonly body: string;
  readonly signature: string;
}

/** Reads what is stored; null for anything that is not written exactly as `sealed` writes. Whose the signature is, is not asked here. */
export function openSeal(stored: Buffer): OpenedSeal | null {
  const [, signature, body] = /^([\w-]{86}) (\{.*\})$/s.exec(stored.toString('latin1')) ?? [];
  if (signature === undefined || body === undefined) return null;
  const seal = parsed(body);
  if (seal === null) return null;
  // The last of the 86 characters has bits to spare, and JSON may be written in many ways: only one of each counts.
  const exact =
    Buffer.from(signature, 'base64url').toString('base64url') === signature &&
    JSON.stringify(seal, written) === body;
  return exact ? { seal, digest: digestOf(stored), body, signature } : null;
}

function parsed(body: string): Seal | null {
  try {
    return sealSchema.safeParse(JSON.parse(body)).data ?? null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

export function digestOf(stored: Buffer | string): string {
  return createHash('sha256').update(stored).digest('hex');
}

export interface EntriesDigest {
  add(entry: Entry): void;
  end(): { readonly digest: string; readonly count: number };
}

/** The digest over entries: each part with its length before it, so that no byte can change sides. */
export function entriesDigest(credential: string, env: string): EntriesDigest {
  const hash = createHash('sha256').update(`velvet-events/1\n${credential}\n${env}\n`);
  let count = 0;
  const part = (bytes: Buffer) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  };
  return {
    add({ id, fields }) {
      count += 1;
      part(Buffer.from(id));
      part(Buffer.from(String(fields.length)));
      fields.forEach(part);
    },
    end: () => ({ digest: hash.digest('hex'), count }),
  };
}

/** The number of an entry whose id has the form that Velvet gives, else null. */
export function seqOf(id: string): number | null {
  const [, seq] = /^(0|[1-9]\d{0,15})-0$/.exec(id) ?? [];
  return seq === undefined ? null : Number(seq);
}

/** What the trail says of itself so far, as its last seal has it. */
export interface Head {
  readonly n: number;
  readonly digest: string;
  readonly toSeq: number;
  readonly losses: number;
}

export const emptyHead: Head = { n: 0, digest: '', toSeq: 0, losses: 0 };

export function headOf({ seal, digest }: OpenedSeal): Head {
  // A stub speaks for the seal that left last.
  const own = seal.kind === 'stub' ? seal.digest : digest;
  return { n: seal.n, digest: own, toSeq: seal.to_seq, losses: seal.losses };
}
