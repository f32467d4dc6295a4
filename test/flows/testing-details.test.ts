// What somebody reads whose test found something: what is really there, and what to do about it, by what is known of the vault's value.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildWorld, CREDENTIAL, ENV, until, type JobView, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { alerts, tested } from './dry-run.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const KEY = 'HEROKU_API_KEY';
const rowOf = (view: JobView, id: string) => view.consumers.find((row) => row['consumer_id'] === id);
const detailOf = (view: JobView, id: string) =>
  String((rowOf(view, id)?.['error'] as { detail?: string } | null)?.detail);
const told = (world: World) =>
  until(() => world.slack.messages.find(({ text }) => text?.startsWith('Test found')) ?? null);
function killCurrent(world: World): void {
  const current = world.account.authorizations().find(({ token }) => token === world.firstToken);
  world.account.revoke(current?.id ?? '');
}
async function emptied(world: World): Promise<void> {
  // As `heroku config:unset` does.
  world.apps[0]?.patchConfig({ [KEY]: null });
  await until(() => (world.apps[0]?.env()[KEY] === undefined ? true : null));
}
const mailIn = (folder: string, id: string) => ({
  token_name: CREDENTIAL,
  consumer_id: id,
  env: ENV,
  update_method: 'INFISICAL_WRITE',
  update_endpoint: `https://app.infisical.com/api/v4/secrets?secretPath=${folder}`,
  update_key: 'MAIL_KEY',
  healthcheck_endpoint: null,
  capabilities: ['update'],
});

test('a place that holds nothing is said to hold nothing; one that is not there is no drift', async () => {
  await using world = await buildWorld(redis.url, {
    infisical: true,
    apps: [{ name: 'good-app', endpoint: false }],
    more: { subscribers: [mailIn('/apps/mail', 'mail'), mailIn('/apps/none', 'nowhere')] },
  });
  world.infisical?.project.folder(ENV, '/apps/mail');
  const view = await tested(world);
  expect(rowOf(view, 'mail')).toMatchObject({ holds: 'other', error: { code: 'consumer_on_other_value' } });
  expect(detailOf(view, 'mail')).toMatch(
    /^mail holds no value: MAIL_KEY is not set there\. The vault's value is alive: write that one there .* or let the next rotation do it\.$/,
  );
  expect(rowOf(view, 'nowhere')).toMatchObject({ error: { code: 'vendor_target_missing' } });
  expect(detailOf(view, 'nowhere')).toMatch(/no folder \/apps\/none .* takes no action/s);
  expect(view.error?.detail).toMatch(
    /^HK_PLATFORM_FULL works at its vendor, and HK_VELVET_BOOTSTRAP may mint; but 2 of 3 consumers do not pass: mail, nowhere\./,
  );
  await told(world);
  expect(alerts(world)[0]).toMatch(/^Drift/);
});

test('what is dead everywhere is not restarted, and an empty place has nothing to adopt', async () => {
  await using world = await buildWorld(redis.url, {
    apps: [{ name: 'empty-app', endpoint: false }, { name: 'good-app' }],
  });
  await emptied(world);
  killCurrent(world);
  const view = await tested(world);
  expect(view.error?.detail).toContain('No consumer was seen to hold another value');
  expect(view.error?.detail).not.toContain('empty-app');
  expect(detailOf(view, 'heroku-config-empty-app')).toMatch(
    /holds no value: .* is dead, too: if no consumer has one that works, begin an operational rotation/,
  );
  expect(detailOf(view, 'heroku-config-good-app')).toMatch(/To restart it would not help/);
});

test('a vendor that is away says nothing of the copies: they are compared, and nobody is told to retry a test', async () => {
  await using world = await buildWorld(redis.url, {
    apps: [
      { name: 'other-app', endpoint: false },
      { name: 'good-app', endpoint: false },
    ],
  });
  const other = world.account.authorize({ description: 'by hand', scope: ['global'] }).token;
  world.apps[0]?.patchConfig({ [KEY]: other });
  world.heroku.script({
    on: 'GET /account',
    times: Infinity,
    do: { status: 503, body: { id: 'unavailable' } },
  });
  const view = await tested(world);
  expect([view.status, view.error?.code]).toEqual(['verify_failed', 'vendor_unavailable']);
  expect(view.error?.detail).toMatch(/takes no action: once it is mended, start another one\.$/);
  expect(rowOf(view, 'heroku-config-good-app')).toMatchObject({ holds: 'old', validate_status: 'succeeded' });
  expect(detailOf(view, 'heroku-config-other-app')).toMatch(
    /could not be told: the test's own `error` says why/,
  );
});

test("an operational verify takes an empty place for nobody's other value", async () => {
  await using world = await buildWorld(redis.url, { apps: [{ name: 'empty-app' }] });
  await emptied(world);
  killCurrent(world);
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  const { error } = await world.reaches(jobId, 'verify_failed');
  expect(error?.detail).toContain('No consumer was seen to hold another value');
});
