// The contract's world over a Heroku app, with the destination of this product or one that a test breaks on purpose.
import { times } from '../../shared/times.ts';
import { systemClock } from '../../shared/lib/clock.ts';
import { Secret } from '../../shared/lib/secret.ts';
import type { Target } from '../../shared/manifest/schema.ts';
import type { Destination } from '../../workers/vendors/contract.ts';
import { createDoor } from '../../workers/vendors/http.ts';
import { createRegistry } from '../../workers/vendors/registry.ts';
import type { AppOptions, HerokuApp } from '../sim/heroku-apps.ts';
import { startHeroku } from '../sim/heroku.ts';
import type { HerokuOptions } from '../sim/heroku.ts';
import type { DestinationStep, DestinationWorld } from './destination-world.ts';
import { patienceMs } from './heroku-issuer-world.ts';
import type { HerokuKit } from './heroku-issuer-world.ts';

export interface HerokuAppKit extends HerokuKit {
  readonly app: HerokuApp;
}

export interface HerokuAppOptions extends HerokuOptions, AppOptions {
  /** Another destination in the good one's place. */
  readonly make?: (good: Destination, kit: HerokuAppKit) => Destination;
}

const routes: Readonly<Record<DestinationStep, string>> = {
  write: 'PATCH /apps/:app/config-vars',
  read: 'GET /apps/:app/config-vars',
  effect: 'GET /apps/:app/releases',
};

const previous = 'HRKU-previous-3a1f';
const next = 'HRKU-next-9c2e';
const sibling = 'postgres://user:a-sibling-value@db/app';

export function herokuTarget(app: string, key: string): Target {
  return {
    update_method: 'HEROKU_CONFIG_PATCH',
    update_endpoint: `https://api.heroku.com/apps/${app}/config-vars`,
    update_key: key,
    update_auth_token_name: 'HK_VELVET_BOOTSTRAP',
  };
}

/** An app that holds `previous` beside two other config vars. */
export async function herokuDestinationWorld(
  options: HerokuAppOptions = {},
): Promise<DestinationWorld & HerokuAppKit> {
  const sim = await startHeroku(options);
  const account = sim.createAccount();
  const config = { HEROKU_API_KEY: previous, DATABASE_URL: sibling, LOG_LEVEL: 'info' };
  const app = sim.createApp(account, 'raxx-console-prod', { ...options, config });
  const door = createDoor({ fetch, clock: systemClock, times: { vendorCallMs: patienceMs } });
  const registry = createRegistry({
    door,
    clock: systemClock,
    times,
    herokuApiUrl: sim.url,
    githubApiUrl: sim.url,
  });
  const kit: HerokuAppKit = { sim, account, door, app };
  const good = registry.destination('HEROKU_CONFIG_PATCH');
  const authority = account.authorize({ scope: ['write-protected'] }).token;
  const weak = account.authorize({ scope: ['read'] }).token;
  const dead = 'HRKU-00000000-dead-4000-8000-000000000000';
  return {
    ...kit,
    destination: options.make?.(good, kit) ?? good,
    target: herokuTarget(app.name, 'HEROKU_API_KEY'),
    beside: herokuTarget(app.name, 'ANOTHER_KEY'),
    missing: herokuTarget('deleted-app', 'HEROKU_API_KEY'),
    authority: new Secret(authority),
    deadAuthority: new Secret(dead),
    weakAuthority: new Secret(weak),
    previous: new Secret(previous),
    next: new Secret(next),
    values: [previous, next, sibling, authority, weak, dead],
    held: () => ({ ...app.config }),
    put: (target, value) => app.patchConfig({ [target.update_key]: value }),
    versions: () => app.releases.length,
    hurry: () => sim.hurry(),
    nextWriteFails: () => app.failNextRelease(),
    fault: (step, deed) => void sim.script({ on: routes[step], do: deed }),
    requests: () => sim.requests.length,
    changes: () => sim.requests.filter((request) => request.method !== 'GET').length,
    followedRedirects: () => sim.redirects.length,
    refusalSaying: (text) => ({ status: 422, body: { id: 'invalid_params', message: text } }),
    patienceMs,
    [Symbol.asyncDispose]: () => sim[Symbol.asyncDispose](),
  };
}
