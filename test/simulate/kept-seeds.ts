// Seeds that once showed a fault, each with what it showed. They are told again in `npm test`.

export interface KeptSeed {
  readonly seed: number;
  readonly showed: string;
}

/** A change of how stories are made makes other stories of them; each fault has a test of its own beside (test/flows/ways-out.test.ts). */
// oxfmt-ignore
export const keptSeeds: readonly KeptSeed[] = [
  { seed: 92,  showed: 'a residual was resolved while the processes still ran on the new token, which was then revoked' },
  { seed: 300, showed: 'nothing was offered to a job whose consumers held the new value when the old token had died' },
  { seed: 346, showed: 'a forced revoke with everybody skipped stood in revoking for ever' },
  { seed: 836, showed: 'a residual was resolved by word while a dead authority hid that the new token ran there' },
  { seed: 18437, showed: 'a cleanup looked twice, saw less the second time, and ended without emptying PREVIOUS' },
  { seed: 27069, showed: 'a cleanup looked at a slot twice: the look that names saw it dead, the look that empties saw it live, so it was neither' },
];
