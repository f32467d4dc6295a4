// The 26 statuses of a job: what kind each is and what it means, in the words an operator reads.

export type FlowType = 'operational' | 'revocation' | 'testing';

/** gate: a person decides · automatic: a worker moves it · failed: parked until a person acts · end: nothing more happens. */
export type Kind = 'gate' | 'automatic' | 'failed' | 'end';

interface StatusRow {
  readonly kind: Kind;
  readonly means: string;
}

// oxfmt-ignore
export const statuses = {
  init:               { kind: 'gate',      means: 'created, nothing touched' },
  verifying:          { kind: 'automatic', means: 'the current token and the authority are being probed' },
  verify_failed:      { kind: 'failed',    means: 'the current token or the authority did not pass; nothing was changed' },
  verified:           { kind: 'gate',      means: 'both tokens pass; waiting for a person to let the new token be minted' },
  minting:            { kind: 'automatic', means: 'the vendor is minting the new token' },
  mint_failed:        { kind: 'failed',    means: 'the vendor did not mint; the old token is untouched' },
  minted:             { kind: 'automatic', means: 'the new token is in the vault, nobody has it yet' },
  distributing:       { kind: 'automatic', means: 'the new token is being written to the consumers, wave by wave' },
  distribute_partial: { kind: 'failed',    means: 'some consumers could not be written' },
  distribute_failed:  { kind: 'failed',    means: 'no consumer could be written' },
  distributed:        { kind: 'automatic', means: 'every consumer has the new token' },
  validating:         { kind: 'automatic', means: 'each consumer is being proven to run on the new token' },
  validate_partial:   { kind: 'failed',    means: 'some consumers are not proven' },
  validate_failed:    { kind: 'failed',    means: 'no consumer is proven' },
  validated:          { kind: 'gate',      means: 'every consumer is proven; waiting for a person to let the old token be revoked' },
  revoking:           { kind: 'automatic', means: 'consumers are proven once more, then the old token is revoked' },
  revoke_failed:      { kind: 'failed',    means: 'the old token may still be live' },
  done:               { kind: 'end',       means: 'complete; the old token is revoked' },
  aborted:            { kind: 'end',       means: 'stopped by a person' },
  rev_init:           { kind: 'gate',      means: 'emergency created, nothing touched' },
  rev_revoking:       { kind: 'automatic', means: 'the token is being revoked at the vendor' },
  rev_revoke_failed:  { kind: 'failed',    means: 'the vendor did not revoke; the token may be live' },
  rev_revoked:        { kind: 'automatic', means: 'revoked at the vendor; lock-out is about to be proven' },
  rev_validating:     { kind: 'automatic', means: 'each consumer is being proven to be locked out' },
  rev_leaked:         { kind: 'failed',    means: 'a consumer was not locked out' },
  rev_done:           { kind: 'end',       means: 'revoked, and every consumer locked out or resolved by a person' },
} as const satisfies Record<string, StatusRow>;

export type Status = keyof typeof statuses;
export const statusNames = Object.keys(statuses) as readonly Status[];
