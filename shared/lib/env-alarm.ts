// The part of the environment that says where the alarm goes. Every worker family reads it: whichever of them is left tells.
import { isLoopback } from './env-reader.ts';
import type { EnvReader } from './env-reader.ts';
import { readVendorUrl } from './env-vendors.ts';
import { Secret } from './secret.ts';

export interface SlackEnv {
  readonly token: Secret;
  /** With a slash at its end. */
  readonly apiUrl: string;
  readonly operatorChannel: string;
  readonly alertChannel: string;
}

export interface MailEnv {
  readonly host: string;
  readonly port: number;
  /** `implicit`: TLS from the first byte · `required`: STARTTLS, or nothing is sent · `none`: a server on the own machine, in a test. */
  readonly tls: 'implicit' | 'required' | 'none';
  /** With some providers the name is as secret as the password. */
  readonly auth: { readonly user: Secret; readonly password: Secret } | null;
  readonly from: string;
  readonly to: readonly string[];
}

export interface WebhookEnv {
  /** Whole: whoever knows it can raise and end alarms there. */
  readonly url: Secret;
}

/** Each null where it is not configured. */
export interface AlarmEnv {
  readonly slack: SlackEnv | null;
  readonly mail: MailEnv | null;
  readonly webhook: WebhookEnv | null;
}

export function readAlarm(reader: EnvReader): AlarmEnv {
  return { slack: readSlack(reader), mail: readMail(reader), webhook: readWebhook(reader) };
}

function readSlack(reader: EnvReader): SlackEnv | null {
  const token = reader.secret('SL_BOT_NOTIFY');
  const apiUrl = `${readVendorUrl(reader, 'SLACK_API_URL', 'https://slack.com/api')}/`;
  const operator = reader.get('SLACK_OPERATOR_CHANNEL');
  const alert = reader.get('SLACK_ALERT_CHANNEL');
  if (token === null) return null;
  if (operator === undefined && alert === undefined)
    reader.problem(
      'SLACK_ALERT_CHANNEL is not set: set it to a channel id, since SL_BOT_NOTIFY is set and an alarm must reach someone.',
    );
  // One channel for both is what a small team has; an alarm in the other channel is better than one in none.
  return { token, apiUrl, operatorChannel: operator ?? alert ?? '', alertChannel: alert ?? operator ?? '' };
}

const ADDRESS = /^[^\s@,;<>()"\\]{1,64}@[A-Za-z0-9.-]{1,253}$/;
const SMTP_FORM =
  'smtps://<user>:<password>@<host>:465 or, with STARTTLS, smtp://<user>:<password>@<host>:587, user and password percent-encoded, with ?from=<address> where the sender is not the first of OPS_ALERT_EMAIL';

function readMail(reader: EnvReader): MailEnv | null {
  const url = reader.secret('SMTP_URL') === null ? undefined : reader.get('SMTP_URL');
  const list = reader.get('OPS_ALERT_EMAIL');
  if (url !== undefined && list === undefined)
    reader.problem(
      'OPS_ALERT_EMAIL is not set: set it to one or more addresses with commas between them, since SMTP_URL is set and an alarm must reach someone.',
    );
  if (url === undefined && list !== undefined)
    reader.problem(`SMTP_URL is not set: set it to ${SMTP_FORM}, since OPS_ALERT_EMAIL is set.`);
  const to = list?.split(',').map((one) => one.trim()) ?? [];
  if (to.some((one) => !ADDRESS.test(one)))
    reader.problem('OPS_ALERT_EMAIL must be e-mail addresses alone, with commas between them.');
  if (url === undefined) return null;
  const server = readServer(reader, url, to[0] ?? '');
  if (server === null) reader.problem(`SMTP_URL must be ${SMTP_FORM}.`);
  return server && { ...server, to };
}

/** Null where the address is none of a mail server. */
function readServer(reader: EnvReader, text: string, first: string): Omit<MailEnv, 'to'> | null {
  const url = URL.parse(text);
  if (url === null || !/^smtps?:$/.test(url.protocol) || url.hostname === '') return null;
  const sender = url.searchParams.get('from');
  const asked = [...url.searchParams.keys()].every((name) => name === 'from');
  const bare = /^\/?$/.test(url.pathname) && url.hash === '' && asked;
  const user = decoded(url.username);
  const password = decoded(url.password);
  if (!bare || user === null || password === null || (user === '') !== (password === '')) return null;
  if (sender !== null && !ADDRESS.test(sender)) return null;
  const implicit = url.protocol === 'smtps:';
  const own = isLoopback(url.hostname) && reader.get('VELVET_ALLOW_LOOPBACK') === '1';
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? (implicit ? 465 : 587) : Number(url.port),
    tls: implicit ? 'implicit' : own ? 'none' : 'required',
    auth: user === '' ? null : { user: new Secret(user), password: new Secret(password) },
    from: sender ?? first,
  };
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    // A percent sign that stands for itself.
    return null;
  }
}

function readWebhook(reader: EnvReader): WebhookEnv | null {
  const loopback = reader.get('VELVET_ALLOW_LOOPBACK') === '1';
  const url = reader.pageUrl('ALERT_WEBHOOK_URL', { loopback });
  return url === null ? null : { url: new Secret(url) };
}
