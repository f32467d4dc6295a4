// What a job keeps of the manifest from the day it is created: later edits of the manifest are not its own.
import { newRow, tally, type Row, type Tally } from '../rotation/rows.ts';
import { activeCredential, activeRows, rowsOf } from './load.ts';
import type { Manifest } from './schema.ts';

export interface Pinned {
  /** As the job's record spells them. */
  readonly fields: {
    readonly issuer: string;
    readonly authority: string;
    readonly two_person: boolean;
    /** Registered for this environment and left out. */
    readonly inactive: readonly string[];
  };
  readonly rows: readonly Row[];
  readonly tally: Tally;
}

/** Null where the manifest has no such credential, or nothing active of it in this environment. */
export function pinned(manifest: Manifest, name: string, env: string, now: number): Pinned | null {
  const credential = activeCredential(manifest, name);
  const rows = activeRows(manifest, name, env).map((row) => newRow(row, now));
  if (credential === null || rows.length === 0) return null;
  const here = rowsOf(manifest, name).filter((row) => row.env === env);
  return {
    fields: {
      issuer: credential.issuer,
      authority: credential.issuer_auth_token_name,
      two_person: credential.two_person,
      inactive: here.filter((row) => !row.active).map((row) => row.consumer_id),
    },
    rows,
    tally: tally(rows, 'distribute'),
  };
}
