import { test } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import { cutAof } from './aof.ts';
import { points, type PointName } from './points.ts';
import { startReplica } from './replica.ts';
import { scenario } from './scenario.ts';

const names: readonly PointName[] = [
  'verifying',
  'minting',
  'mintingLate',
  'patching',
  'probing',
  'revoking',
];
const hows = [{ events: 1 }, { seconds: 2 }] as const;
const cases = hows.flatMap((how) => names.map((name) => ({ how, name, ...points[name] })));

test.concurrent.for(cases)(
  'an append-only file cut by $how while $family is $doing, everybody alive: the vendor is found as it is',
  async ({ how, name, doing }) => {
    const options = {
      name: `loss ${JSON.stringify(how)} ${name}`,
      at: { point: name, times: 1 },
      end: { dataLost: true },
      standMs: 4_000,
    };
    await scenario(options, async ({ fleet, sprung }) => {
      await sprung();
      await fleet.server.kill();
      const lost = cutAof(fleet.server.dir, how);
      await fleet.server.start();
      const what = `${lost.events.length} events lost, ${doing}`;
      fleet.note({ what, at: systemClock.now(), changing: true });
    });
  },
);

test.concurrent.for(names.map((name) => ({ name, ...points[name] })))(
  'a replica that was cut off is promoted while $family is $doing: the vendor is found as it is',
  async ({ name, doing }) => {
    const options = { name: `replica ${name}`, at: { point: name, times: 1 }, end: { dataLost: true } };
    await scenario(options, async ({ fleet, sprung }) => {
      const replica = await startReplica(fleet);
      await replica.cutOff();
      await sprung();
      await replica.promote();
      await replica.close();
      fleet.note({ what: `replica promoted, ${doing}`, at: systemClock.now(), changing: true });
    });
  },
);
