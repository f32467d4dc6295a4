// What the stage worker answers to "is the trail intact?": it alone has the key and the vault. Changes nothing.
import { verifyTrail, type TrailReport } from '../../shared/audit/verify.ts';
import { digestOf, seqOf, type Entry } from '../../shared/audit/seal.ts';
import { keyring } from '../../shared/audit/signing-key.ts';
import type { CredentialRef } from '../../shared/redis/seal-store.ts';
import type { Anchoring } from './anchoring.ts';
import type { AuditDeps } from './deps.ts';

export type VerifyDeps = Pick<AuditDeps, 'store' | 'key'>;

const PAGE = 500;
/** A trail that lives moves while it is read; what is found again on the same seals is no accident. */
const LOOKS_MAX = 4;

/** Throws `vault_unavailable`: without its anchor a trail that was put back to an earlier state would read as intact. */
export async function verifyOne(
  deps: VerifyDeps,
  anchoring: Pick<Anchoring, 'read'>,
  ref: CredentialRef,
): Promise<TrailReport> {
  let before = '';
  for (let look = 1; ; look++) {
    // First the anchor: it is never ahead of the seals that are read after it.
    const anchor = await anchoring.read(ref.credential);
    const { seals, seq } = await deps.store.whole(ref);
    const trail = { ...ref, seals, seq, entries: () => pages(deps, ref, seq) };
    const report = await verifyTrail(trail, anchor, keyring(deps.key, anchor?.keys ?? []));
    const now = digestOf(Buffer.concat([...seals]));
    if (report.finding === null || before === now || look === LOOKS_MAX) return report;
    before = now;
  }
}

async function* pages(deps: VerifyDeps, ref: CredentialRef, to: number): AsyncGenerator<readonly Entry[]> {
  for (let from = 0; ;) {
    const page = await deps.store.entries(ref, { from, to, limit: PAGE });
    if (page.length > 0) yield page;
    const last = seqOf(page.at(-1)?.id ?? '');
    if (page.length < PAGE || last === null) return;
    from = last + 1;
  }
}
