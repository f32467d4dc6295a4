// The demo's outside world as one real process: Heroku, GitHub, Slack, a mail server and four apps. Law: its one line on stdout is the only thing it ever says; what its Slack and its mail server took can be asked for.
import { parseArgs } from 'node:util';
import { startConsumer } from './consumer.ts';
import { startGithub } from './github.ts';
import { startHeroku } from './heroku.ts';
import { admitAll, startSim } from './server.ts';
import { slackLimits, startSlack } from './slack.ts';
import { startSmtp } from './smtp.ts';

const CREDENTIAL = 'HK_PLATFORM_FULL';
const KEY = 'HEROKU_API_KEY';
const PATH = '/healthz/heroku';
const OPERATOR = 'U0OPERATOR';
const OPERATOR_CHANNEL = 'C0VELVETOPS';
const ALERT_CHANNEL = 'C0VELVETSEV1';
const SLACK_TOKEN = `xoxb-${crypto.randomUUID()}`;
const SMTP_LOGIN = { user: 'velvet', password: crypto.randomUUID() };

const { values: asked } = parseArgs({
  options: {
    /** Its first write finds no app. */
    'missing-app': { type: 'string' },
    /** Its health endpoint keeps the first success and answers it until the app is restarted. */
    'caching-app': { type: 'string' },
    /** It answers 500 while it runs on any other token than the first. */
    'breaking-app': { type: 'string' },
  },
});

const demoApps = [
  { name: 'raxx-console-prod', answersChallenge: true },
  // The one that has to be proven by its dynos and a second look.
  { name: 'raxx-api-prod', answersChallenge: false },
  { name: 'raxx-console-staging', answersChallenge: true },
  { name: 'raxx-api-staging', answersChallenge: true },
] as const;

// Short enough to watch, long enough that a release is seen pending and a dyno starting.
const heroku = await startHeroku({ bootMs: 1_200, releaseMs: 600 });
const slack = await startSlack({
  token: SLACK_TOKEN,
  users: [OPERATOR],
  channels: [OPERATOR_CHANNEL, ALERT_CHANNEL],
  ...slackLimits,
});
const smtp = await startSmtp({ login: SMTP_LOGIN });
const account = heroku.createAccount({ email: 'ops@example.com' });
const bootstrap = account.authorize({ description: 'HK_VELVET_BOOTSTRAP' });
const credential = account.authorize({ description: CREDENTIAL });

const github = await startGithub();
const owner = await github.createOwner('raxx-app');
const repository = await github.createRepo(owner, 'console');
const githubApp = github.createApp();
github.install(githubApp, owner, { repositories: [repository] });

if (asked['missing-app'] !== undefined)
  heroku.script({
    on: 'PATCH /apps/:app/config-vars',
    where: ({ params }) => params['app'] === asked['missing-app'],
    do: { status: 404, body: { id: 'not_found', message: "Couldn't find that app." } },
  });

const consumers = await Promise.all(
  demoApps.map(async ({ name, answersChallenge }) => {
    const app = heroku.createApp(account, name, {
      config: { [KEY]: credential.token, NODE_ENV: 'production' },
    });
    const consumer = await startConsumer({ heroku: heroku.url, app, key: KEY, path: PATH, answersChallenge });
    const health = `GET ${PATH}`;
    if (name === asked['caching-app']) {
      const cache = { holds: true };
      app.onRestart(() => (cache.holds = false));
      const kept = { status: 200, body: { status: 'ok' } };
      consumer.script({ on: health, times: Infinity, where: () => cache.holds, do: kept });
    }
    if (name === asked['breaking-app']) {
      const broken = () => app.env()[KEY] !== credential.token;
      const answer = { status: 500, body: { status: 'login failed' } };
      consumer.script({ on: health, times: Infinity, where: broken, do: answer });
    }
    return { name, app, consumer };
  }),
);

// What an operator would look at, and do by hand: the messages, and `heroku ps:restart`.
const desk = await startSim<null>({
  routes: {
    'GET /received': () => ({ status: 200, body: { slack: slack.messages, mails: smtp.mails } }),
    'POST /apps/:app/restart': ({ request }) => {
      const found = consumers.find(({ name }) => name === request.params['app']);
      found?.app.restart();
      return { status: found === undefined ? 404 : 202, body: {} };
    },
  },
  authorize: admitAll,
  notFound: { status: 404, body: {} },
  badBody: { status: 400, body: {} },
  rateLimited: () => ({ status: 429, body: {} }),
});

process.stdout.write(
  `${JSON.stringify({
    heroku_url: heroku.url,
    github_url: github.url,
    github_authority: githubApp.authority,
    slack_url: slack.apiUrl,
    slack_token: SLACK_TOKEN,
    operator_slack_user: OPERATOR,
    operator_channel: OPERATOR_CHANNEL,
    alert_channel: ALERT_CHANNEL,
    mail: { host: smtp.host, port: smtp.port, ...SMTP_LOGIN },
    desk_url: desk.url,
    bootstrap_token: bootstrap.token,
    credential: { name: CREDENTIAL, token: credential.token },
    apps: consumers.map(({ name, consumer }) => ({ app: name, health_url: consumer.healthUrl })),
  })}\n`,
);

const stop = async () => {
  await Promise.all([
    heroku.close(),
    github.close(),
    slack.close(),
    smtp.close(),
    desk.close(),
    ...consumers.map(({ consumer }) => consumer.close()),
  ]);
  process.exit(0);
};
process.once('SIGTERM', () => void stop());
process.once('SIGINT', () => void stop());
