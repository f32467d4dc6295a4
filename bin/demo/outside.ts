// The demo's outside world, as its one line describes it, and the manifest that leads there instead of to the real vendors.
import { parseDocument, isMap, isScalar, isSeq, type YAMLMap } from 'yaml';
import { z } from 'zod';
import { herokuAppOf } from '../../shared/manifest/addresses.ts';
import { refuse } from '../cli/say.ts';

const outsideSchema = z.object({
  heroku_url: z.url(),
  github_url: z.url(),
  /** The GitHub App's id and key, as Velvet's vault keeps them. */
  github_authority: z.string().min(1),
  slack_url: z.url(),
  slack_token: z.string().min(1),
  operator_slack_user: z.string().min(1),
  operator_channel: z.string().min(1),
  alert_channel: z.string().min(1),
  mail: z.object({ host: z.string(), port: z.number(), user: z.string(), password: z.string().min(1) }),
  /** Where the simulators tell what Slack and the mail server took, and an app can be restarted. */
  desk_url: z.url(),
  bootstrap_token: z.string().min(1),
  credential: z.object({ name: z.string(), token: z.string().min(1) }),
  apps: z.array(z.object({ app: z.string(), health_url: z.url() })).min(1),
});
export type Outside = z.infer<typeof outsideSchema>;

export function parseOutside(line: string): Outside {
  return outsideSchema.parse(JSON.parse(line));
}

/** What is shortened so that nobody need wait; each in seconds. */
export interface Haste {
  readonly settle_seconds: number;
  readonly healthcheck_after: number;
}

/**
 * The committed manifest with the simulators' hosts and `env: development`: addresses on this machine are refused in prod. All
 * else, comments too, stays as it is, unless it is asked to be in haste. Throws for an active row that nobody simulates.
 */
export function demoManifest(committed: string, outside: Outside, haste: Haste | null = null): string {
  const document = parseDocument(committed);
  const rows = document.get('subscribers');
  if (!isSeq(rows) || rows.items.length === 0)
    return refuse('The committed manifest has no subscribers to demonstrate.');
  const inUse = new Set(
    itemsOf(document.get('credentials')).flatMap((one) =>
      one.get('active') === false ? [] : [String(one.get('token_name'))],
    ),
  );
  for (const row of rows.items) {
    if (!isMap(row))
      refuse('A subscriber of the committed manifest is no mapping; `npx velvet manifest check` says more.');
    leadToSimulator(row, outside, inUse);
    if (haste !== null && row.get('update_method') === 'HEROKU_CONFIG_PATCH')
      replace(row, 'healthcheck_after', haste.healthcheck_after);
  }
  if (haste !== null)
    for (const one of itemsOf(document.get('credentials')))
      if (one.has('settle_seconds')) replace(one, 'settle_seconds', haste.settle_seconds);
  const derived = document.toString({ lineWidth: 0 }).replace('$schema=./', '$schema=../../../manifests/');
  return `# Derived by \`npm run demo\` from manifests/subscription-manifest.yml: the simulators' hosts, env: development.\n${derived}`;
}

function itemsOf(node: unknown): readonly YAMLMap[] {
  return isSeq(node) ? node.items.filter((one) => isMap(one)) : [];
}

function leadToSimulator(row: YAMLMap, outside: Outside, inUse: ReadonlySet<string>): void {
  replace(row, 'env', 'development');
  if (row.get('active') === false || !inUse.has(String(row.get('token_name')))) return;
  const endpoint = String(row.get('update_endpoint'));
  const { pathname } = new URL(endpoint);
  if (row.get('update_method') === 'GITHUB_SECRET_PUT')
    return replace(row, 'update_endpoint', `${outside.github_url}${pathname}`);
  const app = outside.apps.find((one) => one.app === herokuAppOf(endpoint));
  if (app === undefined)
    return refuse(`No simulated app answers for ${endpoint}; add it to test/sim/main.ts.`);
  replace(row, 'update_endpoint', `${outside.heroku_url}${pathname}`);
  if (row.get('healthcheck_endpoint') !== null) replace(row, 'healthcheck_endpoint', app.health_url);
}

// In place, so that a comment behind the value stays.
function replace(row: YAMLMap, key: string, value: string | number): void {
  const node = row.get(key, true);
  if (isScalar(node)) node.value = value;
  else row.set(key, value);
}

const authorizationsShape = z.array(
  z.looseObject({ access_token: z.looseObject({ token: z.string() }).nullish() }),
);

/** Every token that the simulated account has, and what its apps hold: the values that must be found nowhere else. */
export async function valuesOutside(outside: Outside, keys: ReadonlySet<string>): Promise<readonly string[]> {
  const authorizations = authorizationsShape.parse(await askHeroku(outside, '/oauth/authorizations'));
  const configs = await Promise.all(
    outside.apps.map(({ app }) => askHeroku(outside, `/apps/${app}/config-vars`)),
  );
  const held = configs.flatMap((config) =>
    Object.entries(z.record(z.string(), z.string()).parse(config)).flatMap(([key, value]) =>
      keys.has(key) ? [value] : [],
    ),
  );
  return [...authorizations.map((one) => one.access_token?.token ?? ''), ...held].filter(
    (value) => value !== '',
  );
}

const receivedShape = z.object({
  slack: z.array(
    z.object({
      channel: z.string(),
      user: z.string().nullable(),
      text: z.string().nullable(),
      at: z.number(),
    }),
  ),
  mails: z.array(
    z.object({
      to: z.array(z.string()),
      subject: z.string(),
      text: z.string(),
      raw: z.string(),
      at: z.number(),
    }),
  ),
});
export type Received = z.infer<typeof receivedShape>;

/** All messages that the simulated Slack and mail server took, oldest first. */
export async function received({ desk_url }: Outside): Promise<Received> {
  const response = await fetch(`${desk_url}/received`, { signal: AbortSignal.timeout(5_000) });
  if (!response.ok) refuse(`the simulators answered ${response.status} when asked what they took`);
  return receivedShape.parse(await response.json());
}

/** As `heroku ps:restart` does. */
export async function restart({ desk_url }: Outside, app: string): Promise<void> {
  const init = { method: 'POST', signal: AbortSignal.timeout(5_000) };
  const response = await fetch(`${desk_url}/apps/${app}/restart`, init);
  if (!response.ok) refuse(`the simulators answered ${response.status} to the restart of ${app}`);
}

/** How the app's health endpoint answers now. */
export async function healthOfApp({ apps }: Outside, app: string): Promise<number> {
  const url = apps.find((one) => one.app === app)?.health_url ?? refuse(`no app ${app} is simulated`);
  const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(5_000) });
  await response.arrayBuffer();
  return response.status;
}

/** Whether the vendor lets that token in. */
export async function isLive({ heroku_url }: Outside, token: string): Promise<boolean> {
  const headers = { accept: 'application/vnd.heroku+json; version=3', authorization: `Bearer ${token}` };
  const response = await fetch(`${heroku_url}/account`, { headers, signal: AbortSignal.timeout(5_000) });
  await response.arrayBuffer();
  return response.status === 200;
}

async function askHeroku(outside: Outside, path: string): Promise<unknown> {
  const response = await fetch(`${outside.heroku_url}${path}`, {
    headers: {
      accept: 'application/vnd.heroku+json; version=3',
      authorization: `Bearer ${outside.bootstrap_token}`,
    },
    signal: AbortSignal.timeout(5_000),
  });
  if (!response.ok) refuse(`the simulator answered ${response.status} to GET ${path}`);
  return response.json();
}
