// What a job leaves behind that a person must deal with: each kind with what it is and what to do.
import { z } from 'zod';

// oxfmt-ignore
export const residualKinds = {
  orphan_token:        { keepsNewAlive: false, means: 'a token that nobody uses is live at the vendor', remedy: 'revoke it by hand, then resolve this' },
  stale_consumer:      { keepsNewAlive: true,  means: 'a consumer holds another value than it should', remedy: 'put the right value back there, then resolve this, or restore the job' },
  old_token_live:      { keepsNewAlive: true,  means: 'every consumer is on the new token and the old one is live', remedy: 'revoke it by hand and send mark_revoked, or restore the job' },
  may_hold_dead_token: { keepsNewAlive: true,  means: 'a consumer that cannot be read back may hold a token that is dead', remedy: 'check it by hand, then resolve this' },
  manual_revoke:       { keepsNewAlive: false, means: 'a token can be revoked by hand only', remedy: 'revoke it at the vendor, then send mark_revoked' },
} as const satisfies Record<string, { keepsNewAlive: boolean; means: string; remedy: string }>;

export type ResidualKind = keyof typeof residualKinds;

export const residualSchema = z.object({
  kind: z.enum(Object.keys(residualKinds) as [ResidualKind, ...ResidualKind[]]),
  /** The consumer or the handle that it is about. */
  who: z.string(),
  what_to_do: z.string(),
  resolved_at: z.number().nullable(),
});
export type Residual = z.infer<typeof residualSchema>;

export function openResiduals(residuals: readonly Residual[]): readonly Residual[] {
  return residuals.filter((residual) => residual.resolved_at === null);
}

/** Statuses from which an abort finds nobody with the new value: there is nothing to put back. */
export const nobodyHoldsNew = [
  'init',
  'verifying',
  'verify_failed',
  'verified',
  'minting',
  'mint_failed',
  'minted',
  'rev_init',
] as const;
