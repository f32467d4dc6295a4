// What the API, the stream and the audit trail show of a job and of a row; never a value.
import type { Job } from './job.ts';
import type { Row } from './rows.ts';

/** What the API shows of a job; rows are added by the caller. */
export function publicJob(job: Job): Record<string, unknown> {
  return {
    job_id: job.jobId,
    credential: job.credential,
    env: job.env,
    flow_type: job.flowType,
    status: job.status,
    status_since: iso(job.statusSince),
    version: job.version,
    awaiting: job.awaiting,
    awaiting_reason: job.awaitingReason,
    instructions: job.awaiting === null ? null : valueWanted(job),
    // What it waits for stands in `error`.
    cleanup: job.cleanup === 'waiting' ? 'pending' : job.cleanup,
    aborted_from: job.abortedFrom,
    force_revoke: job.forceRevoke,
    auto_until: job.autoUntil,
    ticket_id: job.ticketId,
    ticket: job.ticket,
    old_auth_id: job.oldAuthId,
    new_auth_id: job.newAuthId,
    vault_ref: job.vaultRef,
    error: job.error && { code: job.error.code, detail: job.error.detail, at: iso(job.error.at) },
    ...(job.flowType === 'revocation' ? ofEmergency(job) : {}),
    ...(job.replaces === null ? {} : { replaces: job.replaces }),
    residual: job.residuals.map((r) => ({
      ...r,
      resolved_at: r.resolved_at === null ? null : iso(r.resolved_at),
    })),
    inactive: job.inactive,
    created_by: job.createdBy,
    created_at: iso(job.createdAt),
    updated_at: iso(job.updatedAt),
  };
}

function ofEmergency(job: Job): Record<string, unknown> {
  return {
    target: job.target,
    takes_over: job.takesOver,
    took_from: job.tookFrom,
    tokens: job.tokens,
    revoked_at: job.revokedAt === 0 ? null : iso(job.revokedAt),
    settle_seconds: job.settleMs / 1000,
    settle_until: job.settleUntil === 0 ? null : iso(job.settleUntil),
    // What to send once it is over: a rotation that expects the token to be dead.
    next_step: job.status === 'rev_done' ? { flow_type: 'operational', replaces: job.jobId } : null,
  };
}

/** Of an emergency's consumers: how long until the last of them was locked out, and how much of that is weakly proven. */
export function lockoutOf(job: Job, rows: readonly Row[]): Record<string, unknown> {
  if (job.flowType !== 'revocation') return {};
  const out = rows.filter((row) => row.lockout?.class === 'locked_out');
  const open = rows.some((row) => ['pending', 'in_progress', 'failed'].includes(row.validate_status));
  const times = out.flatMap((row) => row.lockout?.time_to_lockout_ms ?? []);
  return {
    time_to_lockout_ms: open || times.length === 0 ? null : Math.max(...times),
    locked_out: out.length,
    weakly_proven: out.filter((row) => row.lockout?.weak === true).length,
    leaking: rows
      .filter((row) => job.phase === 'lockout' && row.validate_status === 'failed')
      .map((row) => row.consumer_id),
  };
}

/** What a test has to say where the vendor had no objection: which consumers do not pass. Null of any other job. */
export function testFinding(job: Job, rows: readonly Row[]): Record<string, unknown> | null {
  if (job.flowType !== 'testing' || job.status !== 'verify_failed' || job.error !== null) return null;
  const bad = rows.filter((row) => row.validate_status === 'failed');
  const names = bad.map((row) => row.consumer_id).join(', ');
  return {
    code: bad[0]?.error?.code ?? 'consumer_not_proven',
    detail: `${job.credential} works at its vendor${job.authority === null ? '' : `, and ${job.authority} may mint`}; but ${bad.length} of ${rows.length} consumers do not pass: ${names}. The \`error\` of each says what to do; then test again.`,
    at: iso(job.statusSince),
  };
}

export function publicRow(row: Row): Record<string, unknown> {
  return {
    consumer_id: row.consumer_id,
    update_method: row.pinned.update_method,
    wave: row.pinned.wave,
    distribute_status: row.distribute_status,
    validate_status: row.validate_status,
    holds: row.holds,
    proof: row.proof,
    proven_at: time(row.proven_at),
    attempts: row.attempts,
    error: row.error,
    probe: row.probe && {
      class: row.probe.class,
      http_status: row.probe.http_status,
      at: time(row.probe.begun_at),
    },
    wave_health: row.wave_health,
    ...(row.reachable === null && row.may_write === null
      ? {}
      : { reachable: row.reachable, may_write: row.may_write }),
    ...(row.lockout === null ? {} : { lockout: row.lockout }),
    write_note: row.receipt?.note ?? null,
    // For whoever does the row by hand, and no secret: it stands in the manifest.
    instructions: row.pinned.instructions ?? null,
    stale: row.stale,
    confirmed_by: row.confirmed_by,
    note: row.note,
    paced_until: time(row.paced_until),
    updated_at: time(row.updated_at),
  };
}

/** What whoever is to make the new token does, step by step. */
export function valueWanted(job: Pick<Job, 'credential' | 'instructions'>): string {
  const own = job.instructions === null ? '' : ` ${job.instructions}`;
  return `Make a new token for ${job.credential} at its vendor, and leave the old one as it is.${own} Then enter the new one: \`npx velvet submit ${job.credential}\` asks for it without showing it.`;
}

function time(ms: number | null): string | null {
  return ms === null ? null : iso(ms);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
