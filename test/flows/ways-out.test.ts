// Corners that random stories led into: none of them keeps the credential for ever, and none takes a value from whoever runs on it.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isVelvetError } from '../../shared/lib/errors.ts';
import { openResiduals } from '../../shared/rotation/residuals.ts';
import type { StageBody } from '../../api/stage-bodies.ts';
import { KEY, type AppSpec } from '../schedule/outside.ts';
import type { Row } from '../../shared/rotation/rows.ts';
import { toRest } from '../schedule/run.ts';
import type { Strand } from '../schedule/turns.ts';
import { violations } from '../schedule/violations.ts';
import { walk } from '../schedule/walk.ts';
import { scheduleWorld, type ScheduleWorld } from '../schedule/world.ts';
import { scheduleRedis, type ScheduleRedis } from './schedule-redis.ts';

let server: ScheduleRedis;
beforeAll(async () => {
  server = await scheduleRedis();
});
afterAll(() => server[Symbol.asyncDispose]());

const one: readonly AppSpec[] = [{ name: 'app-a' }];

/** What the operator is answered, once everything has come to rest. */
async function asks(world: ScheduleWorld, body: StageBody): Promise<unknown> {
  world.operate(body);
  await toRest(world);
  const answer = world.answers.at(-1);
  return isVelvetError(answer) ? answer.code : answer;
}

/** Stopped while the value is being written. */
async function abortedWhileDistributing(world: ScheduleWorld): Promise<void> {
  await walk(world, 'verified');
  world.operate({ action: 'proceed_mint' });
  let asked = false;
  await toRest(world, {
    async turn(turn) {
      if (asked || !turn.effect.name.includes('/releases')) return false;
      asked = true;
      world.operate({ action: 'abort' });
      await toRest(world);
      return true;
    },
  });
}

test('abort with restore before anything was minted needs no previous value', async () => {
  await using world = await scheduleWorld(server.redis, { apps: one });
  await walk(world, 'verified');
  world.outside.account.revoke(world.outside.first.id);
  expect(await asks(world, { action: 'abort', restore: true })).toBe('done');
  expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'done', error: null });
  expect(await world.store.claimant(world.ref)).toBeNull();
});

test('a forced revoke where everybody was skipped is refused at the gate, with the way out', async () => {
  const apps: readonly AppSpec[] = [{ name: 'app-a', endpoint: false }];
  await using world = await scheduleWorld(server.redis, { apps, forceRevoke: true });
  await walk(world, 'verified');
  await asks(world, { action: 'proceed_mint' });
  await asks(world, { action: 'skip_consumer', consumer_id: 'app-a', reason: 'not needed' });
  expect((await world.job()).status).toBe('validate_failed');
  expect(await asks(world, { action: 'proceed_revoke', ticket_id: 'ROT-1' })).toBe('stale_not_acknowledged');
  expect((await world.job()).status).toBe('validate_failed');
  expect(await asks(world, { action: 'retry', consumer_ids: ['app-a'] })).toBe('done');
});

test('a consumer whose settings were put back is not resolved before its processes run on them', async () => {
  await using world = await scheduleWorld(server.redis, { apps: one });
  await abortedWhileDistributing(world);
  expect(openResiduals((await world.job()).residuals)).toMatchObject([{ kind: 'stale_consumer' }]);
  const [app] = world.outside.apps;
  app?.patchConfig({ [KEY]: world.outside.first.token });
  const resolve = { action: 'resolve_residual', kind: 'stale_consumer', who: 'app-a', note: 'done' } as const;
  expect(await asks(world, resolve)).toBe('still_on_new');
  expect(await violations(world)).toEqual([]);
  expect(await asks(world, resolve)).toBe('done');
  expect(await world.job()).toMatchObject({ cleanup: 'done' });
  expect(await violations(world)).toEqual([]);
});

test('a consumer that a dead authority hides is not resolved by word', async () => {
  await using world = await scheduleWorld(server.redis, { apps: one });
  await abortedWhileDistributing(world);
  world.outside.revokeByHand(world.outside.bootstrap.id);
  const resolve = { action: 'resolve_residual', kind: 'stale_consumer', who: 'app-a', note: 'done' } as const;
  expect(await asks(world, resolve)).toBe('authority_invalid');
  expect(openResiduals((await world.job()).residuals)).toMatchObject([{ kind: 'stale_consumer' }]);
});

test('where the old token died after the abort the way forward is open, whatever the abort came from', async () => {
  await using world = await scheduleWorld(server.redis, { apps: one });
  await abortedWhileDistributing(world);
  expect(await asks(world, { action: 'mark_revoked' })).toBe('done');
  expect((await world.job()).error?.code).toBe('revoke_pending');
  world.outside.account.revoke(world.outside.first.id);
  await asks(world, { action: 'restore' });
  expect((await world.job()).error?.code).toBe('current_token_invalid');
  expect(await asks(world, { action: 'mark_revoked' })).toBe('done');
  expect(await world.job()).toMatchObject({ cleanup: 'done', promoted: true });
  expect(await violations(world)).toEqual([]);
});

test('a refused write says nothing of another attempt of the same task that is about to write', async () => {
  await using world = await scheduleWorld(server.redis, { apps: one });
  await walk(world, 'verified');
  world.operate({ action: 'proceed_mint' });
  const strands: Strand[] = [];
  let stage = 0;
  let atRefusal: Row | null = null;
  await toRest(world, {
    async turn(turn) {
      const { strand, effect } = turn;
      if (!strand.what.startsWith('push_row')) return false;
      if (!strands.includes(strand)) strands.push(strand);
      const [first, second] = strands;
      const patches = effect.name.startsWith('PATCH');
      if (stage === 0 && effect.name === 'writeRow') {
        world.sleep(strand.process);
      } else if (stage === 1 && strand === second && patches) {
        world.sleep(strand.process);
        if (first !== undefined) world.wake(first.process);
      } else if (stage === 2 && strand === first && patches) {
        world.outside.network.spoil({ status: 403, body: '{"id":"forbidden"}', applied: false });
        await world.turns.serve(turn);
      } else return false;
      stage += 1;
      return true;
    },
    async rest() {
      const [, second] = strands;
      if (second?.process.state !== 'asleep') return false;
      atRefusal = await world.store.row(world.ref, 'app-a');
      world.wake(second.process);
      return true;
    },
  });
  expect(stage).toBe(3);
  expect(atRefusal).toMatchObject({ distribute_status: 'failed', touched: true });
});

/** A mint dies before it is recorded, and is aborted; of the cleanup's looks those that `refuses` picks are answered 403. */
async function diedMintAborted(
  world: ScheduleWorld,
  refuses: (effect: string) => boolean,
): Promise<{ readonly stopped: boolean; readonly refused: number }> {
  await walk(world, 'verified');
  let stopped = false;
  let refused = 0;
  world.operate({ action: 'proceed_mint' });
  await toRest(world, {
    async turn(turn) {
      const { strand, effect } = turn;
      if (!stopped && strand.what.startsWith('enqueue_mint') && effect.name === 'commit') {
        stopped = true;
        world.kill(strand.process);
        world.operate({ action: 'abort' });
        return true;
      }
      if (!strand.what.startsWith('enqueue_cleanup') || !refuses(effect.name)) return false;
      refused += 1;
      world.outside.network.spoil({ status: 403, body: '{"id":"forbidden"}', applied: false });
      await world.turns.serve(turn);
      return true;
    },
  });
  return { stopped, refused };
}

test.each([1, 5])(
  'a mint that died before it was recorded leaves nothing, though %d looks at a consumer are refused',
  async (refusals) => {
    await using world = await scheduleWorld(server.redis, { apps: one });
    let looks = 0;
    const met = await diedMintAborted(
      world,
      (effect) => effect.endsWith('/dynos') && (looks += 1) <= refusals,
    );
    expect(met).toEqual({ stopped: true, refused: expect.any(Number) });
    expect(met.refused).toBeGreaterThan(0);
    expect(await world.job()).toMatchObject({ status: 'aborted', cleanup: 'done', mintedFence: null });
    expect(world.outside.heroku.live()).toHaveLength(2);
    expect(await violations(world)).toEqual([]);
  },
);

// There is no fourth: by it naming and emptying would disagree.
test.each([1, 2, 3, 4])(
  'what a mint that died left in its slot is emptied or named, though look %d at its value is refused',
  async (which) => {
    await using world = await scheduleWorld(server.redis, { apps: one });
    let looks = 0;
    const met = await diedMintAborted(world, (effect) => effect === 'GET /account' && (looks += 1) === which);
    expect(met).toEqual({ stopped: true, refused: which <= 3 ? 1 : 0 });
    expect(await violations(world)).toEqual([]);
  },
);
