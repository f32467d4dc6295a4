// Leaks for the bench of the alarm: jobs whose consumer is about to be found leaking, and the commit that flags them as the lock-out does.
import { randomUUID } from 'node:crypto';
import { systemClock } from '../../shared/lib/clock.ts';
import { createRelay } from '../../shared/queue/enqueue.ts';
import { createGround } from '../../shared/redis/ground.ts';
import { firstRecord } from '../../shared/redis/first-record.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';
import type { JobRef } from '../../shared/rotation/effects.ts';
import { newRow, tally, withStatus, type Row } from '../../shared/rotation/rows.ts';
import { createTransitions } from '../../shared/transition.ts';
import { ENV, type World } from '../../test/harness.ts';

const CONSUMER = 'heroku-config-bench-app';
/** Longer than the bench: nobody is to look again. */
const WINDOW_MS = 3_600_000;

export interface Leaks {
  /** So many emergencies of as many credentials, each with one consumer that is being asked. */
  open(count: number): Promise<readonly JobRef[]>;
  /** Commits `rev_leaked`, and the order to tell it. */
  flag(ref: JobRef): Promise<void>;
  /** Wall clock, ms: when the commit says that the alarm was raised. */
  raisedAt(ref: JobRef): Promise<number>;
  /** As an operator resolves it: its alarm is over. */
  resolve(ref: JobRef): Promise<void>;
}

export function createLeaks({ deps, redis, store }: World, slackUser: string): Leaks {
  const { alarms } = deps;
  const ground = createGround(redis);
  const relay = createRelay(deps.queues, store, () => undefined);
  const transitions = createTransitions(store, relay, systemClock);
  let opened = 0;

  async function open(): Promise<JobRef> {
    const ref = { credential: `HK_SERVICE_${String((opened += 1)).padStart(4, '0')}`, env: ENV, jobId: randomUUID() }; // prettier-ignore
    // Nothing was lost here, and looking is no part of the alarm.
    await ground.reconciled(ref, await ground.server());
    const now = systemClock.now();
    const rows = [withStatus({ ...newRow(pinned, now), opened_at: now }, 'lockout', 'in_progress')];
    const first = firstRecord({
      ref,
      by: { operatorId: 'bench', slackUserId: slackUser },
      pins: { fields: { issuer: 'heroku-oauth', authority: 'HK_VELVET_BOOTSTRAP' }, rows, tally: tally(rows, 'lockout') }, // prettier-ignore
      asked: { flow_type: 'revocation', target: 'all', phase: 'lockout', revoked_at: now, settle_until: now + WINDOW_MS }, // prettier-ignore
      detail: {},
      idem: { hash: `bench-${ref.jobId}`, bodyHash: 'bench' },
      now,
    });
    // As `proceed_revoke` took it.
    await redis.set(credentialKeys(ref.credential, ref.env).claim, ref.jobId);
    await store.open({ ...first, fields: { ...first.fields, status: 'rev_validating' } });
    return ref;
  }

  return {
    open: (count) => Promise.all(Array.from({ length: count }, open)),

    async flag(ref) {
      const by = { kind: 'attempt', fence: null, statusVersion: 1 } as const;
      const outcome = await transitions.settleRow(ref, CONSUMER, by, (row) => ({
        row: leaking(row),
        event: 'row_leaked',
        on: 'row_leaked',
        detail: { class: 'accepting', http_status: 200, weak: false },
      }));
      if (outcome === null) throw new Error('the leak was not flagged');
    },

    async raisedAt(ref) {
      const state = await alarms.of(ref);
      if (state === null) throw new Error(`no alarm was raised for ${ref.credential}`);
      return state.raised.raised_at;
    },

    async resolve(ref) {
      const by = { kind: 'operator', actor: { operatorId: 'bench', slackUserId: slackUser }, version: undefined } as const; // prettier-ignore
      const rows = (await store.rows(ref)).map((row) => withStatus(row, 'lockout', 'skipped'));
      await transitions.apply(ref, 'resolve_leak', by, () => ({
        facts: { leaksNoted: true },
        rows,
        tally: tally(rows, 'lockout'),
      }));
    },
  };
}

const pinned = {
  consumer_id: CONSUMER,
  update_method: 'HEROKU_CONFIG_PATCH',
  wave: 1,
  healthcheck_endpoint: 'https://app.example.com/healthz/heroku',
  healthcheck_success_status: 200,
  healthcheck_after: 0,
};

function leaking(row: Row): Row {
  const lockout = { class: 'accepting', http_status: 200, weak: false, uncontrolled: false, time_to_lockout_ms: null } as const; // prettier-ignore
  const error = { code: 'consumer_leaking', detail: 'It still answers 200 after its token was revoked.' };
  return { ...withStatus(row, 'lockout', 'failed'), lockout, error };
}
