// A job for tests of the pure core: a plain operational one, with whatever a test says otherwise.
import type { Job } from '../../shared/rotation/job.ts';
import { emptyTally, type Tally } from '../../shared/rotation/rows.ts';

export const credential = 'HK_PLATFORM_FULL';

export function jobOf(different: Partial<Job> = {}): Job {
  return {
    jobId: 'j1', credential, env: 'prod', flowType: 'operational',
    status: 'init', statusSince: 1_000, version: 1, statusVersion: 1, kick: 0, resume: null,
    createdAt: 1_000, updatedAt: 1_000, createdBy: 'mona', forceRevoke: false, autoUntil: null, ticketId: null, ticket: null,
    mintedBy: null, mintBegun: false, movedBy: null, step: null, phase: null, awaiting: null, awaitingReason: null, valueId: null, cleanup: null,
    abortedFrom: null, cleanupSince: 0, restoring: false, wentBack: false, forced: false,
    currentState: null, mayMint: false, issuer: 'heroku-oauth', authority: 'HK_VELVET_BOOTSTRAP', issuerVerify: null, instructions: null, twoPerson: false,
    oldAuthId: null, oldFingerprint: null, newAuthId: null, newFingerprint: null, mintedFence: null, vaultRef: null,
    promoting: false, promoted: false, superseded: false, target: null, atOnce: false, preempt: false, takesOver: null, tookFrom: null, tokens: [], revokedAt: 0, settleMs: 0, settleUntil: 0, replaces: null,
    error: null, residuals: [], inactive: [],
    leaseFence: null, leaseUntil: 0, quietAfter: 0, idem: null, tally: emptyTally,
    ...different,
  }; // prettier-ignore
}

/** How a row stands, in words: `ok` is proven (or written), `going` is in a worker's hands. */
export type Standing = 'ok' | 'skipped' | 'failed' | 'manual' | 'going' | 'pending';

/** The counts of a job whose rows stand so; counted here by hand, not with the product's arithmetic. */
export function tallyOf(...rows: readonly Standing[]): Tally {
  const count = (...which: readonly Standing[]) => rows.filter((row) => which.includes(row)).length;
  return {
    total: rows.length,
    pending: count('pending'),
    open: count('going', 'manual'),
    manual: count('manual'),
    failed: count('failed'),
    ok: count('ok', 'skipped'),
    proven: count('ok'),
  };
}
