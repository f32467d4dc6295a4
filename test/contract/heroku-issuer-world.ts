// The contract's world over the Heroku simulator, with the issuer of this product or one that a test breaks on purpose.
import { times } from '../../shared/times.ts';
import { systemClock } from '../../shared/lib/clock.ts';
import { Secret } from '../../shared/lib/secret.ts';
import type { Issuer } from '../../workers/vendors/contract.ts';
import { createDoor } from '../../workers/vendors/http.ts';
import type { Door } from '../../workers/vendors/http.ts';
import { createRegistry } from '../../workers/vendors/registry.ts';
import type { HerokuAccount } from '../sim/heroku-accounts.ts';
import { startHeroku } from '../sim/heroku.ts';
import type { HerokuSim } from '../sim/heroku.ts';
import type { IssuerStep, IssuerWorld } from './issuer-world.ts';

/** Long enough for a busy machine, short enough to wait out. */
export const patienceMs = 1_000;

export interface HerokuKit {
  readonly sim: HerokuSim;
  readonly account: HerokuAccount;
  readonly door: Door;
}

const routes: Readonly<Record<IssuerStep, string>> = {
  probe: 'GET /account',
  list: 'GET /oauth/authorizations',
  info: 'GET /oauth/authorizations/:id',
  mint: 'POST /oauth/authorizations',
  revoke: 'DELETE /oauth/authorizations/:id',
};

/** An account with a current token, an authority and a weak authority. `make` may put another issuer in the good one's place. */
export async function herokuIssuerWorld(
  make: (good: Issuer, kit: HerokuKit) => Issuer = (good) => good,
): Promise<IssuerWorld & HerokuKit> {
  const sim = await startHeroku();
  const account = sim.createAccount();
  const door = createDoor({ fetch, clock: systemClock, times: { vendorCallMs: patienceMs } });
  const registry = createRegistry({
    door,
    clock: systemClock,
    times,
    herokuApiUrl: sim.url,
    githubApiUrl: sim.url,
  });
  const current = account.authorize({ description: 'made by hand' });
  const authority = account.authorize({ description: 'velvet bootstrap' });
  const weak = account.authorize({ description: 'weak', scope: ['read'] });
  const dead = 'HRKU-00000000-dead-4000-8000-000000000000';
  const kit: HerokuKit = { sim, account, door };
  return {
    ...kit,
    issuer: make(registry.issuer('heroku-oauth'), kit),
    current: new Secret(current.token),
    currentId: current.id,
    authority: new Secret(authority.token),
    weakAuthority: new Secret(weak.token),
    dead: new Secret(dead),
    values: () => [dead, ...account.authorizations().map((one) => one.token)],
    live: () =>
      sim
        .live()
        .map((one) => one.id)
        .toSorted(),
    label: (id) => sim.live().find((one) => one.id === id)?.description ?? null,
    works: (secret) => sim.isLive(secret.reveal()),
    foreign: (label) => account.authorize({ description: label }).id,
    fault: (step, deed) => void sim.script({ on: routes[step], do: deed }),
    requests: () => sim.requests.length,
    changes: () => sim.requests.filter((request) => request.method !== 'GET').length,
    followedRedirects: () => sim.redirects.length,
    refusalSaying: (text) => ({ status: 422, body: { id: 'invalid_params', message: text } }),
    patienceMs,
    [Symbol.asyncDispose]: () => sim[Symbol.asyncDispose](),
  };
}
