import { expect, test } from 'vitest';
import { pause } from '../../bin/demo/client.ts';
import type { Row } from '../../shared/rotation/rows.ts';
import { until } from '../harness.ts';
import type { Deed } from '../sim/faults.ts';
import {
  alarmed,
  comesTo,
  consumerOf,
  credentialOf,
  drillIsOver,
  endOf,
  everyVia,
  fired,
  flagged,
  heard,
  inSeconds,
  lockoutSeconds,
  nothingLeaked,
  raise,
  raiseLeak,
  reportAlarm,
  sinceDeath,
  WELL,
  type Emergency,
} from './emergency.ts';
import { openFleet, type Family, type Fleet } from './fleet.ts';
import { HEALTH_ROUTE } from './outside.ts';

const classOf = (rows: readonly Row[], id: string) =>
  rows.find((row) => row.consumer_id === id)?.lockout?.class;

// Alone in its file: it measures a bound of 2 s.
test('each consumer is reported as it answers at the end of the window, and one that is late is not reported', async () => {
  await using fleet = await openFleet({ consumers: 4, emergency: { settleSeconds: 10 } });
  await drillIsOver(fleet);
  const credential = credentialOf(fleet, 1);
  // oxfmt-ignore
  const answering: readonly { n: number; deed: Deed; forMs?: number }[] = [
    { n: 1, deed: WELL },
    { n: 2, deed: WELL, forMs: 6_000 },
    { n: 3, deed: 'edge' },
    { n: 4, deed: 'hang_before' },
  ];
  for (const one of answering) sinceDeath(fleet, credential, one);
  const emergency = await raise(fleet, credential);
  const leakedAt = await comesTo(fleet, emergency, 'rev_leaked');
  const told = await alarmed(fleet, emergency, { on: everyVia });

  const whole = await until(
    async () => {
      const end = await endOf(fleet, emergency);
      return end.rows.every((row) => row.validate_status !== 'in_progress') ? end : null;
    },
    30_000,
    () => `every row to be settled\n${fleet.tail(30)}`,
  );
  const { job, rows, trail } = whole;
  expect(rows.map((row) => classOf(rows, row.consumer_id))).toEqual([
    'accepting',
    'locked_out',
    'forbidden',
    'unreachable',
  ]);
  expect(rows.every((row) => row.lockout?.uncontrolled === false)).toBe(true);
  const after = (id: string) => ((trail.find((one) => one.event === 'row_leaked' && one.consumer_id === id)?.ms ?? Infinity) - job.settleUntil) / 1000; // prettier-ignore
  const found = ['consumer-1', 'consumer-3', 'consumer-4'].map((id) => [id, after(id)] as const);
  for (const [id, seconds] of [['rev_leaked', (leakedAt - job.settleUntil) / 1000] as const, ...found]) {
    expect(seconds, `${id} is not known before the window's end`).toBeGreaterThanOrEqual(0);
    // One that hangs through the end is heard out: a probe takes 2 s, and its row is written after that.
    expect(seconds, `${id} is known in time`).toBeLessThanOrEqual(id === 'consumer-4' ? 3 : 2);
  }
  const late = rows[1]?.lockout?.time_to_lockout_ms ?? 0;
  expect(late).toBeGreaterThan(6_000);
  expect(late).toBeLessThan(job.settleMs);
  await allAreNamed(fleet, emergency);
  console.log(`fleet: leaks, after the window of ${job.settleMs / 1000} s: rev_leaked ${inSeconds((leakedAt - job.settleUntil) / 1000)}, ${found.map(([id, seconds]) => `${id} (${classOf(rows, id)}) ${inSeconds(seconds)}`).join(', ')}; locked out late, after ${inSeconds(late / 1000)}`); // prettier-ignore
  await reportAlarm(fleet, 'four consumers', emergency, told);
  await nothingLeaked(fleet, emergency);
});

/** In one message or in updates, and never the one that was locked out. */
async function allAreNamed(fleet: Fleet, emergency: Emergency): Promise<void> {
  for (const via of everyVia) {
    const text = () =>
      heard(fleet, emergency, via)
        .map((one) => one.text)
        .join('\n');
    const words = ['consumer-1: accepting', 'consumer-3: forbidden', 'consumer-4: unreachable'];
    await until(() => (words.every((word) => text().includes(word)) ? true : null), 10_000, text);
    expect(text()).not.toMatch(/consumer-2: \w/);
  }
}

/** As a process manager does it. */
const AGAIN_MS = 2_000;
/** As fast as any job moves on where nothing has to be waited for. */
const MOVES_ON_S = 35;

async function killed(fleet: Fleet, family: Family): Promise<number> {
  const victim = fleet.oldest(family);
  const at = victim.signal('SIGKILL');
  await victim.gone;
  await pause(AGAIN_MS);
  await fleet.start(family);
  return at;
}

async function endsWell(
  fleet: Fleet,
  emergency: Emergency,
  { what, at }: { readonly what: string; readonly at: number },
): Promise<void> {
  const { credential } = emergency;
  const seconds = ((await comesTo(fleet, emergency, 'rev_done')) - at) / 1000;
  const { job, rows, trail } = await endOf(fleet, emergency);
  expect(seconds, `${what}: it stood still`).toBeLessThanOrEqual(MOVES_ON_S);
  expect(fleet.outside.deaths.filter(({ id }) => id === credential.first.id)).toHaveLength(1);
  expect(job.tokens.map(({ auth_id: id, state }) => [id, state])).toEqual([[credential.first.id, 'dead']]);
  expect(rows.map((row) => classOf(rows, row.consumer_id))).toEqual(rows.map(() => 'locked_out'));
  expect(
    trail.filter(({ event }) => event === 'revoke_succeeded'),
    'confirmed once',
  ).toHaveLength(1);
  const weak = rows.filter((row) => row.lockout?.weak).length;
  console.log(`fleet: emergency, ${what}: rev_done ${inSeconds(seconds)} after the kill; lock-out ${inSeconds(lockoutSeconds(rows))}, ${weak} of ${rows.length} weakly proven`); // prettier-ignore
}

test.concurrent('the stage worker killed in an emergency, before, in or after its revoke: it ends by itself', async () => {
  await using fleet = await openFleet({ credentials: 3, consumers: 2, emergency: { settleSeconds: 2 } });
  await drillIsOver(fleet);
  const holds: readonly Deed[] = [{ delay_ms: 60_000 }, 'hang_before'];
  const revoking: Emergency[] = [];
  for (const [n, deed] of holds.entries()) {
    const credential = credentialOf(fleet, n + 1);
    const held = fleet.outside.heroku.script({
      on: 'DELETE /oauth/authorizations/:id',
      do: deed,
      where: ({ params }) => params['id'] === credential.first.id,
    });
    revoking.push(await raise(fleet, credential));
    await fired(held, 'the revoke');
  }
  const third = credentialOf(fleet, 3);
  const asked = consumerOf(third, 1).sim.script({ on: HEALTH_ROUTE, do: 'hang_before' });
  const asking = await raise(fleet, third);
  await fired(asked, 'the baseline');
  const at = await killed(fleet, 'stage');

  const names = ['revoked and not answered', 'the revoke not carried out', 'in the baseline'];
  for (const [n, one] of [...revoking, asking].entries())
    await endsWell(fleet, one, { what: `stage worker killed: ${names[n]}`, at });
  await nothingLeaked(fleet, asking);
});

test.concurrent('the healthcheck worker killed while it looks for the lock-out: it ends by itself, and a leak is told', async () => {
  await using fleet = await openFleet({ credentials: 2, consumers: 2, emergency: { settleSeconds: 2 } });
  await drillIsOver(fleet);
  const credential = credentialOf(fleet, 1);
  const held = sinceDeath(fleet, credential, { n: 1, deed: 'hang_before', times: 1 });
  const settling = await raise(fleet, credential);
  const leak = await raiseLeak(fleet, 2);
  await fired(held, 'the first question after the revoke');
  const at = await killed(fleet, 'healthcheck');

  await endsWell(fleet, settling, { what: 'healthcheck worker killed in rev_validating', at });
  const flag = await flagged(fleet, leak);
  expect((flag - at) / 1000, 'the leak is found').toBeLessThanOrEqual(MOVES_ON_S);
  const told = await alarmed(fleet, leak, { on: everyVia });
  await reportAlarm(fleet, `healthcheck worker killed (flagged ${inSeconds((flag - at) / 1000)} after it)`, leak, told); // prettier-ignore
  await nothingLeaked(fleet, leak);
});
