// Every fault of GitHub at every call of a write: a failure of that row alone with a code of its own, and the same job goes on.
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { ErrorCode } from '../../shared/lib/errors.ts';
import type { Status } from '../../shared/rotation/statuses.ts';
import { until } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { faultKinds, TOO_LONG, type Expected, type FaultKind } from './fault-cases.ts';
import { act, drive, inWorld, noValueOutside, type Run } from './fault-world.ts';
import { GITHUB_ROW, githubStage, type GithubStage } from './github-row.ts';

// Most of a run is waiting, for a vendor that hangs or for a lease to end.
vi.setConfig({ maxConcurrency: 8 });

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

interface CallCase {
  readonly name: string;
  readonly on: string;
  /** A login is one, too: where its answer is lost, nothing has happened. */
  readonly kind: 'read' | 'change';
  /** Asked again and again until the row's time is up. */
  readonly polled?: true;
  /** Where the call's meaning gives the fault another one, and why; null where it cannot happen there. */
  readonly except?: Readonly<Record<string, Expected | null>>;
}

// oxfmt-ignore
const calls: readonly CallCase[] = [
  { name: 'the installation',   kind: 'read', on: 'GET /repos/:owner/:repo/installation' },
  { name: 'the token',          kind: 'read', on: 'POST /app/installations/:id/access_tokens' },
  { name: 'the public key',     kind: 'read', on: 'GET /repos/:owner/:repo/actions/secrets/public-key' },
  // A 204 has no body that could break off.
  { name: 'the write',          kind: 'change', on: 'PUT /repos/:owner/:repo/actions/secrets/:name', except: { malformed: null, hang_mid_body: null, drop_mid_body: null } },
  { name: 'whether it arrived', kind: 'read', on: 'GET /repos/:owner/:repo/actions/secrets/:name', polled: true },
];

// It ends by itself within the hour, so nothing of a rotation depends on giving it back.
const GIVE_BACK = 'DELETE /installation/token';

interface Rotation {
  readonly run: Run;
  readonly stage: GithubStage;
}

async function rotation(short: boolean, body: (rotation: Rotation) => Promise<Status>): Promise<Status> {
  const stage = await githubStage();
  await using _ = stage.github;
  const options = {
    apps: [{ name: 'proof-app' }],
    ...stage.options,
    times: {
      // A call that is answered is answered in this time, also on a machine that does other things beside.
      vendorCallMs: 500,
      leaseMs: 5_000,
      lateMs: 60,
      rateLimitWaitMaxMs: 60_000,
      secondaryLimitWaitMs: 15,
      sweepMs: 150,
      settleForMs: short ? 2_000 : 20_000,
    },
  };
  // Awaited here: GitHub is there for as long as the world is.
  return await inWorld(redis.url, options, async (run) => {
    stage.repo.set('HEROKU_API_KEY', run.world.firstToken);
    await drive(run, 'verified');
    return body({ run, stage });
  });
}

async function rowOf({ run: { world, jobId } }: Rotation): Promise<Record<string, unknown>> {
  const { consumers } = await world.job(jobId);
  return consumers.find((one) => one['consumer_id'] === GITHUB_ROW) ?? {};
}

/** Until the row waits for a person who says that it works, who says so; then the job is at its gate. */
async function confirmed(at: Rotation): Promise<Status> {
  await until(
    async () => ((await rowOf(at))['validate_status'] === 'manual_required' ? true : null),
    20_000,
    async () => JSON.stringify(await at.run.world.job(at.run.jobId)),
  );
  await act(at.run, { action: 'confirm_consumer', consumer_id: GITHUB_ROW, note: 'seen in a run' });
  const { world, jobId } = at.run;
  const view = await world.reaches(jobId, 'validated', 20_000);
  const token = world.account.authorizations().find((one) => one.id === view.new_auth_id)?.token;
  expect(at.stage.repo.values()).toEqual({ HEROKU_API_KEY: token });
  await noValueOutside(at.run);
  return 'validated';
}

async function parked(at: Rotation, code: ErrorCode): Promise<void> {
  const { world, jobId } = at.run;
  const view = await world.reaches(jobId, 'distribute_partial', 20_000);
  expect(await rowOf(at)).toMatchObject({ distribute_status: 'failed', error: { code } });
  expect(new Set(view.consumers.map((one) => one['distribute_status']))).toEqual(
    new Set(['failed', 'succeeded']),
  );
  expect(view.allowed_actions).toContain('retry');
  await noValueOutside(at.run);
}

async function stays(at: Rotation, { on }: CallCase, fault: FaultKind, expected: Expected): Promise<Status> {
  const scripted = at.stage.github.script({ on, do: fault.deed, times: Infinity });
  await act(at.run, { action: 'proceed_mint' });
  if (expected === 'paced') await until(() => (scripted.fired > 6 ? true : null));
  else if (expected !== 'passes') await parked(at, expected);
  else return confirmed(at);
  at.stage.github.clearFaults();
  if (expected !== 'paced') await act(at.run, { action: 'retry' });
  return confirmed(at);
}

describe.each(calls)('$name', (call) => {
  const cases = faultKinds.flatMap((fault) => {
    const expected = call.except?.[fault.name] ?? fault[call.kind];
    return call.except?.[fault.name] === null ? [] : [{ name: fault.name, fault, expected }];
  });
  test.concurrent.each(cases)('$name', async ({ fault, expected }) => {
    const short = call.polled === true && expected !== 'paced' && expected !== 'passes';
    expect(await rotation(short, (at) => stays(at, call, fault, expected))).toBe('validated');
  });
});

test.concurrent.each(faultKinds.filter((fault) => fault.name !== TOO_LONG))(
  'a token that cannot be given back is no failure: $name',
  async (fault) => {
    const call = { name: '', kind: 'change', on: GIVE_BACK } as const;
    expect(await rotation(false, (at) => stays(at, call, fault, 'passes'))).toBe('validated');
  },
);
