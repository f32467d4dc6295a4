// A job and its rows as they are read back: what was written, what an older version wrote, and what is no record at all.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Row } from '../../shared/rotation/rows.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { CREDENTIAL, ENV, commitOf, keys, rowInProgress, rowWriteOf, storeWorld } from './store-world.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

test('a job is what was written, in every field', async () => {
  await using world = await storeWorld(server.url);
  const opened = await world.opened();
  const residual = { kind: 'orphan_token', who: 'ü–"\\\n', what_to_do: 'revoke it', resolved_at: null };
  const patch = {
    ticket_id: 'ROT-2026-ß', minted_by: 'grace', moved_by: 'ada', moved_by_slack: 'U0', step: 'prove', phase: 'validate',
    awaiting: 'operator_value', awaiting_reason: 'why', cleanup: 'needs_person', current_state: 'alive', may_mint: true,
    two_person: true, old_auth_id: 'old', old_fingerprint: 'of', new_auth_id: 'new', new_fingerprint: 'nf', minted_fence: '3-abc',
    vault_ref: 'file:/velvet/x', promoting: true, promoted: false, error: { code: 'internal', detail: 'a "quoted" one', at: 7 },
    residuals: [residual], inactive: ['one', 'two'], resume: 'open_rows', force_revoke: true, quiet_after: 12,
  } as const; // oxfmt-ignore
  await world.store.commit(commitOf(opened, { patch, enters: true, status: 'validating', now: 5 }));

  expect(await world.load(opened)).toEqual({
    ...opened,
    ticketId: 'ROT-2026-ß', mintedBy: 'grace', movedBy: { operatorId: 'ada', slackUserId: 'U0' }, step: 'prove', phase: 'validate',
    awaiting: 'operator_value', awaitingReason: 'why', cleanup: 'needs_person', currentState: 'alive', mayMint: true,
    twoPerson: true, oldAuthId: 'old', oldFingerprint: 'of', newAuthId: 'new', newFingerprint: 'nf', mintedFence: '3-abc',
    vaultRef: 'file:/velvet/x', promoting: true, promoted: false, error: patch.error, residuals: [residual],
    inactive: ['one', 'two'], resume: 'open_rows', forceRevoke: true, quietAfter: 12, status: 'validating', statusSince: 5,
    updatedAt: 5, version: 2, statusVersion: 2,
  }); // oxfmt-ignore

  const cleared = { ticket_id: null, error: null, residuals: [], phase: null, moved_by: null };
  await world.store.commit(commitOf(await world.load(opened), { patch: cleared }));
  expect(await world.load(opened)).toMatchObject({
    ticketId: null,
    error: null,
    residuals: [],
    phase: null,
    movedBy: null,
    statusVersion: 2,
  });
});

test('a row is what was written, with what the manifest had of its own', async () => {
  await using world = await storeWorld(server.url);
  const job = await world.opened();
  const before = await world.row(job, 'consumer-0');
  const after: Row = {
    ...before,
    pinned: { ...before.pinned, update_endpoint: 'https://api.heroku.com/apps/x/config-vars', extra: [] },
    holds: 'other', proof: 'possession', proven_at: 3, attempts: 4, error: { code: 'vendor_rejected', detail: '"é' },
    probe: { class: 'ok', http_status: null, begun_at: 3 }, wave_health: 'waiting', confirmed_by: 'ada', note: '{}',
    paced_until: 5, started: { fence: '1-a', until: 6 }, receipt: { version: '12' }, effective_at: 7, read_back_at: 8, opened_at: 9,
  }; // oxfmt-ignore
  await world.store.writeRow(rowWriteOf(job, before, { after }));
  expect(await world.row(job, 'consumer-0')).toEqual({ ...after, rev: 1 });
});

test('a record of an older version, which knew fewer fields, is understood', async () => {
  await using world = await storeWorld(server.url);
  const oldJob = {
    job_id: 'job-1', credential: CREDENTIAL, env: ENV, flow_type: 'operational', status: 'verified', status_since: '1', version: '4',
    status_version: '3', created_at: '1', updated_at: '2', created_by: 'ada', issuer: 'heroku-oauth', authority: 'HK', gone_since: 'x',
  }; // oxfmt-ignore
  const { consumer_id, pinned, distribute_status, validate_status, holds, attempts, updated_at, rev } =
    rowInProgress('a');
  const oldRow = {
    consumer_id,
    pinned,
    distribute_status,
    validate_status,
    holds,
    attempts,
    updated_at,
    rev,
  };
  await world.redis.hset(keys.job('job-1'), oldJob);
  await world.redis.hset(keys.rows('job-1'), 'a', JSON.stringify({ ...oldRow, gone_since: 'x' }));

  const ref = { credential: CREDENTIAL, env: ENV, jobId: 'job-1' };
  const job = await world.load(ref);
  expect(job).toMatchObject({
    kick: 0,
    resume: null,
    residuals: [],
    inactive: [],
    quietAfter: 0,
    leaseFence: null,
  });
  expect(job.tally).toEqual({ total: 0, pending: 0, open: 0, manual: 0, failed: 0, ok: 0, proven: 0 });
  expect(await world.store.rows(ref)).toEqual([rowInProgress('a')]);
});

test.each([
  ['a status that no table knows', { status: 'resting' }],
  ['no version', { version: 'x' }],
])('a record with %s is no job, and says so without its contents', async (_, broken) => {
  await using world = await storeWorld(server.url);
  const job = await world.opened();
  await world.redis.hset(keys.job('job-1'), { ...broken, ticket_id: 'must-not-be-told' });
  const loading = world.store.load(job);
  await expect(loading).rejects.toMatchObject({ code: 'invariant_broken' });
  await expect(loading).rejects.not.toThrow('must-not-be-told');
});

test('rows come in the order of their waves, then of their names', async () => {
  await using world = await storeWorld(server.url);
  const job = await world.opened({ rows: 3 });
  const first = await world.row(job, 'consumer-0');
  const later = { ...first, pinned: { ...first.pinned, wave: 2 } };
  await world.store.writeRow(rowWriteOf(job, first, { after: later }));
  expect((await world.store.rows(job)).map((row) => row.consumer_id)).toEqual([
    'consumer-1',
    'consumer-2',
    'consumer-0',
  ]);
});

test('receipts, outbox and its acknowledgement', async () => {
  await using world = await storeWorld(server.url);
  const job = await world.opened();
  expect(await world.store.hasReceipt(job, 'notify_done')).toBe(false);
  await world.store.recordReceipt(job, 'notify_done', 9);
  expect(await world.store.hasReceipt(job, 'notify_done')).toBe(true);
  expect(await world.load(job)).toEqual(job);

  const task = {
    effect: 'open_rows',
    credential: CREDENTIAL,
    env: ENV,
    jobId: 'job-1',
    version: 2,
    kick: 0,
  } as const;
  await world.store.commit(commitOf(job, { tasks: [task] }));
  expect(await world.store.outbox(CREDENTIAL, ENV)).toEqual([task]);
  await world.store.acknowledge(task);
  expect(await world.store.outbox(CREDENTIAL, ENV)).toEqual([]);
});
