// The last step: what is promoted, what is revoked, and what an operator can do where the vendor will not.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildWorld, CREDENTIAL, until, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

async function revokeFailed(world: World): Promise<string> {
  const jobId = await world.toValidated();
  world.heroku.script({
    on: 'DELETE /oauth/authorizations/:id',
    times: 1_000,
    do: { status: 403, body: { id: 'forbidden' } },
  });
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
  await world.reaches(jobId, 'revoke_failed');
  return jobId;
}

test('a refused revoke names the old handle and the command; the new value is current already, and retry ends it', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await revokeFailed(world);
  const parked = await world.job(jobId);
  expect(parked.error).toMatchObject({
    code: 'revoke_pending',
    detail: expect.stringContaining(`heroku authorizations:revoke ${parked.old_auth_id}`),
  });
  expect(parked.allowed_actions).toEqual(['retry', 'mark_revoked']);
  expect((await world.vault.read(CREDENTIAL))?.reveal()).toBe(world.apps[0]?.config['HEROKU_API_KEY']);
  expect(world.log.find((line) => line.includes('msg=revoke_failed'))).toContain(
    `old_auth_id=${parked.old_auth_id}`,
  );
  world.heroku.clearFaults();
  await world.stage(jobId, { action: 'retry' });
  await world.reaches(jobId, 'done');
  expect(world.heroku.isLive(world.firstToken)).toBe(false);
});

test('mark_revoked is believed only where the vendor says that the token is gone', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await revokeFailed(world);
  await world.stage(jobId, { action: 'mark_revoked', ticket_id: 'ROT-1' });
  const still = await until(async () => {
    const view = await world.job(jobId);
    return view.status === 'revoke_failed' && view.error !== null ? view : null;
  });
  expect(still.error).toMatchObject({
    code: 'revoke_pending',
    detail: expect.stringContaining('still live'),
  });
  world.account.revoke(String(still.old_auth_id));
  await world.stage(jobId, { action: 'mark_revoked' });
  await world.reaches(jobId, 'done');
});

test('a retry reads its authority anew and names a bad one', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await revokeFailed(world);
  world.heroku.clearFaults();
  world.heroku.script({
    on: 'GET /oauth/authorizations',
    times: 1_000,
    do: { status: 401, body: { id: 'unauthorized' } },
  });
  await world.stage(jobId, { action: 'retry' });
  const parked = await until(async () => {
    const view = await world.job(jobId);
    return view.status === 'revoke_failed' && view.error?.code === 'authority_invalid' ? view : null;
  });
  expect(parked.error?.detail).toContain('HK_VELVET_BOOTSTRAP');
});

test('a token that was revoked by hand before is success', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await world.toValidated();
  world.account.revoke(String((await world.job(jobId)).old_auth_id));
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
  await world.reaches(jobId, 'done');
});

test('the operator who moved the job last hears of its end in a direct message, once', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await world.toValidated();
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
  await world.reaches(jobId, 'done');
  const ends = () => world.slack.messages.filter(({ text }) => text?.startsWith('Rotation done') === true);
  const message = await until(() => ends()[0] ?? null);
  expect(message.channel).toBe(world.slack.dm('U0OPERATOR'));
  expect(message.text).toContain(jobId);
  expect(ends()).toHaveLength(1);
  // On the way it asked for what only a person may do.
  const titles = world.slack.messages.map(({ text }) => text?.split(':')[0]);
  expect(titles).toEqual(['Ready to mint', 'Ready to revoke', 'Rotation done']);

  const other = await world.create();
  await world.stage(other, { action: 'abort' });
  await world.reaches(other, 'aborted');
});

test('no handle known: the job asks for a revocation by hand instead of claiming one', async () => {
  await using world = await buildWorld(redis.url);
  // An authority of another account sees neither the old token nor its handle.
  const jobId = await world.create();
  world.heroku.script({ on: 'GET /oauth/authorizations', times: 1, do: { status: 200, body: [] } });
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'proceed_mint' });
  await world.reaches(jobId, 'validated');
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
  const parked = await world.reaches(jobId, 'revoke_failed');
  expect(parked.error?.code).toBe('manual_revoke_required');
  world.heroku.clearFaults();
  world.account.revoke(
    world.account.authorizations().find((one) => one.description === 'made by hand')?.id ?? '',
  );
  await world.stage(jobId, { action: 'mark_revoked' });
  await world.reaches(jobId, 'done');
});
