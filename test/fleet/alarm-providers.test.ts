import { expect, test } from 'vitest';
import { pause } from '../../bin/demo/client.ts';
import { times } from '../../shared/times.ts';
import { until } from '../harness.ts';
import type { Deed } from '../sim/faults.ts';
import {
  alarmed,
  alarmOf,
  drillIsOver,
  heard,
  isAbout,
  nothingLeaked,
  POST,
  raiseLeak,
  reportAlarm,
  type Emergency,
  type Via,
} from './emergency.ts';
import { openFleet, type Fleet } from './fleet.ts';
import { ALERT_CHANNEL, MAIL_TO } from './outside.ts';

const emergency = { settleSeconds: 2 };
/** A channel that failed is tried again after this at the latest, and one try takes 5 s. */
const AGAIN_MS = times.alarmBackoffMaxMs + times.alarmLeaseMs;

/** Once its provider is well the channel is told too. */
async function toldAtLast(fleet: Fleet, one: Emergency, via: Via): Promise<void> {
  await until(
    async () => ((await alarmOf(fleet, one))?.receipts[via]?.status === 'delivered' ? true : null),
    AGAIN_MS,
    () => `${via} to be told at last\n${fleet.tail(30)}`,
  );
}

test.concurrent('mail that refuses, hangs or takes one of two: Slack hears in time, and so does who can by mail', async () => {
  await using fleet = await openFleet({ credentials: 3, consumers: 2, emergency });
  const { smtp } = fleet.outside;
  await drillIsOver(fleet);

  await smtp.refuseConnections(true);
  const refused = await raiseLeak(fleet, 1);
  await reportAlarm(fleet, 'mail refuses connections', refused, await alarmed(fleet, refused, { on: ['slack', 'dm'] })); // prettier-ignore
  await until(async () =>
    (await alarmOf(fleet, refused))?.receipts.mail?.status === 'failed' ? true : null,
  );
  expect(heard(fleet, refused, 'mail')).toEqual([]);
  await smtp.refuseConnections(false);
  await toldAtLast(fleet, refused, 'mail');

  smtp.script({ kind: 'hang_after_data' });
  const hanging = await raiseLeak(fleet, 2);
  await reportAlarm(fleet, 'mail hangs after DATA', hanging, await alarmed(fleet, hanging, { on: ['slack', 'dm', 'mail'] })); // prettier-ignore
  await toldAtLast(fleet, hanging, 'mail');
  expect(
    heard(fleet, hanging, 'mail').map(({ text }) => text.includes('Repeat')),
    'once without an answer, and again',
  ).toEqual([false, true]);

  const [kept, away] = MAIL_TO;
  smtp.script({ kind: 'refuse', to: away, code: 550 });
  const partly = await raiseLeak(fleet, 3);
  await reportAlarm(fleet, 'mail takes one of two', partly, await alarmed(fleet, partly, { on: ['slack', 'dm', 'mail'] })); // prettier-ignore
  await toldAtLast(fleet, partly, 'mail');
  expect(smtp.mails.filter(({ text }) => text.includes(partly.ref.jobId)).map(({ to }) => to)).toEqual([[kept]]); // prettier-ignore
  const rejected = (await alarmOf(fleet, partly))?.receipts.mail?.rejected;
  expect(rejected?.map(({ to }) => to)).toEqual([away]);
  await nothingLeaked(fleet, partly);
});

// oxfmt-ignore
const slackFaults: readonly { is: string; does: Deed; code: string }[] = [
  { is: 'Slack answers 500',          does: { status: 500, body: 'oh no' },                              code: 'vendor_unavailable' },
  { is: 'Slack answers invalid_auth', does: { status: 200, body: { ok: false, error: 'invalid_auth' } }, code: 'vendor_rejected' },
  { is: 'Slack hangs',                does: 'hang_before',                                               code: 'vendor_no_answer' },
];

test.concurrent('Slack that answers 500, invalid_auth or 429, or hangs: the mail goes out in time, and Slack hears at last', async () => {
  await using fleet = await openFleet({ credentials: 4, consumers: 2, emergency });
  const { slack } = fleet.outside;
  await drillIsOver(fleet);

  const all: Emergency[] = [];
  for (const [n, { is, does, code }] of slackFaults.entries()) {
    slack.script({ on: POST, times: Number.POSITIVE_INFINITY, do: does });
    const one = await raiseLeak(fleet, n + 1);
    await reportAlarm(fleet, is, one, await alarmed(fleet, one, { on: ['mail'] }));
    const failed = await until(async () => {
      const receipt = (await alarmOf(fleet, one))?.receipts.slack;
      return receipt?.status === 'failed' ? receipt : null;
    });
    expect(failed.error?.code).toBe(code);
    expect(heard(fleet, one, 'slack'), 'Slack took nothing').toEqual([]);
    slack.clearFaults();
    await toldAtLast(fleet, one, 'slack');
    all.push(one);
  }

  // The last, for Slack is silent for a minute from then on.
  slack.script({ on: POST, times: 2, do: { rate_limited: { retry_after_s: 60 } } });
  const paced = await raiseLeak(fleet, 4);
  await reportAlarm(fleet, 'Slack answers 429 with Retry-After: 60', paced, await alarmed(fleet, paced, { on: ['mail'] })); // prettier-ignore
  await until(async () => ((await alarmOf(fleet, paced))?.receipts.slack?.status === 'failed' ? true : null));
  // Long enough that everybody who stands in has looked.
  await pause(times.alarmStandInMs + 2 * times.alarmStandInPollMs);
  expect(
    slack.requests.filter(isAbout(paced, ALERT_CHANNEL)),
    'what Slack asked for is kept by all families',
  ).toHaveLength(1);
  for (const one of all) await nothingLeaked(fleet, one);
});
