// How an operator moves a world: yes at every gate, and once more where something failed.
import type { StageBody } from '../../api/stage-bodies.ts';
import { isOver, type Job } from '../../shared/rotation/job.ts';
import { openResiduals } from '../../shared/rotation/residuals.ts';
import type { Status } from '../../shared/rotation/statuses.ts';
import { emergencyStep } from './emergency.ts';
import { standing, toRest, type Director } from './run.ts';
import type { ScheduleWorld } from './world.ts';

// oxfmt-ignore
const yes: Readonly<Partial<Record<Status, StageBody>>> = {
  init:               { action: 'verify' },
  verify_failed:      { action: 'retry' },
  verified:           { action: 'proceed_mint' },
  mint_failed:        { action: 'retry' },
  distribute_partial: { action: 'retry' },
  distribute_failed:  { action: 'retry' },
  validate_partial:   { action: 'retry' },
  validate_failed:    { action: 'retry' },
  validated:          { action: 'proceed_revoke', ticket_id: 'ROT-2026-SCHEDULE' },
  revoke_failed:      { action: 'retry' },
};

/** Of an aborted job: back, unless a person ended the old token meanwhile. */
function wayOut(world: ScheduleWorld): StageBody {
  return { action: world.outside.revokedByHand.size > 0 ? 'mark_revoked' : 'restore' };
}

/** What only a person can do where nobody else mints or ends tokens: at the vendor first, then here. Undefined: nothing of that kind. */
function byHand(world: ScheduleWorld, job: Job): StageBody | undefined {
  const { outside } = world;
  if (job.awaiting !== null) return { action: 'submit_value', value: outside.mintByHand() };
  if (job.status === 'revoke_failed' && job.error?.code === 'manual_revoke_required') {
    outside.revokeByHand(outside.first.id);
    return { action: 'mark_revoked' };
  }
  const orphan = openResiduals(job.residuals).find(({ kind }) => kind === 'orphan_token');
  if (!outside.byHand || orphan === undefined || job.cleanup !== 'needs_person') return undefined;
  outside.account.revoke(outside.madeByHand()?.id ?? '');
  return { action: 'resolve_residual', kind: orphan.kind, who: orphan.who };
}

/** A single fault costs one more try, and what comes of that perhaps another. */
const STEPS_MAX = 12;

/** Goes on until the job stands at `goal`, or is over. Throws where it does not get there. */
export async function walk(
  world: ScheduleWorld,
  goal: Status = 'done',
  director?: Director,
  until: () => boolean = () => false,
): Promise<void> {
  for (let n = 0; n < STEPS_MAX; n++) {
    if (until()) return;
    const job = await world.job();
    const { status } = job;
    const usual = status === 'aborted' && job.cleanup === 'needs_person' ? wayOut(world) : yes[status];
    const emergency = job.flowType === 'revocation' ? await emergencyStep(world, job) : undefined;
    const body = emergency ?? byHand(world, job) ?? usual;
    if (status === goal || body === undefined || isOver(job)) return;
    world.operate(body);
    await toRest(world, director);
  }
  throw new Error(`${goal} is not reached: ${await standing(world)}`);
}
