// What a job keeps of the manifest from the day it is created: later edits of the manifest are not its own.
import { newRow, tally, type Row, type Tally } from '../rotation/rows.ts';
import { activeCredential, activeRows, readableRows, rowsOf } from './load.ts';
import type { ActiveRow, Manifest, ManualVerify } from './schema.ts';

export interface Pinned {
  /** As the job's record spells them. */
  readonly fields: {
    readonly issuer: string;
    readonly authority: string | null;
    readonly issuer_verify: ManualVerify | null;
    readonly instructions: string | null;
    readonly two_person: boolean;
    /** Milliseconds in which an emergency's consumers must be locked out. */
    readonly settle_ms: number;
    /** Registered for this environment and left out. */
    readonly inactive: readonly string[];
  };
  readonly rows: readonly Row[];
  readonly tally: Tally;
}

/** Null where the manifest has no such credential, or nothing active of it in this environment. */
export function pinned(manifest: Manifest, name: string, env: string, now: number): Pinned | null {
  return pinnedRows(manifest, activeRows(manifest, name, env), { name, env, now });
}

/** For a job whose own pins were lost: a row that is inactive now may have been active then, and hold what the job wrote. */
export function pinnedAnew(manifest: Manifest, name: string, env: string, now: number): Pinned | null {
  return pinnedRows(manifest, readableRows(manifest, name, env), { name, env, now });
}

function pinnedRows(
  manifest: Manifest,
  pins: readonly ActiveRow[],
  { name, env, now }: { readonly name: string; readonly env: string; readonly now: number },
): Pinned | null {
  const credential = activeCredential(manifest, name);
  const rows = pins.map((row) => newRow(row, now));
  if (credential === null || rows.length === 0) return null;
  const taken = new Set(rows.map((row) => row.consumer_id));
  const leftOut = rowsOf(manifest, name).filter((row) => row.env === env && !taken.has(row.consumer_id));
  return {
    fields: {
      issuer: credential.issuer,
      authority: credential.issuer_auth_token_name ?? null,
      issuer_verify: 'verify' in credential ? credential.verify : null,
      instructions: 'instructions' in credential ? (credential.instructions ?? null) : null,
      two_person: credential.two_person,
      settle_ms: credential.settle_seconds * 1000,
      inactive: leftOut.map((row) => row.consumer_id),
    },
    rows,
    tally: tally(rows, 'distribute'),
  };
}
