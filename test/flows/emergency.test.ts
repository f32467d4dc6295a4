// An emergency from request to proven lock-out: what it ends, what it waits for, and what it says of each consumer.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { slots } from '../../workers/vault/contract.ts';
import { buildWorld, CREDENTIAL, ENV, until } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { ask, begun, lockoutOf, rowOf, two } from './emergency-world.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

test('one request revokes, and ends with every consumer proven to be locked out', async () => {
  await using world = await buildWorld(redis.url, two);
  const jobId = await begun(world);
  const view = await world.reaches(jobId, 'rev_done');
  expect(world.heroku.isLive(world.firstToken)).toBe(false);
  const said = world.log.find((line) => line.includes('msg=revoked'));
  expect(said, 'by its handle, which is no secret').toMatch(/ auth_ids=[0-9a-f-]{36} /);
  expect(view.consumers.map((row) => row['lockout'])).toEqual([
    expect.objectContaining({ class: 'locked_out', weak: false, uncontrolled: false }),
    expect.objectContaining({ class: 'locked_out', weak: false, uncontrolled: false }),
  ]);
  expect(view).toMatchObject({
    weakly_proven: 0,
    time_to_lockout_ms: expect.any(Number),
    tokens: [{ state: 'dead' }],
    next_step: { flow_type: 'operational', replaces: jobId },
    allowed_actions: [],
  });
  expect(await world.store.claimant({ credential: CREDENTIAL, env: ENV })).toBeNull();
});

test('without ticket and name it waits, and the gate asks for both', async () => {
  await using world = await buildWorld(redis.url, two);
  const created = await ask(world, { ticket_id: undefined, confirm: undefined });
  expect(created.body).toMatchObject({ status: 'rev_init' });
  const jobId = String(created.body.job_id);
  expect((await world.job(jobId)).allowed_actions.toSorted()).toEqual(['abort', 'proceed_revoke']);
  const without = await world.stage(jobId, { action: 'proceed_revoke', confirm: CREDENTIAL });
  expect(without.body).toMatchObject({ code: 'ticket_required' });
  const unnamed = await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'SEV-1' });
  expect(unnamed.body).toMatchObject({ code: 'confirm_mismatch' });
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'SEV-1', confirm: CREDENTIAL });
  await world.reaches(jobId, 'rev_done');
});

test('a consumer that still answers well at the end of the window is a leak, the others go on, and a retry ends it', async () => {
  await using world = await buildWorld(redis.url, two);
  const [a] = world.consumers;
  a?.script({ on: 'GET /healthz/heroku', times: 1_000, do: { status: 200, body: { status: 'ok' } } });
  const jobId = await begun(world);
  const view = await world.reaches(jobId, 'rev_leaked');
  expect(lockoutOf(view, 'heroku-config-app-a')).toMatchObject({ class: 'accepting', http_status: 200 });
  expect(rowOf(view, 'heroku-config-app-a')?.['error']).toMatchObject({ code: 'consumer_leaking' });
  const settled = await until(async () => {
    const now = await world.job(jobId);
    return rowOf(now, 'heroku-config-app-b')?.['validate_status'] === 'succeeded' ? now : null;
  });
  expect(settled.allowed_actions.toSorted()).toEqual(['resolve_leak', 'retry']);
  expect(await world.redis.hget(`velvet:{${CREDENTIAL}.${ENV}}:alarms`, jobId)).toContain('"episode":1');
  a?.clearFaults();
  expect((await world.stage(jobId, { action: 'retry' })).status).toBe(202);
  await world.reaches(jobId, 'rev_done');
});

test.each([
  ['forbidden', { status: 403, body: 'no', headers: { 'content-type': 'text/html' } }],
  ['erroring', { status: 500, body: { status: 'broken' } }],
  ['accepting', { status: 302, body: '', headers: { location: '/login' } }],
] as const)('%s is what %o is called', async (found, answer) => {
  await using world = await buildWorld(redis.url, { ...two, apps: [{ name: 'app-a' }] });
  world.consumers[0]?.script({ on: 'GET /healthz/heroku', times: 1_000, do: answer });
  const jobId = await begun(world);
  const view = await world.reaches(jobId, 'rev_leaked');
  expect(lockoutOf(view, 'heroku-config-app-a')).toMatchObject({ class: found, uncontrolled: true });
});

test('one that hangs is unreachable, by two seconds after the window', async () => {
  await using world = await buildWorld(redis.url, {
    ...two,
    apps: [{ name: 'app-a' }],
    times: { lockoutProbeMs: 300 },
  });
  world.consumers[0]?.script({ on: 'GET /healthz/heroku', times: 1_000, do: 'hang_before' });
  const view = await world.reaches(await begun(world), 'rev_leaked');
  expect(lockoutOf(view, 'heroku-config-app-a')).toMatchObject({ class: 'unreachable', http_status: null });
});

test('a leak is resolved by a note for each leaking consumer, and by nothing less', async () => {
  await using world = await buildWorld(redis.url, two);
  for (const consumer of world.consumers)
    consumer.script({ on: 'GET /healthz/heroku', times: 1_000, do: { status: 200, body: {} } });
  const jobId = await begun(world);
  await until(async () => {
    const view = await world.job(jobId);
    return view.consumers.every((row) => row['validate_status'] === 'failed') ? view : null;
  });
  const half = await world.stage(jobId, {
    action: 'resolve_leak',
    notes: [{ consumer_id: 'heroku-config-app-a', note: 'scaled to zero' }],
  });
  expect(half.body).toMatchObject({
    code: 'not_acknowledged',
    leaking: ['heroku-config-app-a', 'heroku-config-app-b'],
  });
  const whole = await world.stage(jobId, {
    action: 'resolve_leak',
    notes: [
      { consumer_id: 'heroku-config-app-a', note: 'scaled to zero' },
      { consumer_id: 'heroku-config-app-b', note: 'its endpoint is static; it was redeployed' },
    ],
  });
  expect([whole.status, whole.body]).toEqual([202, expect.objectContaining({ status: 'rev_done' })]);
});

test('a row without an endpoint waits for a person, whose word ends the emergency', async () => {
  await using world = await buildWorld(redis.url, {
    ...two,
    apps: [{ name: 'app-a' }, { name: 'app-b', endpoint: false }],
  });
  const jobId = await begun(world);
  await until(async () => {
    const view = await world.job(jobId);
    return rowOf(view, 'heroku-config-app-a')?.['validate_status'] === 'succeeded' ? view : null;
  });
  const view = await world.job(jobId);
  expect([view.status, rowOf(view, 'heroku-config-app-b')?.['validate_status']]).toEqual([
    'rev_validating',
    'manual_required',
  ]);
  const said = await world.stage(jobId, {
    action: 'confirm_consumer',
    consumer_id: 'heroku-config-app-b',
    note: 'its logs show 401',
  });
  expect([said.status, said.body]).toEqual([202, expect.objectContaining({ status: 'rev_done' })]);
});

test('where the vendor refuses, the job names what lives and how to end it; mark_revoked is held against the vendor', async () => {
  await using world = await buildWorld(redis.url, two);
  world.heroku.script({
    on: 'DELETE /oauth/authorizations/:id',
    times: 1_000,
    do: { status: 403, body: { id: 'forbidden' } },
  });
  const jobId = await begun(world);
  const view = await world.reaches(jobId, 'rev_revoke_failed');
  expect(view.allowed_actions.toSorted()).toEqual(['mark_revoked', 'retry']);
  const [token] = view['tokens'] as { auth_id: string; state: string }[];
  expect(token?.state).toBe('may_live');
  expect(view.error).toMatchObject({
    code: 'revoke_pending',
    detail: expect.stringContaining(`heroku authorizations:revoke ${token?.auth_id}`),
  });
  await world.stage(jobId, { action: 'mark_revoked' });
  const still = await until(async () => {
    const now = await world.job(jobId);
    return now.status === 'rev_revoke_failed' && now.version > view.version ? now : null;
  });
  expect(still.error?.detail).toContain('Still live');
  world.account.revoke(token?.auth_id ?? '');
  await world.stage(jobId, { action: 'mark_revoked' });
  await world.reaches(jobId, 'rev_done');
});

test('an open rotation is a 409 that shows who runs on which; preempt stops it and ends both tokens', async () => {
  await using world = await buildWorld(redis.url, two);
  const open = await world.toValidated();
  const refused = await ask(world);
  expect(refused.body).toMatchObject({
    code: 'rotation_open',
    active_job_id: open,
    offers: ['proceed_revoke', 'preempt'],
    consumers: [
      { consumer_id: 'heroku-config-app-a', holds: 'new' },
      { consumer_id: 'heroku-config-app-b', holds: 'new' },
    ],
  });
  const fresh = world.apps[0]?.config['HEROKU_API_KEY'] ?? '';
  const jobId = await begun(world, { preempt: true });
  const view = await world.reaches(jobId, 'rev_done');
  expect([world.firstToken, fresh].map((token) => world.heroku.isLive(token))).toEqual([false, false]);
  expect(await world.job(open)).toMatchObject({
    status: 'aborted',
    cleanup: 'done',
    aborted_from: 'validated',
  });
  expect(view).toMatchObject({ takes_over: open, took_from: 'validated' });
  await until(async () => ((await world.job(jobId)).cleanup === 'done' ? true : null));
  expect(await world.vault.list(slots.pendingPrefix(CREDENTIAL))).toEqual([]);
  expect(await world.vault.list(slots.previousPrefix(CREDENTIAL))).toEqual([]);
});

test('where the old token alone leaked the new one is promoted, and nobody on it is locked out', async () => {
  await using world = await buildWorld(redis.url, two);
  await world.toValidated();
  const fresh = world.apps[0]?.config['HEROKU_API_KEY'] ?? '';
  const jobId = await begun(world, { preempt: true, target: 'old' });
  const view = await world.reaches(jobId, 'rev_done');
  expect([world.firstToken, fresh].map((token) => world.heroku.isLive(token))).toEqual([false, true]);
  expect(lockoutOf(view, 'heroku-config-app-a')).toMatchObject({ class: 'on_other_token' });
  await until(async () => ((await world.job(jobId)).cleanup === 'done' ? true : null));
  expect((await world.vault.read(CREDENTIAL))?.reveal()).toBe(fresh);
  expect(await world.vault.list(slots.previousPrefix(CREDENTIAL))).toEqual([]);
});

test('where the new token alone leaked the old one stays, and nobody on it is locked out', async () => {
  await using world = await buildWorld(redis.url, two);
  world.heroku.script({
    on: 'PATCH /apps/:app/config-vars',
    times: 1_000,
    do: { status: 403, body: { id: 'forbidden' } },
  });
  const open = await world.create();
  await world.stage(open, { action: 'verify' });
  await world.reaches(open, 'verified');
  await world.stage(open, { action: 'proceed_mint' });
  const parked = await world.reaches(open, 'distribute_failed');
  const jobId = await begun(world, { preempt: true, target: 'new' });
  await world.reaches(jobId, 'rev_done');
  expect(world.heroku.isLive(world.firstToken)).toBe(true);
  expect(world.account.authorizations().some((one: { id: string }) => one.id === parked.new_auth_id)).toBe(
    false,
  );
});

test('a target without an open rotation is refused', async () => {
  await using world = await buildWorld(redis.url, two);
  expect((await ask(world, { target: 'old' })).body).toMatchObject({ code: 'nothing_to_target' });
});

test('a service token for emergencies alone is enough for it, and for nothing else', async () => {
  await using world = await buildWorld(redis.url, two);
  const token = await world.token(['revoke']);
  const rotate = (body: Readonly<Record<string, unknown>>) =>
    world.api(
      'POST',
      `/tokens/${CREDENTIAL}/rotate`,
      { idempotency_key: crypto.randomUUID(), ...body },
      { token },
    );
  expect((await rotate({ flow_type: 'operational' })).status).toBe(403);
  const answer = await rotate({ flow_type: 'revocation', ticket_id: 'SEV-1', confirm: CREDENTIAL });
  await world.reaches(String(answer.body.job_id), 'rev_done');
});

test('it works with the flag off', async () => {
  await using world = await buildWorld(redis.url, two);
  await world.system.setFlag('velvet_v2_rotation', false);
  await world.reaches(await begun(world), 'rev_done');
});

test('what it has ended is replaced by a rotation that expects it to be dead', async () => {
  await using world = await buildWorld(redis.url, two);
  const jobId = await begun(world);
  await world.reaches(jobId, 'rev_done');
  const create = (replaces: string) =>
    world.api('POST', `/tokens/${CREDENTIAL}/rotate`, {
      flow_type: 'operational',
      idempotency_key: crypto.randomUUID(),
      replaces,
    });
  expect((await create('no-such-job')).body).toMatchObject({ code: 'not_replaceable' });
  const next = String((await create(jobId)).body.job_id);
  await world.stage(next, { action: 'verify' });
  await world.reaches(next, 'verified');
  await world.stage(next, { action: 'proceed_mint' });
  await world.reaches(next, 'validated');
  await world.stage(next, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
  await world.reaches(next, 'done');
});
