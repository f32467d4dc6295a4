// The dry run: says of each copy what it is and what may be done with it, and changes nothing anywhere.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { buildWorld, CREDENTIAL, ENV, setUpCall, until, type World, type WorldOptions } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { sinceTheLook } from './started.ts';
import { alerts, askForTest, changesAsked, everything, tested } from './dry-run.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const KEY = 'HEROKU_API_KEY';
const idOf = (app: string) => `heroku-config-${app}`;
const rowOf = (view: { consumers: readonly Record<string, unknown>[] }, app: string) =>
  view.consumers.find((row) => row['consumer_id'] === idOf(app));
const eventsOf = async (world: World, jobId: unknown) =>
  (await world.feed.read(CREDENTIAL, ENV, 0, 1_000)).filter((event) => event.job_id === jobId);

const apps = [
  { name: 'proves-app' },
  { name: 'mute-app', answersChallenge: false },
  { name: 'no-endpoint-app', endpoint: false },
  { name: 'later-app', wave: 2 },
] as const;

test('a test passes where every copy is the current one, and nothing is changed by it', async () => {
  await using world = await buildWorld(redis.url, { apps });
  const before = await everything(world);
  const view = await tested(world);
  expect([view.status, view.error, view.allowed_actions, view['stuck']]).toEqual([
    'verified',
    null,
    [],
    false,
  ]);
  for (const { name } of apps)
    expect(rowOf(view, name)).toMatchObject({
      holds: 'old',
      reachable: true,
      may_write: 'yes',
      distribute_status: 'pending',
      validate_status: 'succeeded',
      error: null,
    });
  expect(await everything(world)).toEqual(before);
  expect(changesAsked(world)).toEqual([]);
  expect((await world.store.openJobs(CREDENTIAL, ENV)).length).toBe(0);

  const events = (await eventsOf(world, view.job_id)).map(({ event, operator_id: who }) => `${event} ${who}`);
  expect(events.slice(0, 4)).toEqual([
    'created ada',
    'verify ada',
    'verify_succeeded system',
    'rows_opened system',
  ]);
  expect(events.filter((event) => event.startsWith('row_inspected'))).toHaveLength(apps.length);
  expect(events.at(-1)).toBe('rows_closed system');

  const told = await until(
    () => world.slack.messages.find(({ text }) => text?.startsWith('Test passed')) ?? null,
  );
  expect(told.channel).toBe(world.slack.dm('U0OPERATOR'));
  expect(told.text).toContain('4 hold the current value');
  expect(alerts(world)).toEqual([]);
  for (const action of ['verify', 'retry', 'proceed_mint', 'abort', 'restore']) {
    const refused = await world.stage(view.job_id, { action });
    expect([refused.status, refused.body.code]).toEqual([409, 'action_not_allowed']);
  }
});

test('the same key is the same test, and its stream ends with it', async () => {
  await using world = await buildWorld(redis.url, { apps: [apps[0]] });
  const [one, two] = [await askForTest(world, 'k1'), await askForTest(world, 'k1')];
  expect([one.status, two.status, two.body.job_id]).toEqual([202, 202, one.body.job_id]);
  const jobId = String(one.body.job_id);
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  const stream = await world.app.request(`/tokens/${CREDENTIAL}/rotations/${jobId}/stream`, {
    headers: {
      authorization: `Bearer ${world.operator}`,
      'last-event-id': `${await world.system.epoch()}.0`,
    },
  });
  const text = await stream.text();
  expect(text.match(/^event: \w+$/gm)?.at(-1)).toBe('event: done');
  expect(text).toContain('row_inspected');
});

test('a test is refused where a rotation would be: the flag off, a token that may only read', async () => {
  await using world = await buildWorld(redis.url, { apps: [apps[0]], families: [] });
  const jobId = String((await askForTest(world)).body.job_id);
  await world.system.setFlag('velvet_v2_rotation', false);
  for (const refused of [await askForTest(world), await world.stage(jobId, { action: 'verify' })])
    expect([refused.status, refused.body.code]).toEqual([503, 'rotation_disabled']);
  const aborted = await world.stage(jobId, { action: 'abort' });
  expect([aborted.status, aborted.body['cleanup']]).toEqual([202, 'done']);
  const token = await world.token(['read']);
  const body = { flow_type: 'testing', idempotency_key: 'k' };
  expect((await world.api('POST', `/tokens/${CREDENTIAL}/rotate`, body, { token })).status).toBe(403);
});

test('a test runs beside an open rotation, calls its value no drift, and stands in its way nowhere', async () => {
  await using world = await buildWorld(redis.url, { apps });
  const rotation = await world.create();
  await world.stage(rotation, { action: 'verify' });
  await world.reaches(rotation, 'verified');
  const keys = credentialKeys(CREDENTIAL, ENV);
  const held = [await world.redis.get(keys.claim), await world.redis.get(keys.fence)];
  expect((await tested(world)).status).toBe('verified');
  expect([await world.redis.get(keys.claim), await world.redis.get(keys.fence)]).toEqual(held);

  await world.stage(rotation, { action: 'proceed_mint' });
  await world.reaches(rotation, 'validating');
  await until(async () => {
    const { consumers } = await world.job(rotation);
    return consumers.every((row) => row['validate_status'] !== 'in_progress') ? true : null;
  });
  const view = await tested(world);
  expect(view.consumers.map((row) => [row['holds'], row['validate_status']])).toEqual(
    apps.map(() => ['new', 'succeeded']),
  );
  expect(view.status).toBe('verified');
  await world.stage(rotation, {
    action: 'confirm_consumer',
    consumer_id: idOf('no-endpoint-app'),
    note: 'looked',
  });
  await world.reaches(rotation, 'validated');
  await world.stage(rotation, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
  await world.reaches(rotation, 'done');
  expect(await tested(world)).toMatchObject({ status: 'verified', error: null });
  expect(alerts(world)).toEqual([]);
});

test('a copy that has drifted is named with what to do; Slack hears of it once, and again when it comes back', async () => {
  await using world = await buildWorld(redis.url, { apps: apps.slice(0, 3) });
  const wrong = world.account.authorize({ description: 'by hand', scope: ['global'] }).token;
  const restarted = (index: number, value: string) =>
    until(() => (world.apps[index]?.env()[KEY] === value ? true : null));
  world.apps[2]?.patchConfig({ [KEY]: wrong });
  await restarted(2, wrong);
  const before = await everything(world);
  const view = await tested(world);
  expect([view.status, view.allowed_actions]).toEqual(['verify_failed', []]);
  expect(view.error?.detail).toContain(idOf('no-endpoint-app'));
  expect(rowOf(view, 'no-endpoint-app')).toMatchObject({
    holds: 'other',
    validate_status: 'failed',
    error: { code: 'consumer_on_other_value', detail: expect.stringContaining('npx velvet adopt') },
  });
  expect(rowOf(view, 'proves-app')).toMatchObject({ holds: 'old', validate_status: 'succeeded' });
  await until(() => (alerts(world).length === 1 ? true : null));
  expect(alerts(world)[0]).toContain('Drift');
  expect(alerts(world)[0]).not.toContain('proves-app');
  expect(await everything(world)).toEqual(before);
  expect(changesAsked(world)).toEqual([]);

  const ended = async () => {
    const count = world.slack.messages.filter(({ text }) => text?.startsWith('Test ')).length;
    const { status } = await tested(world);
    await until(() =>
      world.slack.messages.filter(({ text }) => text?.startsWith('Test ')).length > count ? true : null,
    );
    return [status, alerts(world).length];
  };
  expect(await ended()).toEqual(['verify_failed', 1]);
  world.apps[2]?.patchConfig({ [KEY]: world.firstToken });
  await restarted(2, world.firstToken);
  expect(await ended()).toEqual(['verified', 1]);
  world.apps[2]?.patchConfig({ [KEY]: wrong });
  await restarted(2, wrong);
  expect(await ended()).toEqual(['verify_failed', 2]);
});

test('processes that run on another value than their configuration are a drift, too', async () => {
  await using world = await buildWorld(redis.url, { apps: [apps[0]] });
  const wrong = world.account.authorize({ description: 'by hand', scope: ['global'] }).token;
  const app = world.apps[0];
  if (app === undefined) throw new Error('no app');
  app.patchConfig({ [KEY]: wrong });
  await until(() => (app.env()[KEY] === wrong ? true : null));
  app.kind = 'never_restarts';
  app.patchConfig({ [KEY]: world.firstToken });
  const view = await tested(world);
  expect(rowOf(view, 'proves-app')).toMatchObject({
    holds: 'other',
    error: { detail: expect.stringContaining('its processes answered the challenge with another one') },
  });
});

test('a dead value in the vault ends the test after its consumers were looked at, and says to adopt what they hold', async () => {
  await using world = await buildWorld(redis.url, { apps: apps.slice(0, 2) });
  const fresh = world.account.authorize({ description: 'by hand', scope: ['global'] }).token;
  for (const app of world.apps) app.patchConfig({ [KEY]: fresh });
  await until(() => (world.apps.every((app) => app.env()[KEY] === fresh) ? true : null));
  const old = world.account.authorizations().find(({ token }) => token === world.firstToken);
  world.account.revoke(old?.id ?? '');
  const view = await tested(world);
  expect([view.status, view.error?.code, view.allowed_actions]).toEqual([
    'verify_failed',
    'current_token_invalid',
    [],
  ]);
  expect(view.error?.detail).toContain(`Run \`npx velvet adopt ${CREDENTIAL}\``);
  expect(view.error?.detail).not.toContain('Abort');
  for (const name of ['proves-app', 'mute-app'])
    expect(rowOf(view, name)).toMatchObject({ holds: 'other', validate_status: 'failed' });
});

test('what a rotation would stop at is found before it begins: an authority that may not write, an app that is away', async () => {
  const options: WorldOptions = {
    apps: [
      { name: 'weak-app', extra: { update_auth_token_name: 'HK_READER' } },
      { name: 'mistyped-app', extra: { update_auth_token_name: 'HK_READER_2' } },
      { name: 'away-app', answersChallenge: false },
      { name: 'gone-app', endpoint: false },
    ],
    authorities: { HK_READER: 'replaced below', HK_READER_2: 'never issued' },
  };
  await using world = await buildWorld(redis.url, options);
  expect(await sinceTheLook(world)).toContain('The vendor refuses the authority HK_READER');
  const reader = world.account.authorize({ description: 'reader', scope: ['read-protected'] });
  await world.vault.write(setUpCall(), 'HK_READER', new Secret(reader.token));
  await world.consumers[2]?.close();
  const gone = world.apps[3];
  if (gone !== undefined) world.heroku.deleteApp(gone);
  const view = await tested(world);
  expect(view.status).toBe('verify_failed');
  // Heroku does not show a token without `global` what it may do.
  expect(rowOf(view, 'weak-app')).toMatchObject({ holds: 'old', reachable: true, may_write: 'unknown' });
  expect(rowOf(view, 'mistyped-app')).toMatchObject({
    // Its place cannot be read; its own proof can.
    holds: 'old',
    may_write: 'no',
    error: { code: 'authority_invalid', detail: expect.stringContaining('HK_READER_2') },
  });
  expect(rowOf(view, 'away-app')).toMatchObject({
    holds: 'old',
    reachable: false,
    may_write: 'yes',
    error: { code: 'consumer_unhealthy' },
  });
  expect(rowOf(view, 'gone-app')).toMatchObject({ error: { code: 'vendor_target_missing' } });
  // Nobody holds a wrong copy: that is no drift.
  await until(() => world.slack.messages.find(({ text }) => text?.startsWith('Test found')) ?? null);
  expect(alerts(world)).toEqual([]);
});

test('a test that is aborted while it looks stops, and leaves nothing to clean up', async () => {
  await using world = await buildWorld(redis.url, { apps: [apps[0]], families: ['stage', 'notifier'] });
  const before = await everything(world);
  const jobId = String((await askForTest(world)).body.job_id);
  await world.stage(jobId, { action: 'verify' });
  await until(async () =>
    (await world.job(jobId)).consumers[0]?.['validate_status'] === 'in_progress' ? true : null,
  );
  expect((await world.job(jobId)).allowed_actions).toEqual(['abort']);
  const aborted = await world.stage(jobId, { action: 'abort' });
  expect([aborted.body.status, aborted.body['cleanup'], aborted.body.allowed_actions]).toEqual([
    'aborted',
    'done',
    [],
  ]);
  await world.start('distribute').ready;
  await until(() => world.slack.messages.find(({ text }) => text?.startsWith('Test stopped')) ?? null);
  expect((await world.job(jobId)).consumers[0]).toMatchObject({ validate_status: 'in_progress' });
  expect(await everything(world)).toEqual(before);
  expect((await tested(world)).status).toBe('verified');
});

test('a Redis that was restarted under a test lets it go on', async () => {
  await using world = await buildWorld(redis.url, { apps: [apps[0]], families: ['stage', 'notifier'] });
  const jobId = String((await askForTest(world)).body.job_id);
  await world.stage(jobId, { action: 'verify' });
  await until(async () =>
    (await world.job(jobId)).consumers[0]?.['validate_status'] === 'in_progress' ? true : null,
  );
  const keys = credentialKeys(CREDENTIAL, ENV);
  await world.redis.set(keys.server, 'another');
  await world.stop('stage');
  await world.start('stage').ready;
  await world.start('distribute').ready;
  expect((await world.reaches(jobId, 'verified')).error).toBeNull();
  expect((await eventsOf(world, jobId)).map(({ event }) => event)).not.toContain('reconciled');
  expect(await world.redis.get(keys.claim)).toBeNull();
});
