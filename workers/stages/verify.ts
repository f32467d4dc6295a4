// verifying: does the current token still work, and may the authority mint? Two questions, answered apart. Changes nothing anywhere.
import { VelvetError } from '../../shared/lib/errors.ts';
import type { Job, JobPatch } from '../../shared/rotation/job.ts';
import type { Handler } from '../run.ts';
import { slots } from '../vault/contract.ts';
import { readHandle } from '../vault/handles.ts';
import type { VerifyResult } from '../vendors/contract.ts';
import { errorPatch, issuerOf, namingAuthority, readCall, speaker, step, type StageDeps } from './deps.ts';

export function verify(deps: StageDeps): Handler {
  return {
    run: step(deps, async ({ task, job, fence, context }) => {
      const current = await deps.vault.read(slots.current(job.credential));
      const authority = await deps.authorities.read(job.authority);
      const result = await namingAuthority(job, () =>
        issuerOf(deps, job).verify(readCall(job, fence, context), current, authority),
      );
      // The vendor's word comes first; what was written down at adoption helps where the vendor cannot name it.
      const oldAuthId = result.handle?.id ?? (await readHandle(deps.vault, job.credential));
      const found: JobPatch = {
        current_state: result.current,
        may_mint: result.mayMint,
        old_auth_id: oldAuthId,
        old_fingerprint: current?.fingerprint(deps.fingerprintKey) ?? null,
        vault_ref: deps.vault.ref(slots.current(job.credential)),
      };
      const problem = problemOf(job, result);
      const detail = { current: result.current, authority_may_mint: result.mayMint, old_auth_id: oldAuthId };
      if (problem === null) {
        await deps.transitions.apply(task, 'verify_succeeded', speaker(task, context), () => ({
          patch: { ...found, error: null },
          detail,
        }));
        context.log.info('verified', { old_auth_id: oldAuthId });
        return;
      }
      const failure = { ...detail, code: problem.code, reason: problem.detail };
      await deps.transitions.apply(task, 'verify_failed', speaker(task, context), () => ({
        patch: { ...found, ...errorPatch(deps, problem) },
        detail: failure,
      }));
      context.log.warn('verify failed', { code: problem.code, detail: problem.detail });
    }),

    async failed(task, error, context) {
      const detail = { code: error.code, reason: error.detail };
      await deps.transitions.apply(task, 'verify_failed', speaker(task, context), () => ({
        // What an earlier probe saw is no longer known: nothing may be offered on the strength of it.
        patch: { ...errorPatch(deps, error), current_state: null, may_mint: false },
        detail,
      }));
    },
  };
}

function problemOf(job: Job, result: VerifyResult): VelvetError | null {
  const authority = result.mayMint
    ? null
    : `The authority ${job.authority} may not mint: ${result.mayMintReason ?? 'the vendor does not say why'}.`;
  const besides = authority === null ? `The authority ${job.authority} may mint.` : authority;
  if (result.current === 'absent') {
    const detail = `Velvet's vault holds no value for ${job.credential}. Give it the first one with \`npx velvet adopt ${job.credential}\`, then retry. ${besides}`;
    return new VelvetError('not_adopted', 'no current value', { detail });
  }
  if (result.current === 'dead') {
    const detail = `old token invalid: the vendor answered 401 to the value that Velvet's vault holds for ${job.credential}. Find out which copy is right: if consumers run on another one that works, abort, run \`npx velvet adopt ${job.credential}\` with that value, and start again. ${besides}`;
    return new VelvetError('current_token_invalid', 'current token is dead', { detail });
  }
  return authority === null
    ? null
    : new VelvetError('authority_invalid', 'authority may not mint', {
        detail: `${authority} Put a good one in place under that name, then retry.`,
      });
}
