// The audit trail of a whole simulation, all jobs together: numbered without a gap, and no mint or revoke without what must come before it.
import type { AuditEvent } from '../../shared/redis/events.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { CREDENTIAL, ENV } from '../schedule/outside.ts';
import type { Story } from './story.ts';

export async function eventViolations(story: Story): Promise<readonly string[]> {
  const entries = await story.world.seen.xrange(credentialKeys(CREDENTIAL, ENV).events, '-', '+');
  const events = entries.map(([, fields]) => JSON.parse(fields[1] ?? '{}') as AuditEvent);
  return story.jobs.flatMap((jobId) => {
    const own = events.filter((event) => event.job_id === jobId);
    const ofTheJob = own.filter((event) => event.consumer_id === undefined);
    return [
      ...mintedUnverified(jobId, ofTheJob),
      ...revokedUnproven(jobId, own),
      ...twiceEnded(jobId, ofTheJob),
    ];
  });
}

/** I2: what came last before the gate to the mint was a verify that let it be opened. */
function mintedUnverified(jobId: string, events: readonly AuditEvent[]): readonly string[] {
  return events.flatMap((event, index) => {
    if (event.event !== 'proceed_mint') return [];
    const before = events.slice(0, index).findLast((one) => /^verify_(succeeded|failed)$/.test(one.event));
    const rescued = before?.detail['current'] === 'dead' && before.detail['authority_may_mint'] === true;
    const fine =
      before?.event === 'verify_succeeded' || (rescued && event.detail['acknowledge_dead'] === true);
    return fine ? [] : [`2 mint: ${jobId} minted after ${before?.event ?? 'no verify'}`];
  });
}

interface Evidence {
  readonly consumer_id: string;
  readonly status: string;
}

/** I3: since the gate was passed, each consumer was proven again, or a person had said so before. */
function revokedUnproven(jobId: string, events: readonly AuditEvent[]): readonly string[] {
  const at = events.findIndex((event) => event.event === 'promotion_begun');
  if (at === -1 || events[at]?.from_state === 'aborted') return [];
  const gate = events
    .slice(0, at)
    .findLastIndex((event) => event.event === 'proceed_revoke' || event.event === 'retry');
  const passed = events.slice(0, at).findLast((event) => event.event === 'proceed_revoke');
  const byWord = events.slice(0, at).some((event) => event.event === 'mark_revoked');
  if (passed === undefined) return [`3 revoked: ${jobId} without a gate`];
  if (byWord) return [];
  const named = (passed.detail['acknowledge_stale'] ?? []) as readonly string[];
  const proven = new Set(
    events
      .slice(gate, at)
      .filter((event) => event.event === 'row_proven')
      .map((event) => event.consumer_id),
  );
  const evidence = (passed.detail['evidence'] ?? []) as readonly (Evidence & { proof: string | null })[];
  // One that was skipped while values were written has nothing to be proven.
  const skipped = new Set(
    events
      .slice(0, at)
      .filter((event) => event.event === 'row_skipped')
      .map((event) => event.consumer_id),
  );
  const missing = evidence.filter(
    ({ consumer_id: who, status, proof }) =>
      !proven.has(who) &&
      !named.includes(who) &&
      !skipped.has(who) &&
      status !== 'skipped' &&
      proof !== 'by_hand',
  );
  const counts = proven.size > 0 || named.length > 0 || evidence.some(({ proof }) => proof === 'by_hand');
  return [
    ...missing.map(({ consumer_id: who }) => `3 revoked: ${jobId} with ${who} unproven`),
    ...(counts ? [] : [`3 revoked: ${jobId} with nobody proven`]),
  ];
}

/** Done, or aborted and cleaned up: once, and nothing after it. */
function twiceEnded(jobId: string, events: readonly AuditEvent[]): readonly string[] {
  const end = events.findIndex((event) => ['revoke_succeeded', 'cleanup_finished'].includes(event.event));
  return end === -1 || end === events.length - 1
    ? []
    : [`6 events: ${jobId} goes on after ${events[end]?.event}`];
}
