// The runbook: where a job stands still, and what an abort leaves. What went wrong, what job and log say, and that what the operator does ends well.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { slots } from '../../workers/vault/contract.ts';
import { buildWorld, CREDENTIAL, ENV, until } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import {
  API,
  apps,
  asBefore,
  cleaned,
  endsWell,
  held,
  KEY,
  logged,
  partly,
  residuals,
  revokeFails,
  rowOf,
  TICKET,
  verified,
} from './world.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

describe('where a job stands still', () => {
  test.each([
    ['no answer', 'hang_before', /error=Timeout/],
    ['an HTTP status', { status: 503, body: { id: 'unavailable' } }, /http_status=503/],
    ['a rate limit', 'rate_limited', /msg="paced by the vendor"/],
  ] as const)('verifying: %s is in the log by job_id; wait', async (_what, deed, words) => {
    await using world = await buildWorld(redis.url, { apps });
    world.heroku.script({ on: 'GET /account', do: deed });
    const jobId = await world.create();
    await world.stage(jobId, { action: 'verify' });
    await world.reaches(jobId, 'verified');
    expect(logged(world, jobId).join('\n')).toMatch(words);
  });

  test('minting: msg="mint failed" with its code; the old token is untouched; retry', async () => {
    const { world: opened, jobId } = await verified(redis.url);
    await using world = opened;
    world.heroku.script({
      on: 'POST /oauth/authorizations',
      do: { status: 422, body: { id: 'invalid_params' } },
    });
    await world.stage(jobId, { action: 'proceed_mint' });
    const failed = await world.reaches(jobId, 'mint_failed');
    const line = logged(world, jobId).find((one) => one.includes('msg="mint failed"'));
    expect(line).toContain(String(failed.error?.code));
    expect(world.heroku.isLive(world.firstToken)).toBe(true);
    expect(failed.allowed_actions).toEqual(expect.arrayContaining(['retry', 'abort']));
    await world.stage(jobId, { action: 'retry' });
    await endsWell(world, jobId);
  });

  test('distribute_partial, A: the rows say which; retry the failed one', async () => {
    const { world: opened, jobId, job } = await partly(redis.url);
    await using world = opened;
    expect(rowOf(job, API)).toMatchObject({
      distribute_status: 'failed',
      error: { code: expect.any(String) },
    });
    await world.stage(jobId, { action: 'retry', consumer_ids: [API] });
    await endsWell(world, jobId);
  });

  test('distribute_partial, B: vault_ref says where the value is; write it by hand, Manual confirm', async () => {
    const { world: opened, jobId, job } = await partly(redis.url);
    await using world = opened;
    const slot = (await world.vault.list(slots.pendingPrefix(CREDENTIAL)))[0] ?? '';
    expect(job.vault_ref).toBe(world.vault.ref(slot));
    const value = (await world.vault.read(slot))?.reveal() ?? '';
    world.apps[1]?.patchConfig({ [KEY]: value });
    await until(() => (held(world, 1) === value ? true : null));
    const confirm = { action: 'confirm_consumer', consumer_id: API, note: 'set with heroku config:set' };
    expect((await world.stage(jobId, confirm)).status).toBe(202);
    await endsWell(world, jobId);
  });

  test('distribute_partial, C: abort with restore', async () => {
    const { world: opened, jobId } = await partly(redis.url);
    await using world = opened;
    await world.stage(jobId, { action: 'abort', restore: true, ticket_id: TICKET });
    await asBefore(world, jobId);
  });

  test('validate_failed: the row says so; its processes are down; started again, retry', async () => {
    await using world = await buildWorld(redis.url, {
      apps: [{ name: 'api-prod' }],
      times: { proveForMs: 300 },
    });
    const jobId = await world.create();
    await world.stage(jobId, { action: 'verify' });
    await world.reaches(jobId, 'verified');
    world.consumers[0]?.script({ on: '*', times: Infinity, do: { status: 503 } });
    await world.stage(jobId, { action: 'proceed_mint' });
    const failed = await world.reaches(jobId, ['validate_failed', 'validate_partial']);
    expect(rowOf(failed, API)).toMatchObject({ validate_status: 'failed' });
    expect(world.heroku.isLive(world.firstToken)).toBe(true);
    world.consumers[0]?.clearFaults();
    await world.stage(jobId, { action: 'retry' });
    await endsWell(world, jobId);
  });

  test('revoke_failed: old_auth_id in the job, the audit and the log; renewed authority, retry', async () => {
    const jobOf = await revokeFails(redis.url);
    await using world = jobOf.world;
    const { jobId, failed } = jobOf;
    const old = String(failed.old_auth_id);
    expect(failed.error).toMatchObject({ code: 'revoke_pending' });
    expect(failed.error?.detail).toContain(`heroku authorizations:revoke ${old}`);
    const trail = await world.feed.read(CREDENTIAL, ENV, 0, 10_000);
    expect(JSON.stringify(trail.find((one) => one.event === 'revoke_failed'))).toContain(old);
    expect(logged(world, jobId).find((line) => line.includes('revoke_failed'))).toContain(old);
    await world.stage(jobId, { action: 'retry' });
    await world.reaches(jobId, 'done');
  });

  test('revoke_failed: revoked at the vendor by hand, then Mark manually revoked', async () => {
    const jobOf = await revokeFails(redis.url);
    await using world = jobOf.world;
    const { jobId, failed } = jobOf;
    const early = await world.stage(jobId, { action: 'mark_revoked', ticket_id: TICKET });
    expect(early.status).toBe(202);
    // Velvet asks the vendor: it lives, so nothing is believed.
    await until(async () => {
      const job = await world.job(jobId);
      return job.status === 'revoke_failed' && job['version'] !== failed['version'] ? job : null;
    });
    world.account.revoke(String(failed.old_auth_id));
    await world.stage(jobId, { action: 'mark_revoked', ticket_id: TICKET });
    await world.reaches(jobId, 'done');
  });
});

describe('aborted from', () => {
  test('minted: the new token, which nobody has, is deleted and revoked', async () => {
    const { world: opened, jobId } = await verified(redis.url, { families: ['stage', 'notifier'] });
    await using world = opened;
    await world.stage(jobId, { action: 'proceed_mint' });
    await world.reaches(jobId, ['minted', 'distributing']);
    await world.stage(jobId, { action: 'abort' });
    await asBefore(world, jobId);
  });

  test('distribute_partial: some on new, some on old; restore, then the new token and its slot go', async () => {
    const { world: opened, jobId } = await partly(redis.url);
    await using world = opened;
    await world.stage(jobId, { action: 'abort' });
    const left = await cleaned(world, jobId, 'needs_person');
    expect(residuals(left)).toEqual(['stale_consumer']);
    expect([held(world, 0) === world.firstToken, held(world, 1)]).toEqual([false, world.firstToken]);
    await world.stage(jobId, { action: 'restore' });
    await asBefore(world, jobId);
  });

  test('validated: all on new, the old one live; revoke it by hand, Mark manually revoked', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const jobId = await world.toValidated();
    await world.stage(jobId, { action: 'abort' });
    const left = await cleaned(world, jobId, 'needs_person');
    expect(residuals(left)).toEqual(['old_token_live']);
    expect(world.heroku.isLive(world.firstToken)).toBe(true);
    world.account.revoke(String(left.old_auth_id));
    await world.stage(jobId, { action: 'mark_revoked', ticket_id: TICKET });
    await cleaned(world, jobId, 'done');
    expect((await world.vault.read(CREDENTIAL))?.reveal()).toBe(held(world, 0));
  });
});
