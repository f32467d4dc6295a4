// The stages of an emergency, and those of a rotation that an emergency stops, each as a place to interfere with.
import { credentialKeys } from '../../shared/redis/keys.ts';
import type { Target } from '../../shared/rotation/job-record.ts';
import type { Status } from '../../shared/rotation/statuses.ts';
import { beginEmergency, ROTATION, rotationIn, stopLeaks } from '../schedule/emergency.ts';
import { KEY } from '../schedule/outside.ts';
import { toRest } from '../schedule/run.ts';
import type { ScheduleWorld } from '../schedule/world.ts';
import {
  abort,
  abortedAfter,
  before,
  failing,
  markRevoked,
  mint,
  mintFails,
  oneOfTwoWritten,
  proves,
  readBack,
  restore,
  retry,
  revoke,
  revokeFails,
  type StageCase,
} from './stage-cases.ts';

type Reached = (world: ScheduleWorld) => Promise<void>;
type Begun = (world: ScheduleWorld) => void;

const flow = 'revocation' as const;
const end: readonly Status[] = ['rev_done'];
const asked = (target: Target) => ({ target, preempt: true });
const begin: Begun = (world) => void beginEmergency(world);
const fresh: Reached = () => Promise.resolve();

/** A rotation that came so far, and holds the credential. */
function beside(reached: Reached): Reached {
  return async (world) => {
    await world.openJob(ROTATION, false);
    await reached(rotationIn(world));
  };
}
const ofRotation =
  (begun: Begun): Begun =>
  (world) =>
    begun(rotationIn(world));

/** The rotation goes on while an emergency takes it over. */
const mintAndBegin: Begun = (world) => {
  begin(world);
  mint(rotationIn(world));
};

/** The record knows the handle of the current token: the value was adopted. */
async function adopted(world: ScheduleWorld): Promise<void> {
  const { credential, env } = world.ref;
  await world.redis.set(credentialKeys(credential, env).adopted, world.outside.first.id);
  world.redisLostData();
}

const refusing = { request: 'DELETE /oauth', how: 'fail' } as const;

async function notRevoked(world: ScheduleWorld): Promise<void> {
  await failing(world, begin, refusing);
}

async function revokedByHand(world: ScheduleWorld): Promise<void> {
  await notRevoked(world);
  world.outside.revokeByHand(world.outside.first.id);
}

/** A mint whose answers were lost, stopped by an emergency that could not end what it left. */
async function mintNotEnded(world: ScheduleWorld): Promise<void> {
  await beside(mintFails)(world);
  await notRevoked(world);
  for (const { id } of world.outside.account.authorizations())
    if (id !== world.outside.bootstrap.id) world.outside.revokeByHand(id);
}

/** The vendor lists nothing, so that nobody knows of the token; a person ends what the record names, and no more. */
async function mintNotListed(world: ScheduleWorld): Promise<void> {
  await beside(mintFails)(world);
  await failing(world, begin, { request: 'GET /oauth', how: 'fail' });
  world.outside.revokeByHand(world.outside.first.id);
}

/** One of the consumers runs on a token that nobody ends. */
async function oneRunsOnAnother(world: ScheduleWorld): Promise<void> {
  const [app] = world.outside.apps;
  app?.patchConfig({ [KEY]: world.outside.bootstrap.token });
  await toRest(world);
}

async function leaked(world: ScheduleWorld): Promise<void> {
  await oneRunsOnAnother(world);
  begin(world);
  await toRest(world);
}

async function leakStopped(world: ScheduleWorld): Promise<void> {
  await leaked(world);
  await stopLeaks(world);
  await toRest(world);
}

const resolve: Begun = (world) =>
  void world.operate({
    action: 'resolve_leak',
    notes: [{ consumer_id: proves.name, note: 'scaled to zero' }],
  });

const one = [proves];
const leaking = [proves, { name: 'raxx-worker-prod' }];

type Case = Omit<StageCase, 'part' | 'flow' | 'end'>;

// oxfmt-ignore
const alone: readonly Case[] = [
  { name: 'emergency revokes',           subject: { what: 'enqueue_rev_revoke' },        arrange: fresh,            begin, apps: one, asked: asked('all'), switches: false },
  { name: 'emergency revokes what was adopted', subject: { what: 'enqueue_rev_revoke' }, arrange: adopted,          begin, apps: one, asked: asked('all'), switches: false },
  { name: 'emergency revokes again',     subject: { what: 'enqueue_rev_revoke' },        arrange: notRevoked,       begin: retry, apps: one, asked: asked('all') },
  { name: 'mark_revoked in an emergency', subject: { what: 'enqueue_rev_check' },         arrange: revokedByHand,    begin: markRevoked, apps: one, asked: asked('all') },
  { name: 'mark_revoked that is not true', subject: { what: 'enqueue_rev_check' },       arrange: notRevoked,       begin: markRevoked, apps: one, asked: asked('all') },
  { name: 'emergency is asked for',      subject: { what: 'proceed_revoke' },            arrange: adopted,          begin, apps: one, asked: asked('all'), asks: true },
  { name: 'lock-out begins',             subject: { what: 'enqueue_lockout' },           arrange: adopted,          begin, apps: one, asked: asked('all') },
  { name: 'lock-out is opened',          subject: { what: 'open_rows' },                 arrange: adopted,          begin, apps: one, asked: asked('all') },
  { name: 'two are locked out',          subject: { what: 'lockout_row raxx-console-prod', other: 'lockout_row raxx-worker-prod' }, arrange: adopted, begin, apps: leaking, asked: asked('all') },
  { name: 'one of two leaks',            subject: { what: 'lockout_row raxx-console-prod', nth: 10 }, arrange: oneRunsOnAnother, begin, apps: leaking, asked: asked('all') },
  { name: 'a leak is asked about again', subject: { what: 'lockout_row raxx-console-prod', nth: 0 }, arrange: leakStopped, begin: retry, apps: leaking, asked: asked('all') },
  { name: 'leak again is asked for',     subject: { what: 'retry' },                     arrange: leakStopped,      begin: retry, apps: leaking, asked: asked('all'), asks: true },
  { name: 'resolve_leak is asked for',   subject: { what: 'resolve_leak' },              arrange: leaked,           begin: resolve, apps: leaking, asked: asked('all'), asks: true },
];

// oxfmt-ignore
const taking: readonly Case[] = [
  { name: 'taking over is asked for',    subject: { what: 'proceed_revoke' },            arrange: beside(before('validated')), begin, apps: one, asked: asked('all'), asks: true },
  { name: 'taking over what moves is asked for', subject: { what: 'proceed_revoke' },    arrange: beside(before('verified')),  begin: mintAndBegin, apps: one, asked: asked('all'), asks: true, switches: false },
  { name: 'both are revoked',            subject: { what: 'enqueue_rev_revoke' },        arrange: beside(before('validated')), begin, apps: one, asked: asked('all') },
  { name: 'the old one is revoked',      subject: { what: 'enqueue_rev_revoke' },        arrange: beside(before('validated')), begin, apps: one, asked: asked('old'), switches: false },
  { name: 'the new one is revoked',      subject: { what: 'enqueue_rev_revoke' },        arrange: beside(before('validated')), begin, apps: one, asked: asked('new'), switches: false },
  { name: 'what a lost mint left is revoked', subject: { what: 'enqueue_rev_revoke' },   arrange: beside(mintFails),           begin, apps: one, asked: asked('all'), switches: false },
  { name: 'mark_revoked of a lost mint', subject: { what: 'enqueue_rev_check' },         arrange: mintNotEnded,                begin: markRevoked, apps: one, asked: asked('all'), switches: false },
  { name: 'mark_revoked, and a mint is unknown', subject: { what: 'enqueue_rev_check' }, arrange: mintNotListed,               begin: markRevoked, apps: one, asked: asked('all'), switches: false },
  { name: 'one of two is on the new one', subject: { what: 'lockout_row' },              arrange: beside(oneOfTwoWritten),     begin, asked: asked('new'), switches: false },
  { name: 'cleanup after all of them',   subject: { what: 'enqueue_rev_cleanup' },       arrange: beside(before('validated')), begin, apps: one, asked: asked('all') },
  { name: 'cleanup after the old one',   subject: { what: 'enqueue_rev_cleanup' },       arrange: beside(before('validated')), begin, apps: one, asked: asked('old'), switches: false },
  { name: 'cleanup after the new one',   subject: { what: 'enqueue_rev_cleanup' },       arrange: beside(before('validated')), begin, apps: one, asked: asked('new'), switches: false },
];

/** Where the rotation comes to its end first there may be nothing left to take over. */
const stops: readonly Status[] = ['rev_done', 'aborted'];
const on = (begun: Begun) => ({ begin: ofRotation(begun), switches: false, end: stops }) as const;

// oxfmt-ignore
const stopped: readonly Omit<StageCase, 'part' | 'flow'>[] = [
  { name: 'stopped mint',                subject: { what: 'enqueue_mint' },              arrange: beside(before('verified')), ...on(mint), apps: one },
  { name: 'stopped mint, again',         subject: { what: 'enqueue_mint', nth: 1 },      arrange: beside(mintFails),          ...on(retry), apps: one },
  { name: 'stopped fan-out',             subject: { what: 'enqueue_distribute' },        arrange: beside(before('verified')), ...on(mint), apps: one },
  { name: 'stopped opening',             subject: { what: 'open_rows' },                 arrange: beside(before('verified')), ...on(mint), apps: one },
  { name: 'stopped push',                subject: { what: 'push_row' },                  arrange: beside(before('verified')), ...on(mint), apps: [readBack] },
  { name: 'stopped revoke',              subject: { what: 'enqueue_revoke' },            arrange: beside(before('validated')), ...on(revoke), apps: one },
  { name: 'stopped revoke, again',       subject: { what: 'enqueue_revoke', nth: 1 },    arrange: beside(revokeFails),        ...on(retry), apps: one },
  { name: 'stopped cleanup of a mint',   subject: { what: 'enqueue_cleanup', nth: 1 },   arrange: beside(mintFails),          ...on(abort), apps: one },
  { name: 'stopped cleanup of validated', subject: { what: 'enqueue_cleanup' },          arrange: beside(before('validated')), ...on(abort), apps: one },
  { name: 'stopped restore',             subject: { what: 'enqueue_cleanup' },           arrange: beside(abortedAfter(before('validated'))), ...on(restore), apps: one },
  { name: 'stopped end of a restore',    subject: { what: 'enqueue_cleanup', nth: 2 },   arrange: beside(abortedAfter(before('validated'))), ...on(restore), apps: one },
];

const targets: readonly Target[] = ['all', 'old', 'new'];
/** With one target the same effects of the same stage are stopped as with another: these differ by it. */
const differing = /^stopped (mint|push|revoke|cleanup of validated|restore|end of a restore)$/;

export const emergencyCases: readonly StageCase[] = [
  ...[...alone, ...taking].map((stage) => ({ end, ...stage, flow, part: 'emergency' as const })),
  ...targets.flatMap((target) =>
    stopped
      .filter(({ name }) => target === 'all' || differing.test(name))
      .map((stage) => ({
        ...stage,
        name: `${stage.name}, ${target}`,
        flow,
        part: 'preempt' as const,
        asked: asked(target),
      })),
  ),
];
