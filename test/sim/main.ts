// The demo's outside world as one real process: Heroku, Slack and four apps. Law: its one line on stdout is the only thing it ever says.
import { startConsumer } from './consumer.ts';
import { startHeroku } from './heroku.ts';
import { startSlack } from './slack.ts';

const CREDENTIAL = 'HK_PLATFORM_FULL';
const KEY = 'HEROKU_API_KEY';
const PATH = '/healthz/heroku';
const OPERATOR = 'U0OPERATOR';
const OPERATOR_CHANNEL = 'C0VELVETOPS';
const SLACK_TOKEN = `xoxb-${crypto.randomUUID()}`;

const demoApps = [
  { name: 'raxx-console-prod', answersChallenge: true },
  // The one that has to be proven by its dynos and a second look.
  { name: 'raxx-api-prod', answersChallenge: false },
  { name: 'raxx-console-staging', answersChallenge: true },
  { name: 'raxx-api-staging', answersChallenge: true },
] as const;

// Short enough to watch, long enough that a release is seen pending and a dyno starting.
const heroku = await startHeroku({ bootMs: 1_200, releaseMs: 600 });
const slack = await startSlack({ token: SLACK_TOKEN, users: [OPERATOR], channels: [OPERATOR_CHANNEL] });
const account = heroku.createAccount({ email: 'ops@example.com' });
const bootstrap = account.authorize({ description: 'HK_VELVET_BOOTSTRAP' });
const credential = account.authorize({ description: CREDENTIAL });

const consumers = await Promise.all(
  demoApps.map(async ({ name, answersChallenge }) => {
    const app = heroku.createApp(account, name, {
      config: { [KEY]: credential.token, NODE_ENV: 'production' },
    });
    const consumer = await startConsumer({ heroku: heroku.url, app, key: KEY, path: PATH, answersChallenge });
    return { name, consumer };
  }),
);

process.stdout.write(
  `${JSON.stringify({
    heroku_url: heroku.url,
    slack_url: slack.apiUrl,
    slack_token: SLACK_TOKEN,
    operator_slack_user: OPERATOR,
    operator_channel: OPERATOR_CHANNEL,
    bootstrap_token: bootstrap.token,
    credential: { name: CREDENTIAL, token: credential.token },
    apps: consumers.map(({ name, consumer }) => ({ app: name, health_url: consumer.healthUrl })),
  })}\n`,
);

const stop = async () => {
  await Promise.all([heroku.close(), slack.close(), ...consumers.map(({ consumer }) => consumer.close())]);
  process.exit(0);
};
process.once('SIGTERM', () => void stop());
process.once('SIGINT', () => void stop());
