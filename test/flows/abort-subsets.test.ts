// Abort from each status, with every subset of four consumers written: the vault still holds every value that a consumer runs on, and a restore takes everything back.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Status } from '../../shared/rotation/statuses.ts';
import { CREDENTIAL, KEY } from '../schedule/outside.ts';
import { toRest, type Director } from '../schedule/run.ts';
import { violations } from '../schedule/violations.ts';
import { scheduleWorld, type Moment, type ScheduleWorld } from '../schedule/world.ts';
import { scheduleRedis, type ScheduleRedis } from './schedule-redis.ts';

let server: ScheduleRedis;
beforeAll(async () => {
  server = await scheduleRedis();
});
afterAll(() => server[Symbol.asyncDispose]());

const names = ['a-prod', 'b-prod', 'c-prod', 'd-prod'] as const;
const subsets = Array.from({ length: 16 }, (_, bits) => names.filter((_name, index) => (bits >> index) & 1));

/** Everybody runs on a live token whose value the vault holds. */
async function nobodyIsLost(world: ScheduleWorld): Promise<readonly string[]> {
  const held = await Promise.all(
    (await world.vault.list(CREDENTIAL)).map(async (slot) => (await world.vault.read(slot))?.reveal()),
  );
  return world.outside.apps.flatMap((app) => {
    const value = String(app.env()[KEY]);
    const dead = world.outside.heroku.isLive(value) ? [] : [`${app.name} runs on a dead token`];
    return held.includes(value) ? dead : [...dead, `the vault lost what ${app.name} runs on`];
  });
}

/** Lets nobody but these be written, and aborts as soon as the job enters the status, in the middle of whatever goes on. */
function stopAt(status: Status, written: readonly string[]): Director & { readonly there: boolean } {
  let there = false;
  return {
    get there() {
      return there;
    },
    async before(world) {
      if (there || (await world.job()).status !== status) return false;
      there = true;
      world.operate({ action: 'abort' });
      return true;
    },
    // Nobody knows of these writes whether they were applied.
    async turn(turn, world) {
      const { name } = turn.effect;
      if (there || !name.startsWith('PATCH ') || written.some((one) => name.includes(`/${one}/`)))
        return false;
      await world.turns.serve(turn, 'fail');
      return true;
    },
  };
}

/** Writes exactly to these, gives the others up where the status is behind the distribution, and aborts in `status`. */
async function aborted(world: ScheduleWorld, written: readonly string[], status: Status): Promise<boolean> {
  const director = stopAt(status, written);
  world.operate({ action: 'proceed_mint' });
  await toRest(world, director);
  for (const name of names.filter((one) => !director.there && !written.includes(one))) {
    world.operate({ action: 'skip_consumer', consumer_id: name, reason: 'not written' });
    await toRest(world, director);
  }
  return director.there;
}

const statuses: readonly Status[] = [
  'minting',
  'minted',
  'distributing',
  'distribute_partial',
  'distribute_failed',
  'distributed',
  'validating',
  'validated',
];

test('every value that a consumer runs on is kept, and a restore leaves nothing of the job', async () => {
  const first = await scheduleWorld(server.redis, { apps: names.map((name) => ({ name })) });
  first.operate({ action: 'verify' });
  await toRest(first);
  await using moment: Moment = await first.save();
  const bad: string[] = [];
  const seen = new Map<Status, number>();
  for (const status of statuses) {
    for (const written of subsets) {
      await using world = await moment.resume();
      if (!(await aborted(world, written, status))) continue;
      seen.set(status, (seen.get(status) ?? 0) + 1);
      const found = [...(await nobodyIsLost(world)), ...(await violations(world))];
      if ((await world.job()).cleanup === 'needs_person') {
        world.operate({ action: 'restore' });
        await toRest(world);
      }
      found.push(...(await nobodyIsLost(world)), ...(await violations(world)), ...(await leftOver(world)));
      if (found.length > 0)
        bad.push(`${status}, written to ${written.join(' ') || 'nobody'}: ${found.join('; ')}`);
    }
  }
  console.log(`aborts: ${[...seen].map(([status, count]) => `${count} from ${status}`).join(', ')}`);
  expect(bad).toEqual([]);
  expect([...seen.keys()]).toEqual(statuses);
}, 300_000);

/** All on the old value, the new token dead, nothing of the job in the vault. */
async function leftOver(world: ScheduleWorld): Promise<readonly string[]> {
  const { first, heroku, apps, bootstrap } = world.outside;
  const job = await world.job();
  const live = heroku.live().map(({ id }) => id);
  const filled = await world.vault.list(CREDENTIAL);
  return [
    ...(job.cleanup === 'done' ? [] : [`the cleanup is ${job.cleanup}`]),
    ...apps
      .filter((app) => app.env()[KEY] !== first.token)
      .map((app) => `${app.name} is not on the old value`),
    ...(live.length === 2 && live.includes(first.id) && live.includes(bootstrap.id)
      ? []
      : [`live: ${live.join(' ')}`]),
    ...(filled.length === 1 ? [] : [`the vault holds ${filled.join(' ')}`]),
  ];
}
