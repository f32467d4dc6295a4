// submit_value at the door: what is refused, with which words, and never with the value in them.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildApp } from '../../api/app.ts';
import { CREDENTIAL } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { awaits, byHandWorld, enter, newToken, toAwaiting } from '../flows/by-hand-world.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

// oxfmt-ignore
const bodies: readonly (readonly [what: string, body: Readonly<Record<string, unknown>>, says: string])[] = [
  ['no value',             {},                                  "'value' is missing"],
  ['an empty one',         { value: '' },                       "'value' is empty"],
  ['white space alone',    { value: ' \t ' },                   "'value' is nothing but white space"],
  ['white space around',   { value: ' hunter2 ' },              "'value' has white space around it"],
  ['a line break inside',  { value: 'hunter2\nhunter2' },       "'value' has more than one line"],
  ['a line break after',   { value: 'hunter2\n' },              "'value' has more than one line"],
  ['a control character',  { value: 'hunter2\u0007hunter2' },   "'value' holds control characters"],
  ['one that is too long', { value: 'hunter2'.repeat(2_400) },  "'value' is longer than 16 KiB"],
  ['a number',             { value: 4711 },                     "'value' must be a string"],
  ['an unknown field',     { value: 'hunter2', force: true },   "unknown field 'force'"],
];

test('what cannot be one value is refused with what is wrong with it, and nothing is changed', async () => {
  await using world = await byHandWorld(redis.url);
  const jobId = await toAwaiting(world);
  const { version } = await world.job(jobId);

  for (const [what, body, says] of bodies) {
    const answer = await world.stage(jobId, { action: 'submit_value', ...body });
    expect([what, answer.status, answer.body.code]).toEqual([what, 400, 'invalid_request']);
    expect(answer.body.detail).toContain(says);
    expect(answer.text).not.toMatch(/hunter|4711/);
  }
  const large = await world.stage(jobId, { action: 'submit_value', value: 'x'.repeat(70_000) });
  expect([large.status, large.body.code]).toEqual([413, 'too_large']);

  expect((await world.job(jobId)).version).toBe(version);
  expect(await world.redis.keys('*:value:*')).toEqual([]);
  expect(world.log.join('\n')).not.toMatch(/hunter|xxxx/);
});

test('a job that waits for no value takes none, and none is put anywhere', async () => {
  await using world = await byHandWorld(redis.url);
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');

  const early = await enter(world, jobId, newToken(world).token);

  expect([early.status, early.body.code]).toEqual([409, 'action_not_allowed']);
  expect(early.body.allowed_actions).toEqual(['proceed_mint', 'abort']);
  expect(await world.redis.keys('*:value:*')).toEqual([]);
});

test('a version that moved, a token that may only read, one for other credentials: none of them enters a value', async () => {
  await using world = await byHandWorld(redis.url);
  const jobId = await toAwaiting(world);
  const value = newToken(world).token;

  const moved = await world.stage(jobId, { action: 'submit_value', value, version: 1 });
  expect([moved.status, moved.body.code]).toEqual([409, 'version_moved']);
  const tokens = [await world.token(['read']), await world.token(['rotate'], { credentials: ['PM_*'] })];
  for (const token of tokens) {
    const refused = await world.stage(jobId, { action: 'submit_value', value }, token);
    expect([refused.status, refused.body.code]).toEqual([403, 'forbidden']);
  }

  await awaits(world, jobId, 'value_needed');
  expect(await world.redis.keys('*:value:*')).toEqual([]);
});

test('of two that are entered at once one is taken, and the other is told', async () => {
  await using world = await byHandWorld(redis.url);
  const jobId = await toAwaiting(world);
  const value = newToken(world).token;

  const both = await Promise.all([enter(world, jobId, value), enter(world, jobId, value)]);

  expect(both.map(({ status }) => String(status)).toSorted()).toEqual(['202', '409']);
  await world.reaches(jobId, 'validated');
});

test('a web process without its key says so, and throws the value away', async () => {
  await using world = await byHandWorld(redis.url);
  const jobId = await toAwaiting(world);
  const keyless = buildApp({ ...world.deps, sealKey: null });

  const answer = await keyless.request(`/tokens/${CREDENTIAL}/rotations/${jobId}/stage`, {
    method: 'POST',
    headers: { authorization: `Bearer ${world.operator}`, 'content-type': 'application/json' },
    body: JSON.stringify({ action: 'submit_value', value: newToken(world).token }),
  });

  const problem = (await answer.json()) as { readonly code: string; readonly detail: string };
  expect([answer.status, problem.code]).toEqual([503, 'degraded']);
  expect(problem.detail).toContain('VELVET_SEAL_PUBLIC_KEY');
  await awaits(world, jobId, 'value_needed');
  expect(await world.redis.keys('*:value:*')).toEqual([]);
});
