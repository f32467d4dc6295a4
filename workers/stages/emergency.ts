// rev_revoking: asks every consumer once more, then ends at the vendor whatever may live. Law: it waits for nothing that can wait: no vault, no lease of before, no mint that is still in flight.
import { isVelvetError } from '../../shared/lib/errors.ts';
import type { EndedToken } from '../../shared/rotation/job-record.ts';
import type { Handler, Verdict } from '../run.ts';
import { errorPatch, issuerOf, presentJob, speaker, type StageDeps, type Step } from './deps.ts';
import { baseline, type EmergencyDeps } from './emergency-baseline.ts';
import { untilNoMintIsInFlight } from './emergency-stopped.ts';
import { aValueWorks, askedOf, endAll, leftovers, noted, othersKnown } from './emergency-tokens.ts';
import { commandsFor, failureOf, noHandle, onlyByHand, stillWorks } from './emergency-words.ts';

type Later = Exclude<Verdict, 'done'>;

export function revokeNow(deps: EmergencyDeps): Handler {
  return {
    run: atOnce(deps, async (at) => {
      const job = at.job.step === 'baseline' ? await baseline(deps, at) : at.job;
      const now = { ...at, job };
      if (issuerOf(deps, job).capabilities.revoke === 'operator') throw onlyByHand(job);
      const ended = await endAll(deps, now);
      if (ended.length === 0 && job.target !== 'new') throw noHandle(job);
      return succeed(deps, now, ended, 'the vendor');
    }),
    failed: failed(deps),
  };
}

/** After a revocation by hand: believed where the vendor says so, or where it cannot tell. */
export function checkRevokedNow(deps: EmergencyDeps): Handler {
  return {
    run: atOnce(deps, async (at) => {
      const { job } = at;
      const unnamed = await Promise.all([othersKnown(deps, at), leftoversListed(deps, at)]);
      const tokens = [...job.tokens, ...unnamed.flat()];
      const found = await Promise.all(tokens.map(async (token) => askedOf(deps, at, token)));
      const alive = found.filter((token) => token.state === 'may_live');
      if (alive.length > 0) throw await noted(deps, at, found, stillWorks(job, alive));
      const works = await aValueWorks(deps, at);
      if (works !== null) throw stillWorks(job, [works]);
      return succeed(deps, at, found, 'a person');
    }),
    failed: failed(deps),
  };
}

/** A person ends what the record names; what a lost mint left is found by its label alone. An authority that is dead lists nothing, ever. */
async function leftoversListed(deps: StageDeps, at: Step): Promise<readonly EndedToken[]> {
  return leftovers(deps, at).catch((error: unknown) => {
    if (!isVelvetError(error) || error.code !== 'authority_invalid') throw error;
    at.context.log.warn('what a lost mint may have left cannot be listed', { authority: at.job.authority });
    return [];
  });
}

/** As `step`, without its wait: to end a token twice is no harm, to end it a minute late is. */
function atOnce(deps: StageDeps, does: (at: Step) => Promise<Later | void>): Handler['run'] {
  return async (task, context) => {
    const asked = await presentJob(deps, task);
    if (asked === null) return 'done';
    const { fence } = await deps.claims.beginStep(asked, 0);
    context.fence = fence;
    const job = await presentJob(deps, task);
    if (job === null) return 'done';
    return (await does({ task, job, fence, context })) ?? 'done';
  };
}

async function succeed(
  deps: EmergencyDeps,
  at: Step,
  tokens: readonly EndedToken[],
  by: 'the vendor' | 'a person',
): Promise<Later | void> {
  const { task, job, context } = at;
  const revoked_at = job.revokedAt === 0 ? deps.clock.now() : job.revokedAt;
  // A mint that was in flight may have been carried out since the list was read: it is waited out beside the first revoke.
  const waitMs = await untilNoMintIsInFlight(deps, job);
  if (waitMs > 0) {
    context.log.warn('a mint was in flight: looked for once more when it can have no effect', {
      wait_ms: waitMs,
    });
    await deps.transitions.apply(task, 'tokens_noted', speaker(task, context), () => ({
      patch: { tokens, revoked_at },
      detail: { tokens },
    }));
    return { laterMs: waitMs };
  }
  await deps.transitions.apply(task, 'revoke_succeeded', speaker(task, context), () => ({
    patch: { tokens, revoked_at, error: null },
    detail: { tokens: tokens.map(({ auth_id, is }) => ({ auth_id, is })), by },
  }));
  context.log.info('revoked', { auth_ids: tokens.map((token) => token.auth_id).join(','), by });
}

function failed(deps: EmergencyDeps): Handler['failed'] {
  return async (task, error, context) => {
    const job = await presentJob(deps, task);
    if (job === null) return;
    const shown = failureOf(job, error);
    context.log.error('revoke_failed', { code: shown.code, by_hand: commandsFor(job) });
    await deps.transitions.apply(task, 'revoke_failed', speaker(task, context), () => ({
      patch: errorPatch(deps, shown),
      detail: { code: shown.code, cause: error.code, reason: shown.detail, tokens: job.tokens },
    }));
  };
}
