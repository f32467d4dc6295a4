// Rotations that begin by themselves: one for each due time, only where a person might begin one, and never past the revoke.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildApp } from '../../api/app.ts';
import { credentialKeys, systemKeys } from '../../shared/redis/keys.ts';
import { buildWorld, CREDENTIAL, ENV, until, type World, type WorldOptions } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { alerts } from './dry-run.ts';
import { scheduling, type Scheduling } from './scheduling.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const every = (every_days: number, auto_until = 'verified'): WorldOptions => ({
  apps: [{ name: 'good-app' }],
  credential: { rotation: { every_days, auto_until } },
});
const texts = (world: World, channel: string) =>
  world.slack.messages.filter((one) => one.channel === channel).map(({ text }) => text ?? '');
const statuses = async (by: Scheduling) => (await by.begun()).map(({ status }) => status);

/** The credential as GET /tokens shows it at the time of `by`. */
async function shown(world: World, by: Scheduling): Promise<Record<string, unknown>> {
  const app = buildApp({ ...world.deps, clock: by.clock });
  // Its tokens live an hour.
  const token = await world.token(['read'], { expiresInMs: 400 * 86_400_000 });
  const answer = await app.request('/tokens', { headers: { authorization: `Bearer ${token}` } });
  const { tokens } = (await answer.json()) as { tokens: Record<string, unknown>[] };
  return tokens.find((one) => one['token_name'] === CREDENTIAL) ?? {};
}

test('a due credential gets one job, however many workers look; it goes to its gate and waits there', async () => {
  await using world = await buildWorld(redis.url, every(90));
  await using by = await scheduling(world);
  await by.round(3);
  by.pass(89.99);
  await by.round(3);
  expect(await by.begun()).toEqual([]);
  expect(await shown(world, by)).toMatchObject({ overdue: false, last_rotation: null });

  by.pass(0.02);
  await by.round(5);
  const [job] = await by.begun();
  expect(job).toMatchObject({ createdBy: 'schedule', flowType: 'operational', autoUntil: 'verified' });
  await world.reaches(job?.jobId ?? '', 'verified');
  await until(() => texts(world, 'C0OPS').find((text) => text.startsWith('Ready to mint')) ?? null);
  await by.round(5);
  by.pass(200);
  await by.round(5);
  expect(await statuses(by)).toEqual(['verified']);
  const story = (await world.feed.read(CREDENTIAL, ENV, 0, 100)).map(
    (one) => `${one.event} ${one.operator_id}`,
  );
  expect(story.slice(0, 3)).toEqual(['created schedule', 'verify schedule', 'verify_succeeded system']);
});

test('up to `validated` it mints and distributes by itself; the revoke takes a person, and the next one is due a period later', async () => {
  await using world = await buildWorld(redis.url, every(90, 'validated'));
  await using by = await scheduling(world);
  by.pass(90.1);
  await by.round(2);
  const jobId = (await by.begun())[0]?.jobId ?? '';
  await world.reaches(jobId, 'validated');
  await until(() => texts(world, 'C0OPS').find((text) => text.startsWith('Ready to revoke')) ?? null);
  await by.goOn();
  expect((await world.job(jobId)).status).toBe('validated');
  expect(texts(world, 'C0OPS').some((text) => text.startsWith('Ready to mint'))).toBe(false);
  expect((await by.begun())[0]?.mintedBy).toBe('schedule');
  expect(world.heroku.isLive(world.firstToken)).toBe(true);

  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
  await world.reaches(jobId, 'done');
  // Seen from the day on which it was done.
  by.pass(-89);
  await by.round(2);
  expect(await statuses(by)).toEqual(['done']);
  by.pass(90);
  await by.round(2);
  expect(await statuses(by)).toHaveLength(2);
});

test('one that is switched off before its mint waits, and says so', async () => {
  await using world = await buildWorld(redis.url, { ...every(90, 'validated'), families: [] });
  for (const family of ['stage', 'distribute', 'healthcheck', 'notifier'] as const)
    await world.system.beat(family, 3_600_000);
  await using by = await scheduling(world);
  by.pass(91);
  await by.round(1);
  await by.goOn();
  expect(await statuses(by)).toEqual(['verifying']);
  await world.system.setFlag('velvet_v2_rotation', false);
  await world.start('stage').ready;
  await world.start('notifier').ready;
  const jobId = (await by.begun())[0]?.jobId ?? '';
  await world.reaches(jobId, 'verified');
  await until(() => texts(world, 'C0OPS').find((text) => text.startsWith('Ready to mint')) ?? null);
  await by.goOn();
  expect(await statuses(by)).toEqual(['verified']);
  await world.system.setFlag('velvet_v2_rotation', true);
  await world.start('distribute').ready;
  await world.start('healthcheck').ready;
  await world.reaches(jobId, 'validated');
});

test('a job that was aborted is not begun again and again: only the next due time begins another', async () => {
  await using world = await buildWorld(redis.url, every(10));
  await using by = await scheduling(world);
  // Three times were missed, and are caught up with once.
  by.pass(35);
  await by.round(3);
  const jobId = (await by.begun())[0]?.jobId ?? '';
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'abort' });
  await until(async () => ((await world.job(jobId)).cleanup === 'done' ? true : null));
  await by.round(3);
  by.pass(4.9);
  await by.round(3);
  expect(await statuses(by)).toEqual(['aborted']);
  by.pass(0.2);
  await by.round(3);
  expect(await statuses(by)).toHaveLength(2);
});

test('nothing begins while a person would be refused; once they would not, it is caught up with once', async () => {
  await using world = await buildWorld(redis.url, every(90));
  await using by = await scheduling(world);
  by.pass(91);
  const held = async (what: string) => {
    await by.round(2);
    expect([what, await by.begun()]).toEqual([what, []]);
  };
  await world.system.setFlag('velvet_v2_rotation', false);
  await held('the flag is off');
  await world.system.setFlag('velvet_v2_rotation', true);

  await world.system.setUnavailable({ [CREDENTIAL]: 'no authority' });
  await held('the credential is unavailable');
  await world.system.setUnavailable({});

  await world.stop('healthcheck');
  await world.redis.del(systemKeys.beat('healthcheck'));
  await held('a family is away');
  await world.start('healthcheck').ready;
  await world.system.beat('healthcheck', 3_600_000);

  const { server } = credentialKeys(CREDENTIAL, ENV);
  const open = await world.create();
  await world.stage(open, { action: 'verify' });
  await world.reaches(open, 'verified');
  await held('a rotation is open');
  await world.stage(open, { action: 'abort' });
  await until(async () =>
    (await world.store.claimant({ credential: CREDENTIAL, env: ENV })) === null ? true : null,
  );

  expect(await world.redis.exists(server)).toBe(1);
  await by.round(4);
  expect(await by.begun()).toHaveLength(1);
});

test('an inactive credential, and one that was never adopted, have no schedule', async () => {
  await using world = await buildWorld(redis.url, {
    ...every(1),
    families: ['notifier'],
    adopt: false,
  });
  await using by = await scheduling(world);
  by.pass(10);
  for (const family of ['stage', 'distribute', 'healthcheck'] as const)
    await world.system.beat(family, 3_600_000);
  await by.round(2);
  expect(await by.begun()).toEqual([]);
  expect(await shown(world, by)).toMatchObject({ due: null, overdue: false });

  const [credential] = by.deps.manifest.credentials;
  if (credential === undefined) throw new Error('no credential');
  const inactive = { ...by.deps.manifest, credentials: [{ ...credential, active: false }] };
  const { beginWhatIsDue } = await import('../../workers/stages/schedule.ts');
  await beginWhatIsDue({ ...by.deps, manifest: inactive });
  expect(await by.begun()).toEqual([]);
});

test('a rotation whose record Redis lost is not begun a second time: the vault has another value', async () => {
  await using world = await buildWorld(redis.url, every(90, 'validated'));
  await using by = await scheduling(world);
  const keys = credentialKeys(CREDENTIAL, ENV);
  const before = await world.redis.hgetall(keys.schedule);
  by.pass(90.1);
  await by.round(1);
  const jobId = (await by.begun())[0]?.jobId ?? '';
  await world.reaches(jobId, 'validated');
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
  await world.reaches(jobId, 'done');
  // As a restored snapshot of the day before would have it.
  await world.redis.del(keys.jobs, keys.schedule, keys.job(jobId), keys.rows(jobId));
  await world.redis.hset(keys.schedule, before);
  await by.round(3);
  expect(await by.begun()).toEqual([]);
  expect((await by.schedules.load({ credential: CREDENTIAL, env: ENV })).since).toBeGreaterThan(
    Number(before['since']),
  );
});

test('a job that another rotation came before waits for it, and is stopped once that has brought a new value', async () => {
  await using world = await buildWorld(redis.url, { ...every(90), families: [] });
  await using by = await scheduling(world);
  for (const family of ['stage', 'distribute', 'healthcheck', 'notifier'] as const)
    await world.system.beat(family, 3_600_000);
  await by.round(1);
  by.pass(91);
  await by.round(1);
  const other = await world.create();
  await world.stage(other, { action: 'verify' });
  await by.goOn();
  expect(await statuses(by)).toEqual(['init']);

  const { setUpCall } = await import('../harness.ts');
  const { Secret } = await import('../../shared/lib/secret.ts');
  await world.vault.write(setUpCall(), CREDENTIAL, new Secret('somebody-rotated'));
  by.pass(1);
  await by.goOn();
  expect(await statuses(by)).toEqual(['aborted']);
});

test('what is overdue is shown, and announced once for each time that was missed', async () => {
  await using world = await buildWorld(redis.url, every(30));
  await using by = await scheduling(world);
  await by.round(1);
  const overdue = () => alerts(world).filter((text) => text.startsWith('Rotation overdue'));
  by.pass(30.9);
  await by.round(2);
  await world.reaches((await by.begun())[0]?.jobId ?? '', 'verified');
  expect(await shown(world, by)).toMatchObject({ overdue: false });
  by.pass(0.2);
  await by.round(2);
  expect(await shown(world, by)).toMatchObject({ overdue: true, due: expect.stringMatching(/^\d{4}-/) });
  await until(() => overdue()[0] ?? null);
  expect(overdue()[0]).toContain('stands in verified');
  const { told_overdue: told } = await until(async () => {
    const schedule = await by.schedules.load({ credential: CREDENTIAL, env: ENV });
    return schedule.told_overdue > 0 ? schedule : null;
  });
  await by.round(3);
  by.pass(29);
  await by.round(3);
  expect((await by.schedules.load({ credential: CREDENTIAL, env: ENV })).told_overdue).toBe(told);
  by.pass(1);
  await by.round(3);
  await until(() => overdue()[1] ?? null);
  expect(overdue()).toHaveLength(2);
});

test('a drift check runs once a day, says nothing while nothing is wrong, and hides no rotation', async () => {
  await using world = await buildWorld(redis.url, {
    apps: [{ name: 'good-app', endpoint: false }],
    credential: { drift_check: 'daily' },
  });
  await using by = await scheduling(world);
  const ended = async (count: number) => {
    await until(async () => {
      const all = await statuses(by);
      return all.length === count &&
        all.every((status) => status.startsWith('verif') && status !== 'verifying')
        ? true
        : null;
    });
    return (await statuses(by)).at(-1);
  };
  expect(await ended(1)).toBe('verified');
  await by.round(3);
  expect(await statuses(by)).toHaveLength(1);
  by.pass(1);
  await by.round(3);
  expect(await ended(2)).toBe('verified');
  expect(world.slack.messages).toEqual([]);
  const { body } = await world.api('GET', `/tokens/${CREDENTIAL}/rotations`);
  expect(body['rotations']).toEqual([]);
  expect(await shown(world, by)).toMatchObject({ last_rotation: null, last_check: { status: 'verified' } });

  const wrong = world.account.authorize({ description: 'by hand', scope: ['global'] }).token;
  world.apps[0]?.patchConfig({ HEROKU_API_KEY: wrong });
  by.pass(1);
  await by.round(3);
  expect(await ended(3)).toBe('verify_failed');
  await until(() => alerts(world)[0] ?? null);
  by.pass(1);
  await by.round(3);
  expect(await ended(4)).toBe('verify_failed');
  const { told_test: told } = await by.schedules.load({ credential: CREDENTIAL, env: ENV });
  expect(told).toContain('consumer_on_other_value');
  expect(world.slack.messages.map(({ channel }) => channel)).toEqual(['C0ALERT']);
});
