// An emergency without a vault, without an API to revoke by, and without the end of its own request.
import { renameSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildApp } from '../../api/app.ts';
import { slots } from '../../workers/vault/contract.ts';
import { buildWorld, CREDENTIAL, ENV, until, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { byHandWorld } from './by-hand-world.ts';
import { begun, two } from './emergency-world.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

/** The vault is away while `body` runs. */
async function withoutVault(world: World, body: () => Promise<void>): Promise<void> {
  const away = `${world.vaultDir}-away`;
  renameSync(world.vaultDir, away);
  try {
    await body();
  } finally {
    renameSync(away, world.vaultDir);
  }
}

test('it needs no vault: what a rotation made is ended by the handles on record', async () => {
  await using world = await buildWorld(redis.url, two);
  const earlier = await world.toValidated();
  await world.stage(earlier, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
  await world.reaches(earlier, 'done');
  const fresh = world.apps[0]?.config['HEROKU_API_KEY'] ?? '';
  await withoutVault(world, async () => {
    const view = await world.reaches(await begun(world), 'rev_done');
    expect(view.consumers.map((row) => (row['lockout'] as { class: string }).class)).toEqual([
      'locked_out',
      'locked_out',
    ]);
  });
  expect(world.heroku.isLive(fresh)).toBe(false);
});

test('what an emergency promoted is ended by the next one, also without the vault', async () => {
  await using world = await buildWorld(redis.url, two);
  await world.toValidated();
  const fresh = world.apps[0]?.config['HEROKU_API_KEY'] ?? '';
  const first = await begun(world, { preempt: true, target: 'old' });
  await until(async () => ((await world.job(first)).cleanup === 'done' ? true : null));
  expect(world.heroku.isLive(fresh)).toBe(true);
  await withoutVault(world, async () => {
    await world.reaches(await begun(world), 'rev_done');
  });
  expect(world.heroku.isLive(fresh)).toBe(false);
});

test('a promotion that the vault kept from being made is made when it is back, and holds up nothing', async () => {
  await using world = await buildWorld(redis.url, { ...two, times: { cleanupRetryMs: 100 } });
  await world.toValidated();
  const fresh = world.apps[0]?.config['HEROKU_API_KEY'] ?? '';
  let jobId = '';
  await withoutVault(world, async () => {
    jobId = await begun(world, { preempt: true, target: 'old' });
    await world.reaches(jobId, 'rev_done');
    const shown = await until(async () => {
      const view = await world.job(jobId);
      return view.error === null ? null : view;
    });
    expect([shown.cleanup, shown.error?.detail]).toEqual([
      'pending',
      expect.stringContaining('The emergency is over'),
    ]);
  });
  await until(async () => ((await world.job(jobId)).cleanup === 'done' ? true : null));
  expect((await world.vault.read(CREDENTIAL))?.reveal()).toBe(fresh);
  expect(await world.vault.list(slots.previousPrefix(CREDENTIAL))).toEqual([]);
});

test('where only a person can end tokens the job says how, and holds their word against the vendor', async () => {
  await using world = await byHandWorld(redis.url, { credential: { settle_seconds: 1 } });
  const jobId = await begun(world);
  const view = await world.reaches(jobId, 'rev_revoke_failed');
  expect(view.error).toMatchObject({ code: 'manual_revoke_required' });
  await world.stage(jobId, { action: 'mark_revoked' });
  await until(async () =>
    (await world.job(jobId)).error?.detail.includes('Still live') === true ? true : null,
  );
  for (const one of world.account.authorizations()) world.account.revoke(one.id);
  await world.stage(jobId, { action: 'mark_revoked' });
  await world.reaches(jobId, ['rev_validating', 'rev_done', 'rev_leaked']);
});

test('an emergency whose request was cut off after its record starts by itself', async () => {
  await using world = await buildWorld(redis.url, two);
  const transitions = {
    ...world.deps.transitions,
    apply: () => Promise.reject(new Error('the process died here')),
  };
  const dying = buildApp({ ...world.deps, transitions });
  const answer = await dying.request(`/tokens/${CREDENTIAL}/rotate`, {
    method: 'POST',
    headers: { authorization: `Bearer ${world.operator}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      flow_type: 'revocation',
      idempotency_key: 'once',
      ticket_id: 'SEV-1',
      confirm: CREDENTIAL,
    }),
  });
  expect(answer.status).toBe(500);
  const [job] = await world.store.list(CREDENTIAL, ENV, 1);
  await world.reaches(job?.jobId ?? '', 'rev_done');
});
