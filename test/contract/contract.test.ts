// The suites must bite: each check is broken by somebody on purpose, and says so.
import { describe, expect, test } from 'vitest';
import { brokenDestinations } from './broken-destinations.ts';
import { brokenHealthchecks } from './broken-healthchecks.ts';
import { brokenIssuers, curedByTheRegistry } from './broken-issuers.ts';
import { rejectedBy } from './contract-test.ts';
import type { Check } from './contract-test.ts';
import { destinationChecks } from './destination.ts';
import { assertHoldsNone, callOf, thrownBy } from './expectations.ts';
import { healthcheckChecks, healthcheckWorld } from './healthcheck.ts';
import { herokuDestinationWorld } from './heroku-destination-world.ts';
import { herokuIssuerWorld } from './heroku-issuer-world.ts';
import { issuerChecks } from './issuer.ts';

/** The check that is meant for a fault, alone: what else it breaks is of no interest. */
function meant<World>(checks: readonly Check<World>[], name: string): readonly Check<World>[] {
  return checks.filter((check) => check.name === name);
}

function checksWithoutBroken(
  checks: readonly { readonly name: string }[],
  broken: readonly { readonly rejectedBy: string }[],
): readonly string[] {
  return checks.map((check) => check.name).filter((name) => !broken.some((one) => one.rejectedBy === name));
}

describe('issuer', () => {
  test.each(brokenIssuers)('$fault is rejected', async ({ rejectedBy: name, make }) => {
    expect(await rejectedBy(meant(issuerChecks, name), () => herokuIssuerWorld(make))).toEqual([name]);
  });

  test('every check has an issuer that breaks it', () => {
    expect(brokenIssuers.length).toBeGreaterThanOrEqual(12);
    expect(checksWithoutBroken(issuerChecks, brokenIssuers)).toEqual([]);
  });

  test.each(curedByTheRegistry)('what a handler lets slip, the registry removes (%#)', async (make) => {
    await using world = await herokuIssuerWorld(make);
    world.fault('mint', { status: 422, body: { id: 'invalid_params', message: 'x' } });

    const error = await thrownBy(world.issuer.mint(callOf(), world.authority));

    assertHoldsNone(error, world.values());
    expect(error.cause).toBeUndefined();
  });
});

describe('destination', () => {
  test.each(brokenDestinations)('$fault is rejected', async ({ rejectedBy: name, make }) => {
    expect(await rejectedBy(meant(destinationChecks, name), () => herokuDestinationWorld({ make }))).toEqual([
      name,
    ]);
  });

  test('every check has a destination that breaks it', () => {
    expect(brokenDestinations.length).toBeGreaterThanOrEqual(8);
    expect(checksWithoutBroken(destinationChecks, brokenDestinations)).toEqual([]);
  });
});

describe('healthcheck', () => {
  test.each(brokenHealthchecks)('$fault is rejected', async ({ rejectedBy: name, make }) => {
    expect(await rejectedBy(meant(healthcheckChecks, name), () => healthcheckWorld(make))).toEqual([name]);
  });

  test('every check has a healthcheck that breaks it', () => {
    expect(brokenHealthchecks.length).toBeGreaterThanOrEqual(5);
    expect(checksWithoutBroken(healthcheckChecks, brokenHealthchecks)).toEqual([]);
  });
});
