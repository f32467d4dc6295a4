// What a job leaves behind that a person must deal with: each kind with what it is and what to do, and how a list of them is kept.
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
export const residualKindNames = Object.keys(residualKinds) as [ResidualKind, ...ResidualKind[]];

export const residualSchema = z.object({
  kind: z.enum(residualKindNames),
  /** The consumer or the handle that it is about. */
  who: z.string(),
  what_to_do: z.string(),
  resolved_at: z.number().nullable(),
});
export type Residual = z.infer<typeof residualSchema>;

/** Something that a cleanup found. */
export type Finding = Pick<Residual, 'kind' | 'who' | 'what_to_do'>;

/** What is about consumers and the old token is found anew by each cleanup; the others stand until a person resolves them. */
const foundAnew: readonly ResidualKind[] = ['stale_consumer', 'may_hold_dead_token', 'old_token_live'];

export function openResiduals(residuals: readonly Residual[]): readonly Residual[] {
  return residuals.filter((residual) => residual.resolved_at === null);
}

/** The list after a cleanup has looked: what it found is open, what it no longer found is resolved, nothing is forgotten. */
export function reckoned(
  before: readonly Residual[],
  found: readonly Finding[],
  now: number,
): readonly Residual[] {
  const same = (a: Finding, b: Finding) => a.kind === b.kind && a.who === b.who;
  const kept = before.map((one): Residual => {
    const again = found.find((finding) => same(finding, one));
    if (again !== undefined) return { ...again, resolved_at: null };
    return foundAnew.includes(one.kind) ? { ...one, resolved_at: one.resolved_at ?? now } : one;
  });
  const fresh = found.filter((finding) => !before.some((one) => same(one, finding)));
  return [...kept, ...fresh.map((finding) => ({ ...finding, resolved_at: null }))];
}

/** The list with one entry resolved by a person. */
export function resolved(
  residuals: readonly Residual[],
  { kind, who }: Pick<Residual, 'kind' | 'who'>,
  now: number,
): readonly Residual[] {
  return residuals.map((one) =>
    one.kind === kind && one.who === who && one.resolved_at === null ? { ...one, resolved_at: now } : one,
  );
}

/** The list once what it is about has ended: every token is dead, or every consumer locked out. */
export function resolvedAll(residuals: readonly Residual[], now: number): readonly Residual[] {
  return residuals.map((one) => ({ ...one, resolved_at: one.resolved_at ?? now }));
}
