// Every fault of a vendor at every call of a rotation: a failure with a code of its own, nothing lost, and the same job goes on.
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { errorTable, type ErrorCode } from '../../shared/lib/errors.ts';
import { statuses, type Status } from '../../shared/rotation/statuses.ts';
import { CREDENTIAL, ENV, until, type JobView, type WorldOptions } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import type { ScriptedFault } from '../sim/faults.ts';
import { admitAll, startSim, type Sim } from '../sim/server.ts';
import {
  deedOf,
  expectedOf,
  faultKinds,
  shownCode,
  slackCases,
  TARGET,
  TOO_LONG,
  vendorCalls,
  type Expected,
  type FaultKind,
  type SlackCase,
  type VendorCallCase,
} from './fault-cases.ts';
import {
  act,
  answersToGates,
  causeOfRevokeFailure,
  drive,
  endedWell,
  failedStatuses,
  inWorld,
  mend,
  nothingLost,
  noValueOutside,
  statusOf,
  type Run,
} from './fault-world.ts';

// Most of a run is waiting, for a vendor that hangs or for a lease to end.
vi.setConfig({ maxConcurrency: 8 });

let redis: RedisServer;
/** The one that reads from Infisical: it is well, and answers no challenge. */
let reader: Sim;
let rotations = 0;
beforeAll(async () => {
  redis = await startRedis();
  reader = await startSim<null>({
    routes: { 'GET /healthz': () => ({ status: 200, body: {} }) },
    authorize: admitAll,
    notFound: { status: 404 },
    badBody: { status: 400 },
    rateLimited: () => ({ status: 429 }),
  });
});
afterAll(async () => {
  await Promise.all([redis.stop(), reader.close()]);
  const atCalls = `${vendorCalls.length} vendor calls x ${faultKinds.length} faults = ${vendorCalls.length * faultKinds.length}`;
  console.log(`faults: ${atCalls} and ${slackCases.length} at Slack, in ${rotations} rotations`);
});

/** How often the queue tries a task before a person is asked. */
const ATTEMPTS = 3;

/** `short`: the fault is one that only the row's own time ends. */
function optionsOf(call: VendorCallCase | undefined, short: boolean): WorldOptions {
  const ofRows = call !== undefined && /^(distribute|validate)_/.test(call.parks);
  const inInfisical = call?.at === 'infisical';
  // There each step asks the vault too, and many worlds at once do so through one process.
  const slower = inInfisical ? 2 : 1;
  // What waits for a consumer waits for as long as it may; all else must not be overtaken by that limit.
  const limitMs = short ? 2_000 * slower : 20_000;
  return {
    ...(inInfisical ? { infisical: true, more: { subscribers: [infisicalRow()] } } : {}),
    apps:
      ofRows && !inInfisical
        ? [{ name: TARGET, answersChallenge: false }, { name: 'proof-app' }]
        : [{ name: 'proof-app' }],
    times: {
      // A call that is answered is answered in this time, also on a machine that does other things beside.
      vendorCallMs: 500 * slower,
      slackMs: 500,
      leaseMs: 1_000 * slower,
      lateMs: 60,
      rateLimitWaitMs: 15,
      rateLimitWaitMaxMs: 60_000,
      sweepMs: 150,
      proveForMs: limitMs,
      proveAgainForMs: limitMs,
      settleForMs: limitMs,
    },
  };
}

function infisicalRow() {
  return {
    token_name: CREDENTIAL,
    consumer_id: `infisical-${TARGET}`,
    env: ENV,
    update_method: 'INFISICAL_WRITE',
    update_endpoint: 'https://app.infisical.com/api/v4/secrets?secretPath=/apps/mail',
    update_key: 'HEROKU_API_KEY',
    healthcheck_endpoint: `${reader.url}/healthz`,
    capabilities: ['update', 'healthcheck'],
  };
}

async function rotation(
  call: VendorCallCase | undefined,
  body: (run: Run) => Promise<Status>,
  short = false,
): Promise<Status> {
  rotations += 1;
  return inWorld(redis.url, optionsOf(call, short), body);
}

/** Brings the job to the gate before the call and has the fault wait there. */
async function arrange(
  run: Run,
  call: VendorCallCase,
  fault: FaultKind,
  times: number,
): Promise<ScriptedFault> {
  const { world } = run;
  world.infisical?.project
    .folder(ENV, '/apps/mail')
    .secrets.set('HEROKU_API_KEY', { id: 'mail', key: 'HEROKU_API_KEY', versions: ['by hand'] });
  await drive(run, call.from);
  const vendor = call.at === 'infisical' ? world.infisical?.sim : world.heroku;
  const sim = call.kind === 'health' ? world.consumers[0] : vendor;
  if (sim === undefined) throw new Error('no consumer');
  if (call.before !== undefined) world.heroku.script(call.before);
  return sim.script({
    on: call.on,
    do: deedOf(call, fault),
    times,
    ...(call.skip === undefined ? {} : { skip: call.skip }),
    ...(call.where === undefined ? {} : { where: call.where(world) }),
  });
}

function codeIn(view: JobView, status: Status): string | undefined {
  const row = view.consumers.find((one) => String(one['consumer_id']).endsWith(`-${TARGET}`));
  const ofRow = /^(distribute|validate)_/.test(status);
  return (ofRow ? (row?.['error'] as JobView['error']) : view.error)?.code;
}

/** How often a fault that stays is met before a person is asked. */
function meetings(call: VendorCallCase, fault: FaultKind, code: ErrorCode): number {
  // A pause that is too long to be waited for is reported at once.
  if (fault.name === TOO_LONG) return 1;
  if (errorTable[code].retry === 'never') return call.looksAgain === true ? 2 : 1;
  return call.before === undefined ? ATTEMPTS : ATTEMPTS - 1;
}

/** The fault stays until a person has been asked, or for as long as nobody need be; then the vendor is well again. */
async function stays(run: Run, call: VendorCallCase, fault: FaultKind): Promise<Status> {
  const expected = expectedOf(call, fault);
  const scripted = await arrange(run, call, fault, Infinity);
  const fine = expected === 'paced' || expected === 'passes';
  await act(run, answersToGates[call.from] ?? {});
  if (expected === 'paced') await waits(run, scripted);
  else if (expected === 'passes') await drive(run);
  else await parks(run, call, fault, { scripted, code: expected });

  expect(scripted.fired).toBeGreaterThan(0);
  mend(run);
  const end = await drive(run);
  await endedWell(run);
  expect(new Set(await failedStatuses(run))).toEqual(new Set(fine ? [] : [call.parks]));
  return end;
}

/** However often the vendor asks for a pause, the job stays where it is and no attempt is used up. */
async function waits(run: Run, scripted: ScriptedFault): Promise<void> {
  await until(() => (scripted.fired > 2 * ATTEMPTS ? true : null));
  expect(statuses[await statusOf(run)].kind).toBe('automatic');
}

async function parks(
  run: Run,
  call: VendorCallCase,
  fault: FaultKind,
  { scripted, code }: { readonly scripted: ScriptedFault; readonly code: ErrorCode },
): Promise<void> {
  const status = await drive(run);
  const view = await run.world.job(run.jobId);
  expect([status, codeIn(view, status)]).toEqual([call.parks, shownCode(call, code)]);
  expect(view.allowed_actions).toContain('retry');
  if (status === 'revoke_failed') expect(await causeOfRevokeFailure(run)).toBe(code);
  // A probe that fails is repeated until the time is up, however often that is.
  const often = call.kind === 'health' || (call.polled === true && errorTable[code].retry === 'backoff');
  // On a machine that stands still for a moment the sweeper takes the step for lost, and orders it once more.
  const kicked = run.world.log.some((line) => line.includes('msg="silent job kicked"'));
  if (!often && !kicked) expect(scripted.fired).toBe(meetings(call, fault, code));
  if (!often && kicked) expect(scripted.fired).toBeGreaterThanOrEqual(meetings(call, fault, code));
  await nothingLost(run, status);
  await noValueOutside(run);
  mend(run);
  await act(run, { action: 'retry' });
}

/** The fault comes once and nobody is asked. */
async function comesOnce(run: Run, call: VendorCallCase, fault: FaultKind): Promise<Status> {
  const scripted = await arrange(run, call, fault, 1);
  const end = await drive(run);
  expect(scripted.fired).toBe(1);
  await endedWell(run);
  expect(await failedStatuses(run)).toEqual([]);
  return end;
}

/** What is never repeated by itself parks the job the first time already, so that coming once is the same as staying. */
function survivesOnce(call: VendorCallCase, fault: FaultKind, expected: Expected): boolean {
  if (expected === 'passes' || fault.name === TOO_LONG)
    return expected !== 'passes' && call.kind === 'health';
  if (expected === 'paced' || call.kind === 'health' || call.looksAgain === true) return true;
  return errorTable[expected].retry !== 'never';
}

/** The message comes, and comes once unless an answer was lost; the rotation does not notice. */
async function tells(run: Run, { on, deed, mayRepeat, arrives }: SlackCase): Promise<Status> {
  const { world, jobId } = run;
  // Of the last message: at the gates before it the operator is told, too.
  await drive(run, 'validated');
  await until(
    () => world.slack.messages.find(({ text }) => text?.startsWith('Ready to revoke') === true) ?? null,
  );
  const scripted = world.slack.script({ on, do: deed, times: 2 });
  const end = await drive(run);
  const said = arrives ? /msg="operator told".* status=done/ : /msg="notify failed"/;
  await until(() => world.log.find((line) => said.test(line)) ?? null);
  const ending = `Rotation done: \`${CREDENTIAL}\` (${ENV}), job \`${jobId}\``;
  const told = world.slack.messages.filter(({ text }) => text?.startsWith(ending) === true).length;
  const most = mayRepeat ? 1 + scripted.fired : 1;
  expect(told).toBeGreaterThanOrEqual(arrives ? 1 : 0);
  expect(told).toBeLessThanOrEqual(arrives ? most : 0);
  expect(scripted.fired).toBeGreaterThan(0);
  expect(await failedStatuses(run)).toEqual([]);
  await noValueOutside(run);
  return end;
}

/** What is asked again until the row's time is up ends with it, where the fault is one that could pass by itself. */
function endsWithTime(call: VendorCallCase, fault: FaultKind): boolean {
  const expected = expectedOf(call, fault);
  if (expected === 'paced' || expected === 'passes') return false;
  return call.kind === 'health' || (call.polled === true && errorTable[expected].retry === 'backoff');
}

describe.each(vendorCalls)('$name', (call) => {
  test.concurrent.each(faultKinds)('$name', async (fault) => {
    expect(await rotation(call, (run) => stays(run, call, fault), endsWithTime(call, fault))).toBe('done');
    if (!survivesOnce(call, fault, expectedOf(call, fault))) return;
    expect(await rotation(call, (run) => comesOnce(run, call, fault))).toBe('done');
  });
});

describe('a message to Slack', () => {
  test.concurrent.each(slackCases)('$on: $fault', async (given) => {
    expect(await rotation(undefined, (run) => tells(run, given))).toBe('done');
  });
});
