// Issuers with one fault each, as a hurried author might write them, and the check that must reject them.
import { VelvetError, isVelvetError } from '../../shared/lib/errors.ts';
import type { ErrorCode } from '../../shared/lib/errors.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import type { Issuer } from '../../workers/vendors/contract.ts';
import { wrapIssuer } from '../../workers/vendors/registry.ts';
import { callOf } from './expectations.ts';
import type { HerokuKit } from './heroku-issuer-world.ts';

export interface Broken<Make> {
  readonly fault: string;
  /** The name of the check that is there for it. */
  readonly rejectedBy: string;
  readonly make: Make;
}

type MakeIssuer = (good: Issuer, kit: HerokuKit) => Issuer;

/** A request past the door, with none of its laws. */
export function bare(kit: HerokuKit, token: Secret, path: string, init: RequestInit = {}): Promise<Response> {
  const headers = {
    accept: 'application/vnd.heroku+json; version=3',
    'content-type': 'application/json',
    authorization: `Bearer ${token.reveal()}`,
  };
  return fetch(`${kit.sim.url}${path}`, { ...init, headers });
}

/** `run`, with the errors of one code taken for another. */
export async function mistaking<T>(from: ErrorCode, to: ErrorCode, run: Promise<T>): Promise<T> {
  return run.catch((error: unknown) => {
    throw isVelvetError(error) && error.code === from ? new VelvetError(to, 'mistaken') : error;
  });
}

/** `run`, with every error of this code taken for `result`. */
export async function swallowing<T>(code: ErrorCode, result: T, run: Promise<T>): Promise<T> {
  return run.catch((error: unknown) => {
    if (isVelvetError(error) && error.code === code) return result;
    throw error;
  });
}

const twice = <T>(run: () => Promise<T>): Promise<T> => run().catch(run);
const loud = { clock: { now: () => 0, monotonic: () => 0 } };

// One fault after the other is how the table is read.
// oxfmt-ignore
export const brokenIssuers: readonly Broken<MakeIssuer>[] = [
  { fault: 'verify that forgets the handle',
    rejectedBy: 'verify tells a live token and names its handle',
    make: (good) => ({ ...good, verify: async (...args) => ({ ...(await good.verify(...args)), handle: null }) }) },
  { fault: 'verify that mints to see whether it may',
    rejectedBy: 'verify changes nothing',
    make: (good) => ({ ...good, verify: async (call, current, authority) => { await good.mint(callOf(), authority as Secret); return good.verify(call, current, authority); } }) },
  { fault: 'verify that takes "none" for "dead"',
    rejectedBy: 'verify without a current token asks about the authority alone',
    make: (good) => ({ ...good, verify: async (call, current, authority) => ({ ...(await good.verify(call, current, authority)), current: current === null ? 'dead' : 'alive' }) }) },
  { fault: 'verify that judges the authority by the current token',
    rejectedBy: 'a dead current token is a finding, and the authority is judged apart from it',
    make: (good) => ({ ...good, verify: async (...args) => { const found = await good.verify(...args); return { ...found, mayMint: found.current === 'alive' }; } }) },
  { fault: 'a dead authority reported as a bad request',
    rejectedBy: 'a dead authority is authority_invalid in every verb',
    make: (good) => ({ ...good, revoke: (...args) => mistaking('authority_invalid', 'vendor_rejected', good.revoke(...args)) }) },
  { fault: 'verify that believes every authority may mint',
    rejectedBy: 'an authority that may not mint is told apart from a dead one',
    make: (good) => ({ ...good, verify: async (...args) => ({ ...(await good.verify(...args)), mayMint: true, mayMintReason: null }) }) },
  { fault: 'capabilities of its own',
    rejectedBy: 'capabilities are those that the manifest goes by',
    make: (good) => ({ ...good, capabilities: { ...good.capabilities, lateMs: 0 } }) },
  { fault: 'mint that mints a spare',
    rejectedBy: 'mint adds exactly one credential, another one, that works',
    make: (good) => ({ ...good, mint: async (...args) => { await good.mint(...args); return good.mint(...args); } }) },
  { fault: 'mint that hands out the authority',
    rejectedBy: 'mint adds exactly one credential, another one, that works',
    make: (good) => ({ ...good, mint: async (call, authority) => { const minted = await good.mint(call, authority); await good.revoke(call, authority, minted.handle); return { ...minted, secret: authority }; } }) },
  { fault: 'a label without the fence',
    rejectedBy: 'the label carries job and fence',
    make: (good) => ({ ...good, mint: (call, authority) => good.mint({ ...call, fence: '0-x' }, authority) }) },
  { fault: 'mint that retries',
    rejectedBy: 'a lost mint answer is vendor_no_answer, is not repeated, and its token is found again',
    make: (good) => ({ ...good, mint: (...args) => twice(() => good.mint(...args)) }) },
  { fault: 'a lost mint answer read as "nothing happened"',
    rejectedBy: 'a lost mint answer is vendor_no_answer, is not repeated, and its token is found again',
    make: (good) => ({ ...good, mint: (...args) => mistaking('vendor_no_answer', 'vendor_unavailable', good.mint(...args)) }) },
  { fault: 'a half answer to a mint read as a bad one',
    rejectedBy: 'a mint whose answer cannot be read may have happened',
    make: (good) => ({ ...good, mint: (...args) => mistaking('vendor_no_answer', 'vendor_bad_answer', good.mint(...args)) }) },
  { fault: 'mint past the door',
    rejectedBy: 'no change leaves without a lease that has time left',
    make: (good, kit) => ({ ...good, mint: async (call, authority) => { await bare(kit, authority, '/oauth/authorizations', { method: 'POST', body: '{}' }); return good.mint(call, authority); } }) },
  { fault: 'listMinted that compares beginnings',
    rejectedBy: 'listMinted names every attempt of the job and no neighbour',
    make: (good, kit) => ({ ...good, listMinted: (call) => Promise.resolve(kit.sim .live() .flatMap(({ id, description }) => description?.startsWith(`velvet:${call.jobId}`) === true ? [{ id, label: description }] : [])) }) },
  { fault: 'listMinted that sees only its own attempt',
    rejectedBy: 'listMinted names every attempt of the job and no neighbour',
    make: (good) => ({ ...good, listMinted: async (call, authority) => (await good.listMinted(call, authority)).filter((one) => one.label.endsWith(call.fence)) }) },
  { fault: 'revoke that tidies up',
    rejectedBy: 'revoke ends that one and no other',
    make: (good) => ({ ...good, revoke: async (call, authority, handle) => { for (const one of await good.listMinted(call, authority)) await good.revoke(call, authority, one); return good.revoke(call, authority, handle); } }) },
  { fault: 'revoke that only says so',
    rejectedBy: 'revoke ends that one and no other',
    make: (good) => ({ ...good, revoke: () => Promise.resolve('revoked') }) },
  { fault: 'revoke that fails on what is gone',
    rejectedBy: 'revoke twice is success',
    make: (good) => ({ ...good, revoke: async (...args) => { if ((await good.revoke(...args)) === 'already_gone') throw new VelvetError('vendor_target_missing', 'gone'); return 'revoked'; } }) },
  { fault: 'a lost revoke answer read as success',
    rejectedBy: 'a lost revoke answer is vendor_no_answer, and the next revoke succeeds',
    make: (good) => ({ ...good, revoke: (...args) => swallowing('vendor_no_answer', 'revoked', good.revoke(...args)) }) },
  { fault: 'isGone that hopes',
    rejectedBy: 'isGone tells what is gone from what is still there, and changes nothing',
    make: (good) => ({ ...good, isGone: () => Promise.resolve('gone') }) },
  { fault: 'isGone that revokes to make sure',
    rejectedBy: 'isGone tells what is gone from what is still there, and changes nothing',
    make: (good) => ({ ...good, isGone: async (call, authority, handle, old) => { const seen = await good.isGone(call, authority, handle, old); if (handle !== null) await good.revoke(callOf(), authority as Secret, handle); return seen; } }) },
  { fault: 'a rate limit that is tried against again',
    rejectedBy: 'a rate limit carries its wait and is one request',
    make: (good) => ({ ...good, listMinted: (...args) => twice(() => good.listMinted(...args)) }) },
  { fault: 'a rate limit without its wait',
    rejectedBy: 'a rate limit carries its wait and is one request',
    make: (good) => ({ ...good, mint: (...args) => mistaking('vendor_rate_limited', 'vendor_rate_limited', good.mint(...args)) }) },
  { fault: 'mint that cannot be called off',
    rejectedBy: 'an abort settles promptly',
    make: (good) => ({ ...good, mint: (call, authority) => good.mint({ ...call, signal: new AbortController().signal }, authority) }) },
  { fault: 'a list that is not understood read as empty',
    rejectedBy: 'an answer in an unknown shape is vendor_bad_answer',
    make: (good) => ({ ...good, listMinted: (...args) => swallowing('vendor_bad_answer', [], good.listMinted(...args)) }) },
  { fault: "an edge's 401 read as the vendor's",
    rejectedBy: "an edge's refusal says nothing about a token",
    make: (good, kit) => ({ ...good, verify: async (call, current, authority) => { const seen = current === null ? null : await bare(kit, current, '/account'); const found = await good.verify(call, null, authority); return { ...found, current: seen?.ok === true ? 'alive' : 'dead' }; } }) },
  { fault: "an edge's 404 read as gone",
    rejectedBy: "an edge's refusal says nothing about a token",
    make: (good) => ({ ...good, revoke: (...args) => swallowing('vendor_edge_refused', 'already_gone', good.revoke(...args)) }) },
  { fault: 'a probe that failed read as a dead token',
    rejectedBy: 'a failure is nothing on a read and unknown on a change',
    make: (good) => ({ ...good, verify: (...args) => swallowing('vendor_unavailable', { current: 'dead', handle: null, mayMint: true, mayMintReason: null }, good.verify(...args)) }) },
  { fault: 'a probe that follows redirects',
    rejectedBy: 'a redirect is not followed',
    make: (good, kit) => ({ ...good, verify: async (call, current, authority) => { await bare(kit, authority as Secret, '/account'); return good.verify(call, current, authority); } }) },
  { fault: 'an error that quotes the answer',
    rejectedBy: 'no secret is in any error, at any depth',
    make: (good, kit) => ({ ...good, listMinted: async (_call, authority) => { throw new VelvetError('vendor_bad_answer', await (await bare(kit, authority as Secret, '/oauth/authorizations')).text()); } }) },
  { fault: 'an error whose cause holds the request',
    rejectedBy: 'no secret is in any error, at any depth',
    make: (good) => ({ ...good, mint: (call, authority) => good.mint(call, authority).catch((error: unknown) => { throw new VelvetError('vendor_rejected', 'mint failed', { cause: { error, headers: { authorization: authority.reveal() } } }); }) }) },
];

/** Faults of the same kind that never reach a stage, because the registry wraps every issuer. */
export const curedByTheRegistry: readonly MakeIssuer[] = [
  (good) =>
    wrapIssuer(loud, {
      ...good,
      mint: (call, authority) =>
        good.mint(call, authority).catch(() => {
          throw new TypeError(`fetch failed\n    at Bearer ${authority.reveal()} (x.ts:1:1)`);
        }),
    }),
  (good) =>
    wrapIssuer(loud, {
      ...good,
      mint: (call, authority) =>
        good.mint(call, authority).catch(() => {
          throw new VelvetError('vendor_rejected', `no: ${authority.reveal()}`, {
            detail: authority.reveal(),
            extra: { deep: [{ said: authority.reveal() }] },
            cause: new Error(authority.reveal()),
          });
        }),
    }),
];
