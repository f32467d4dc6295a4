// The alarm by mail, through nodemailer. Law: one try per delivery, in a lease; TLS or nothing; what a server says is reduced to its codes.
import { createHash } from 'node:crypto';
import { createTransport, type SendMailOptions } from 'nodemailer';
import type { MailEnv } from '../../shared/lib/env-alarm.ts';
import { VelvetError, type ErrorCode } from '../../shared/lib/errors.ts';
import { owedTo } from '../../shared/rotation/alarm.ts';
import type { Times } from '../../shared/times.ts';
import { plainScript, type Message } from './alarm-messages.ts';
import type { Channel, Sent } from './pager.ts';

/** One mail holds any burst: what it would take to fill this nobody reads. */
const ROOM = 300_000;
const MOST = 500;
const ALL = 'all';

export interface MailDeps {
  readonly env: MailEnv;
  readonly times: Pick<Times, 'alarmSendMs'>;
}

export function mailChannel({ env, times }: MailDeps): Channel {
  return {
    name: 'mail',
    paceMs: 0,
    most: MOST,
    room: ROOM,
    script: plainScript,
    audience({ owed, receipt }) {
      const only = owedTo(receipt).map(({ to }) => to);
      return owed ? only.join(',') : ALL;
    },
    async send(call, message, audience) {
      const to = audience === ALL ? env.to : audience.split(',');
      // Whole milliseconds: a timer of Node's takes no others.
      const lasts = Math.floor(Math.min(times.alarmSendMs, call.lease?.remainingMs() ?? 0));
      if (lasts <= 0) throw new VelvetError('lease_over', 'mail: not sent, the lease is over');
      const transport = transportOf(env, lasts);
      try {
        return sentOf(await transport.sendMail(mailOf(env, message, to, AbortSignal.any([call.signal, AbortSignal.timeout(lasts)])))); // prettier-ignore
      } catch (error) {
        throw classified(error, env);
      } finally {
        // With its credential: the next delivery may be after a change of it.
        transport.close();
      }
    },
  };
}

function transportOf({ host, port, tls, auth }: MailEnv, ms: number) {
  return createTransport({
    host,
    port,
    secure: tls === 'implicit',
    // Without it a STARTTLS that somebody strips on the way is not missed, and the password goes out in clear.
    requireTLS: tls === 'required',
    ignoreTLS: tls === 'none',
    ...(auth === null ? {} : { auth: { user: auth.user.reveal(), pass: auth.password.reveal() } }),
    // Its own defaults are minutes.
    connectionTimeout: ms,
    greetingTimeout: ms,
    socketTimeout: ms,
    dnsTimeout: ms,
    disableFileAccess: true,
    disableUrlAccess: true,
    logger: false,
  });
}

function mailOf(
  { from }: MailEnv,
  { subject, text, parts }: Message,
  to: readonly string[],
  signal: AbortSignal,
): SendMailOptions {
  const about = parts.map(({ subject: { state } }) => `${state.ref.jobId}.${state.raised.episode}.${state.raised.rev}`); // prettier-ignore
  const [only = ''] = about;
  // The same for a repeat of the same news, so that a mailbox that cares shows it once.
  const id = about.length === 1 ? only : createHash('sha256').update(about.toSorted().join(' ')).digest('hex').slice(0, 32); // prettier-ignore
  return {
    from: { name: 'Velvet', address: from },
    to: [...to],
    subject,
    text: `${text}\n`,
    messageId: `<alarm.${id}@${from.split('@')[1] ?? 'velvet'}>`,
    priority: 'high',
    headers: { 'Auto-Submitted': 'auto-generated' },
    signal,
  };
}

interface SmtpFailure {
  readonly code?: string;
  readonly responseCode?: number;
  readonly command?: string;
  readonly permanent?: boolean;
  readonly response?: string;
  readonly recipient?: string;
}

interface Answered {
  readonly rejected?: readonly (string | { readonly address: string })[];
  readonly rejectedErrors?: readonly unknown[] | undefined;
  readonly messageId: string;
}

/** What one recipient was refused with stands with the answer: the others have it. */
function sentOf({ rejected = [], rejectedErrors = [], messageId }: Answered): Sent {
  const failures = rejectedErrors.map(factsOf);
  return {
    ref: messageId,
    rejected: rejected.map((one, n) => {
      const to = typeof one === 'string' ? one : one.address;
      const failure = failures.find(({ recipient }) => recipient === to) ?? failures[n] ?? {};
      return { to, error: saidBy(failure), temporary: failure.permanent === false };
    }),
  };
}

/** Before any of these a message has not left; at their refusal it has not been taken. */
const before = new Set(['CONN', 'EHLO', 'HELO', 'STARTTLS', 'MAIL FROM', 'RCPT TO']);

function classified(error: unknown, { host }: MailEnv): VelvetError {
  const failure = factsOf(error);
  const { code = 'unknown', responseCode, command = '', permanent } = failure;
  const refused = responseCode !== undefined;
  const notSent = refused || before.has(command) || command.startsWith('AUTH') || ['EDNS', 'ECONNECTION', 'ETLS', 'EAUTH', 'EENVELOPE'].includes(code); // prettier-ignore
  const our: ErrorCode = !notSent ? 'vendor_no_answer' : (refused && permanent !== false) || code === 'ETLS' || code === 'EAUTH' ? 'vendor_rejected' : 'vendor_unavailable'; // prettier-ignore
  const said = saidBy(failure);
  const detail = `The mail server ${host} did not take the alarm: ${said}. ${nextStep(code, our)}`;
  return new VelvetError(our, `mail: ${said}`, { detail, kind: code });
}

function nextStep(code: string, our: ErrorCode): string {
  if (code === 'EAUTH') return 'Put a good user and password into SMTP_URL.';
  if (code === 'ETLS')
    return 'It offers no TLS, and without it nothing is sent: name another server in SMTP_URL.';
  if (code === 'EENVELOPE') return 'Check OPS_ALERT_EMAIL, and whether the server takes mail from this sender (?from= in SMTP_URL).'; // prettier-ignore
  if (our === 'vendor_no_answer') return 'It may have taken it all the same; it is sent again, as a repeat.';
  return 'It is tried again; check SMTP_URL and the server.';
}

function factsOf(error: unknown): SmtpFailure {
  return typeof error === 'object' && error !== null ? error : {};
}

/** Codes alone: a server's own words may repeat what it was sent. */
function saidBy({ code = 'unknown', responseCode, response = '', command }: SmtpFailure): string {
  const status = /\b[245]\.\d{1,3}\.\d{1,3}\b/.exec(response)?.[0];
  const parts = [
    code,
    responseCode,
    status,
    command === undefined ? undefined : `at ${command.split(' ')[0]}`,
  ];
  return parts
    .filter((part) => part !== undefined)
    .join(' ')
    .slice(0, 80);
}
