// An emergency in a world: the world's own job is the emergency, and a rotation stands beside it for it to stop.
import type { StageBody } from '../../api/stage-bodies.ts';
import type { Job } from '../../shared/rotation/job.ts';
import type { Row } from '../../shared/rotation/rows.ts';
import { CREDENTIAL, KEY } from './outside.ts';
import type { Strand } from './turns.ts';
import type { ScheduleWorld } from './world.ts';

export const ROTATION = '5c0d9a77-1f0e-4c58-9f6b-2f1f6f0f7b42';

/** The same world, seen by whom another job of it concerns. */
export function seenAs(world: ScheduleWorld, jobId: string): ScheduleWorld {
  const ref = { ...world.ref, jobId };
  const at: Partial<ScheduleWorld> = {
    ref,
    job: (of = ref) => world.job(of),
    operate: (body, who, asked = {}) => world.operate(body, who, { ref, ...asked }),
  };
  return new Proxy(world, {
    get: (target, key) => Reflect.get(key in at ? at : target, key) as unknown,
  });
}

export const rotationIn = (world: ScheduleWorld) => seenAs(world, ROTATION);

const start: StageBody = {
  action: 'proceed_revoke',
  ticket_id: 'SEV-1',
  confirm: CREDENTIAL,
  preempt: true,
};

/** The gate of the world's own emergency, passed by a person of their own. */
export const beginEmergency = (world: ScheduleWorld): Strand => world.operate(start, 'eve');

/** What an operator does about an emergency that waits for one. Undefined: nothing. */
export async function emergencyStep(world: ScheduleWorld, job: Job): Promise<StageBody | undefined> {
  switch (job.status) {
    case 'rev_init': {
      // Whom it was to stop has come to its end meanwhile: of its two tokens one is left.
      const nothing = job.target !== 'all' && (await world.store.claimant(job)) === null;
      return nothing ? { action: 'abort' } : start;
    }
    case 'rev_revoke_failed':
      return { action: 'retry' };
    case 'rev_leaked': {
      if (job.target === 'all') await stopLeaks(world);
      // Where one token lives on, whoever runs on that is none, though it could not show it: a person knows.
      else return answeredFor(await world.store.rows(world.ref));
      return { action: 'retry' };
    }
    default:
      return undefined;
  }
}

function answeredFor(rows: readonly Row[]): StageBody {
  const leaking = rows.filter((row) => row.validate_status === 'failed');
  const notes = leaking.map((row) => ({ consumer_id: row.consumer_id, note: 'it runs on the other one' }));
  return { action: 'resolve_leak', notes };
}

/** Gives every consumer that leaks a token that has ended: nobody runs on another one any more. */
export async function stopLeaks(world: ScheduleWorld): Promise<void> {
  const { apps, first } = world.outside;
  const rows = await world.store.rows(world.ref);
  for (const app of apps) {
    const leaks = rows.some((row) => row.consumer_id === app.name && row.validate_status === 'failed');
    if (leaks) app.patchConfig({ [KEY]: first.token });
  }
}
