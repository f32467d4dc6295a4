import { expect, test } from 'vitest';
import { pause } from '../../bin/demo/client.ts';
import { families, type Fleet } from './fleet.ts';
import { scenario } from './scenario.ts';

/** Heroku's time from SIGTERM to SIGKILL. */
const LETS_GO_S = 30;

/** As a deploy does it: everybody is asked to go at once, and the new ones come when the old ones are gone, or before. */
async function deploy(fleet: Fleet, what: string, order: 'gone first' | 'new first'): Promise<void> {
  const old = families.flatMap((family) => fleet.members.living(family));
  if (order === 'new first') await Promise.all(families.map((family) => fleet.start(family)));
  const at = Math.max(...old.map((member) => member.signal('SIGTERM')));
  fleet.note({ what, at, changing: true });
  const ends = await Promise.all(old.map((member) => member.gone));
  for (const [index, { code, at: goneAt }] of ends.entries()) {
    expect((goneAt - at) / 1000, `${old[index]?.name} lets go in time`).toBeLessThan(LETS_GO_S);
    expect(code, `${old[index]?.name} ends by itself\n${old[index]?.log().slice(-2_000)}`).toBe(0);
  }
  console.log(`fleet: ${what}: the slowest was gone after ${((Math.max(...ends.map((end) => end.at)) - at) / 1000).toFixed(1)} s`); // prettier-ignore
  if (order === 'gone first') await Promise.all(families.map((family) => fleet.start(family)));
}

test.concurrent('SIGTERM to everybody under three rotations at once, twice: tasks are let go, nothing is lost', async () => {
  const options = { name: 'terminate, three rotations', credentials: 3, consumers: 4 };
  await scenario(options, async ({ fleet, rotations, rotation }) => {
    // Many are in the middle of a write, whose answer takes a while.
    fleet.outside.heroku.script({ on: 'PATCH /apps/:app/config-vars', times: 12, do: { delay_ms: 4_000 } });
    await rotation.reaches('distributing');
    await pause(1_500);
    await deploy(fleet, 'SIGTERM to all while writing', 'gone first');
    await Promise.all(rotations.map((one) => one.reaches('validating')));
    await deploy(fleet, 'SIGTERM to all while proving', 'new first');
  });
});

test.concurrent('SIGTERM while a mint is not answered: it is let go in time, and nothing is orphaned', async () => {
  const options = { name: 'terminate, minting', at: { point: 'mintingLost', times: 1 } } as const;
  await scenario(options, async ({ fleet, sprung }) => {
    await sprung();
    await deploy(fleet, 'SIGTERM to all while minting', 'gone first');
  });
});

test.concurrent('SIGTERM with twenty consumers in one phase: none is lost and none is written without need', async () => {
  const options = { name: 'terminate, twenty consumers', consumers: 20 };
  await scenario(options, async ({ fleet, rotation }) => {
    fleet.outside.heroku.script({ on: 'PATCH /apps/:app/config-vars', times: 20, do: { delay_ms: 3_000 } });
    await rotation.reaches('distributing');
    await pause(1_500);
    await deploy(fleet, 'SIGTERM to all while writing to twenty', 'new first');
    await rotation.done;
    const patches = fleet.outside.heroku.requests.filter(
      ({ route }) => route === 'PATCH /apps/:app/config-vars',
    );
    expect(patches).toHaveLength(20);
  });
});
