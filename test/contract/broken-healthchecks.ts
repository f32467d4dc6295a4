// Healthchecks with one fault each, as a hurried author might write them, and the check that must reject them.
import { VelvetError } from '../../shared/lib/errors.ts';
import type { ProbeResult } from '../../workers/vendors/contract.ts';
import { createHealthcheck } from '../../workers/vendors/healthcheck.ts';
import type { Broken } from './broken-issuers.ts';
import { callOf } from './expectations.ts';
import type { MakeHealthcheck } from './healthcheck.ts';

/** The good one, with something else made of what it saw. */
function seenAs(change: (result: ProbeResult) => ProbeResult): MakeHealthcheck {
  return (deps) => ({ probe: async (...args) => change(await createHealthcheck(deps).probe(...args)) });
}

// One fault after the other is how the table is read.
// oxfmt-ignore
export const brokenHealthchecks: readonly Broken<MakeHealthcheck>[] = [
  { fault: 'every failure is a refusal',
    rejectedBy: 'each status lands in its class, with the status',
    make: seenAs((result) => (result.class === 'erroring' ? { ...result, class: 'unauthorized' } : result)) },
  { fault: "an edge's page read as the consumer's 403",
    rejectedBy: 'a refusal in HTML is the edge and not the consumer',
    make: seenAs((result) => (result.class === 'edge' ? { ...result, class: 'forbidden' } : result)) },
  { fault: 'a probe that follows redirects',
    rejectedBy: 'a redirect is not followed',
    make: (deps) => ({ probe: async (call, target, nonce) => { await fetch(target.healthcheck_endpoint); return createHealthcheck(deps).probe(call, target, nonce); } }) },
  { fault: 'a consumer that is down is an exception',
    rejectedBy: 'no answer in time, or none at all, is unreachable',
    make: seenAs((result) => { if (result.class === 'unreachable') throw new VelvetError('vendor_unavailable', 'down'); return result; }) },
  { fault: 'a probe that waits for the whole body',
    rejectedBy: 'a body that does not come changes nothing about its status',
    make: (deps) => ({ probe: async (call, target, nonce) => { const response = await fetch(target.healthcheck_endpoint, { signal: AbortSignal.timeout(deps.times.probeMs) }); return response.text().then(() => createHealthcheck(deps).probe(call, target, nonce), () => ({ class: 'unreachable', httpStatus: null, proof: null })); } }) },
  { fault: 'a probe that shows a token',
    rejectedBy: 'the probe is one GET with the challenge, and with no token',
    make: () => ({ probe: async (_call, target, nonce) => { const response = await fetch(target.healthcheck_endpoint, { headers: { authorization: 'Bearer x', 'velvet-challenge': nonce } }); await response.text(); return { class: 'ok', httpStatus: response.status, proof: null }; } }) },
  { fault: 'a probe that asks twice',
    rejectedBy: 'the probe is one GET with the challenge, and with no token',
    make: (deps) => ({ probe: async (...args) => { await createHealthcheck(deps).probe(...args); return createHealthcheck(deps).probe(...args); } }) },
  { fault: 'a probe key that stays at home',
    rejectedBy: 'the probe key goes along where there is one',
    make: ({ probeKey: _probeKey, ...deps }) => createHealthcheck(deps) },
  { fault: 'any proof handed on',
    rejectedBy: 'a proof of version 1 is handed on, and nothing else is taken for one',
    make: seenAs((result) => ({ ...result, proof: result.proof ?? '[secret]' })) },
  { fault: 'proofs of refusals thrown away',
    rejectedBy: 'a refusal can carry a proof too',
    make: seenAs((result) => (result.class === 'ok' ? result : { ...result, proof: null })) },
  { fault: 'a probe that was called off read as an outage',
    rejectedBy: 'a probe that is called off throws, and has seen nothing',
    make: (deps) => ({ probe: (call, target, nonce) => createHealthcheck(deps) .probe(call, target, nonce) .catch(() => ({ class: 'unreachable', httpStatus: null, proof: null })) }) },
  { fault: 'a probe that cannot be called off',
    rejectedBy: 'a probe that is called off throws, and has seen nothing',
    make: (deps) => ({ probe: (_call, target, nonce) => createHealthcheck(deps).probe(callOf({ lease: null }), target, nonce) }) },
];
