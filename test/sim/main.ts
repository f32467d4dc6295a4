// The demo's outside world as one real process: Heroku, GitHub, Slack and four apps. Law: its one line on stdout is the only thing it ever says. `--missing-app <app>`: its first write finds no app.
import { parseArgs } from 'node:util';
import { startConsumer } from './consumer.ts';
import { startGithub } from './github.ts';
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

const github = await startGithub();
const owner = await github.createOwner('raxx-app');
const repository = await github.createRepo(owner, 'console');
const githubApp = github.createApp();
github.install(githubApp, owner, { repositories: [repository] });

const { values: asked } = parseArgs({ options: { 'missing-app': { type: 'string' } } });
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
    return { name, consumer };
  }),
);

process.stdout.write(
  `${JSON.stringify({
    heroku_url: heroku.url,
    github_url: github.url,
    github_authority: githubApp.authority,
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
  await Promise.all([
    heroku.close(),
    github.close(),
    slack.close(),
    ...consumers.map(({ consumer }) => consumer.close()),
  ]);
  process.exit(0);
};
process.once('SIGTERM', () => void stop());
process.once('SIGINT', () => void stop());
