// One Heroku app: config vars, releases, dynos and the process that runs in them. Law: a process keeps the environment that it was started with.
import { randomUUID } from 'node:crypto';
import type { Clock } from '../../shared/lib/clock.ts';
import type { HerokuAccount } from './heroku-accounts.ts';
import type { Steps } from './steps.ts';

/**
 * normal: restarts when a release becomes current · never_restarts: its dynos stay on the old release, its process on the old
 * environment · never_restarts_looks_new: its dynos show the new release, its process stays on the old environment ·
 * crashes: restarts, and its dynos end in `crashed`.
 */
export type AppKind = 'normal' | 'never_restarts' | 'never_restarts_looks_new' | 'crashes';

export type Config = Readonly<Record<string, string>>;

export interface Release {
  readonly id: string;
  readonly version: number;
  readonly description: string;
  readonly status: 'pending' | 'succeeded' | 'failed';
  /** True only on the newest one that succeeded. */
  readonly current: boolean;
  /** All config vars as they were when it was made. */
  readonly config: Config;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export type DynoState = 'starting' | 'up' | 'crashed' | 'down';

export interface Dyno {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly state: DynoState;
  readonly release: { readonly id: string; readonly version: number };
  readonly createdAt: number;
  readonly updatedAt: number;
}

export interface Process {
  readonly state: 'starting' | 'up' | 'crashed';
  readonly env: Config;
}

export interface AppOptions {
  readonly config?: Config;
  readonly kind?: AppKind;
  /** Process types, one dyno each; `['web']` unless given. */
  readonly dynos?: readonly string[];
}

export interface HerokuApp {
  readonly id: string;
  readonly name: string;
  readonly account: HerokuAccount;
  readonly createdAt: number;
  /** Holds for the next release; a test may mend an app by setting it. */
  kind: AppKind;
  readonly config: Config;
  /** Oldest first. */
  readonly releases: readonly Release[];
  readonly dynos: readonly Dyno[];
  /** What the running process was started with, whatever the dynos show. */
  env(): Config;
  process(): Process;
  /** Merges; null deletes. Makes a release, also where nothing changes unless the simulator was told otherwise. */
  patchConfig(changes: Readonly<Record<string, string | null>>): void;
  /** The next release's release phase fails: config vars stay changed, dynos stay on the old release. */
  failNextRelease(): void;
  /** `heroku ps:restart` by hand: restarts on the current release, whatever the kind. */
  restart(): void;
  /** `heroku run` by hand: a one-off dyno on the current release, which no release restarts. Ends with `stop()`. */
  run(): { stop(): void };
  /** Called when a new process starts, with its environment. */
  onRestart(listener: (env: Config) => void): void;
  /** What is answered puts the app back to how it stands now; what it was about to do is the caller's to forget. */
  save(): () => void;
}

export interface Pace {
  readonly clock: Clock;
  readonly steps: Steps;
  readonly releaseMs: number;
  readonly bootMs: number;
  readonly releaseOnNoChange: boolean;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

interface State {
  config: Config;
  process: Process;
  dynos: readonly Dyno[];
  failNext: boolean;
  /** Count the starts of each, so that a boot that was overtaken by the next one ends nowhere. */
  processStarts: number;
  dynoStarts: number;
  readonly releases: Mutable<Release>[];
  readonly listeners: ((env: Config) => void)[];
}

/** An app whose first release is current and whose dynos are up on it. */
export function createHerokuApp(
  pace: Pace,
  account: HerokuAccount,
  name: string,
  options: AppOptions = {},
): HerokuApp {
  const config = { ...options.config };
  const first = newRelease(pace, 1, 'Initial release', config);
  Object.assign(first, { status: 'succeeded', current: true });
  const types = options.dynos ?? ['web'];
  const state: State = {
    config,
    process: { state: 'up', env: config },
    dynos: formation(pace, types, first, 'up'),
    failNext: false,
    processStarts: 0,
    dynoStarts: 0,
    releases: [first],
    listeners: [],
  };
  const app: HerokuApp = {
    id: randomUUID(),
    name,
    account,
    createdAt: pace.clock.now(),
    kind: options.kind ?? 'normal',
    get config() {
      return state.config;
    },
    get releases() {
      return state.releases;
    },
    get dynos() {
      return state.dynos;
    },
    env: () => state.process.env,
    process: () => state.process,
    patchConfig: (changes) => patchConfig(pace, state, types, { app, changes }),
    failNextRelease: () => {
      state.failNext = true;
    },
    restart: () =>
      start(pace, state, types, {
        release: currentOf(state),
        end: app.kind === 'crashes' ? 'crashed' : 'up',
      }),
    run: () => runOneOff(pace, state),
    onRestart: (listener) => {
      state.listeners.push(listener);
    },
    save() {
      const { releases, listeners: _, ...rest } = state;
      const [saved, { kind }] = [releases.map((one) => ({ ...one })), app];
      return () => {
        Object.assign(state, rest);
        releases.splice(0, releases.length, ...saved.map((one) => ({ ...one })));
        app.kind = kind;
      };
    },
  };
  return app;
}

interface Patch {
  readonly app: HerokuApp;
  readonly changes: Readonly<Record<string, string | null>>;
}

function patchConfig(pace: Pace, state: State, types: readonly string[], { app, changes }: Patch): void {
  const merged = { ...state.config, ...changes };
  const config = Object.fromEntries(
    Object.entries(merged).filter((entry): entry is [string, string] => entry[1] !== null),
  );
  const changed = Object.keys(changes).filter((key) => state.config[key] !== config[key]);
  state.config = config;
  if (changed.length === 0 && !pace.releaseOnNoChange) return;
  const release = newRelease(
    pace,
    state.releases.length + 1,
    `Set ${Object.keys(changes).join(', ')} config vars`,
    config,
  );
  state.releases.push(release);
  const failed = state.failNext;
  state.failNext = false;
  pace.steps.after(pace.releaseMs, () => {
    release.updatedAt = pace.clock.now();
    release.status = failed ? 'failed' : 'succeeded';
    if (failed) return;
    // Every release takes the same time, so they end in the order in which they were made: this one is the newest.
    for (const one of state.releases) one.current = one === release;
    deploy(pace, state, types, { release, kind: app.kind });
  });
}

function deploy(
  pace: Pace,
  state: State,
  types: readonly string[],
  { release, kind }: { release: Release; kind: AppKind },
): void {
  if (kind === 'never_restarts') return;
  if (kind === 'never_restarts_looks_new') replaceDynos(pace, state, types, { release, end: 'up' });
  else start(pace, state, types, { release, end: kind === 'crashes' ? 'crashed' : 'up' });
}

interface Boot {
  readonly release: Release;
  readonly end: 'up' | 'crashed';
}

/** New dynos, and in them a new process on the release's environment. */
function start(pace: Pace, state: State, types: readonly string[], boot: Boot): void {
  const env = boot.release.config;
  state.process = { state: 'starting', env };
  for (const listener of state.listeners) listener(env);
  const mine = ++state.processStarts;
  pace.steps.after(pace.bootMs, () => {
    if (mine === state.processStarts) state.process = { state: boot.end, env };
  });
  replaceDynos(pace, state, types, boot);
}

/** What the API shows, which is not always what runs. */
function replaceDynos(pace: Pace, state: State, types: readonly string[], { release, end }: Boot): void {
  const oneOffs = state.dynos.filter((dyno) => dyno.type === 'run');
  const mine = ++state.dynoStarts;
  state.dynos = [...formation(pace, types, release, 'starting'), ...oneOffs];
  pace.steps.after(pace.bootMs, () => {
    if (mine !== state.dynoStarts) return;
    const updatedAt = pace.clock.now();
    state.dynos = state.dynos.map((dyno) =>
      dyno.type === 'run' ? dyno : { ...dyno, state: end, updatedAt },
    );
  });
}

function runOneOff(pace: Pace, state: State): { stop(): void } {
  const [dyno] = formation(pace, ['run'], currentOf(state), 'up');
  if (dyno === undefined) throw new Error('a formation of one has one dyno');
  state.dynos = [...state.dynos, { ...dyno, name: `run.${1000 + state.dynos.length}` }];
  return {
    stop: () => {
      state.dynos = state.dynos.filter((one) => one.id !== dyno.id);
    },
  };
}

function currentOf(state: State): Release {
  const current = state.releases.find((release) => release.current);
  if (current === undefined) throw new Error('an app always has a current release');
  return current;
}

function newRelease(pace: Pace, version: number, description: string, config: Config): Mutable<Release> {
  const now = pace.clock.now();
  return {
    id: randomUUID(),
    version,
    description,
    status: 'pending',
    current: false,
    config,
    createdAt: now,
    updatedAt: now,
  };
}

function formation(
  pace: Pace,
  types: readonly string[],
  release: Release,
  dynoState: DynoState,
): readonly Dyno[] {
  const now = pace.clock.now();
  return types.map((type, index) => ({
    id: randomUUID(),
    name: `${type}.${types.slice(0, index + 1).filter((one) => one === type).length}`,
    type,
    state: dynoState,
    release: { id: release.id, version: release.version },
    createdAt: now,
    updatedAt: now,
  }));
}
