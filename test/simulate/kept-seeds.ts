// Seeds that once showed a fault, each with what it showed. They are told again in `npm test`.

export interface KeptSeed {
  readonly seed: number;
  readonly showed: string;
}

/** A change of how stories are made makes other stories of them; each fault has a test of its own beside (test/flows/ways-out.test.ts). */
// oxfmt-ignore
export const keptSeeds: readonly KeptSeed[] = [
];
