// The world outside a fleet: Heroku, Slack, a mail server and the consumers of each credential, as servers that remember what became of whom.
import { systemClock } from '../../shared/lib/clock.ts';
import { startConsumer, type ConsumerSim } from '../sim/consumer.ts';
import type { HerokuAccount } from '../sim/heroku-accounts.ts';
import type { HerokuApp } from '../sim/heroku-apps.ts';
import { startHeroku, type HerokuSim } from '../sim/heroku.ts';
import { slackLimits, startSlack, type SlackSim } from '../sim/slack.ts';
import { startSmtp, type SmtpSim } from '../sim/smtp.ts';

export const ENV = 'development';
export const KEY = 'HEROKU_API_KEY';
export const SLACK_USER = 'U0OPERATOR';
export const SLACK_CHANNEL = 'C0VELVETOPS';
export const ALERT_CHANNEL = 'C0VELVETALERT';
export const MAIL_TO = ['ops@example.com', 'security@example.com'] as const;
export const HEALTH_ROUTE = 'GET /healthz/heroku';

export interface OutsideOptions {
  readonly credentials: number;
  /** For each credential. The second one answers no challenge: it has to be proven by read_back. */
  readonly consumers: number;
  readonly healthcheckAfter: number;
  /** For emergencies: the alarm has a channel of its own and mail, Slack has its limits, and each credential has this settle window. */
  readonly emergency: { readonly settleSeconds: number } | null;
}

export interface Consumer {
  readonly id: string;
  readonly app: HerokuApp;
  readonly sim: ConsumerSim;
  readonly wave: number;
}

export interface Held {
  readonly name: string;
  /** What is adopted. */
  readonly first: { readonly id: string; readonly token: string };
  readonly consumers: readonly Consumer[];
}

/** A token's end at the vendor, and what every app ran on in that moment. */
export interface Death {
  readonly id: string;
  readonly at: number;
  readonly running: ReadonlyMap<string, string>;
}

export interface Outside {
  readonly heroku: HerokuSim;
  readonly account: HerokuAccount;
  readonly slack: SlackSim;
  readonly slackToken: string;
  readonly smtp: SmtpSim;
  readonly smtpPassword: string;
  readonly bootstrap: { readonly id: string; readonly token: string };
  readonly credentials: readonly Held[];
  /** Every token that was ever made there: what must be found nowhere. */
  readonly made: readonly { readonly id: string; readonly token: string }[];
  readonly deaths: readonly Death[];
  close(): Promise<void>;
}

/** Long enough that a release is seen pending and a dyno starting. */
const RELEASE_MS = 800;
const BOOT_MS = 800;

export async function startOutside(options: OutsideOptions): Promise<Outside> {
  const heroku = await startHeroku({ releaseMs: RELEASE_MS, bootMs: BOOT_MS });
  const slackToken = `xoxb-${crypto.randomUUID()}`;
  const slack = await startSlack({
    token: slackToken,
    users: [SLACK_USER],
    channels: [SLACK_CHANNEL, ALERT_CHANNEL],
    ...(options.emergency === null ? {} : slackLimits),
  });
  const smtpPassword = crypto.randomUUID();
  const smtp = await startSmtp({ login: { user: 'velvet', password: smtpPassword } });
  const account = heroku.createAccount();
  const made: { id: string; token: string }[] = [];
  const authorize = account.authorize.bind(account);
  account.authorize = (given) => {
    const authorization = authorize(given);
    made.push(authorization);
    return authorization;
  };
  const bootstrap = account.authorize({ description: 'HK_VELVET_BOOTSTRAP' });
  const credentials: Held[] = [];
  for (let n = 1; n <= options.credentials; n += 1)
    credentials.push(await openCredential({ heroku, account }, `HK_FLEET_${n}`, options));

  const apps = credentials.flatMap(({ consumers }) => consumers.map(({ app }) => app));
  const deaths: Death[] = [];
  const revoke = account.revoke.bind(account);
  account.revoke = (id) => {
    const running = new Map(apps.map((app) => [app.name, app.env()[KEY] ?? '']));
    const gone = revoke(id);
    if (gone !== null) deaths.push({ id, at: systemClock.now(), running });
    return gone;
  };
  const sims = credentials.flatMap(({ consumers }) => consumers.map(({ sim }) => sim));
  return {
    heroku,
    account,
    slack,
    slackToken,
    smtp,
    smtpPassword,
    bootstrap,
    credentials,
    made,
    deaths,
    async close() {
      await Promise.all([heroku.close(), slack.close(), smtp.close(), ...sims.map((sim) => sim.close())]);
    },
  };
}

async function openCredential(
  { heroku, account }: Pick<Outside, 'heroku' | 'account'>,
  name: string,
  options: OutsideOptions,
): Promise<Held> {
  const first = account.authorize({ description: name });
  const consumers: Consumer[] = [];
  for (let n = 1; n <= options.consumers; n += 1) {
    const appName = `${name.toLowerCase().replaceAll('_', '-')}-app-${n}`;
    const app = heroku.createApp(account, appName, { config: { [KEY]: first.token, OTHER: 'left alone' } });
    const answersChallenge = n !== 2;
    const path = HEALTH_ROUTE.replace('GET ', '');
    const sim = await startConsumer({ heroku: heroku.url, app, key: KEY, path, answersChallenge });
    // The last one forms a wave of its own, so that health between waves is looked at too.
    consumers.push({ id: `consumer-${n}`, app, sim, wave: n === options.consumers ? 2 : 1 });
  }
  return { name, first, consumers };
}

/** JSON is YAML. */
export function manifestOf(
  { heroku, credentials }: Outside,
  { healthcheckAfter, emergency }: OutsideOptions,
): string {
  const rows = credentials.flatMap(({ name, consumers }) =>
    consumers.map(({ id, app, sim, wave }) => ({
      token_name: name,
      consumer_id: id,
      env: ENV,
      wave,
      active: true,
      update_method: 'HEROKU_CONFIG_PATCH',
      update_endpoint: `${heroku.url}/apps/${app.name}/config-vars`,
      update_key: KEY,
      update_auth_token_name: 'HK_VELVET_BOOTSTRAP',
      healthcheck_endpoint: sim.healthUrl,
      healthcheck_after: healthcheckAfter,
      capabilities: ['update', 'healthcheck'],
    })),
  );
  const declared = credentials.map(({ name }) => ({
    token_name: name,
    issuer: 'heroku-oauth',
    issuer_auth_token_name: 'HK_VELVET_BOOTSTRAP',
    scope: 'shared',
    entropy: 'high',
    active: true,
    ...(emergency === null ? {} : { settle_seconds: emergency.settleSeconds }),
  }));
  return JSON.stringify({ version: 2, credentials: declared, subscribers: rows }, null, 2);
}
