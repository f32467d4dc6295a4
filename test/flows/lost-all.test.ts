// Redis loses all that it knew of a job, once or twice: what is out there names it again, and every place that it wrote to is looked at.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Redis } from 'ioredis';
import { openResiduals } from '../../shared/rotation/residuals.ts';
import { slots } from '../../workers/vault/contract.ts';
import { afterTheLoss, homeFromLoss } from '../schedule/loss.ts';
import { CREDENTIAL, KEY } from '../schedule/outside.ts';
import { toRest, workers, type Director } from '../schedule/run.ts';
import { violations } from '../schedule/violations.ts';
import { walk } from '../schedule/walk.ts';
import { scheduleWorld, type ScheduleWorld } from '../schedule/world.ts';
import { scheduleRedis } from './schedule-redis.ts';

let server: Awaited<ReturnType<typeof scheduleRedis>>;
let redis: Redis;
beforeAll(async () => {
  server = await scheduleRedis();
  redis = server.redis;
});
afterAll(() => server[Symbol.asyncDispose]());

const openOf = async (world: ScheduleWorld) =>
  openResiduals((await world.job()).residuals).map(({ kind, who }) => `${kind} ${who}`);

async function asks(world: ScheduleWorld, body: Parameters<ScheduleWorld['operate']>[0]) {
  world.operate(body);
  await toRest(world);
}

async function loseAll(world: ScheduleWorld): Promise<void> {
  await redis.flushdb();
  for (const name of [...workers, 'sweeper']) world.kill(world.process(name));
  for (const entry of world.queue.entries) Object.assign(entry, { state: 'completed' });
  await afterTheLoss(world, false);
}

/** Loses everything before the first effect whose name has all of these in it. */
function losingAllAt(...parts: readonly string[]): Director & { readonly struck: boolean } {
  let struck = false;
  return {
    get struck() {
      return struck;
    },
    async turn({ effect }, world) {
      if (struck || !parts.every((part) => effect.name.includes(part))) return false;
      struck = true;
      await loseAll(world);
      return true;
    },
  };
}

test('twice, past the promotion: the old token that lives is named both times', async () => {
  await using world = await scheduleWorld(redis);
  await walk(world, 'validated');
  const director = losingAllAt('DELETE');
  world.operate({ action: 'proceed_revoke', ticket_id: 'ROT-1' });
  await toRest(world, director);
  expect(director.struck).toBe(true);
  const old = `old_token_live ${world.outside.first.id}`;
  expect(await openOf(world)).toEqual([old]);
  expect(await violations(world)).toEqual([]);

  await loseAll(world);
  await toRest(world);
  expect(await openOf(world)).toEqual([old]);
  world.outside.revokeByHand(world.outside.first.id);
  await asks(world, { action: 'mark_revoked' });
  expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'done', promoted: true });
  expect(await world.vault.list(CREDENTIAL)).toEqual([slots.current(CREDENTIAL), slots.handle(CREDENTIAL)]);
});

test('an old token that lives stays named while another residual is resolved', async () => {
  await using world = await scheduleWorld(redis);
  await walk(world, 'validated');
  const director = losingAllAt('DELETE');
  world.operate({ action: 'proceed_revoke', ticket_id: 'ROT-1' });
  const worker = world.outside.apps[1];
  await toRest(world, {
    async turn(turn, on) {
      // Its owner puts the old value back meanwhile.
      if (turn.effect.name.startsWith('DELETE'))
        Object.assign(worker?.config ?? {}, { [KEY]: world.outside.first.token });
      return (await director.turn?.(turn, on)) ?? false;
    },
  });
  const old = `old_token_live ${world.outside.first.id}`;
  expect(await openOf(world)).toEqual([old, `stale_consumer ${worker?.name}`]);
  Object.assign(worker?.config ?? {}, { [KEY]: world.outside.apps[0]?.config[KEY] });
  await asks(world, { action: 'resolve_residual', kind: 'stale_consumer', who: worker?.name ?? '' });
  expect(await openOf(world)).toEqual([old]);
});

test('a row that is inactive by now is looked at like any other', async () => {
  const apps = [
    { name: 'raxx-console-prod', wave: 1 },
    { name: 'raxx-worker-prod', answersChallenge: false, wave: 2 },
  ];
  await using world = await scheduleWorld(redis, { apps });
  await walk(world, 'verified');
  const { manifest } = world.outside;
  const director = losingAllAt('PATCH', 'raxx-worker');
  world.operate({ action: 'proceed_mint' });
  await toRest(world, {
    async turn(turn, on) {
      const subscribers = manifest.subscribers.map((row) => ({ ...row, active: row.wave !== 1 }));
      if (turn.effect.name.includes('raxx-worker'))
        Object.assign(world.outside, { manifest: { ...manifest, subscribers } });
      return (await director.turn?.(turn, on)) ?? false;
    },
  });
  expect(director.struck).toBe(true);
  expect(await openOf(world)).toEqual(['stale_consumer raxx-console-prod']);
  expect(await violations(world)).toEqual([]);
  await homeFromLoss(world);
  expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'done' });
  expect(await violations(world)).toEqual([]);
});
