import { expect, test } from 'vitest';
import { pause } from '../../bin/demo/client.ts';
import { systemClock } from '../../shared/lib/clock.ts';
import {
  alarmed,
  alarmOf,
  credentialOf,
  drillIsOver,
  everyVia,
  fired,
  flagged,
  heard,
  isAbout,
  nothingLeaked,
  POST,
  raise,
  raiseLeak,
  reportAlarm,
  sinceDeath,
  WELL,
  whoSays,
} from './emergency.ts';
import { openFleet, type Fleet } from './fleet.ts';
import { ALERT_CHANNEL } from './outside.ts';

const emergency = { settleSeconds: 2 };
const always = Number.POSITIVE_INFINITY;

/** No provider takes anything, nor refuses it for good, until the answer is called: nobody is faster than the fault that comes now. */
function holdProviders({ outside: { slack, smtp } }: Fleet): () => void {
  slack.script({ on: POST, times: always, do: 'hang_before' });
  smtp.script({ kind: 'busy' }, always);
  return () => {
    slack.clearFaults();
    smtp.clearFaults();
  };
}

async function stoppedAndAsleep(fleet: Fleet, n: number): Promise<void> {
  const { slack } = fleet.outside;
  const taken = slack.script({ on: POST, do: 'hang_before', where: ({ body }) => JSON.stringify(body).includes(ALERT_CHANNEL) }); // prettier-ignore
  const stopped = await raiseLeak(fleet, n);
  await fired(taken, 'the notifier to begin with Slack');
  const sleeper = fleet.oldest('notifier');
  sleeper.signal('SIGSTOP');
  const told = await alarmed(fleet, stopped, { on: everyVia });
  await reportAlarm(fleet, 'notifier stopped after it took the delivery', stopped, told);
  expect(heard(fleet, stopped, 'slack')[0]?.text).toContain('Repeat');
  sleeper.signal('SIGCONT');
  // What it was about to do it has done by then, or let be.
  await pause(3_000);
  expect(sleeper.ended).toBeNull();
  const failed = whoSays(fleet, stopped, 'alarm not delivered');
  expect(
    failed.filter((one) => one.endsWith('(slack)')),
    'the sleeper, and nobody else, had taken it',
  ).toEqual([`${sleeper.name} (slack)`]);
  expect(heard(fleet, stopped, 'slack')).toHaveLength(1);
  expect((await alarmOf(fleet, stopped))?.receipts.slack?.status).toBe('delivered');
  const { body } = await fleet.client.ask('GET', '/healthz');
  expect(body['warnings'] ?? [], 'its late failure is nobody else’s').toEqual([]);
}

test.concurrent('the notifier stopped in a delivery, killed at the flag, or not there: another family tells every channel', async () => {
  await using fleet = await openFleet({ credentials: 3, consumers: 2, emergency });
  await drillIsOver(fleet);
  await stoppedAndAsleep(fleet, 1);

  const release = holdProviders(fleet);
  const killed = await raiseLeak(fleet, 2);
  await flagged(fleet, killed);
  const notifier = fleet.oldest('notifier');
  const at = notifier.signal('SIGKILL');
  await notifier.gone;
  release();
  for (const via of everyVia) expect(heard(fleet, killed, via), 'it told nobody').toEqual([]);
  await reportAlarm(fleet, 'notifier killed at the flag', killed, await alarmed(fleet, killed, { on: everyVia, since: at })); // prettier-ignore

  expect(fleet.members.living('notifier')).toEqual([]);
  const alone = await raiseLeak(fleet, 3);
  await reportAlarm(fleet, 'no notifier at all', alone, await alarmed(fleet, alone, { on: everyVia }));
  for (const one of [killed, alone])
    expect(whoSays(fleet, one, 'alarm delivered').join()).not.toContain('notifier');
  await nothingLeaked(fleet, alone);
});

const DOWN_MS = 1_500;

async function restartRedis(fleet: Fleet, how: 'kill' | 'quit'): Promise<number> {
  await fleet.server[how]();
  await pause(DOWN_MS);
  await fleet.server.start();
  return systemClock.now();
}

test.concurrent('Redis restarted at the flag or before it, or web gone: the alarm is told in time', async () => {
  await using fleet = await openFleet({ credentials: 3, consumers: 2, emergency });
  await drillIsOver(fleet);

  const release = holdProviders(fleet);
  const after = await raiseLeak(fleet, 1);
  await flagged(fleet, after);
  const down = restartRedis(fleet, 'kill');
  await pause(DOWN_MS / 2);
  release();
  for (const via of everyVia) expect(heard(fleet, after, via), 'nobody was told before').toEqual([]);
  await down;
  await reportAlarm(fleet, 'Redis killed and started at the flag', after, await alarmed(fleet, after, { on: everyVia })); // prettier-ignore

  const settling = sinceDeath(fleet, credentialOf(fleet, 2), { n: 1, deed: WELL });
  const before = await raise(fleet, credentialOf(fleet, 2));
  await fired(settling, 'the first answer after the revoke');
  expect(await alarmOf(fleet, before)).toBeNull();
  const up = await restartRedis(fleet, 'quit');
  const flag = await flagged(fleet, before);
  expect((flag - up) / 1000, 'the flag comes by itself').toBeLessThanOrEqual(35);
  await reportAlarm(fleet, `Redis stopped and started in the settle window (flagged ${((flag - up) / 1000).toFixed(1)} s after it was back)`, before, await alarmed(fleet, before, { on: everyVia })); // prettier-ignore

  const headless = await raiseLeak(fleet, 3);
  const web = fleet.oldest('web');
  web.signal('SIGTERM');
  await reportAlarm(fleet, 'web ended after the start', headless, await alarmed(fleet, headless, { on: everyVia })); // prettier-ignore
  expect((await web.gone).code).toBe(0);
  expect(fleet.outside.slack.requests.filter(isAbout(headless, ALERT_CHANNEL))).toHaveLength(1);
  await nothingLeaked(fleet, headless);
});
