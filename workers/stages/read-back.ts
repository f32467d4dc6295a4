// validating and the second proof, one row whose consumer answers without proof: read the destination back until everything there runs on the new value.
import type { Handler } from '../run.ts';
import type { VendorCall } from '../vendors/contract.ts';
import { targetOf, type StageDeps } from './deps.ts';
import { namedTarget } from './push.ts';
import { failRow, noteRow, pacedRow, patiently, presentRow, proofTimeMs } from './row.ts';
import { VelvetError } from '../../shared/lib/errors.ts';

export function readBack(deps: StageDeps): Handler {
  return {
    async run(task, context) {
      const open = await presentRow(deps, task);
      if (open === null) return 'done';
      const { job, row } = open;
      context.updateMethod = row.pinned.update_method;
      const target = targetOf(row);
      const authority = await deps.authorities.ofPhase(target.update_auth_token_name, job);
      const known = deps.values.known(job);
      const call: VendorCall = {
        jobId: job.jobId,
        fence: task.fence ?? '',
        lease: null,
        signal: context.signal,
        repeat: false,
      };
      const deadline = (row.opened_at ?? 0) + proofTimeMs(deps.times, row, open.phase);
      const asked = await patiently(deps, task, deadline, () =>
        namedTarget(row, () =>
          deps.registry
            .destination(target.update_method)
            .readBack(call, target, authority, known, row.receipt),
        ),
      );
      if ('waitsFor' in asked) return { laterMs: deps.times.provePollMs };
      const seen = asked.answer;
      const now = deps.clock.now();
      if (seen.holds === 'old' || seen.holds === 'other') {
        context.log.warn('overwritten', { holds: seen.holds });
        await failRow(deps, task, overwritten(row.consumer_id, seen.holds), seen.holds);
        return 'done';
      }
      if (seen.effect === 'failed')
        throw new VelvetError('write_not_effective', seen.detail, {
          detail: `${row.consumer_id}: ${seen.detail}. Mend it, then retry the row.`,
        });
      if (seen.holds === 'new' && seen.effect === 'running') {
        await noteRow(deps, open, 'read_back', (before) => ({
          ...before,
          holds: 'new',
          // A destination that was written since is as new as this look at it.
          effective_at: before.effective_version === seen.version ? (before.effective_at ?? now) : now,
          effective_version: seen.version,
          read_back_at: now,
          paced_until: null,
          error: null,
        }));
        context.log.info('read back', { detail: seen.detail });
        return 'done';
      }
      // The probe's deadline ends the row; until then this keeps looking, and says what it waits for.
      if (row.error?.detail !== seen.detail) {
        await noteRow(deps, open, 'read_back_awaited', (before) => ({
          ...before,
          effective_at: null,
          effective_version: null,
          error: { code: 'consumer_not_restarted', detail: seen.detail },
        }));
      }
      return { laterMs: deps.times.provePollMs };
    },
    failed: (task, error) => failRow(deps, task, error),
    paced: pacedRow(deps),
  };
}

function overwritten(consumerId: string, holds: 'old' | 'other'): VelvetError {
  const code = holds === 'old' ? 'consumer_on_old_value' : 'consumer_on_other_value';
  const what = holds === 'old' ? 'the old value' : 'a value that is neither the old nor the new one';
  const detail = `${consumerId} was written, but its destination now holds ${what}: somebody changed it back. Find out who, then abort, or write the new value there by hand and retry the row.`;
  return new VelvetError(code, `${consumerId} was overwritten`, { detail });
}
