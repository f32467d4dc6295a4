// Everything that the demo stands up: Redis, the outside world, Velvet's own processes, first value and token. Law: real processes, keys of this run alone.
import { spawn } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadManifest } from '../../shared/manifest/load.ts';
import type { Environment } from '../cli/installation.ts';
import { newKeys } from '../cli/keygen.ts';
import { createCrew, readProcfile, type Crew } from '../cli/processes.ts';
import { answering, demandRedisServer, freePort, redisCommand } from '../cli/redis.ts';
import { within } from './client.ts';
import { demoManifest, parseOutside, type Haste, type Outside } from './outside.ts';
import type { Screen } from './screen.ts';
import { refuse } from '../cli/say.ts';

export interface Place {
  readonly root: string;
  /** Of this run: data of Redis, vault, logs. */
  readonly folder: string;
  readonly redisDir: string;
  readonly logDir: string;
  readonly manifestFile: string;
}

export function freshPlace(root: string): Place {
  const demo = join(root, '.velvet', 'demo');
  mkdirSync(demo, { recursive: true, mode: 0o700 });
  const folder = mkdtempSync(join(demo, 'run-'));
  const place = {
    root,
    folder,
    redisDir: join(folder, 'redis'),
    logDir: join(folder, 'log'),
    manifestFile: join(folder, 'manifest.yml'),
  };
  mkdirSync(place.redisDir);
  mkdirSync(place.logDir);
  return place;
}

export interface Crews {
  /** Redis and the simulators: what Velvet finds in the world. */
  readonly outer: Crew;
  /** The Procfile's processes. */
  readonly inner: Crew;
  /** The first line of the simulators. It holds every value of the outside world, so it is kept out of the logs. */
  readonly firstLine: Promise<string>;
}

const SIMULATORS = 'simulators';
const READY_MS = 20_000;
const OPS = 'ops@example.com';

export function createCrews(place: Place, screen: Screen): Crews {
  let onFirst: ((line: string) => void) | null = null;
  const firstLine = new Promise<string>((resolve) => {
    onFirst = resolve;
  });
  const onLine = (name: string, line: string) => {
    const first = name === SIMULATORS ? onFirst : null;
    if (first === null) return log(place, name, line);
    onFirst = null;
    first(line);
  };
  const options = {
    cwd: place.root,
    onLine,
    onEvent: (name: string, text: string) => screen.say(`${name} ${text}`),
  };
  return { outer: createCrew(options), inner: createCrew(options), firstLine };
}

export function log(place: Place, name: string, line: string): void {
  appendFileSync(join(place.logDir, `${name}.log`), `${line}\n`);
}

export interface World {
  readonly outside: Outside;
  readonly redisUrl: string;
  /** What Velvet's processes have: the workers all, web the part without values. */
  readonly env: Environment;
  readonly webEnv: Environment;
  readonly url: string;
  /** Beside the vendors' tokens: what must be found nowhere either. */
  readonly ownSecrets: readonly string[];
  /** The keys under which the consumers hold the credential. */
  readonly updateKeys: ReadonlySet<string>;
}

/** What a scenario wants of the world that it is played in. */
export interface Wishes {
  /** What the simulators are told. */
  readonly simulated: readonly string[];
  readonly haste: Haste | null;
}

/** Redis and the simulators, told what is wished, run; the derived manifest is written; the environment is complete. */
export async function openWorld(
  place: Place,
  { outer, firstLine }: Crews,
  { simulated, haste }: Wishes,
): Promise<World> {
  demandRedisServer();
  const [redisPort, port] = await Promise.all([freePort(), freePort()]);
  const redisUrl = `redis://127.0.0.1:${redisPort}`;
  const again = () => 1_000;
  outer.start({
    name: 'redis',
    command: redisCommand(redisPort, place.redisDir),
    env: {},
    againAfterMs: again,
  });
  // Their memory is the outside world: started again they would be another one.
  outer.start({
    name: SIMULATORS,
    command: [process.execPath, 'test/sim/main.ts', ...simulated],
    env: {},
    againAfterMs: () => null,
  });
  const [heard] = await Promise.all([within(firstLine, READY_MS), answering(redisUrl, READY_MS)]);
  if (!heard) refuse(`the simulators did not start; see ${place.logDir}`);
  const outside = parseOutside(await firstLine);
  const committed = readFileSync(join(place.root, 'manifests', 'subscription-manifest.yml'), 'utf8');
  writeFileSync(place.manifestFile, demoManifest(committed, outside, haste));
  const manifest = loadManifest(place.manifestFile, { allowLoopback: true });
  const keys = newKeys();
  const url = `http://127.0.0.1:${port}`;
  const webEnv = {
    APP_ENV: 'development',
    REDIS_URL: redisUrl,
    PORT: String(port),
    VELVET_MANIFEST: place.manifestFile,
    VELVET_ALLOW_LOOPBACK: '1',
    VELVET_PUBLIC_URL: url,
    VELVET_SEAL_PUBLIC_KEY: keys.VELVET_SEAL_PUBLIC_KEY,
  };
  const env = {
    ...webEnv,
    ...keys,
    VELVET_FILE_VAULT_DIR: join(place.folder, 'vault'),
    HEROKU_API_URL: outside.heroku_url,
    GITHUB_API_URL: outside.github_url,
    HK_VELVET_BOOTSTRAP: outside.bootstrap_token,
    SL_BOT_NOTIFY: outside.slack_token,
    SLACK_API_URL: outside.slack_url,
    SLACK_OPERATOR_CHANNEL: outside.operator_channel,
    SLACK_ALERT_CHANNEL: outside.alert_channel,
    SMTP_URL: `smtp://${outside.mail.user}:${outside.mail.password}@${outside.mail.host}:${outside.mail.port}?from=velvet@example.com`,
    OPS_ALERT_EMAIL: OPS,
  };
  const updateKeys = new Set(
    manifest.subscribers.flatMap((row) =>
      'update_key' in row && row.update_key !== undefined ? [row.update_key] : [],
    ),
  );
  return {
    outside,
    redisUrl,
    env,
    webEnv,
    url,
    ownSecrets: [
      ...Object.values(keys),
      outside.slack_token,
      outside.github_authority,
      outside.mail.password,
    ],
    updateKeys,
  };
}

/** The Procfile's processes, each brought back a second after it dies, as a process manager does. */
export function startVelvet(place: Place, { inner }: Crews, { env, webEnv }: World): void {
  for (const { name, command } of readProcfile(join(place.root, 'Procfile')))
    inner.start({ name, command, env: name === 'web' ? webEnv : env, againAfterMs: () => 1_000 });
}

/** One command of `velvet`, as an operator gives it. Throws with its own words where it fails; its stdout is not logged. */
export async function velvet(
  place: Place,
  env: Environment,
  args: readonly string[],
  input = '',
): Promise<string> {
  const child = spawn(process.execPath, [join(place.root, 'bin', 'velvet.ts'), ...args], {
    // Not the checkout's folder: its .env is no part of the demo.
    cwd: place.folder,
    env: { ...env, PATH: process.env['PATH'] ?? '' },
  });
  child.stdin.end(input);
  const [out, err] = await Promise.all([child.stdout, child.stderr].map(textOf));
  const code = child.exitCode ?? (await new Promise((resolve) => child.once('exit', resolve)));
  log(place, 'velvet', err ?? '');
  if (code !== 0) refuse(`velvet ${args.join(' ')}: ${err?.trim()}`);
  return (out ?? '').trim();
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}
