// What a world at rest looks like, without what differs between any two runs: two that look alike go on alike.
import { slots } from '../../workers/vault/contract.ts';
import { CREDENTIAL, KEY } from './outside.ts';
import { seenAs } from './emergency.ts';
import { newTokenOf } from './violations.ts';
import type { ScheduleWorld } from './world.ts';

/** Times, ids, fences and values are told by what they are to the job; only what decides how it goes on is kept. */
export async function likeness(world: ScheduleWorld): Promise<string> {
  const job = await world.job();
  if (job.flowType !== 'revocation') return oneLike(world);
  const rotations = await world.store.list(job.credential, job.env, 20);
  const others = rotations.filter((one) => one.jobId !== job.jobId);
  const alike = await Promise.all(others.map((one) => oneLike(seenAs(world, one.jobId))));
  const tokens = job.tokens.map(({ is, state }) => `${is} ${state}`).toSorted((a, b) => a.localeCompare(b));
  const taken = [job.takesOver !== null, job.tookFrom, job.target, job.superseded, tokens];
  return JSON.stringify([await oneLike(world), alike, taken]);
}

async function oneLike(world: ScheduleWorld): Promise<string> {
  const job = await world.job();
  const { first, apps, heroku } = world.outside;
  const minted = newTokenOf(world, job)?.token;
  const nameOf = (value: string | undefined) =>
    value === first.token ? 'old' : value === minted ? 'new' : 'other';
  const held = await Promise.all(
    (await world.vault.list(CREDENTIAL)).map(async (slot) => {
      const kind =
        slot === slots.pending(CREDENTIAL, job.mintedFence ?? '') ? 'recorded' : slot.split('_').at(-2);
      return [kind, nameOf((await world.vault.read(slot))?.reveal())];
    }),
  );
  const rows = (await world.store.rows(world.ref)).map((row) => ({
    ...row,
    proven_at: 0,
    updated_at: 0,
    rev: 0,
    attempts: 0,
    probe: row.probe?.class,
    lockout: row.lockout && { ...row.lockout, time_to_lockout_ms: row.lockout.time_to_lockout_ms !== null },
    opened_at: row.opened_at !== null,
    effective_at: row.effective_at !== null,
    read_back_at: row.read_back_at !== null,
    started: row.started === null ? null : row.started.until > world.time.now(),
  }));
  const { status, step, phase, cleanup, currentState, mayMint, promoting, promoted, tally } = job;
  const waits = job.quietAfter > world.time.now() || (job.leaseFence !== null && job.leaseUntil > 0);
  return JSON.stringify([
    { status, step, phase, cleanup, currentState, mayMint, promoting, promoted, tally, waits },
    { error: job.error?.code, residuals: job.residuals.length, recorded: job.oldAuthId === first.id },
    { awaiting: job.awaiting, reason: job.awaitingReason, byHand: world.outside.madeByHand() !== null },
    rows,
    held.map((one) => one.join(' ')).toSorted((a, b) => a.localeCompare(b)),
    heroku
      .live()
      .map(({ id, description }) =>
        id === newTokenOf(world, job)?.id ? 'new' : (description?.split(':')[0] ?? ''),
      ),
    apps.map((app) => [nameOf(app.config[KEY]), nameOf(app.env()[KEY])]),
  ]);
}
