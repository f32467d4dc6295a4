// A job that is about to be minted, by the transitions that lead there: what stands before the part that is measured.
import { randomUUID } from 'node:crypto';
import { systemClock } from '../../shared/lib/clock.ts';
import { leaseFrom } from '../../shared/lib/lease.ts';
import { Secret } from '../../shared/lib/secret.ts';
import type { Relay } from '../../shared/queue/enqueue.ts';
import { firstRecord } from '../../shared/redis/first-record.ts';
import type { JobStore } from '../../shared/redis/job-store.ts';
import type { JobRef } from '../../shared/rotation/effects.ts';
import { newRow, tally, type PinnedRow } from '../../shared/rotation/rows.ts';
import type { Speaker } from '../../shared/changes.ts';
import { createTransitions } from '../../shared/transition.ts';
import type { ValueDeps } from '../../workers/stages/deps.ts';
import { slots } from '../../workers/vault/contract.ts';
import type { VendorCall } from '../../workers/vendors/contract.ts';

const operator: Speaker = {
  kind: 'operator',
  actor: { operatorId: 'bench', slackUserId: null },
  version: undefined,
};

/** Answers with what commits the mint, which orders the fan-out. Its value lies in the vault then. */
export async function toTheMint(
  deps: ValueDeps,
  ref: JobRef,
  { rows, authority }: { readonly rows: number; readonly authority: string },
): Promise<() => Promise<unknown>> {
  const { store } = deps;
  await openJob(store, ref, { rows, authority });
  const unrelayed = createTransitions(store, carriedOutAlready(store), systemClock);
  await unrelayed.apply(ref, 'verify', operator);
  await unrelayed.apply(ref, 'verify_succeeded', await attempt(store, ref), () => ({
    patch: { current_state: 'alive' },
  }));
  await unrelayed.apply(ref, 'proceed_mint', operator);

  const minting = await attempt(store, ref);
  const fence = minting.kind === 'attempt' ? (minting.fence ?? '') : '';
  const secret = new Secret(randomUUID());
  const slot = slots.pending(ref.credential, fence);
  await deps.vault.write(setUpCall(), slot, secret);
  const patch = {
    new_auth_id: randomUUID(),
    new_fingerprint: secret.fingerprint(deps.fingerprintKey),
    minted_fence: fence,
    vault_ref: deps.vault.ref(slot),
  };
  return () => deps.transitions.apply(ref, 'mint_succeeded', minting, () => ({ patch }));
}

async function attempt(store: JobStore, ref: JobRef): Promise<Speaker> {
  const [job, fence] = await Promise.all([store.load(ref), store.fence(ref)]);
  return { kind: 'attempt', fence, statusVersion: job?.statusVersion ?? 0 };
}

/** Nobody is to carry out what the first transitions order. */
function carriedOutAlready(store: JobStore): Relay {
  return {
    async relay(tasks) {
      for (const task of tasks) await store.acknowledge(task);
    },
    addRows: () => Promise.resolve(),
    alive: () => Promise.resolve(new Set()),
  };
}

async function openJob(
  store: JobStore,
  ref: JobRef,
  { rows: count, authority }: { readonly rows: number; readonly authority: string },
): Promise<void> {
  const now = systemClock.now();
  const rows = Array.from({ length: count }, (_, n) => newRow(pinnedRow(n, authority), now));
  await store.open(
    firstRecord({
      ref,
      by: { operatorId: 'bench' },
      pins: { fields: { issuer: 'heroku-oauth', authority }, rows, tally: tally(rows, 'distribute') },
      detail: {},
      idem: { hash: `bench-${ref.jobId}`, bodyHash: 'bench' },
      now,
    }),
  );
}

function pinnedRow(n: number, authority: string): PinnedRow {
  return {
    token_name: 'HK_PLATFORM_FULL',
    consumer_id: `heroku-config-app-${n}`,
    env: 'development',
    wave: 1,
    active: true,
    update_method: 'HEROKU_CONFIG_PATCH',
    update_endpoint: `https://api.heroku.com/apps/app-${n}/config-vars`,
    update_key: 'HEROKU_API_KEY',
    update_auth_token_name: authority,
    healthcheck_endpoint: `https://app-${n}.example.com/healthz/heroku`,
    healthcheck_success_status: 200,
    healthcheck_after: 30,
  };
}

/** A call with a lease, for what is put into the vault beforehand. */
export function setUpCall(): VendorCall {
  const ms = 60_000;
  const lease = leaseFrom(systemClock, '0-setup', systemClock.now() + ms, systemClock.monotonic(), ms);
  return { jobId: 'setup', fence: '0-setup', lease, signal: new AbortController().signal, repeat: false };
}
