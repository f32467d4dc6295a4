// Worlds to begin in: a few dozen mixtures of consumers, each built once and come back to.
import type { Redis } from 'ioredis';
import type { AppKind } from '../sim/heroku-apps.ts';
import type { AppSpec } from '../schedule/outside.ts';
import { scheduleWorld, type Moment, type ScheduleWorld } from '../schedule/world.ts';
import type { Times } from '../../shared/times.ts';
import { createRandom, type Random } from './random.ts';
import { held, type Story } from './story.ts';

const MIXES = 48;

/** Long against what a release takes here (two seconds), and far fewer questions than the product's own times would be. */
const patience: Partial<Times> = {
  settlePollMs: 2_500,
  settleForMs: 25_000,
  provePollMs: 2_500,
  proveForMs: 15_000,
  proveAgainForMs: 10_000,
};

/** Most are ordinary: a world in which nothing can work shows little. */
// oxfmt-ignore
const kinds: readonly { readonly weight: number; readonly kind: AppKind; readonly proves: boolean; readonly endpoint: boolean }[] = [
  { weight: 45, kind: 'normal',                   proves: true,  endpoint: true },
  { weight: 28, kind: 'normal',                   proves: false, endpoint: true },
  { weight: 10, kind: 'normal',                   proves: false, endpoint: false },
  { weight: 7,  kind: 'never_restarts',           proves: true,  endpoint: true },
  { weight: 5,  kind: 'never_restarts',           proves: false, endpoint: true },
  { weight: 5,  kind: 'never_restarts_looks_new', proves: true,  endpoint: true },
];
const total = kinds.reduce((sum, one) => sum + one.weight, 0);

function consumer(random: Random, name: string, waves: number): AppSpec {
  let left = random.between(1, total);
  const found = kinds.find((one) => (left -= one.weight) <= 0) ?? kinds[0];
  const { kind = 'normal', proves = true, endpoint = true } = found ?? {};
  return { name, kind, answersChallenge: proves, endpoint, wave: random.between(1, waves) };
}

function mixOf(index: number): { readonly apps: readonly AppSpec[]; readonly forceRevoke: boolean } {
  const random = createRandom(index * 7_919 + 1);
  const count = random.pick([1, 1, 2, 2, 2, 3, 3, 4, 5]);
  const waves = random.pick([1, 1, 2, 3]);
  const names = ['app-a', 'app-b', 'app-c', 'app-d', 'app-e'].slice(0, count);
  return { apps: names.map((name) => consumer(random, name, waves)), forceRevoke: random.chance(0.35) };
}

type Listener = Pick<Story, 'tokens' | 'cuts' | 'ended'>;

interface Beginning {
  readonly moment: Moment;
  readonly listening: { to: Listener | null };
}

export interface Mixes extends AsyncDisposable {
  /** A world that nothing has happened in yet. The one before it is over. */
  begin(random: Random, listener: Listener): Promise<ScheduleWorld>;
}

export function createMixes(redis: Redis): Mixes {
  const known = new Map<number, Beginning>();

  async function build(index: number): Promise<Beginning> {
    const world = await scheduleWorld(redis, { ...mixOf(index), times: patience });
    const listening: Beginning['listening'] = { to: null };
    watch(world, listening);
    return { moment: await world.save(), listening };
  }

  return {
    async begin(random, listener) {
      const index = random.between(0, MIXES - 1);
      const beginning = known.get(index) ?? (await build(index));
      known.set(index, beginning);
      const world = await beginning.moment.resume();
      for (const { id, token } of world.outside.account.authorizations()) listener.tokens.set(id, token);
      beginning.listening.to = listener;
      return world;
    },
    async [Symbol.asyncDispose]() {
      for (const { moment } of known.values()) await moment[Symbol.asyncDispose]();
    },
  };
}

/** Every token's birth and end at the vendor, as it happens. A person who ends one says so before. */
function watch({ outside }: ScheduleWorld, listening: Beginning['listening']): void {
  const { account, apps } = outside;
  const [authorize, revoke] = [account.authorize.bind(account), account.revoke.bind(account)];
  account.authorize = (options) => {
    const made = authorize(options);
    listening.to?.tokens.set(made.id, made.token);
    return made;
  };
  account.revoke = (id) => {
    const gone = revoke(id);
    if (gone !== null && listening.to !== null && !listening.to.ended.has(gone.token)) {
      const holders = apps.filter((app) => held(app).includes(gone.token)).map((app) => app.name);
      listening.to.cuts.push({ token: gone.token, holders });
    }
    return gone;
  };
}
