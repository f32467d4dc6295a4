// The stages of a rotation, each as a place to interfere with: how it comes about, whose effects are counted, where it must end.
import type { JobPatch } from '../../shared/rotation/job-record.ts';
import type { Status } from '../../shared/rotation/statuses.ts';
import { ROTATION } from '../schedule/emergency.ts';
import { toRest } from '../schedule/run.ts';
import type { Subject } from '../schedule/faults.ts';
import { KEY, type AppSpec } from '../schedule/outside.ts';
import { walk } from '../schedule/walk.ts';
import type { ScheduleWorld } from '../schedule/world.ts';

export interface StageCase {
  readonly name: string;
  /** Which file runs it; three of them share two workers well. */
  readonly part:
    | 'to the written value'
    | 'to the end'
    | 'back'
    | 'by hand'
    | 'waves'
    | 'test'
    | 'emergency'
    | 'preempt';
  readonly subject: Subject;
  /** Undisturbed, up to the moment before. */
  readonly arrange: (world: ScheduleWorld) => Promise<void>;
  /** What sets the stage off. */
  readonly begin: (world: ScheduleWorld) => void;
  /** Where the job must stand in the end, after everything that went wrong was tried again; undisturbed, at the first of them. */
  readonly end?: readonly Status[];
  /** False where the same step of a smaller world is switched at every pair of effects already. */
  readonly switches?: false;
  /** Whether an operator is the subject, and is to be told what became of the request. */
  readonly asks?: true;
  readonly apps?: readonly AppSpec[];
  /** A person mints and revokes. */
  readonly byHand?: true;
  /** What the job is; a rotation unless given. */
  readonly flow?: 'testing' | 'revocation';
  /** What else the job was asked for with. */
  readonly asked?: JobPatch;
}

export const proves = { name: 'raxx-console-prod' };
export const readBack = { name: 'raxx-worker-prod', answersChallenge: false };
const slow = { ...readBack, healthcheckAfter: 30 };
export const before = (goal: Status) => (world: ScheduleWorld) => walk(world, goal);
const verify = (world: ScheduleWorld) => void world.operate({ action: 'verify' });
export const mint = (world: ScheduleWorld) => void world.operate({ action: 'proceed_mint' });
export const revoke = (world: ScheduleWorld) =>
  void world.operate({ action: 'proceed_revoke', ticket_id: 'ROT-1' });
export const abort = (world: ScheduleWorld) => void world.operate({ action: 'abort' });

/** Sets something off, and breaks each request that begins so: as often as it is tried, it fails. */
export async function failing(
  world: ScheduleWorld,
  begin: (world: ScheduleWorld) => void,
  { request, how }: { readonly request: string; readonly how: 'fail' | 'lose' },
): Promise<void> {
  begin(world);
  await toRest(world, {
    async turn(turn) {
      if (!turn.effect.name.startsWith(request)) return false;
      await world.turns.serve(turn, how);
      return true;
    },
  });
}

export async function revokeFails(world: ScheduleWorld): Promise<void> {
  await walk(world, 'validated');
  await failing(world, revoke, { request: 'DELETE /oauth', how: 'fail' });
}

export async function mintFails(world: ScheduleWorld): Promise<void> {
  await walk(world, 'verified');
  await failing(world, mint, { request: 'POST /oauth', how: 'lose' });
}

/** One consumer has the new value, the other one could not be written. */
export async function oneOfTwoWritten(world: ScheduleWorld): Promise<void> {
  await walk(world, 'verified');
  await failing(world, mint, { request: 'PATCH /apps/raxx-worker-prod', how: 'fail' });
}

/** Aborted from there, and waiting for a person. */
export function abortedAfter(reached: (world: ScheduleWorld) => Promise<void>) {
  return async (world: ScheduleWorld) => {
    await reached(world);
    abort(world);
    await toRest(world);
  };
}

async function abortedAndRevokedByHand(world: ScheduleWorld): Promise<void> {
  await abortedAfter(before('validated'))(world);
  world.outside.revokeByHand(world.outside.first.id);
}

async function revokedByHand(world: ScheduleWorld): Promise<void> {
  await revokeFails(world);
  world.outside.revokeByHand(world.outside.first.id);
}

const abortAndRestore = (world: ScheduleWorld) => void world.operate({ action: 'abort', restore: true });
export const restore = (world: ScheduleWorld) => void world.operate({ action: 'restore' });
export const retry = (world: ScheduleWorld) => void world.operate({ action: 'retry' });
export const markRevoked = (world: ScheduleWorld) => void world.operate({ action: 'mark_revoked' });

// oxfmt-ignore
const written: readonly Omit<StageCase, 'part'>[] = [
  { name: 'verify',                   subject: { what: 'enqueue_verify' },              arrange: before('init'),      begin: verify },
  { name: 'mint',                     subject: { what: 'enqueue_mint' },                arrange: before('verified'),  begin: mint,   apps: [proves] },
  { name: 'mint again',               subject: { what: 'enqueue_mint', nth: 1 },        arrange: mintFails,           begin: retry,  apps: [proves] },
  { name: 'fan-out',                  subject: { what: 'enqueue_distribute' },          arrange: before('verified'),  begin: mint,   apps: [proves] },
  { name: 'open rows',                subject: { what: 'open_rows' },                   arrange: before('verified'),  begin: mint },
  { name: 'push',                     subject: { what: 'push_row' },                    arrange: before('verified'),  begin: mint,   apps: [proves] },
  { name: 'settle',                   subject: { what: 'push_row', nth: 1 },            arrange: before('verified'),  begin: mint,   apps: [proves] },
  { name: 'two rows',                 subject: { what: 'push_row raxx-console-prod', other: 'push_row raxx-worker-prod' }, arrange: before('verified'), begin: mint },
];

// oxfmt-ignore
const ended: readonly Omit<StageCase, 'part'>[] = [
  { name: 'fan-out to prove',         subject: { what: 'enqueue_validate' },            arrange: before('verified'),  begin: mint,   apps: [proves] },
  { name: 'open to prove',            subject: { what: 'open_rows', nth: 1 },           arrange: before('verified'),  begin: mint,   apps: [proves] },
  { name: 'probe',                    subject: { what: 'probe_row', nth: 1 },           arrange: before('verified'),  begin: mint,   apps: [proves] },
  { name: 'one of two is proven',     subject: { what: 'probe_row raxx-console-prod', nth: 1 }, arrange: before('verified'), begin: mint, apps: [proves, slow] },
  { name: 'probe of a destination',   subject: { what: 'probe_row', nth: 1 },           arrange: before('verified'),  begin: mint,   apps: [readBack] },
  { name: 'read-back',                subject: { what: 'read_back_row' },               arrange: before('verified'),  begin: mint,   apps: [readBack] },
  { name: 'open to prove again',      subject: { what: 'open_rows' },                   arrange: before('validated'), begin: revoke },
  { name: 'prove again',              subject: { what: 'probe_row' },                   arrange: before('validated'), begin: revoke },
  { name: 'revoke',                   subject: { what: 'enqueue_revoke' },              arrange: before('validated'), begin: revoke, apps: [proves] },
  { name: 'revoke again',             subject: { what: 'enqueue_revoke', nth: 1 },      arrange: revokeFails,         begin: retry,  apps: [proves] },
  { name: 'mark_revoked',             subject: { what: 'enqueue_revoke_check', nth: 1 }, arrange: revokedByHand,       begin: markRevoked, apps: [proves] },
  { name: 'verify is asked for',      subject: { what: 'verify' },                      arrange: before('init'),      begin: verify, asks: true },
  { name: 'mint is asked for',        subject: { what: 'proceed_mint' },                arrange: before('verified'),  begin: mint,   asks: true, apps: [proves] },
  { name: 'revoke is asked for',      subject: { what: 'proceed_revoke' },              arrange: before('validated'), begin: revoke, asks: true, apps: [proves] },
];

// oxfmt-ignore
const back: readonly Omit<StageCase, 'part'>[] = [
  { name: 'cleanup of verified',      subject: { what: 'enqueue_cleanup' },             arrange: before('verified'),  begin: abort,  end: ['aborted'] },
  { name: 'cleanup of a failed mint', subject: { what: 'enqueue_cleanup', nth: 1 },     arrange: mintFails,           begin: abort,  end: ['aborted'] },
  { name: 'cleanup of one of two',    subject: { what: 'enqueue_cleanup', nth: 1 },     arrange: oneOfTwoWritten,     begin: abort,  switches: false, end: ['aborted'] },
  { name: 'cleanup of validated',     subject: { what: 'enqueue_cleanup' },             arrange: before('validated'), begin: abort,  end: ['aborted'] },
  { name: 'abort that restores',      subject: { what: 'enqueue_cleanup', nth: 1 },     arrange: oneOfTwoWritten,     begin: abortAndRestore, switches: false, end: ['aborted'] },
  { name: 'restore of one of two',    subject: { what: 'enqueue_cleanup' },             arrange: abortedAfter(oneOfTwoWritten), begin: restore, switches: false, end: ['aborted'] },
  { name: 'restore of validated',     subject: { what: 'enqueue_cleanup' },             arrange: abortedAfter(before('validated')), begin: restore, end: ['aborted'], apps: [proves] },
  { name: 'restore takes effect',     subject: { what: 'enqueue_cleanup', nth: 1 },     arrange: abortedAfter(before('validated')), begin: restore, end: ['aborted'], apps: [proves] },
  { name: 'restore ends',             subject: { what: 'enqueue_cleanup', nth: 2 },     arrange: abortedAfter(before('validated')), begin: restore, end: ['aborted'], apps: [proves] },
  { name: 'mark_revoked after an abort', subject: { what: 'enqueue_cleanup' },          arrange: abortedAndRevokedByHand, begin: markRevoked, end: ['aborted'], apps: [proves] },
  { name: 'abort is asked for',       subject: { what: 'abort' },                       arrange: before('verified'),  begin: abort,  asks: true, end: ['aborted', 'done'] },
];

/** The job waits for the value that a person is to make. */
async function awaiting(world: ScheduleWorld): Promise<void> {
  await walk(world, 'verified');
  mint(world);
  await toRest(world);
}
const enter = (world: ScheduleWorld) =>
  void world.operate({ action: 'submit_value', value: world.outside.mintByHand() });

async function oldOneEnded(world: ScheduleWorld): Promise<void> {
  await walk(world, 'validated');
  revoke(world);
  await toRest(world);
  world.outside.revokeByHand(world.outside.first.id);
}

// oxfmt-ignore
const byHand: readonly Omit<StageCase, 'part' | 'byHand'>[] = [
  { name: 'a value is asked for',     subject: { what: 'enqueue_mint' },                arrange: before('verified'),  begin: mint,  apps: [proves] },
  { name: 'a value is entered',       subject: { what: 'submit_value' },                arrange: awaiting,            begin: enter, apps: [proves], asks: true },
  { name: 'a value is taken',         subject: { what: 'enqueue_mint' },                arrange: awaiting,            begin: enter, apps: [proves] },
  { name: 'cleanup of an awaited value', subject: { what: 'enqueue_cleanup' },          arrange: awaiting,            begin: abort, end: ['aborted'], apps: [proves] },
  { name: 'restore of what was made by hand', subject: { what: 'enqueue_cleanup', nth: 1 }, arrange: abortedAfter(before('validated')), begin: restore, end: ['aborted'], switches: false, apps: [proves] },
  { name: 'revoke where a person must', subject: { what: 'enqueue_revoke' },            arrange: before('validated'), begin: revoke, apps: [proves] },
  { name: 'mark_revoked where a person revokes', subject: { what: 'enqueue_revoke_check' }, arrange: oldOneEnded,     begin: markRevoked, apps: [proves] },
];

const staging = { name: 'raxx-staging', wave: 1 };
const production = { name: 'raxx-console-prod', wave: 2 };
const inWaves = [staging, production] as const;

/** The first wave could not be written, and holds the second one back. */
async function firstWaveFailed(world: ScheduleWorld): Promise<void> {
  await walk(world, 'verified');
  await failing(world, mint, { request: 'PATCH /apps/raxx-staging', how: 'fail' });
}

async function firstWaveWrittenByHand(world: ScheduleWorld): Promise<void> {
  await firstWaveFailed(world);
  const { newAuthId } = await world.job();
  const minted = world.outside.account.authorizations().find(({ id }) => id === newAuthId);
  world.outside.apps[0]?.patchConfig({ [KEY]: minted?.token ?? '' });
  await toRest(world);
}

const skip = (world: ScheduleWorld) =>
  void world.operate({ action: 'skip_consumer', consumer_id: staging.name, reason: 'it is being moved' });
const confirm = (world: ScheduleWorld) =>
  void world.operate({ action: 'confirm_consumer', consumer_id: staging.name, note: 'written by hand' });

// oxfmt-ignore
const waves: readonly Omit<StageCase, 'part'>[] = [
  { name: 'first wave is written',    subject: { what: 'push_row raxx-staging' },       arrange: before('verified'),  begin: mint,    apps: inWaves, switches: false },
  { name: 'first wave is complete',   subject: { what: 'push_row raxx-staging', nth: 1 }, arrange: before('verified'), begin: mint,   apps: inWaves, switches: false },
  { name: 'second wave opens',        subject: { what: 'open_rows', nth: 1 },           arrange: before('verified'),  begin: mint,    apps: inWaves },
  { name: 'second wave is written',   subject: { what: 'push_row raxx-console-prod' },  arrange: before('verified'),  begin: mint,    apps: inWaves, switches: false },
  { name: 'retry of the first wave',  subject: { what: 'open_rows' },                   arrange: firstWaveFailed,     begin: retry,   apps: inWaves },
  { name: 'retry opens the second',   subject: { what: 'open_rows', nth: 1 },           arrange: firstWaveFailed,     begin: retry,   apps: inWaves, switches: false },
  { name: 'retry is asked for',       subject: { what: 'retry' },                       arrange: firstWaveFailed,     begin: retry,   apps: inWaves, asks: true },
  { name: 'skip is asked for',        subject: { what: 'skip_consumer' },               arrange: firstWaveFailed,     begin: skip,    apps: inWaves, asks: true },
  { name: 'skip opens the second',    subject: { what: 'open_rows' },                   arrange: firstWaveFailed,     begin: skip,    apps: inWaves, switches: false },
  { name: 'confirm is asked for',     subject: { what: 'confirm_consumer' },            arrange: firstWaveWrittenByHand, begin: confirm, apps: inWaves, asks: true },
  { name: 'confirm opens the second', subject: { what: 'open_rows' },                   arrange: firstWaveWrittenByHand, begin: confirm, apps: inWaves, switches: false },
];

const fresh = () => Promise.resolve();

/** A rotation that waits at its gate and holds the credential. */
async function besideARotation(world: ScheduleWorld): Promise<void> {
  await world.openJob(ROTATION, false);
  world.operate({ action: 'verify' }, 'bob', { ref: { ...world.ref, jobId: ROTATION } });
  await toRest(world);
}

// A vendor that fails as often as it is asked ends a test with what was seen of it: that is a finding, and no rotation.
const found: readonly Status[] = ['verified', 'verify_failed'];
const dryRun = { flow: 'testing', begin: verify, end: found } as const;

// oxfmt-ignore
const tests: readonly Omit<StageCase, 'part'>[] = [
  { name: 'test',                     subject: { what: 'enqueue_verify' },              arrange: fresh,               ...dryRun },
  { name: 'test opens its rows',      subject: { what: 'open_rows' },                   arrange: fresh,               ...dryRun },
  { name: 'test looks',               subject: { what: 'inspect_row' },                 arrange: fresh,               ...dryRun, apps: [proves] },
  { name: 'test looks at two',        subject: { what: 'inspect_row raxx-console-prod', other: 'inspect_row raxx-worker-prod' }, arrange: fresh, ...dryRun, switches: false },
  { name: 'test is asked for',        subject: { what: 'verify' },                      arrange: fresh,               ...dryRun, asks: true },
  { name: 'test beside a rotation',   subject: { what: 'inspect_row' },                 arrange: besideARotation,     ...dryRun, switches: false },
  { name: 'test is begun beside one', subject: { what: 'enqueue_verify' },              arrange: besideARotation,     ...dryRun, switches: false },
];

export const stageCases: readonly StageCase[] = [
  ...written.map((one) => ({ ...one, part: 'to the written value' as const })),
  ...ended.map((one) => ({ ...one, part: 'to the end' as const })),
  ...back.map((one) => ({ ...one, part: 'back' as const })),
  ...byHand.map((one) => ({ ...one, part: 'by hand' as const, byHand: true as const })),
  ...waves.map((one) => ({ ...one, part: 'waves' as const })),
  ...tests.map((one) => ({ ...one, part: 'test' as const })),
];
