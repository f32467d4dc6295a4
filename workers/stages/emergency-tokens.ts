// Which tokens an emergency ends, and the ending of them: what is on record at once, what vault and vendor add after. Law: a token is dead by the vendor's word, and not while its value is seen to work.
import { isVelvetError, type VelvetError } from '../../shared/lib/errors.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import type { EndedToken } from '../../shared/rotation/job-record.ts';
import type { Job } from '../../shared/rotation/job.ts';
import { slots } from '../vault/contract.ts';
import { readHandle } from '../vault/handles.ts';
import { fenceOf } from '../vendors/contract.ts';
import { briefly } from './briefly.ts';
import {
  authorityOf,
  demandAuthority,
  issuerOf,
  namingAuthority,
  readCall,
  speaker,
  underLease,
  type StageDeps,
  type Step,
} from './deps.ts';
import { endedOf, stillWorks } from './emergency-words.ts';

/** What vault and vendor add to the record, where they answer in time. */
export async function othersKnown(deps: StageDeps, at: Step): Promise<readonly EndedToken[]> {
  const { job } = at;
  if (job.target === 'new' || (job.target === 'old' && job.tokens.length > 0)) return [];
  const asked = await Promise.all([
    briefly(deps, at, 'vault', () => readHandle(deps.vault, job.credential)),
    briefly(deps, at, 'vendor', () => handleByValue(deps, at)),
  ]);
  const known = [...job.tokens.map((token) => token.auth_id), job.target === 'old' ? job.newAuthId : null];
  const more = [...new Set(asked.filter((id) => id !== null))].filter((id) => !known.includes(id));
  return more.map((auth_id) => ({ auth_id, is: 'current', state: 'may_live', error: null }));
}

async function handleByValue(deps: StageDeps, { job, fence, context }: Step): Promise<string | null> {
  // The record's own word is enough, and asking costs the time that it takes to be told.
  if (job.tokens.length > 0) return null;
  const value = await deps.vault.read(slots.current(job.credential));
  if (value === null) return null;
  const authority = await authorityOf(deps, job);
  const said = await issuerOf(deps, job).verify(readCall(job, fence, context), value, authority);
  return said.handle?.id ?? null;
}

/** Tokens of the rotation that was stopped which no record names: a mint that was cut off. */
export async function leftovers(deps: StageDeps, at: Step): Promise<readonly EndedToken[]> {
  const { job, fence, context } = at;
  if (job.takesOver === null) return [];
  const theirs = { ...readCall(job, fence, context), jobId: job.takesOver };
  const authority = await authorityOf(deps, job);
  const listed = await namingAuthority(job, () => issuerOf(deps, job).listMinted(theirs, authority));
  const known = new Set(job.tokens.map((token) => token.auth_id));
  const isNew = (id: string, of: string) => id === job.newAuthId || of === job.mintedFence;
  return listed
    .filter((handle) => !known.has(handle.id))
    .filter((handle) => job.target !== 'old' || !isNew(handle.id, fenceOf(handle)))
    .map((handle) => ({ auth_id: handle.id, is: 'leftover', state: 'may_live', error: null }));
}

/** Those on record at once; beside it the vendor's list is asked for, and what it adds is ended after. Throws what is left, by name. */
export async function endAll(deps: StageDeps, at: Step): Promise<readonly EndedToken[]> {
  const [first, others, listed] = await Promise.all([
    end(deps, at, at.job.tokens),
    othersKnown(deps, at),
    leftovers(deps, at).catch((error: unknown) => {
      if (!isVelvetError(error)) throw error;
      return error;
    }),
  ]);
  const found = [...others, ...(isVelvetError(listed) ? [] : listed)];
  const isFirst = (token: EndedToken, n: number) =>
    found.findIndex((one) => one.auth_id === token.auth_id) === n;
  const more = found
    .filter(isFirst)
    .filter(({ auth_id }) => !first.tokens.some((one) => one.auth_id === auth_id));
  // Its handle may be known from its value alone, which says nothing any more once it is dead: on record first.
  if (more.length > 0) await note(deps, at, [...first.tokens, ...more]);
  const second = await end(deps, at, more);
  const all = [...first.tokens, ...second.tokens];
  const failure = first.failure ?? second.failure ?? (isVelvetError(listed) ? listed : null);
  if (failure !== null) throw await noted(deps, at, all, failure);
  return all;
}

interface Ended {
  readonly tokens: readonly EndedToken[];
  readonly failure: VelvetError | null;
}

async function end(deps: StageDeps, at: Step, tokens: readonly EndedToken[]): Promise<Ended> {
  const { job, context } = at;
  const due = tokens.filter((token) => token.state === 'may_live');
  if (due.length === 0) return { tokens, failure: null };
  const issuer = issuerOf(deps, job);
  const authority = await namingAuthority(job, () => demandAuthority(deps, job));
  const results = await underLease(deps, job, context, (call) =>
    Promise.allSettled(
      due.map(async ({ auth_id }) => issuer.revoke(call, authority, { id: auth_id, label: '' })),
    ),
  );
  const gone = results.some((one) => one.status === 'fulfilled' && one.value === 'already_gone');
  // An authority of another account knows no such token: the value itself is asked, where it is at hand.
  const works = gone ? await briefly(deps, at, 'value', () => aValueWorks(deps, at)) : null;
  const said = due.map((token, n) => endedOf(token, results[n], works));
  const failures = results.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
  const foreign = failures.find((error) => !isVelvetError(error));
  if (foreign !== undefined) throw foreign;
  const whole = tokens.map((token) => said.find((one) => one.auth_id === token.auth_id) ?? token);
  const [first] = failures.filter(isVelvetError);
  return { tokens: whole, failure: first ?? (works === null ? null : stillWorks(job, [works])) };
}

/** The token of a value that is in the vault, should have ended, and works. Null where none does, or none can be asked. */
export async function aValueWorks(
  deps: StageDeps,
  { job, fence, context }: Step,
): Promise<EndedToken | null> {
  const issuer = issuerOf(deps, job);
  const call = readCall(job, fence, context);
  for (const { value, token } of await valuesOf(deps, job)) {
    // The value asks for itself: the authority may be the very thing that is wrong.
    if ((await issuer.isGone(call, value, null, value)) === 'still_there') return token;
  }
  return null;
}

async function valuesOf(
  deps: StageDeps,
  job: Job,
): Promise<readonly { readonly value: Secret; readonly token: EndedToken }[]> {
  const named = (is: EndedToken['is']) =>
    job.tokens.find((token) => token.is === is)?.auth_id ?? `the ${is} token`;
  const slotsOf = {
    current: slots.current(job.credential),
    old: job.takesOver === null ? null : slots.previous(job.credential, job.takesOver),
    new: job.mintedFence === null ? null : slots.pending(job.credential, job.mintedFence),
  } as const;
  const spared = job.target === 'all' ? null : job.target === 'old' ? job.newFingerprint : job.oldFingerprint;
  const found = [];
  for (const is of ['current', 'old', 'new'] as const) {
    const slot = slotsOf[is];
    const value = slot === null ? null : await deps.vault.read(slot);
    if (value === null || value.fingerprint(deps.fingerprintKey) === spared) continue;
    found.push({ value, token: { auth_id: named(is), is, state: 'may_live', error: null } as const });
  }
  return found;
}

/** The token as the vendor knows it. An authority that is refused cannot tell, and a person's word stands; a vendor that did not answer has said nothing. */
export async function askedOf(deps: StageDeps, at: Step, token: EndedToken): Promise<EndedToken> {
  const { job, fence, context } = at;
  const handle = { id: token.auth_id, label: '' };
  const authority = await authorityOf(deps, job);
  const found = await issuerOf(deps, job)
    .isGone(readCall(job, fence, context), authority, handle, null)
    .catch((error: unknown) => {
      if (!isVelvetError(error) || error.code !== 'authority_invalid') throw error;
      context.log.warn('the vendor cannot be asked', { authority: job.authority });
      return 'cannot_tell' as const;
    });
  return found === 'still_there' ? token : { ...token, state: 'dead', error: null };
}

/** Which live and which are dead stands on the job before anything else is tried. Answers the failure, to be thrown. */
export async function noted(
  deps: StageDeps,
  at: Step,
  tokens: readonly EndedToken[],
  failure: VelvetError,
): Promise<VelvetError> {
  await note(deps, at, tokens, { code: failure.code });
  return failure;
}

async function note(
  deps: StageDeps,
  { task, context }: Step,
  tokens: readonly EndedToken[],
  more: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  await deps.transitions.apply(task, 'tokens_noted', speaker(task, context), () => ({
    patch: { tokens },
    detail: { tokens, ...more },
  }));
}
