// Runs a contract suite, checks as data, over the world of one implementation. Law: an exception names its check and its reason, and an essential check has none.
import { describe, expect, test } from 'vitest';

/** One promise of a contract. `run` throws where the implementation in the world breaks it. */
export interface Check<World> {
  /** The guarantee, as a sentence; unique in its suite. */
  readonly name: string;
  /** Whether no implementation may be excused from it. */
  readonly essential: boolean;
  run(world: World): Promise<void>;
}

export interface Skip {
  /** The name of the check, letter by letter. */
  readonly check: string;
  /** Why this implementation cannot keep that promise, with a link where there is one. */
  readonly reason: string;
}

export type MakeWorld<World> = () => World | Promise<World>;

/** Registers each check as a test over a fresh world, which is disposed of after it. A faulty list of exceptions fails the file. */
export function contractTest<World extends AsyncDisposable>(
  checks: readonly Check<World>[],
  makeWorld: MakeWorld<World>,
  exceptions: { readonly skip: readonly Skip[] } = { skip: [] },
): void {
  const skipped = acceptedSkips(checks, exceptions.skip);
  describe('contract', () => {
    test.for(checks.map((check) => ({ name: check.name, check })))('$name', async ({ check }, { skip }) => {
      const excused = skipped.get(check.name);
      skip(excused !== undefined, excused?.reason);
      expect(await runCheck(check, makeWorld)).toBe('kept');
    });
  });
}

/** The exceptions by the name of their check. Throws, naming every faulty one, where an exception is not allowed. */
export function acceptedSkips(
  checks: readonly Pick<Check<never>, 'name' | 'essential'>[],
  skips: readonly Skip[],
): ReadonlyMap<string, Skip> {
  const byName = new Map(checks.map((check) => [check.name, check]));
  const problems: string[] = [];
  if (checks.length === 0) problems.push('the suite has no checks');
  if (byName.size !== checks.length) problems.push('two checks of the suite have the same name');
  for (const { check, reason } of skips) {
    const known = byName.get(check);
    if (known === undefined) problems.push(`no check is named "${check}"`);
    else if (known.essential) problems.push(`"${check}" is essential and cannot be skipped`);
    if (reason.trim() === '') problems.push(`the skip of "${check}" needs a reason`);
  }
  if (problems.length > 0) throw new Error(`faulty contract exceptions: ${problems.join('; ')}`);
  return new Map(skips.map((skip) => [skip.check, skip]));
}

/** Names of the checks that an implementation breaks, in the suite's order. For proving with broken ones that a suite bites. */
export async function rejectedBy<World extends AsyncDisposable>(
  checks: readonly Check<World>[],
  makeWorld: MakeWorld<World>,
): Promise<readonly string[]> {
  const rejected: string[] = [];
  for (const check of checks) {
    const outcome = await runCheck(check, makeWorld).catch(() => 'broken');
    if (outcome === 'broken') rejected.push(check.name);
  }
  return rejected;
}

async function runCheck<World extends AsyncDisposable>(
  check: Check<World>,
  makeWorld: MakeWorld<World>,
): Promise<'kept'> {
  await using world = await makeWorld();
  await check.run(world);
  return 'kept';
}
