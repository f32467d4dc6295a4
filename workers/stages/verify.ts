// verifying: does the current token still work, and may the authority mint? Two questions, answered apart. Changes nothing anywhere.
import { VelvetError } from '../../shared/lib/errors.ts';
import { logfields } from '../../shared/lib/log.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import { issuers, type IssuerName } from '../../shared/manifest/vendors.ts';
import type { JobPatch } from '../../shared/rotation/job-record.ts';
import { takesClaim, type Job } from '../../shared/rotation/job.ts';
import type { Row } from '../../shared/rotation/rows.ts';
import type { Handler } from '../run.ts';
import { slots } from '../vault/contract.ts';
import { readHandle } from '../vault/handles.ts';
import type { Healthcheck, VerifyResult } from '../vendors/contract.ts';
import {
  authorityOf,
  errorPatch,
  issuerOf,
  looking,
  namingAuthority,
  readCall,
  speaker,
  type StageDeps,
  type Step,
} from './deps.ts';
import { inATest } from './in-a-test.ts';
import { inParallel, lookAt } from './look.ts';

type VerifyDeps = StageDeps & { readonly healthcheck: Healthcheck };

export function verify(deps: VerifyDeps): Handler {
  return {
    run: looking(deps, async (at) => {
      const { task, job, fence, context } = at;
      const current = await deps.vault.read(slots.current(job.credential));
      const authority = await authorityOf(deps, job);
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
      const detail = { current: result.current, authority_may_mint: result.mayMint, old_auth_id: oldAuthId };
      // What an emergency has ended is expected to be dead, and nobody has a better one.
      const expected = job.replaces !== null;
      const elsewhere = result.current === 'dead' && !expected ? await askConsumers(deps, at, current) : null;
      const problem = heardIn(job, problemOf(job, result, elsewhere));
      if (problem === null) {
        context.log.info('verified', { old_auth_id: oldAuthId });
        await deps.transitions.apply(task, 'verify_succeeded', speaker(task, context), () => ({
          patch: { ...found, error: null },
          detail,
        }));
        return;
      }
      const failure = { ...detail, code: problem.code, reason: problem.detail };
      context.log.warn('verify failed', logfields(problem));
      await deps.transitions.apply(task, 'verify_failed', speaker(task, context), () => ({
        patch: { ...found, ...errorPatch(deps, problem) },
        detail: failure,
      }));
    }),

    async failed(task, error, context) {
      const detail = { code: error.code, reason: error.detail };
      await deps.transitions.apply(task, 'verify_failed', speaker(task, context), (job) => ({
        // What an earlier probe saw is no longer known: nothing may be offered on the strength of it.
        patch: { ...errorPatch(deps, heardIn(job, error) ?? error), current_state: null, may_mint: false },
        detail,
      }));
    },
  };
}

function heardIn(job: Job, problem: VelvetError | null): VelvetError | null {
  return problem === null || takesClaim(job) ? problem : inATest(problem);
}

/** Consumers that hold another value than the vault's dead one, and whether they answer with success on it. */
interface Elsewhere {
  readonly working: readonly string[];
  readonly failing: readonly string[];
}

/** Somebody may have rotated by hand: then the consumers hold what Velvet's vault does not, and minting over it would be no rescue. */
async function askConsumers(deps: VerifyDeps, at: Step, current: Secret | null): Promise<Elsewhere> {
  const rows = await deps.store.rows(at.job);
  const looks = await lookAt(deps, at, rows, { next: null, previous: current });
  // A place that is empty, or gone, holds nothing that could be adopted.
  const others = looks.filter(({ holds, error, empty }) => holds === 'other' && error === null && !empty);
  const answers = await inParallel(others, async ({ row }) => ({
    who: row.consumer_id,
    well: await answersWell(deps, at, row),
  }));
  const names = (well: boolean) => answers.filter((one) => one.well === well).map((one) => one.who);
  return { working: names(true), failing: names(false) };
}

async function answersWell(deps: VerifyDeps, { job, fence, context }: Step, row: Row): Promise<boolean> {
  const endpoint = row.pinned.healthcheck_endpoint;
  if (endpoint === null) return false;
  const call = readCall(job, fence, context);
  const target = { healthcheck_endpoint: endpoint };
  const result = await deps.healthcheck.probe(call, target, `verify.${job.jobId}.${row.consumer_id}`);
  return result.httpStatus === row.pinned.healthcheck_success_status;
}

function problemOf(job: Job, result: VerifyResult, elsewhere: Elsewhere | null): VelvetError | null {
  const authority = result.mayMint
    ? null
    : `The authority ${job.authority} may not mint: ${result.mayMintReason ?? 'the vendor does not say why'}.`;
  const minter =
    issuers[job.issuer as IssuerName].mint === 'operator'
      ? 'The new one is made by hand, and entered with submit_value.'
      : `The authority ${job.authority} may mint.`;
  const besides = authority ?? minter;
  if (result.current === 'absent') {
    const detail = `Velvet's vault holds no value for ${job.credential}. ${ending(job, `Give it the first one with \`npx velvet adopt ${job.credential}\`, and start again.`)} ${besides}`;
    return new VelvetError('not_adopted', 'no current value', { detail });
  }
  if (job.replaces !== null && result.current === 'alive') {
    const detail = `The current token of ${job.credential} still works, though emergency ${job.replaces} ended: somebody has given it another one since, or it was never that one. Abort, and start an ordinary rotation without \`replaces\`; if this one leaked, start an emergency. ${besides}`;
    return new VelvetError('current_token_alive', 'current token is alive', { detail });
  }
  if (result.current === 'dead' && job.replaces === null) {
    const detail = `old token invalid: the vendor answered 401 to the value that Velvet's vault holds for ${job.credential}. ${whatConsumersHold(job, elsewhere)} ${besides}`;
    return new VelvetError('current_token_invalid', 'current token is dead', { detail });
  }
  return authority === null
    ? null
    : new VelvetError('authority_invalid', 'authority may not mint', {
        detail: `${authority} Put a good one in place under that name, then retry.`,
      });
}

/** A test has ended by the time that this is read. */
function ending(job: Job, todo: string): string {
  return takesClaim(job) ? `Abort, ${todo.charAt(0).toLowerCase()}${todo.slice(1)}` : todo;
}

function whatConsumersHold(job: Job, elsewhere: Elsewhere | null): string {
  const { working = [], failing = [] } = elsewhere ?? {};
  const where = takesClaim(job) ? '' : 'begin an operational rotation, and from its verify_failed ';
  const mint = `${where}mint a new one with proceed_mint (acknowledge_dead: true and confirm: "${job.credential}"); there is nothing to go back to then.`;
  if (working.length > 0)
    return `${working.join(', ')} hold another value and answer with success on it: somebody seems to have rotated by hand. ${ending(job, `Run \`npx velvet adopt ${job.credential}\` with that value, and start again.`)}`;
  if (failing.length > 0)
    return `${failing.join(', ')} hold another value, and do not answer with success. Find out what it is; if it is no good either, ${mint}`;
  return `No consumer was seen to hold another value. If nobody has a good one, ${mint}`;
}
