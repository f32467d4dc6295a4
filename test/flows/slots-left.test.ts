// The vault's answer is lost while a finished job's slots are emptied: it is looked at again, and what the job says of them is true.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toRest } from '../schedule/run.ts';
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

const removes = ({ effect }: Turn) => effect.door === 'vault' && effect.name.startsWith('remove ');
const statuses = async (world: ScheduleWorld) =>
  (await world.redis.xrange(eventsKey(world), '-', '+')).map(
    ([, [, row]]) => (JSON.parse(row ?? '{}') as { to_state: string | null }).to_state,
  );
const eventsKey = (world: ScheduleWorld) => `velvet:{${world.ref.credential}.${world.ref.env}}:events`;

test.each(['lose', 'fail'] as const)(
  'every answer lost (%s) while the slots are emptied after the revoke: the job goes on by itself, and never says that the revoke failed',
  async (how) => {
    await using world = await scheduleWorld(server.redis);
    await walk(world, 'validated');
    world.operate({ action: 'proceed_revoke', ticket_id: 'ROT-1' });
    let lost = 0;
    await toRest(world, {
      async turn(turn) {
        if (!removes(turn) || lost === 6) return false;
        lost += 1;
        await world.turns.serve(turn, how);
        return true;
      },
    });
    expect(lost).toBeGreaterThanOrEqual(2);
    expect(await world.job()).toMatchObject({ status: 'done', error: null });
    expect(await statuses(world)).not.toContain('revoke_failed');
    expect(await violations(world)).toEqual([]);
  },
);

test('a vault that says nothing more while the slots are emptied: shown with where the value is, and waited for', async () => {
  await using world = await scheduleWorld(server.redis);
  await walk(world, 'validated');
  const pending = (await world.job()).vaultRef;
  world.operate({ action: 'proceed_revoke', ticket_id: 'ROT-1' });
  let away = false;
  let meanwhile: Awaited<ReturnType<ScheduleWorld['job']>> | null = null;
  await toRest(world, {
    async turn(turn) {
      // The first slot is emptied, nobody hears of it, and the vault is away for the rest of the attempt.
      if (removes(turn) && !away) {
        away = true;
        await world.turns.serve(turn, 'lose');
        return true;
      }
      if (!away || meanwhile !== null) return false;
      if (turn.effect.door === 'vault') {
        await world.turns.serve(turn, 'fail');
        return true;
      }
      const job = await world.job();
      if (job.error !== null) meanwhile = job;
      return false;
    },
  });
  const current = world.vault.ref(world.ref.credential);
  expect(pending).not.toBe(current);
  expect(meanwhile).toMatchObject({ status: 'revoking', vaultRef: current });
  expect(JSON.stringify(meanwhile)).toContain('The old token is revoked, and the new value is in');
  expect(await world.job()).toMatchObject({ status: 'done', error: null, vaultRef: current });
  expect(await statuses(world)).not.toContain('revoke_failed');
  expect(await violations(world)).toEqual([]);
});
