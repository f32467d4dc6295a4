// The runbook: mistakes that operators make, what they see, and the remedy.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { slots } from '../../workers/vault/contract.ts';
import { buildWorld, CREDENTIAL, ENV, until } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { apps, asBefore, cleaned, endsWell, held, KEY, revokeFails, verified } from './world.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

describe('mistakes', () => {
  test('a prod rotation started on the staging app: 404 that names both', async () => {
    const row = {
      token_name: 'HK_OTHER',
      consumer_id: 'elsewhere',
      env: 'prod',
      update_method: 'HEROKU_CONFIG_PATCH',
      update_endpoint: 'https://api.heroku.com/apps/elsewhere/config-vars',
      update_key: KEY,
      update_auth_token_name: 'HK_VELVET_BOOTSTRAP',
      healthcheck_endpoint: null,
      capabilities: ['update'],
    };
    const credential = {
      token_name: 'HK_OTHER',
      issuer: 'heroku-oauth',
      issuer_auth_token_name: 'HK_VELVET_BOOTSTRAP',
      entropy: 'high',
    };
    await using world = await buildWorld(redis.url, {
      apps,
      more: { credentials: [credential], subscribers: [row] },
    });
    const answer = await world.api('POST', '/tokens/HK_OTHER/rotate', {
      flow_type: 'operational',
      idempotency_key: crypto.randomUUID(),
    });
    expect([answer.status, answer.body.code]).toEqual([404, 'not_registered']);
    expect(answer.body.detail).toContain(`registered for prod; this is ${ENV}`);
  });

  test('no ticket opened: the revoke gate refuses, and goes on once it is there', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const jobId = await world.toValidated();
    const refused = await world.stage(jobId, { action: 'proceed_revoke' });
    expect([refused.status, refused.body.code]).toEqual([422, 'ticket_required']);
    expect((await world.job(jobId)).status).toBe('validated');
    await endsWell(world, jobId);
  });

  test('abort from validated, thinking that it rolls back: restore does', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const jobId = await world.toValidated();
    await world.stage(jobId, { action: 'abort' });
    const left = await cleaned(world, jobId, 'needs_person');
    expect(left.allowed_actions).toEqual(expect.arrayContaining(['restore', 'mark_revoked']));
    expect(held(world, 0)).not.toBe(world.firstToken);
    await world.stage(jobId, { action: 'restore' });
    await asBefore(world, jobId);
  });

  test('retrying a failed revoke with a stale authority: authority_invalid with its name; a good one, retry', async () => {
    const jobOf = await revokeFails(redis.url);
    await using world = jobOf.world;
    const { jobId } = jobOf;
    const refuses = { status: 401, body: { id: 'unauthorized' } };
    world.heroku.script({ on: '*', times: Infinity, do: refuses });
    await world.stage(jobId, { action: 'retry' });
    const failed = await until(async () => {
      const job = await world.job(jobId);
      return job.error?.code === 'authority_invalid' ? job : null;
    });
    expect(failed.error?.detail).toContain('HK_VELVET_BOOTSTRAP');
    expect(failed.status).toBe('revoke_failed');
    world.heroku.clearFaults();
    await world.stage(jobId, { action: 'retry' });
    await world.reaches(jobId, 'done');
  });

  test("two operators, one credential: the second's verify is refused until the first job has ended", async () => {
    const { world: opened, jobId } = await verified(redis.url);
    await using world = opened;
    const token = await world.token(['rotate'], { owner: 'grace' });
    const second = await world.create();
    const refused = await world.stage(second, { action: 'verify' }, token);
    expect([refused.status, refused.body.code]).toEqual([409, 'claimed']);
    expect(refused.body.detail).toContain(`active rotation already in progress: job ${jobId}`);
    await world.stage(jobId, { action: 'abort' });
    await cleaned(world, jobId, 'done');
    expect((await world.stage(second, { action: 'verify' }, token)).status).toBe(202);
    await world.reaches(second, 'verified');
  });

  test("looking for the value after done: the job's vault_ref says where it is", async () => {
    await using world = await buildWorld(redis.url, { apps });
    const jobId = await world.toValidated();
    await endsWell(world, jobId);
    const done = await world.job(jobId);
    expect(done.vault_ref).toBe(world.vault.ref(slots.current(CREDENTIAL)));
    expect((await world.vault.read(CREDENTIAL))?.reveal()).toBe(held(world, 0));
    expect(await world.vault.list(slots.pendingPrefix(CREDENTIAL))).toEqual([]);
  });
});
