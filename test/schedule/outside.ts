// What lies around Velvet in a schedule: a Heroku account, the apps that run on the credential, and the manifest's rows for them.
import { parseManifest } from '../../shared/manifest/load.ts';
import type { Manifest } from '../../shared/manifest/schema.ts';
import type { AppKind, HerokuApp } from '../sim/heroku-apps.ts';
import type { HerokuAccount } from '../sim/heroku-accounts.ts';
import { startConsumer } from '../sim/consumer.ts';
import { startHeroku, type HerokuSim } from '../sim/heroku.ts';
import { startPlainVendor } from '../sim/plain-vendor.ts';
import { createNetwork, type Network } from './network.ts';
import type { Time } from './time.ts';

export const CREDENTIAL = 'HK_PLATFORM_FULL';
export const ENV = 'development';
export const KEY = 'HEROKU_API_KEY';

export interface AppSpec {
  readonly name: string;
  readonly kind?: AppKind;
  /** Whether it answers the challenge; one that does not is proven by reading its destination back. */
  readonly answersChallenge?: boolean;
  readonly wave?: number;
  /** Seconds; how long after the write a success status counts, where the destination is read back. */
  readonly healthcheckAfter?: number;
  /** False: nothing of it can be asked how it is. */
  readonly endpoint?: boolean;
}

export interface Outside {
  readonly network: Network;
  readonly heroku: HerokuSim;
  readonly account: HerokuAccount;
  readonly apps: readonly HerokuApp[];
  readonly manifest: Manifest;
  /** The authority that a process starts with; a person may put another one in place. */
  bootstrap: { readonly id: string; readonly token: string };
  readonly first: { readonly id: string; readonly token: string };
  /** A person ends a token at the vendor; which those were is remembered, for nobody else is to answer for it. */
  revokeByHand(id: string): void;
  readonly revokedByHand: Set<string>;
  /** Whether a person makes the new token, and ends the old one. */
  readonly byHand: boolean;
  /** The token that a person made for the rotation; null before they did, or after they ended it. */
  madeByHand(): { readonly id: string; readonly token: string } | null;
  /** Its value; made where there is none yet. */
  mintByHand(): string;
  /** Every value that may be nowhere but in the vault and at the vendors. */
  readonly values: string[];
}

/** Long enough that a write is asked more than once whether it took effect. */
const PACE = { releaseMs: 1_500, bootMs: 700 };

const MADE = 'made by hand for the rotation';

export async function startOutside(time: Time, specs: readonly AppSpec[], byHand = false): Promise<Outside> {
  const network = createNetwork();
  const { start, fetch } = network;
  const heroku = await startHeroku({ ...PACE, clock: time, steps: time.steps, start });
  const account = heroku.createAccount();
  const values: string[] = [];
  const authorize = account.authorize.bind(account);
  account.authorize = (options) => {
    const made = authorize(options);
    values.push(made.token);
    return made;
  };
  const bootstrap = account.authorize({ description: 'velvet bootstrap', scope: ['global'] });
  const first = account.authorize({ description: 'made by hand', scope: ['global'] });
  const apps = specs.map(({ name, kind = 'normal' }) =>
    heroku.createApp(account, name, { config: { [KEY]: first.token, OTHER: 'left alone' }, kind }),
  );
  const plain = await startPlainVendor({ isLive: (token) => heroku.isLive(token), start });
  const endpoints: string[] = [];
  for (const [index, app] of apps.entries()) {
    const { answersChallenge = true } = specs[index] ?? {};
    const options = { heroku: heroku.url, app, key: KEY, path: '/healthz', answersChallenge, fetch, start };
    endpoints.push((await startConsumer(options)).healthUrl);
  }
  const revokedByHand = new Set<string>();
  const revokeByHand = (id: string) => {
    account.revoke(id);
    revokedByHand.add(id);
  };
  const madeByHand = () => account.authorizations().find((one) => one.description === MADE) ?? null;
  const mintByHand = () =>
    (madeByHand() ?? account.authorize({ description: MADE, scope: ['global'] })).token;
  const hands = { revokeByHand, revokedByHand, byHand, madeByHand, mintByHand };
  return {
    ...hands,
    network,
    heroku,
    account,
    apps,
    manifest: manifestFor(specs, endpoints, byHand ? plain.verifyUrl : null),
    bootstrap,
    first,
    values,
  };
}

const known = new Map<string, Manifest>();

/** Through the manifest's own loader, once for each set of apps. */
function manifestFor(
  specs: readonly AppSpec[],
  endpoints: readonly string[],
  verifyUrl: string | null,
): Manifest {
  const text = manifestOf(specs, endpoints, verifyUrl);
  const manifest = known.get(text) ?? parseManifest(text, 'manifest.yml', { allowLoopback: true });
  known.set(text, manifest);
  return manifest;
}

function manifestOf(
  specs: readonly AppSpec[],
  endpoints: readonly string[],
  verifyUrl: string | null,
): string {
  const issuer =
    verifyUrl === null
      ? { issuer: 'heroku-oauth', issuer_auth_token_name: 'HK_VELVET_BOOTSTRAP' }
      : { issuer: 'OPERATOR_MANUAL', verify: { url: verifyUrl, header: 'X-Api-Token' } };
  const credential = {
    token_name: CREDENTIAL,
    ...issuer,
    scope: 'shared',
    entropy: 'high',
    active: true,
  };
  const subscribers = specs.map((spec, index) => ({
    token_name: CREDENTIAL,
    consumer_id: spec.name,
    env: ENV,
    wave: spec.wave ?? 1,
    active: true,
    update_method: 'HEROKU_CONFIG_PATCH',
    update_endpoint: `https://api.heroku.com/apps/${spec.name}/config-vars`,
    update_key: KEY,
    update_auth_token_name: 'HK_VELVET_BOOTSTRAP',
    healthcheck_endpoint: spec.endpoint === false ? null : (endpoints[index] ?? null),
    healthcheck_after: spec.healthcheckAfter ?? 0,
    capabilities: spec.endpoint === false ? ['update'] : ['update', 'healthcheck'],
  }));
  // JSON is YAML.
  return JSON.stringify({ version: 2, credentials: [credential], subscribers });
}
