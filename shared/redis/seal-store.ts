// A credential's stream and its seals, byte for byte. Law: a seal is appended only to the head that was read, and knows nothing of what it says.
import { createHash } from 'node:crypto';
import type { ChainableCommander, Redis } from 'ioredis';
import type { JobRef } from '../rotation/effects.ts';
import { commitId } from './job-writes.ts';
import { credentialKeys, systemKeys } from './keys.ts';
import { guarded } from './refusals.ts';
import { answers, runScript } from './scripts.ts';

export type CredentialRef = Pick<JobRef, 'credential' | 'env'>;

/** Where a trail stands: the bytes of its oldest and its newest seal, and the number of its last event. */
export interface Position {
  readonly first: Buffer | null;
  readonly last: Buffer | null;
  readonly seq: number;
}

export interface StoredEntry {
  readonly id: string;
  readonly fields: readonly Buffer[];
}

export interface SealStore {
  /** In one round trip for all of them. */
  positions(refs: readonly CredentialRef[]): Promise<readonly Position[]>;
  /** The seal at a place of the list, from 0. */
  sealAt(ref: CredentialRef, place: number): Promise<Buffer | null>;
  /** All seals and the number of the last event, of one moment. */
  whole(ref: CredentialRef): Promise<{ readonly seals: readonly Buffer[]; readonly seq: number }>;
  /** Entries from a number to another, oldest first. 0 is the stream's beginning, whatever stands there. */
  entries(
    ref: CredentialRef,
    range: { readonly from: number; readonly to: number; readonly limit: number },
  ): Promise<readonly StoredEntry[]>;
  /** False where another seal was appended since, or, with `jump`, another event. `jump` gives the numbers between to nobody. */
  append(
    ref: CredentialRef,
    seal: { readonly after: Buffer | null; readonly text: string; readonly jump?: Jump },
  ): Promise<boolean>;
  /** False where the list begins with another seal by now, or a job of theirs is open. */
  retire(ref: CredentialRef, leaving: Leaving): Promise<boolean>;
  openJobIds(ref: CredentialRef): Promise<ReadonlySet<string>>;
  /** Whether the holder has the credential's anchor, or a duty of the installation, to itself for `ms`; with 0 it lets go. */
  hold(what: CredentialRef | string, holder: string, ms: number): Promise<boolean>;
}

export interface Jump {
  readonly from: number;
  readonly to: number;
}

export interface Leaving {
  readonly first: Buffer;
  readonly count: number;
  readonly stub: string;
  readonly toSeq: number;
  readonly jobs: readonly string[];
}

export function createSealStore(redis: Redis): SealStore {
  const keysOf = (ref: CredentialRef) => credentialKeys(ref.credential, ref.env);

  return {
    async positions(refs) {
      if (refs.length === 0) return [];
      const asking = redis.pipeline();
      for (const keys of refs.map(keysOf))
        asking.lindexBuffer(keys.seals, 0).lindexBuffer(keys.seals, -1).get(keys.seq);
      const said = await results(asking);
      return refs.map((_, n) => ({
        first: said[3 * n] as Buffer | null,
        last: said[3 * n + 1] as Buffer | null,
        seq: Number(said[3 * n + 2] ?? 0),
      }));
    },

    sealAt: (ref, place) => guarded(redis.lindexBuffer(keysOf(ref).seals, place)),

    async whole(ref) {
      const keys = keysOf(ref);
      const [seals, seq] = await results(redis.multi().lrangeBuffer(keys.seals, 0, -1).get(keys.seq));
      return { seals: seals as Buffer[], seq: Number(seq ?? 0) };
    },

    async entries(ref, { from, to, limit }) {
      const start = from === 0 ? '-' : `${from}-0`;
      const found = await guarded(redis.xrangeBuffer(keysOf(ref).events, start, `${to}`, 'COUNT', limit));
      return found.map(([id, fields]) => ({ id: id.toString('latin1'), fields }));
    },

    async append(ref, { after, text, jump }) {
      const keys = keysOf(ref);
      const [code] = await runScript(redis, 'seal', [keys.seals, keys.seq, keys.calls], {
        commit_id: commitId(),
        head: sha1(after),
        seal: text,
        seq_from: jump === undefined ? '' : String(jump.from),
        seq_to: String(jump?.to ?? ''),
      });
      return code === answers.applied;
    },

    async retire(ref, { first, count, stub, toSeq, jobs }) {
      const keys = keysOf(ref);
      const [code] = await runScript(redis, 'retire', [keys.seals, keys.events, keys.open, keys.calls], {
        commit_id: commitId(),
        first: sha1(first),
        leave: count,
        stub,
        min_id: `${toSeq + 1}-0`,
        jobs,
      });
      return code === answers.applied;
    },

    openJobIds: async (ref) => new Set(await guarded(redis.smembers(keysOf(ref).open))),

    async hold(what, holder, ms) {
      const key = typeof what === 'string' ? systemKeys.duty(what) : keysOf(what).anchoring;
      const [code] = await runScript(redis, 'hold', [key], { holder, ms });
      return code === answers.applied;
    },
  };
}

/** The replies of a pipeline or a transaction; the first error is thrown, whichever command it was. */
async function results(asking: ChainableCommander): Promise<readonly unknown[]> {
  return guarded(
    (async () => {
      const replies = (await asking.exec()) ?? [];
      for (const [error] of replies) if (error !== null) throw error;
      return replies.map(([, reply]) => reply);
    })(),
  );
}

function sha1(bytes: Buffer | null): string {
  return bytes === null ? '' : createHash('sha1').update(bytes).digest('hex');
}
