// Asks a consumer how it is, with a challenge. Law: reports what was seen, sends no token, follows no redirect.
import { isVelvetError } from '../../shared/lib/errors.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import type { Healthcheck, ProbeClass, ProbeResult, VendorCall } from './contract.ts';
import { isHtml } from './http-failures.ts';
import type { Door, VendorResponse } from './http.ts';

export interface HealthcheckDeps {
  readonly door: Door;
  readonly times: { readonly probeMs: number };
  /** Sent as `Velvet-Probe-Key`, for consumers that answer challenges to nobody else. */
  readonly probeKey?: Secret | undefined;
}

/** The one implementation for every kind of consumer. Throws only where the probe itself was called off, or had no lease left. */
export function createHealthcheck(deps: HealthcheckDeps): Healthcheck {
  return {
    async probe(call, target, nonce) {
      try {
        const response = await deps.door.send(call, {
          vendor: 'consumer',
          method: 'GET',
          url: target.healthcheck_endpoint,
          headers: {
            'velvet-challenge': nonce,
            // An answer from a cache is about another moment, and another challenge.
            'cache-control': 'no-cache',
            ...(deps.probeKey === undefined ? {} : { 'velvet-probe-key': deps.probeKey }),
          },
          accept: 'any',
          timeoutMs: deps.times.probeMs,
        });
        return { class: classOf(response), httpStatus: response.status, proof: proofIn(response) };
      } catch (error) {
        return unreachable(call, error);
      }
    },
  };
}

function unreachable(call: VendorCall, error: unknown): ProbeResult {
  const byTheConsumer = isVelvetError(error) && error.code === 'vendor_unavailable';
  // A probe that we ended ourselves has seen nothing; in a revocation `unreachable` would be an alarm.
  // The door's own word first: a timer may fire a moment before the lease that it stands for is over.
  const cut = isVelvetError(error) && (error.kind === 'LeaseOver' || error.kind === 'Aborted');
  const cutByUs = cut || call.signal.aborted || (call.lease !== null && call.lease.remainingMs() <= 0);
  if (!byTheConsumer || cutByUs) throw error;
  return { class: 'unreachable', httpStatus: null, proof: null };
}

function classOf(response: VendorResponse): ProbeClass {
  const { status } = response;
  if (status < 300) return 'ok';
  if (status < 400) return 'redirect';
  if ((status === 401 || status === 403) && isHtml(response)) return 'edge';
  if (status === 401) return 'unauthorized';
  return status === 403 ? 'forbidden' : 'erroring';
}

/** The proof of version 1, as `Secret.proof` writes it: 43 characters of base64url; some languages pad it with `=`. */
function proofIn(response: VendorResponse): string | null {
  const versions = (response.headers['velvet-proof'] ?? '').split(',').map((part) => part.trim());
  for (const version of versions) {
    const proof = /^v1=([\w-]{43})=?$/.exec(version)?.[1];
    if (proof !== undefined) return proof;
  }
  return null;
}
