// Each way in which a provider fails: the other channels are told at once, and this one as soon as it is well again.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Secret } from '../../shared/lib/secret.ts';
import { times } from '../../shared/times.ts';
import { until } from '../harness.ts';
import type { Deed } from '../sim/faults.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { alarmWorld, ALERT, row } from './alarm-world.ts';
import type { SmtpFault } from '../sim/smtp.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const POST = 'POST /api/chat.postMessage';

// oxfmt-ignore
const slackFaults: readonly { is: string; does: Deed; code: string; repeat: boolean }[] = [
  { is: '429 that asks for a minute',  does: { rate_limited: { retry_after_s: 60 } }, code: 'vendor_rate_limited', repeat: false },
  { is: '500',                         does: { status: 500, body: 'oh no' },          code: 'vendor_unavailable',  repeat: true },
  { is: 'silence before it is posted', does: 'hang_before',                           code: 'vendor_no_answer',    repeat: true },
  { is: 'silence after it is posted',  does: 'hang_after',                            code: 'vendor_no_answer',    repeat: true },
  { is: 'invalid_auth',                does: { status: 200, body: { ok: false, error: 'invalid_auth' } }, code: 'vendor_rejected', repeat: false },
];

describe('Slack', () => {
  test.for(slackFaults)(
    '$is: the mail goes out, and Slack is told afterwards',
    async ({ does, code, repeat }) => {
      await using world = await alarmWorld(server.url);
      world.slack.script({ on: POST, do: does });
      const ref = await world.leak();
      const own = world.process({
        only: ['slack', 'mail'],
        times: { alarmSendMs: 2_000, alarmLeaseMs: 2_500, slackMs: 200, alarmPauseMaxMs: 150 },
      });
      await Promise.all([own.round(), until(() => world.smtp.mails[0] ?? null)]);
      expect(await world.receipt(ref, 'mail')).toMatchObject({ status: 'delivered', attempts: 1 });
      expect(await world.receipt(ref, 'slack')).toMatchObject({ status: 'failed', error: { code }, rev: 0 });

      const before = world.slack.messages.length;
      await until(async () => {
        await own.deliver('slack');
        return (await world.receipt(ref, 'slack'))?.status === 'delivered' ? true : null;
      });
      expect(world.slack.messages).toHaveLength(before + 1);
      expect(world.slack.messages.at(-1)?.text?.includes('Repeat (it may have reached you already)')).toBe(
        repeat,
      );
      const failures = (await world.events(ref)).filter(({ event }) => event === 'alarm_failed');
      expect(failures.map(({ detail }) => [detail['channel'], detail['code']])).toEqual([['slack', code]]);
    },
  );

  test('a process whose token is dead gives way at once to one whose token is good', async () => {
    await using world = await alarmWorld(server.url);
    const ref = await world.leak();
    const slack = {
      token: new Secret('xoxb-dead'),
      apiUrl: world.slack.apiUrl,
      operatorChannel: 'C0OPS',
      alertChannel: ALERT,
    };
    const dead = world.process({ only: ['slack'], env: { slack }, times: { alarmBackoffMs: 60_000 } });
    await dead.round();
    await dead.round();
    expect(await world.receipt(ref, 'slack')).toMatchObject({ status: 'failed', attempts: 1 });
    await world.process({ only: ['slack'] }).round();
    expect(await world.receipt(ref, 'slack')).toMatchObject({
      status: 'delivered',
      attempts: 2,
      error: null,
    });
    expect(world.slack.messages[0]?.text).not.toContain('Repeat');
  });

  test('the alert channel gone does not silence the direct message', async () => {
    await using world = await alarmWorld(server.url, { slack: { channels: ['C0OPS'] } });
    const ref = await world.leak();
    await world.process({ only: ['slack', 'dm'] }).round();
    expect(await world.receipt(ref, 'slack')).toMatchObject({ status: 'failed', error: { detail: expect.stringContaining('channel_not_found') } }); // prettier-ignore
    expect(await world.receipt(ref, 'dm')).toMatchObject({ status: 'delivered' });
  });
});

// oxfmt-ignore
const smtpFaults: readonly { is: string; fault: SmtpFault; code: string; repeat: boolean }[] = [
  { is: '421 at its greeting',        fault: { kind: 'busy' },                                            code: 'vendor_unavailable', repeat: false },
  { is: 'its only recipient put off', fault: { kind: 'refuse', to: 'ops@example.com', code: 451 },        code: 'vendor_unavailable', repeat: false },
  { is: 'its only recipient refused', fault: { kind: 'refuse', to: 'ops@example.com', code: 550 },        code: 'vendor_rejected',    repeat: false },
  { is: 'the message refused',        fault: { kind: 'refuse_data', code: 554 },                          code: 'vendor_rejected',    repeat: false },
  { is: 'silence after the message',  fault: { kind: 'hang_after_data' },                                 code: 'vendor_no_answer',   repeat: true },
  { is: 'an answer that is too late', fault: { kind: 'slow', ms: 2_000 },                                 code: 'vendor_no_answer',   repeat: true },
];

describe('the mail server', () => {
  test.for(smtpFaults)(
    '$is: Slack is told, and the mail goes out afterwards',
    async ({ fault, code, repeat }) => {
      await using world = await alarmWorld(server.url);
      world.smtp.script(fault);
      const ref = await world.leak();
      const own = world.process({
        only: ['slack', 'mail'],
        times: { alarmSendMs: 1_000, alarmLeaseMs: 1_500 },
      });
      await Promise.all([own.round(), until(() => world.slack.messages[0] ?? null)]);
      expect(await world.receipt(ref, 'slack')).toMatchObject({ status: 'delivered' });
      expect(await world.receipt(ref, 'mail')).toMatchObject({ status: 'failed', error: { code }, rev: 0 });

      await until(async () => {
        await own.deliver('mail');
        return (await world.receipt(ref, 'mail'))?.status === 'delivered' ? true : null;
      });
      const last = world.smtp.mails.at(-1);
      expect(last?.text.includes('Repeat (it may have reached you already)')).toBe(repeat);
      // A mailbox that knows the first one shows it once.
      expect(new Set(world.smtp.mails.map(({ messageId }) => messageId)).size).toBe(1);
    },
  );

  test('refuses connections: nothing was sent, so nothing is a repeat', async () => {
    await using world = await alarmWorld(server.url);
    await world.smtp.refuseConnections(true);
    const ref = await world.leak();
    const own = world.process({ only: ['mail'] });
    await own.round();
    expect(await world.receipt(ref, 'mail')).toMatchObject({ status: 'failed', begun: false, error: { code: 'vendor_unavailable' } }); // prettier-ignore
    await world.smtp.refuseConnections(false);
    await until(async () => {
      await own.deliver('mail');
      return world.smtp.mails[0] ?? null;
    });
    expect(world.smtp.mails[0]?.text).not.toContain('Repeat');
  });

  test('a wrong password is refused, and says what to mend', async () => {
    await using world = await alarmWorld(server.url);
    const ref = await world.leak();
    const mail = {
      host: world.smtp.host,
      port: world.smtp.port,
      tls: 'none',
      auth: { user: new Secret('velvet'), password: new Secret('wrong') },
      from: 'velvet@example.com',
      to: ['ops@example.com'],
    } as const;
    await world.process({ only: ['mail'], env: { mail } }).round();
    const receipt = await world.receipt(ref, 'mail');
    expect(receipt).toMatchObject({ status: 'failed', error: { code: 'vendor_rejected' } });
    expect(receipt?.error?.detail).toContain('EAUTH 535');
    expect(receipt?.error?.detail).toContain('SMTP_URL');
  });

  test('a server without TLS gets neither password nor message', async () => {
    await using world = await alarmWorld(server.url);
    const ref = await world.leak();
    const mail = {
      host: world.smtp.host,
      port: world.smtp.port,
      tls: 'required',
      auth: { user: new Secret('velvet'), password: new Secret('smtp-password-1') },
      from: 'velvet@example.com',
      to: ['ops@example.com'],
    } as const;
    await world.process({ only: ['mail'], env: { mail } }).round();
    expect((await world.receipt(ref, 'mail'))?.error?.detail).toContain('ETLS');
    expect(world.smtp.mails).toEqual([]);
  });

  test('one of two recipients refused for good: the other has it, and who has not is on record', async () => {
    await using world = await alarmWorld(server.url, { to: ['ops@example.com', 'gone@example.com'] });
    world.smtp.script({ kind: 'refuse', to: 'gone@example.com', code: 550 }, 9);
    const ref = await world.leak();
    const own = world.process({ only: ['mail'] });
    await own.round();
    expect(world.smtp.mails.map(({ to }) => to)).toEqual([['ops@example.com']]);
    expect(await world.receipt(ref, 'mail')).toMatchObject({
      status: 'delivered',
      rejected: [{ to: 'gone@example.com', error: expect.stringContaining('550'), retry_at: null }],
    });
    await own.round();
    expect(world.smtp.mails).toHaveLength(1);
    expect((await world.events(ref))[0]?.detail['rejected']).toMatchObject([{ to: 'gone@example.com' }]);
  });

  test('one of two put off for the moment is tried again alone, with the whole message', async () => {
    await using world = await alarmWorld(server.url, { to: ['ops@example.com', 'grey@example.com'] });
    world.smtp.script({ kind: 'refuse', to: 'grey@example.com', code: 451 }, 2);
    const ref = await world.leak({ leaking: { 'console-prod': 'accepting' } });
    const own = world.process({ only: ['mail'], times: { alarmRecipientMs: 1, alarmRecipientMaxMs: 1 } });
    await until(async () => {
      await own.deliver('mail');
      return world.smtp.mails[1] ?? null;
    });
    expect(world.smtp.mails.map(({ to }) => to)).toEqual([['ops@example.com'], ['grey@example.com']]);
    expect(world.smtp.mails[1]?.text).toContain('• console-prod: accepting');
    expect(world.smtp.mails[1]?.text).not.toContain('Update');
    expect(await world.receipt(ref, 'mail')).toMatchObject({ status: 'delivered', rejected: [] });
  });
});

test('the webhook: a refusal is on record, and the event goes out afterwards', async () => {
  await using world = await alarmWorld(server.url);
  world.pagerDuty.script({ on: 'POST /v2/enqueue', do: { status: 400, body: { status: 'invalid event' } } });
  const ref = await world.leak();
  const own = world.process({ only: ['webhook'] });
  await own.round();
  expect(await world.receipt(ref, 'webhook')).toMatchObject({
    status: 'failed',
    error: { code: 'vendor_rejected' },
  });
  await until(async () => {
    await own.deliver('webhook');
    return world.pagerDuty.events[0] ?? null;
  });
});

test('one alarm that nobody takes holds up no other', async () => {
  await using world = await alarmWorld(server.url, { slack: { channels: [ALERT] } });
  const nobodys = await world.leak({ credential: 'HK_NOBODYS', person: 'U0GONE' });
  const somebodys = await world.leak({ credential: 'HK_SOMEBODYS' });
  const own = world.process({ only: ['dm'] });
  await until(async () => {
    await own.deliver('dm');
    return (await world.receipt(somebodys, 'dm'))?.status === 'delivered' ? true : null;
  });
  expect(await world.receipt(nobodys, 'dm')).toMatchObject({ status: 'failed', rev: 0 });
});

test('what a channel refuses for a day is given up there, once, and taken up again by a change', async () => {
  await using world = await alarmWorld(server.url, { slack: { channels: [] } });
  const ref = await world.leak();
  const own = world.process({
    only: ['slack'],
    times: { alarmGiveUpMs: 1, alarmBackoffMs: 1, alarmBackoffMaxMs: 1 },
  });
  await until(async () => {
    await own.deliver('slack');
    return (await world.events(ref)).find(({ event }) => event === 'alarm_given_up') ?? null;
  });
  const attempts = (await world.receipt(ref, 'slack'))?.attempts;
  await own.round();
  expect((await world.receipt(ref, 'slack'))?.attempts).toBe(attempts);
  expect((await world.events(ref)).map(({ event }) => event)).toEqual(['alarm_failed', 'alarm_given_up']);

  await world.change(ref, [row('console-prod', 'failed', 'erroring')]);
  await until(async () => {
    await own.deliver('slack');
    return ((await world.receipt(ref, 'slack'))?.attempts ?? 0) > (attempts ?? 0) ? true : null;
  });
});

test('a channel that failed for long, and is well again, hears of the next alarm in time', async () => {
  await using world = await alarmWorld(server.url);
  const own = world.process({ only: ['slack'], times: { alarmBackoffMs: times.alarmBackoffMaxMs, alarmBackoffMaxMs: times.alarmBackoffMaxMs } }); // prettier-ignore
  await world.leak({ credential: 'HK_BEFORE' });
  world.slack.script({ on: POST, do: { status: 500, body: 'oh no' } });
  await own.round();
  // Nobody tries for so long: what a 500 was about may have been posted.
  const silentMs = await world.alarms.pausedMs('slack');
  expect(silentMs).toBeGreaterThan(0);
  // One that begins to hang just then is tried once more.
  const worstMs = silentMs + 2 * (times.alarmStandInPollMs + times.alarmLeaseMs);
  expect(worstMs, 'of the 30 s').toBeLessThanOrEqual(30_000);
});
