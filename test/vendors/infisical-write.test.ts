// A secret in Infisical as a destination: the contract suite, and the traps that are Infisical's own.
import { describe } from 'vitest';
import { contractTest } from '../contract/contract-test.ts';
import { destinationChecks } from '../contract/destination.ts';
import { infisicalDestinationWorld } from '../contract/infisical-worlds.ts';

describe('INFISICAL_WRITE', () => {
  contractTest(destinationChecks, () => infisicalDestinationWorld(), {
    skip: [
      {
        check: 'a write that is accepted and fails later is not in effect',
        reason:
          'what Infisical accepted is what is read there from then on; what waits for an approval is an error',
      },
    ],
  });
});
