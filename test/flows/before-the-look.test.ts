// Between a loss of Redis data and the look at the world: nobody acts on a record that may be behind, and what was done on it all the same is made good.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { slots } from '../../workers/vault/contract.ts';
import { buildWorld, CREDENTIAL, ENV, until } from '../harness.ts';
import { afterTheLoss } from '../schedule/loss.ts';
import { saveRedis } from '../schedule/ground.ts';
import { KEY } from '../schedule/outside.ts';
import { toRest, workers } from '../schedule/run.ts';
import type { Turn } from '../schedule/turns.ts';
import { violations } from '../schedule/violations.ts';
import { walk } from '../schedule/walk.ts';
import { scheduleWorld, type ScheduleWorld } from '../schedule/world.ts';
import { scheduleRedis, type ScheduleRedis } from './schedule-redis.ts';

let server: ScheduleRedis;
beforeAll(async () => {
  server = await scheduleRedis();
});
afterAll(() => server[Symbol.asyncDispose]());

/** Everything that asks for a turn now gets it, and nothing else begins. */
async function serveAll(world: ScheduleWorld): Promise<void> {
  await world.turns.settle();
  for (let turn = world.ready()[0]; turn !== undefined; turn = world.ready()[0])
    await world.turns.serve(turn);
}

function killAll(world: ScheduleWorld): void {
  for (const name of [...workers, 'sweeper']) world.kill(world.process(name));
}

/** One look at the world, with a hand in it after each effect. Answers what the look answered, or threw. */
async function look(
  world: ScheduleWorld,
  since: number,
  after: (turn: Turn) => Promise<void> = () => Promise.resolve(),
): Promise<unknown> {
  const on = world.process('reconciler');
  let answer: unknown;
  const strand = world.turns.begin(on, 'reconcile', async () => {
    answer = await on.reconcile(since).catch((error: unknown) => error);
  });
  await world.turns.settle();
  while (!strand.ended) {
    const own = world.turns.pending().find((one) => one.strand === strand);
    if (own === undefined) break;
    await world.turns.serve(own);
    await after(own);
  }
  return answer;
}

test('no action is taken on a record that nobody has looked at since a restart of Redis: 503, and nothing is changed', async () => {
  await using world = await buildWorld(server.url, {
    apps: [{ name: 'a-prod' }],
    times: { sureGroundMs: 200 },
  });
  const jobId = await world.create();
  await world.stop('stage');
  const { server: key } = credentialKeys(CREDENTIAL, ENV);
  await world.redis.set(key, 'another');
  world.deps.redis.disconnect(true);
  await until(async () =>
    (await world.deps.ground.sure({ credential: CREDENTIAL, env: ENV })) ? null : true,
  );

  const refused = await world.stage(jobId, { action: 'abort' });
  const problem = JSON.parse(refused.text) as Record<string, unknown>;
  expect([refused.status, problem['code']]).toEqual([503, 'degraded']);
  expect(problem['detail']).toMatch(/Redis was restarted.*Nothing was changed/s);
  expect((await world.job(jobId)).status).toBe('init');

  await world.start('stage').ready;
  await until(async () => ((await world.stage(jobId, { action: 'abort' })).status === 202 ? true : null));
  expect((await world.job(jobId)).status).toBe('aborted');
});

test.each([
  ['verified', 'validated'],
  ['verified', 'done'],
] as const)(
  'aborted at %s while it had been %s: nobody loses the token that they run on',
  async (from, to) => {
    await using world = await scheduleWorld(server.redis);
    await walk(world, from);
    const back = await saveRedis(server.redis);
    await walk(world, to);
    await back();
    world.redisLostData();
    killAll(world);
    world.operate({ action: 'abort' });
    await serveAll(world);
    await afterTheLoss(world, false);
    await toRest(world);
    expect(await violations(world)).toEqual([]);
  },
);

test('let go on to the revoke while a restore had ended: the dead token is not promoted', async () => {
  const apps = [{ name: 'app-a', endpoint: false }];
  await using world = await scheduleWorld(server.redis, { apps });
  await walk(world, 'verified');
  world.operate({ action: 'proceed_mint' });
  await toRest(world);
  world.operate({ action: 'confirm_consumer', consumer_id: 'app-a', note: 'seen' });
  await toRest(world);
  expect((await world.job()).status).toBe('validated');
  const back = await saveRedis(server.redis);
  world.operate({ action: 'abort', restore: true });
  await toRest(world);
  await back();
  world.redisLostData();
  killAll(world);
  world.operate({ action: 'proceed_revoke', ticket_id: 'ROT-1' });
  await serveAll(world);
  await afterTheLoss(world, false);
  await toRest(world);
  expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'done', promoted: false });
  const current = await world.vault.read(slots.current(CREDENTIAL));
  expect(current?.reveal()).toBe(world.outside.first.token);
  expect(await violations(world)).toEqual([]);
});

test('a write that lands while a look is taken is seen by the next one', async () => {
  await using world = await scheduleWorld(server.redis);
  await walk(world, 'verified');
  const back = await saveRedis(server.redis);
  let struck = false;
  world.operate({ action: 'proceed_mint' });
  await toRest(world, {
    async turn({ effect }) {
      if (struck || !effect.name.startsWith('PATCH')) return false;
      struck = true;
      await back();
      world.redisLostData();
      killAll(world);
      return true;
    },
  });
  const [pending = ''] = await world.vault.list(slots.pendingPrefix(CREDENTIAL));
  const value = (await world.vault.read(pending))?.reveal() ?? '';
  const [app] = world.outside.apps;
  const since = world.time.now();
  await world.time.moveTo(since + 44_000);
  let landed = false;
  const answered = await look(world, since, async ({ effect }) => {
    if (landed || !effect.name.includes(`${app?.name ?? ''}/config-vars`)) return;
    landed = true;
    app?.patchConfig({ [KEY]: value });
    await world.time.moveTo(since + 46_000);
  });
  expect([landed, answered]).toEqual([true, expect.any(Number)]);
  expect(answered).toBeGreaterThan(0);
  await afterTheLoss(world, false);
  await toRest(world);
  expect(world.outside.heroku.isLive(app?.config[KEY] ?? '')).toBe(true);
  expect(await violations(world)).toEqual([]);
});

test('a look that a vendor keeps from its end says so on the job, and no longer once it has ended', async () => {
  await using world = await scheduleWorld(server.redis);
  await walk(world, 'verified');
  const back = await saveRedis(server.redis);
  await walk(world, 'validated');
  await back();
  world.redisLostData();
  killAll(world);
  const spoil = () => world.outside.network.spoil({ status: 503, body: '', applied: false });
  let read = false;
  await look(world, world.time.now(), ({ effect }) => {
    if (effect.name.startsWith('GET /oauth/authorizations') && !read) {
      read = true;
      // The next question that leaves is the first one to a consumer's place.
      spoil();
    }
    return Promise.resolve();
  });
  expect((await world.job()).error).toMatchObject({ detail: expect.stringContaining('Redis was restarted') });
  await afterTheLoss(world, false);
  await toRest(world);
  expect((await world.job()).error).toBeNull();
  expect(await violations(world)).toEqual([]);
});
