import { expect, test } from 'vitest';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { cutAof } from './aof.ts';
import { openFleet } from './fleet.ts';
import { ENV } from './outside.ts';
import { startReplica } from './replica.ts';
import { rotate, trailOf } from './rotation.ts';

const events = ({ length }: { readonly length: number }) => length;

test.concurrent.for([{ events: 1 }, { events: 3 }, { seconds: 1 }, { seconds: 2 }])(
  'an append-only file that was cut by %o is taken by Redis as the past that it was',
  async (how) => {
    await using fleet = await openFleet();
    const [credential] = fleet.outside.credentials;
    if (credential === undefined) throw new Error('a fleet has a credential');
    const rotation = await rotate(fleet, credential);
    await rotation.done;
    const before = await trailOf(fleet, credential.name);

    await fleet.members.stop(28_000);
    await fleet.server.kill();
    const lost = cutAof(fleet.server.dir, how);
    await fleet.server.start();

    const after = await trailOf(fleet, credential.name);
    expect(lost.commands).toBeGreaterThan(0);
    expect(events(lost.events)).toBeGreaterThanOrEqual('events' in how ? how.events : 0);
    expect(after).toEqual(before.slice(0, before.length - events(lost.events)));
    const seq = Number(await fleet.redis.get(credentialKeys(credential.name, ENV).seq));
    expect(seq, 'a script is lost whole or not at all').toBe(after.length);
  },
);

test.concurrent('a replica that was cut off and is promoted knows nothing of what came after', async () => {
  await using fleet = await openFleet();
  const [credential] = fleet.outside.credentials;
  if (credential === undefined) throw new Error('a fleet has a credential');
  const replica = await startReplica(fleet);
  let known = 0;
  const cutOff = async () => {
    await replica.cutOff();
    known = (await trailOf(fleet, credential.name)).length;
  };
  const rotation = await rotate(fleet, credential, { before: { verified: cutOff } });
  await rotation.done;
  expect((await trailOf(fleet, credential.name)).length).toBeGreaterThan(known);

  await fleet.members.stop(28_000);
  await replica.promote();

  expect((await trailOf(fleet, credential.name)).length).toBe(known);
  await replica.close();
});
