// The operators' failure tables, as far as a person mints, revokes or writes: what went wrong → what the job says → what the operator does.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CREDENTIAL, ENV, until, type JobView, type World } from '../harness.ts';
import {
  awaits,
  byHandRow,
  byHandWorld,
  enter,
  newToken,
  PLACE,
  toAwaiting,
  waitsForAPerson,
  cleanedUp,
} from '../flows/by-hand-world.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const confirm = { action: 'confirm_consumer', consumer_id: PLACE, note: 'seen by me' };
const deleteAtTheVendor = (world: World, token: string) =>
  world.account.revoke(world.account.authorizations().find((one) => one.token === token)?.id ?? '');

interface Left {
  readonly kind: string;
  readonly who: string;
  readonly what_to_do: string;
  readonly resolved_at: string | null;
}
const left = (job: JobView) =>
  (job['residual'] as readonly Left[]).filter(({ resolved_at }) => resolved_at === null);

/** Everybody on the new token, at the gate before the revoke. */
async function toGate(world: World): Promise<{ readonly jobId: string; readonly token: string }> {
  const jobId = await toAwaiting(world);
  const { token } = newToken(world);
  await enter(world, jobId, token);
  await world.reaches(jobId, 'validated');
  return { jobId, token };
}

describe('where the operator mints', () => {
  test('vendor cannot make tokens by API → operator-assisted: the job waits, says since when and for what, and is not stuck', async () => {
    await using world = await byHandWorld(redis.url);
    const jobId = await toAwaiting(world);
    const job = await world.job(jobId);
    expect(job).toMatchObject({ stuck: false, stuck_reason: null, awaiting: 'operator_value' });
    expect(job['waiting_since']).not.toBeNull();
    expect(job['instructions']).toContain('Make a new token');
  });

  test('verify_failed, 401 → the token is already invalid → make one in the dashboard, enter it (acknowledge_dead, submit_value)', async () => {
    await using world = await byHandWorld(redis.url);
    deleteAtTheVendor(world, world.firstToken);
    const jobId = await world.create();
    await world.stage(jobId, { action: 'verify' });
    const failed = await world.reaches(jobId, 'verify_failed');
    expect(failed.error).toMatchObject({ code: 'current_token_invalid' });
    expect(failed.error?.detail).toContain('old token invalid');
    expect(failed.error?.detail).toContain('entered with submit_value');
    expect(failed.allowed_actions).toContain('proceed_mint');

    await world.stage(jobId, { action: 'proceed_mint', acknowledge_dead: true, confirm: CREDENTIAL });
    await awaits(world, jobId, 'value_needed');
    await enter(world, jobId, newToken(world).token);
    await world.reaches(jobId, 'validated');
    await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
    // There is nothing left to be revoked, so nobody is asked to.
    await world.reaches(jobId, 'done');
  });

  test('a wrong value was entered → it does not verify at the vendor → enter the right one; it is what the vault gets', async () => {
    await using world = await byHandWorld(redis.url);
    const jobId = await toAwaiting(world);
    await enter(world, jobId, 'wrong-value');
    const wrong = await awaits(world, jobId, 'value_refused');
    expect(wrong.error?.detail).toContain('enter the right one');
    const { token } = newToken(world);
    await enter(world, jobId, token);
    const gate = await world.reaches(jobId, 'validated');
    const slot = String(gate.vault_ref).split('/').at(-1) ?? '';
    expect((await world.vault.read(slot))?.reveal()).toBe(token);
  });

  test('revoke → the vendor has no API for it → delete the old token there; Mark manually revoked (Velvet asks whether it is gone)', async () => {
    await using world = await byHandWorld(redis.url);
    const { jobId } = await toGate(world);
    await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
    const failed = await world.reaches(jobId, 'revoke_failed');
    expect(failed.error?.code).toBe('manual_revoke_required');
    expect(failed.allowed_actions).toEqual(['retry', 'mark_revoked']);
    await world.stage(jobId, { action: 'mark_revoked' });
    const asked = await until(async () => {
      const job = await world.job(jobId);
      return job.error?.code === 'revoke_pending' ? job : null;
    });
    expect(asked.error?.detail).toContain('still live');
    deleteAtTheVendor(world, world.firstToken);
    await world.stage(jobId, { action: 'mark_revoked' });
    await world.reaches(jobId, 'done');
  });

  test('revoke → the vendor answers what nobody understands → a person’s word counts', async () => {
    await using world = await byHandWorld(redis.url);
    const { jobId } = await toGate(world);
    await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
    await world.reaches(jobId, 'revoke_failed');
    deleteAtTheVendor(world, world.firstToken);
    world.plainVendor.script({ on: 'GET /whoami', times: Infinity, do: { status: 403, body: {} } });
    await world.stage(jobId, { action: 'mark_revoked' });
    await world.reaches(jobId, 'done');
  });
});

describe('what an abort leaves', () => {
  test('aborted from minted, or as far as nobody holds it → an orphan: Velvet cannot revoke it → delete it at the vendor, then resolve_residual', async () => {
    await using world = await byHandWorld(redis.url, {
      apps: [],
      more: { subscribers: [byHandRow] },
    });
    const jobId = await toAwaiting(world);
    const { token } = newToken(world);
    await enter(world, jobId, token);
    await waitsForAPerson(world, jobId, 'distributing');
    await world.stage(jobId, { action: 'abort' });
    // Only a person knows whether they wrote it there already.
    const stopped = await cleanedUp(world, jobId, 'needs_person');
    expect(left(stopped).map(({ kind, who }) => [kind, who])).toEqual([['may_hold_dead_token', PLACE]]);
    await world.stage(jobId, { action: 'resolve_residual', kind: 'may_hold_dead_token', who: PLACE });

    const orphaned = await until(async () => {
      const job = await world.job(jobId);
      return left(job)[0]?.kind === 'orphan_token' ? job : null;
    });
    const [orphan] = left(orphaned);
    expect(orphan?.what_to_do).toContain('Delete it there');
    expect(await world.store.claimant({ credential: CREDENTIAL, env: ENV })).toBe(jobId);

    // Said, and not done: the vendor is asked, and it is named again.
    const resolve = { action: 'resolve_residual', kind: 'orphan_token', who: orphan?.who ?? '' };
    const before = await world.job(jobId);
    await world.stage(jobId, resolve);
    const again = await until(async () => {
      const job = await world.job(jobId);
      return job.cleanup === 'needs_person' && job.version > before.version + 1 ? job : null;
    });
    expect(left(again).map(({ kind }) => kind)).toEqual(['orphan_token']);

    deleteAtTheVendor(world, token);
    await world.stage(jobId, resolve);
    await cleanedUp(world, jobId, 'done');
    expect(await world.vault.list(CREDENTIAL)).toEqual([CREDENTIAL]);
    expect((await world.vault.read(CREDENTIAL))?.reveal()).toBe(world.firstToken);
    expect(await world.store.claimant({ credential: CREDENTIAL, env: ENV })).toBeNull();
  });

  test('aborted from validated → everybody on new, old token live → revoke the old one by hand, Mark manually revoked', async () => {
    await using world = await byHandWorld(redis.url);
    const { jobId, token } = await toGate(world);
    await world.stage(jobId, { action: 'abort' });
    const stopped = await cleanedUp(world, jobId, 'needs_person');
    expect(left(stopped).map(({ kind }) => kind)).toEqual(['old_token_live']);
    deleteAtTheVendor(world, world.firstToken);
    await world.stage(jobId, { action: 'mark_revoked' });
    await cleanedUp(world, jobId, 'done');
    expect((await world.vault.read(CREDENTIAL))?.reveal()).toBe(token);
  });

  test('aborted from validated → or restore: all back on old, then the new token is a person’s to delete', async () => {
    await using world = await byHandWorld(redis.url);
    const { jobId, token } = await toGate(world);
    await world.stage(jobId, { action: 'abort', restore: true });
    const stopped = await cleanedUp(world, jobId, 'needs_person');
    const [orphan] = left(stopped);
    expect(orphan?.kind).toBe('orphan_token');
    expect(world.apps[0]?.config['HEROKU_API_KEY']).toBe(world.firstToken);
    deleteAtTheVendor(world, token);
    await world.stage(jobId, { action: 'resolve_residual', kind: 'orphan_token', who: orphan?.who ?? '' });
    await cleanedUp(world, jobId, 'done');
  });
});

describe('where the operator writes', () => {
  test('validate: a row without an endpoint → verify by hand, Manual confirm', async () => {
    await using world = await byHandWorld(redis.url, { more: { subscribers: [byHandRow] } });
    const jobId = await toAwaiting(world);
    await enter(world, jobId, newToken(world).token);
    await waitsForAPerson(world, jobId, 'distributing');
    await world.stage(jobId, confirm);
    const proving = await waitsForAPerson(world, jobId, 'validating');
    expect(proving['stuck']).toBe(false);
    await world.stage(jobId, confirm);
    await world.reaches(jobId, 'validated');
  });

  test('distribute_partial beside it → B write it there by hand (vault_ref says where the value is), then Manual confirm', async () => {
    await using world = await byHandWorld(redis.url, { more: { subscribers: [byHandRow] } });
    world.heroku.script({
      on: 'PATCH /apps/:app/config-vars',
      do: { status: 404, body: { id: 'not_found', message: 'x' } },
    });
    const jobId = await toAwaiting(world);
    const { token } = newToken(world);
    await enter(world, jobId, token);
    await waitsForAPerson(world, jobId, 'distributing');
    await world.stage(jobId, confirm);
    const partial = await world.reaches(jobId, 'distribute_partial');
    const slot = String(partial.vault_ref).split('/').at(-1) ?? '';
    expect((await world.vault.read(slot))?.reveal()).toBe(token);
    const answer = await world.stage(jobId, { ...confirm, consumer_id: 'heroku-config-raxx-console-prod' });
    expect(answer.status).toBe(202);
  });
});
