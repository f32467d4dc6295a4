// What an operator types, on its way to the stage worker. Law: it is sealed before it is put anywhere, and leaves this process in no other form.
import { randomUUID } from 'node:crypto';
import { VelvetError } from '../shared/lib/errors.ts';
import { sealedFor } from '../shared/lib/sealed-box.ts';
import { Secret } from '../shared/lib/secret.ts';
import type { JobRef } from '../shared/rotation/effects.ts';
import { decide } from '../shared/rotation/machine.ts';
import type { Speaker } from '../shared/changes.ts';
import type { ApiDeps } from './router.ts';
import type { StageBody } from './stage-bodies.ts';

type Submitting = Extract<StageBody, { action: 'submit_value' }>;

/** Puts the box down before the job says where: an order for a value that is not there yet would lose it. */
export async function submitValue(
  deps: Pick<ApiDeps, 'transitions' | 'typedValues' | 'sealKey'>,
  ref: JobRef,
  body: Submitting,
  by: Speaker,
): Promise<void> {
  const id = randomUUID();
  await deps.transitions.apply(ref, 'submit_value', by, async (job) => {
    const applied = { patch: { value_id: id, error: null } };
    // A job that takes no value now gets none, not even sealed.
    if (decide(job, 'submit_value').verdict !== 'go') return applied;
    const box = await sealedFor(job.jobId, new Secret(body.value), demandKey(deps.sealKey));
    await deps.typedValues.put(job, id, box);
    return applied;
  });
}

function demandKey(key: Buffer | null): Buffer {
  if (key !== null) return key;
  throw new VelvetError('degraded', 'web has no key to seal with', {
    detail:
      'Web has no VELVET_SEAL_PUBLIC_KEY to seal the value with, so it was thrown away. Set it (`npx velvet keygen` prints the pair), restart web, and enter the value again.',
  });
}
