// The contract's worlds over a simulated Infisical, spoken to through its real SDK: the vault's, and a destination's.
import { systemClock } from '../../shared/lib/clock.ts';
import type { Clock } from '../../shared/lib/clock.ts';
import type { Lease } from '../../shared/lib/lease.ts';
import { Secret } from '../../shared/lib/secret.ts';
import type { Target } from '../../shared/manifest/schema.ts';
import { times } from '../../shared/times.ts';
import { infisicalVault } from '../../workers/vault/infisical.ts';
import type { Destination } from '../../workers/vendors/contract.ts';
import { createDoor } from '../../workers/vendors/http.ts';
import { infisicalSecrets } from '../../workers/vendors/infisical/secrets.ts';
import type { InfisicalSecrets, Place } from '../../workers/vendors/infisical/secrets.ts';
import { createRegistry } from '../../workers/vendors/registry.ts';
import type { MachineIdentity } from '../sim/infisical-identities.ts';
import { infisicalError } from '../sim/infisical-json.ts';
import type { InfisicalProject, StoredFolder } from '../sim/infisical-projects.ts';
import { loginRoute, startInfisical } from '../sim/infisical.ts';
import type { InfisicalOptions, InfisicalSim } from '../sim/infisical.ts';
import type { DestinationStep, DestinationWorld } from './destination-world.ts';
import type { VaultWorld } from './vault.ts';

// The SDK and what it brings along take a while to load; after that this is long for a server on the same machine, even a busy one.
await import('@infisical/sdk');
const patienceMs = 1_000;

export interface InfisicalKit {
  readonly sim: InfisicalSim;
  readonly project: InfisicalProject;
  readonly identity: MachineIdentity;
  /** A client as one process has it, with logins of its own. */
  readonly secretsOf: (clock?: Clock) => InfisicalSecrets;
  readonly placeOf: (path: string, as?: Pick<MachineIdentity, 'clientId' | 'clientSecret'>) => Place;
}

export async function infisicalKit(options: InfisicalOptions = {}): Promise<InfisicalKit> {
  const sim = await startInfisical(options);
  const project = sim.createProject();
  const identity = sim.createIdentity();
  const clock = options.clock ?? systemClock;
  return {
    sim,
    project,
    identity,
    secretsOf: (own = clock) => {
      const door = createDoor({ fetch, clock: systemClock, times: { vendorCallMs: patienceMs } });
      return infisicalSecrets({
        door,
        clock: own,
        siteUrl: sim.url,
        times: { ...times, vendorCallMs: patienceMs },
      });
    },
    placeOf: (path, { clientId, clientSecret } = identity) => ({
      identity: { clientId, clientSecret: new Secret(clientSecret) },
      projectId: project.id,
      environment: 'development',
      path,
    }),
  };
}

export interface InfisicalVaultWorld extends VaultWorld, InfisicalKit {
  readonly folder: StoredFolder;
}

export async function infisicalVaultWorld(options: InfisicalOptions = {}): Promise<InfisicalVaultWorld> {
  const kit = await infisicalKit(options);
  const folder = kit.project.folder('development', '/velvet');
  const open = () =>
    infisicalVault({ secrets: kit.secretsOf(), place: kit.placeOf('/velvet'), siteUrl: kit.sim.url });
  return {
    ...kit,
    folder,
    vault: open(),
    elsewhere: open(),
    leaseThatEndsMidway(): Lease {
      let asked = 0;
      return {
        fence: '1-aaaaaaaa',
        until: 0,
        remainingMs: () => ((asked += 1) === 1 ? 15_000 : 0),
      };
    },
    atRest: () => Promise.reject(new Error('Infisical encrypts what it keeps; nothing of it lies here')),
    killMidWrite: () => Promise.reject(new Error('one request is applied whole or not at all')),
    [Symbol.asyncDispose]: () => kit.sim[Symbol.asyncDispose](),
  };
}

const [path, previous, next, sibling] = ['/apps/mail', 'pm-previous-3a1f', 'pm-next-9c2e', 'a-sibling-value'];
const raw = '/api/v3/secrets/raw/:name';

// A push reads back what it wrote, and that is all there is to see of its effect.
const routes: Readonly<Record<DestinationStep, string>> = {
  write: `PATCH ${raw}`,
  read: `GET ${raw}`,
  effect: `GET ${raw}`,
};

export function infisicalTarget(secretPath: string, key: string, more = ''): Target {
  return {
    update_method: 'INFISICAL_WRITE',
    update_endpoint: `https://app.infisical.com/api/v4/secrets?secretPath=${secretPath}${more}`,
    update_key: key,
    update_auth_token_name: 'INFISICAL_CLIENT_SECRET',
  };
}

export interface InfisicalDestinationWorld extends DestinationWorld, InfisicalKit {
  readonly folder: StoredFolder;
}

/** A folder that holds `previous` beside another secret. */
export async function infisicalDestinationWorld(
  make: (good: Destination) => Destination = (good) => good,
): Promise<InfisicalDestinationWorld> {
  const kit = await infisicalKit();
  const { sim, project, identity, secretsOf } = kit;
  const folder = project.folder('development', path);
  const put = (key: string, value: string) => {
    const known = folder.secrets.get(key) ?? { id: crypto.randomUUID(), key, versions: [] };
    known.versions.push(value);
    folder.secrets.set(key, known);
  };
  put('PM_TOKEN', previous);
  put('DATABASE_URL', sibling);
  const registry = createRegistry({
    door: createDoor({ fetch, clock: systemClock, times: { vendorCallMs: patienceMs } }),
    clock: systemClock,
    times,
    herokuApiUrl: 'http://127.0.0.1:9',
    githubApiUrl: 'http://127.0.0.1:9',
    infisical: {
      secrets: secretsOf(),
      clientId: identity.clientId,
      projectId: project.id,
      environment: 'development',
      ownFolder: '/velvet',
    },
  });
  const weak = sim.createIdentity({ paths: ['/elsewhere'] });
  const weakPair = `${weak.clientId}:${weak.clientSecret}`;
  const dead = `${crypto.randomUUID()}:${'0'.repeat(64)}`;
  const own = () => sim.requests.filter((request) => request.route !== loginRoute);
  return {
    ...kit,
    folder,
    destination: make(registry.destination('INFISICAL_WRITE')),
    target: infisicalTarget(path, 'PM_TOKEN'),
    beside: infisicalTarget(path, 'ANOTHER_KEY'),
    missing: infisicalTarget('/apps/gone', 'PM_TOKEN'),
    authority: new Secret(identity.clientSecret),
    deadAuthority: new Secret(dead),
    weakAuthority: new Secret(weakPair),
    previous: new Secret(previous),
    next: new Secret(next),
    values: [previous, next, sibling, identity.clientSecret, weak.clientSecret, dead.split(':')[1] ?? dead],
    held: () =>
      Object.fromEntries([...folder.secrets].map(([key, { versions }]) => [key, versions.at(-1) ?? ''])),
    put: (target, value) => put(target.update_key, value),
    versions: () => [...folder.secrets.values()].reduce((sum, { versions }) => sum + versions.length, 0),
    hurry: () => undefined,
    nextWriteFails: () => undefined,
    fault: (step, deed) => void sim.script({ on: routes[step], do: deed }),
    requests: () => own().length,
    changes: () => own().filter((request) => request.method !== 'GET').length,
    followedRedirects: () => sim.redirects.length,
    refusalSaying: (text) => infisicalError(400, text, text),
    patienceMs,
    [Symbol.asyncDispose]: () => sim[Symbol.asyncDispose](),
  };
}
