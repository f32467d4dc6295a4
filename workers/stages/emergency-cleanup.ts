// After an emergency: the value that stays becomes the current one, and the slots of what ended are emptied. Law: nothing here holds up the emergency, and no value is deleted before the one that stays was read back.
import { resolvedAll } from '../../shared/rotation/residuals.ts';
import type { Handler, Verdict } from '../run.ts';
import { slots } from '../vault/contract.ts';
import { errorPatch, speaker, step, underLease, type StageDeps, type Step } from './deps.ts';
import { promotes } from './emergency-baseline.ts';
import { untilStoppedIsQuiet } from './emergency-stopped.ts';
import { emptySlot, isPromoted, isSuperseded, pendingSlots, promote } from './promote.ts';

type Later = Exclude<Verdict, 'done'>;

export function cleanupAfterEmergency(deps: StageDeps): Handler {
  return {
    run: step(deps, async (at): Promise<Later | void> => {
      const { task, job, context } = at;
      // Another attempt has come to the end meanwhile, and the status is the same.
      if (job.cleanup !== 'pending') return;
      // The rotation that was stopped may have been about to write to these very slots.
      const waitMs = await untilStoppedIsQuiet(deps, job);
      if (waitMs > 0) return { laterMs: waitMs };
      // Another rotation's value, or an adoption's, is nobody's to replace.
      const superseded = await isSuperseded(deps, job);
      if (!superseded && promotes(job) && (await isThere(deps, at))) await promote(deps, at);
      const emptied = await emptyTheirs(deps, at, superseded);
      await deps.transitions.apply(task, 'cleanup_finished', speaker(task, context), (now) =>
        now.cleanup === 'pending'
          ? {
              patch: {
                ...emptied.patch,
                residuals: resolvedAll(job.residuals, deps.clock.now()),
                error: null,
              },
              detail: { emptied: emptied.slots },
            }
          : null,
      );
    }),

    async failed(task, error, context) {
      const detail = `The emergency is over; the vault is not tidied up yet, which is tried again by itself. ${error.detail}`;
      await deps.transitions.apply(task, 'cleanup_delayed', speaker(task, context), ({ cleanup }) =>
        cleanup === 'pending'
          ? {
              patch: errorPatch(deps, { code: error.code, detail }),
              detail: { code: error.code, reason: detail },
            }
          : null,
      );
    },
  };
}

/** Where the rotation was about to go back, its new token and the slot of it may be gone: then there is nothing to promote. */
async function isThere(deps: StageDeps, { job, context }: Step): Promise<boolean> {
  const slot = slots.pending(job.credential, job.mintedFence ?? 'none');
  if ((await isPromoted(deps, job)) || (await deps.vault.list(slot)).includes(slot)) return true;
  context.log.warn('the new value is gone from the vault: nothing is promoted', {
    slot: deps.vault.ref(slot),
  });
  return false;
}

async function emptyTheirs(deps: StageDeps, at: Step, superseded: boolean) {
  const { job, context } = at;
  const promoted = await isPromoted(deps, job);
  const own = slots.pending(job.credential, job.mintedFence ?? 'none');
  const { toEmpty, unclaimed } = await pendingSlots(deps, at);
  // Where the old token alone was ended the new value may be in its slot alone.
  const kept = job.target === 'old' && !promoted && !superseded ? own : null;
  const due = toEmpty.filter((slot) => slot !== kept);
  const previous = slots.previous(job.credential, job.takesOver ?? 'none');
  // Where the new one alone was ended, and had been promoted, the old value is there and nowhere else.
  const keepsOld = job.target === 'new' && promoted && (await deps.vault.list(previous)).includes(previous);
  for (const { slot } of unclaimed)
    context.log.warn('a live value that no rotation on record minted is kept', {
      slot: deps.vault.ref(slot),
    });
  const emptied = keepsOld ? due : [...due, previous];
  await underLease(deps, job, context, async (call) => {
    for (const slot of emptied) await emptySlot(deps.vault, call, slot);
  });
  const ref = deps.vault.ref(keepsOld ? previous : slots.current(job.credential));
  return {
    slots: emptied,
    patch: { vault_ref: ref, ...(promoted && job.target === 'old' ? { promoted: true } : {}) },
  };
}
