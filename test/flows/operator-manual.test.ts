// A credential of a vendor without code: a person mints and revokes, and writes to a place without an API; Velvet asks, keeps, writes and proves the rest.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { search } from '../../bin/demo/secrets.ts';
import { CREDENTIAL, ENV, until } from '../harness.ts';
import { dumpRedis } from '../redis-dump.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { follow } from '../api/sse.ts';
import {
  awaits,
  byHandRow,
  byHandWorld,
  enter,
  INSTRUCTIONS,
  MINT_INSTRUCTIONS,
  newToken,
  PLACE,
  rowOf,
  toAwaiting,
  waitsForAPerson,
} from './by-hand-world.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

test('from verify to done by hand, with no value anywhere but in the vault and where it belongs', async () => {
  await using world = await byHandWorld(redis.url, { more: { subscribers: [byHandRow] } });
  const jobId = await toAwaiting(world);
  await using stream = await follow(world.app, `/tokens/${CREDENTIAL}/rotations/${jobId}/stream`, {
    token: world.operator,
  });
  const waiting = await world.job(jobId);
  expect(waiting).toMatchObject({
    status: 'minting',
    allowed_actions: ['submit_value', 'abort'],
    stuck: false,
    error: null,
    old_auth_id: null,
  });
  expect(waiting['waiting_since']).not.toBeNull();
  expect(waiting['instructions']).toContain(MINT_INSTRUCTIONS);
  expect(waiting['instructions']).toContain(`npx velvet submit ${CREDENTIAL}`);
  const told = await until(() => world.slack.messages.find(({ text }) => text?.startsWith('Waiting for a new token')) ?? null); // prettier-ignore
  expect(told.text).toContain(MINT_INSTRUCTIONS);

  const made = newToken(world);
  const answer = await enter(world, jobId, made.token);
  expect(answer.status).toBe(202);

  const open = await waitsForAPerson(world, jobId, 'distributing');
  expect(open).toMatchObject({ awaiting: null, awaiting_reason: null, new_auth_id: null });
  expect(world.apps[0]?.config['HEROKU_API_KEY']).toBe(made.token);
  expect(rowOf(open, PLACE)).toMatchObject({
    distribute_status: 'manual_required',
    instructions: INSTRUCTIONS,
  });
  const slot = String(open.vault_ref).split('/').at(-1) ?? '';
  expect((await world.vault.read(slot))?.reveal()).toBe(made.token);
  const asked = await until(() => world.slack.messages.find(({ text }) => text?.startsWith('Waiting for you')) ?? null); // prettier-ignore
  for (const part of [PLACE, String(open.vault_ref), 'Velvet cannot write'])
    expect(asked.text).toContain(part);

  const confirm = { action: 'confirm_consumer', consumer_id: PLACE, note: 'pasted it; ROT-1 has a picture' };
  await world.stage(jobId, confirm);
  await waitsForAPerson(world, jobId, 'validating');
  await world.stage(jobId, { ...confirm, note: 'printed a test page on it' });
  const gate = await world.reaches(jobId, 'validated');
  expect(rowOf(gate, PLACE)).toMatchObject({
    proof: 'by_hand',
    holds: 'new',
    note: 'printed a test page on it',
  });

  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
  const left = await world.reaches(jobId, 'revoke_failed');
  expect(left.error).toMatchObject({
    code: 'manual_revoke_required',
    detail: expect.stringMatching(/delete it at the vendor.*$/) as string,
  });
  await world.stage(jobId, { action: 'mark_revoked' });
  const still = await until(async () => {
    const job = await world.job(jobId);
    return job.error?.code === 'revoke_pending' ? job : null;
  });
  expect(still.status).toBe('revoke_failed');
  const old = world.account.authorizations().find(({ token }) => token === world.firstToken);
  world.account.revoke(old?.id ?? '');
  await world.stage(jobId, { action: 'mark_revoked' });
  await world.reaches(jobId, 'done');

  expect(await world.vault.list(CREDENTIAL)).toEqual([CREDENTIAL]);
  expect((await world.vault.read(CREDENTIAL))?.reveal()).toBe(made.token);
  expect(await world.store.claimant({ credential: CREDENTIAL, env: ENV })).toBeNull();
  await stream.rest();
  const { text: trail } = await world.api('GET', `/tokens/${CREDENTIAL}/audit?limit=100`);
  const places = {
    Redis: Buffer.from(await dumpRedis(world.redis)),
    'the log': Buffer.from(world.log.join('\n')),
    'the stream': Buffer.from(stream.text),
    Slack: Buffer.from(JSON.stringify(world.slack.messages)),
    'the trail': Buffer.from(trail),
    'the job': Buffer.from(JSON.stringify(await world.job(jobId))),
    'the answer': Buffer.from(answer.text),
  };
  expect(search(places, [made.token, world.firstToken], jobId)).toEqual({ hits: 0, where: [] });
});

test('a value that nobody read yet is in Redis as a sealed box alone, for its ten minutes at most', async () => {
  await using world = await byHandWorld(redis.url);
  const jobId = await toAwaiting(world);
  await world.stop('stage');
  const made = newToken(world);
  await enter(world, jobId, made.token);

  const [key, ...more] = await world.redis.keys('*:value:*');
  expect(more).toEqual([]);
  const lifetime = await world.redis.pttl(key ?? '');
  expect(lifetime).toBeGreaterThan(0);
  expect(lifetime).toBeLessThanOrEqual(600_000);
  const dump = { Redis: Buffer.from(await dumpRedis(world.redis)), 'the log': Buffer.from(`${world.log.join('\n')}${jobId}`) }; // prettier-ignore
  expect(search(dump, [made.token], jobId)).toEqual({ hits: 0, where: [] });

  world.start('stage');
  await world.reaches(jobId, 'validated');
  expect(await world.redis.keys('*:value:*')).toEqual([]);
});

test('one that nobody read in time is asked for again, as value_lost', async () => {
  await using world = await byHandWorld(redis.url, { times: { valueKeepMs: 30 } });
  const jobId = await toAwaiting(world);
  await world.stop('stage');
  const made = newToken(world);
  await enter(world, jobId, made.token);
  await until(async () => ((await world.redis.keys('*:value:*')).length === 0 ? true : null));
  world.start('stage');

  const lost = await awaits(world, jobId, 'value_lost');
  expect(lost.error).toMatchObject({ code: 'value_lost', detail: expect.stringContaining('Enter it again') as string }); // prettier-ignore
  expect(lost.allowed_actions).toEqual(['submit_value', 'abort']);
});

test('a box that cannot be opened is a value that is lost, and the two keys are named', async () => {
  await using world = await byHandWorld(redis.url);
  const jobId = await toAwaiting(world);
  await world.stop('stage');
  await enter(world, jobId, newToken(world).token);
  const [key = ''] = await world.redis.keys('*:value:*');
  await world.redis.set(key, Buffer.alloc(100, 1).toString('base64'));
  world.start('stage');

  const lost = await awaits(world, jobId, 'value_lost');
  expect(lost.error?.detail).toContain('VELVET_SEAL_PUBLIC_KEY');
});

test('the value that is to be replaced is refused, and so is one that the vendor refuses; the right one is taken after both', async () => {
  await using world = await byHandWorld(redis.url);
  const jobId = await toAwaiting(world);

  await enter(world, jobId, world.firstToken);
  const same = await awaits(world, jobId, 'value_unchanged');
  expect(same.error?.detail).toContain(`the present value of ${CREDENTIAL}`);

  await enter(world, jobId, 'not-a-token-of-theirs');
  const wrong = await awaits(world, jobId, 'value_refused');
  expect(wrong.error?.detail).toContain('mistyped');
  expect(await world.vault.list(`${CREDENTIAL}__PENDING_`)).toEqual([]);

  await enter(world, jobId, newToken(world).token);
  await world.reaches(jobId, 'validated');
});

test('a vendor that cannot be asked leaves the job waiting, with the reason; nothing unasked is kept', async () => {
  await using world = await byHandWorld(redis.url);
  const jobId = await toAwaiting(world);
  world.plainVendor.script({ on: 'GET /whoami', times: 1, do: { status: 503, body: { error: 'away' } } });

  await enter(world, jobId, newToken(world).token);

  const away = await awaits(world, jobId, 'vendor_unavailable');
  expect(away.error?.detail).toMatch(/thrown away\. .* A retry, here, is to enter it again\.$/);
  expect(await world.vault.list(`${CREDENTIAL}__PENDING_`)).toEqual([]);
});

test('an abort while a value is awaited frees the credential', async () => {
  await using world = await byHandWorld(redis.url);
  const jobId = await toAwaiting(world);
  await world.stage(jobId, { action: 'abort' });
  await until(async () => ((await world.job(jobId)).cleanup === 'done' ? true : null));
  expect(await world.vault.list(CREDENTIAL)).toEqual([CREDENTIAL]);
  expect((await enter(world, jobId, newToken(world).token)).body.code).toBe('action_not_allowed');
});
