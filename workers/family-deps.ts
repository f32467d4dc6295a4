// What the handlers of a family need, out of its environment: the vault, the values in it, and the vendors. One login for all that a family keeps in Infisical.
import type { Redis } from 'ioredis';
import type { Clock } from '../shared/lib/clock.ts';
import type { DistributeEnv, StageEnv, ValueEnv } from '../shared/lib/env.ts';
import type { Log } from '../shared/lib/log.ts';
import type { Metrics } from '../shared/lib/metrics.ts';
import type { AlarmStore } from '../shared/redis/alarm-store.ts';
import type { Ground } from '../shared/redis/ground.ts';
import type { Times } from '../shared/times.ts';
import type { CoreDeps, StageDeps, ValueDeps } from './stages/deps.ts';
import { createAuthorities } from './vault/authorities.ts';
import { openVault } from './vault/open.ts';
import { createValues } from './vault/values.ts';
import type { Door } from './vendors/http.ts';
import { infisicalSecrets, type InfisicalSecrets } from './vendors/infisical/secrets.ts';
import { createRegistry } from './vendors/registry.ts';

/** The doors to the outside and what time is; the process passes in the real ones, a test its own. */
export interface Surroundings {
  readonly redis: Redis;
  readonly fetch: typeof fetch;
  readonly clock: Clock;
  readonly times: Times;
  readonly log: Log;
}

export interface Parts {
  readonly core: CoreDeps;
  readonly door: Door;
  readonly around: Surroundings;
  readonly metrics: Metrics;
  readonly ground: Pick<Ground, 'sure'>;
  readonly alarms: AlarmStore;
}

/** One for the vault and the rows of a family: they share its logins. */
function secretsAt(siteUrl: string, { core, door, around }: Parts): InfisicalSecrets {
  return infisicalSecrets({ door, clock: around.clock, siteUrl, times: core.times });
}

export function valueDeps(
  env: ValueEnv & { readonly appEnv: string },
  parts: Parts,
  shared: InfisicalSecrets | null = null,
): ValueDeps {
  const { core, around } = parts;
  const { vault: kept } = env;
  const secrets = shared ?? (kept.kind === 'infisical' ? secretsAt(kept.infisical.siteUrl, parts) : null);
  const vault = openVault(kept, env.appEnv, { secrets, clock: around.clock });
  return {
    ...core,
    vault,
    fingerprintKey: env.fingerprintKey,
    values: createValues(vault, env.fingerprintKey),
  };
}

export function stageDeps(env: DistributeEnv | StageEnv, parts: Parts): StageDeps {
  const { infisical } = env;
  const secrets = infisical && secretsAt(infisical.siteUrl, parts);
  const values = valueDeps(env, parts, secrets);
  const { lateMs, rateLimitWaitMs, secondaryLimitWaitMs } = parts.core.times;
  const registry = createRegistry({
    times: { lateMs, rateLimitWaitMs, secondaryLimitWaitMs },
    door: parts.door,
    clock: parts.around.clock,
    herokuApiUrl: env.heroku.apiUrl,
    infisical: infisical &&
      secrets && {
        secrets,
        clientId: infisical.clientId,
        projectId: infisical.projectId,
        environment: env.appEnv,
        ownFolder: env.infisicalPlace.folder,
      },
    githubApiUrl: env.github.apiUrl,
    onCall: ({ handler, verb, outcome, ms }) =>
      parts.metrics.observe('handler', { handler, verb, outcome }, ms),
  });
  return {
    ...values,
    registry,
    authorities: createAuthorities(values.vault, {
      HK_VELVET_BOOTSTRAP: env.heroku.bootstrap,
      INFISICAL_CLIENT_SECRET: infisical?.clientSecret ?? null,
    }),
  };
}
