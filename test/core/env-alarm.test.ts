// The alarm's channels in the environment: every worker family has the same, and no problem shows a value.
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { readEnv } from '../../shared/lib/env.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { full, problemsOf } from './env-fixture.ts';

const mail = {
  SMTP_URL: 'smtps://velvet:p%40ss@mail.example.com',
  OPS_ALERT_EMAIL: 'ops@example.com, on-call@example.com',
};
const webhook = { ALERT_WEBHOOK_URL: 'https://events.pagerduty.com/v2/enqueue?routing_key=secret-key' };
const families = ['stage', 'distribute', 'healthcheck', 'notifier'] as const;

test.for(families)('%s has mail and webhook, with nothing secret that prints', (family) => {
  const env = readEnv(family, { ...full, ...mail, ...webhook });
  expect(env.mail).toMatchObject({
    host: 'mail.example.com',
    port: 465,
    tls: 'implicit',
    from: 'ops@example.com',
    to: ['ops@example.com', 'on-call@example.com'],
  });
  expect(env.mail?.auth?.password.equals(new Secret('p@ss'))).toBe(true);
  expect(env.webhook?.url.equals(new Secret(webhook.ALERT_WEBHOOK_URL))).toBe(true);
  expect(`${inspect(env, { depth: 9 })}${JSON.stringify(env)}`).not.toMatch(/p@ss|p%40ss|secret-key/);
});

test('web has none of it, and nothing of it is required', () => {
  expect(readEnv('web', { ...full, ...mail, ...webhook })).not.toHaveProperty('mail');
  expect(readEnv('notifier', full)).toMatchObject({ slack: null, mail: null, webhook: null });
});

test('smtp:// demands STARTTLS, but for a server on the own machine where that is allowed', () => {
  const of = (more: object) => readEnv('notifier', { ...full, ...mail, ...more }).mail;
  expect(of({ SMTP_URL: 'smtp://u:p@mail.example.com' })).toMatchObject({ port: 587, tls: 'required' });
  expect(of({ SMTP_URL: 'smtp://127.0.0.1:2525' })).toMatchObject({ tls: 'required', auth: null });
  expect(of({ SMTP_URL: 'smtp://127.0.0.1:2525', VELVET_ALLOW_LOOPBACK: '1' })).toMatchObject({
    port: 2525,
    tls: 'none',
  });
  expect(of({ SMTP_URL: 'smtp://[::1]:2525', VELVET_ALLOW_LOOPBACK: '1' })).toMatchObject({
    host: '::1',
    tls: 'none',
  });
  expect(of({ SMTP_URL: 'smtps://u:p@mail.example.com?from=velvet@example.org' })?.from).toBe(
    'velvet@example.org',
  );
});

describe('problems', () => {
  // oxfmt-ignore
  const refused: readonly (readonly [is: string, source: Readonly<Record<string, string>>, problem: RegExp])[] = [
    ['a server without recipients', { SMTP_URL: mail.SMTP_URL }, /^OPS_ALERT_EMAIL is not set/],
    ['recipients without a server', { OPS_ALERT_EMAIL: 'ops@example.com' }, /^SMTP_URL is not set: set it to smtps:/],
    ['a recipient that is none', { ...mail, OPS_ALERT_EMAIL: 'ops@example.com,hidden-name' }, /^OPS_ALERT_EMAIL must be e-mail addresses/],
    ['a recipient with a name', { ...mail, OPS_ALERT_EMAIL: 'Ops <ops@example.com>' }, /^OPS_ALERT_EMAIL must be e-mail addresses/],
    ['another protocol', { ...mail, SMTP_URL: 'https://hidden:hidden@mail.example.com' }, /^SMTP_URL must be smtps:/],
    ['no host', { ...mail, SMTP_URL: 'smtps://' }, /^SMTP_URL must be/],
    ['a user without a password', { ...mail, SMTP_URL: 'smtps://hidden@mail.example.com' }, /^SMTP_URL must be/],
    ['a percent sign that stands for itself', { ...mail, SMTP_URL: 'smtps://u:hidden%@mail.example.com' }, /^SMTP_URL must be/],
    ['an option that is not known', { ...mail, SMTP_URL: 'smtps://u:hidden@mail.example.com?tls=hidden' }, /^SMTP_URL must be/],
    ['a sender that is none', { ...mail, SMTP_URL: 'smtps://u:hidden@mail.example.com?from=hidden' }, /^SMTP_URL must be/],
    ['white space around it', { ...mail, SMTP_URL: ' smtps://u:hidden@mail.example.com\n' }, /^SMTP_URL must be set without the white space/],
    ['a webhook without TLS', { ALERT_WEBHOOK_URL: 'http://hidden.example.com/' }, /^ALERT_WEBHOOK_URL must be an https address/],
  ];

  test.for(refused)('%s', ([, source, problem]) => {
    const problems = problemsOf('notifier', { ...full, ...source });
    expect(problems).toEqual([expect.stringMatching(problem)]);
    expect(problems.join()).not.toContain('hidden');
  });
});
