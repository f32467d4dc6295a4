// GitHub Actions secrets as a destination: the contract suite for each scope, and the traps that are GitHub's own.
import { describe, expect, test } from 'vitest';
import { contractTest } from '../contract/contract-test.ts';
import { destinationChecks } from '../contract/destination.ts';
import { callOf } from '../contract/expectations.ts';
import { githubWorld } from '../contract/github-world.ts';

const skip = [
  {
    check: 'a write that is accepted and fails later is not in effect',
    reason: 'GitHub has no such thing: what it answered 201 or 204 is what the next job reads.',
  },
];

describe('a repository', () => {
  contractTest(destinationChecks, () => githubWorld(), { skip });
});

describe('an environment', () => {
  contractTest(destinationChecks, () => githubWorld({ scope: 'environment' }), { skip });
});

test.for(['repository', 'environment', 'organisation'] as const)(
  'a workflow of the %s sees the very value, and the box was sealed to that scope alone',
  async (scope) => {
    await using world = await githubWorld({ scope });
    const { destination, target, authority, next, store, sim } = world;
    const receipt = await destination.push(callOf(), target, authority, next);

    expect(store.values()).toMatchObject({ HEROKU_API_KEY: 'HRKU-next-9c2e', OTHER: 'a-sibling-value' });
    expect(await destination.settled(callOf({ lease: null }), target, authority, receipt)).toBe('yes');
    const put = sim.requests.find((request) => request.method === 'PUT');
    expect(put?.headers['x-github-api-version']).toBe('2022-11-28');
    expect(put?.status).toBe(204);
    expect(JSON.stringify(put?.body)).toMatch(/"encrypted_value":"[A-Za-z0-9+/]+={0,2}"/);
  },
);
