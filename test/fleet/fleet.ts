// A whole Velvet as it is deployed: the Procfile's processes on a Redis of their own, with the product's own times, and simulators outside.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { newKeys } from '../../bin/cli/keygen.ts';
import { readProcfile } from '../../bin/cli/processes.ts';
import { freePort } from '../../bin/cli/redis.ts';
import { createClient, type Client } from '../../bin/demo/client.ts';
import { systemClock } from '../../shared/lib/clock.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { createSystemStore } from '../../shared/redis/system-store.ts';
import { slots } from '../../workers/vault/contract.ts';
import { fileVault, type FileVault } from '../../workers/vault/file.ts';
import { writeHandle } from '../../workers/vault/handles.ts';
import { setUpCall, until } from '../harness.ts';
import { createMembers, ready, type Member, type Members } from './members.ts';
import {
  ALERT_CHANNEL,
  ENV,
  MAIL_TO,
  manifestOf,
  SLACK_CHANNEL,
  SLACK_USER,
  startOutside,
  type Outside,
  type OutsideOptions,
} from './outside.ts';
import { startRedisNode, type RedisNode } from './redis-node.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';

export const families = ['web', 'stage', 'distribute', 'healthcheck', 'notifier'] as const;
export type Family = (typeof families)[number];

export interface FleetOptions extends Partial<OutsideOptions> {
  /** How many processes of each family; 1 unless given. */
  readonly counts?: Partial<Record<Family, number>>;
}

export interface Fault {
  readonly what: string;
  /** When it was over, as far as it has an end (wall clock, ms). */
  readonly at: number;
  /** Whether a changing call was in flight: then the next step waits until nothing of it can be applied any more. */
  readonly changing: boolean;
}

export interface Fleet extends AsyncDisposable {
  readonly outside: Outside;
  readonly members: Members;
  /** What Velvet's processes and the test talk to now. */
  readonly server: RedisNode;
  /** Between Velvet's processes and Redis. */
  readonly link: TcpProxy;
  /** The test's own way to Redis, past the link. */
  readonly redis: Redis;
  readonly vault: FileVault;
  readonly client: Client;
  /** Values of Velvet's own that must be found nowhere either. */
  readonly ownSecrets: readonly string[];
  readonly folder: string;
  readonly logDir: string;
  readonly faults: readonly Fault[];
  note(fault: Fault): void;
  /** Another redis-server, which nobody talks to yet. */
  newServer(extra: readonly string[]): Promise<RedisNode>;
  /** From now on every new connection goes to this one; those to the one before are cut. */
  moveTo(server: RedisNode): void;
  /** One more process of the family; resolves when it is ready. */
  start(family: Family): Promise<Member>;
  /** The oldest of the family that lives. */
  oldest(family: Family): Member;
  /** The last lines of every log, for whoever has to find out why. */
  tail(lines: number): string;
}

/** Times in the append-only file, so that it can be cut by them. */
const redisArguments = ['--aof-timestamp-enabled', 'yes'] as const;
const root = fileURLToPath(new URL('../..', import.meta.url));
const procfile = readProcfile(join(root, 'Procfile'));
/** Idle processes end at once; what is still at work has the product's own 25 s. */
const GRACE_MS = 28_000;

/** Five processes start at once in each fleet; two fleets that start together would slow down what the others are measuring. */
let opening: Promise<unknown> = Promise.resolve();

export async function openFleet(options: FleetOptions = {}): Promise<Fleet> {
  const opened = opening.then(() => open(options));
  opening = opened.catch(() => undefined);
  return opened;
}

async function open(options: FleetOptions): Promise<Fleet> {
  const folder = await mkdtemp(join(tmpdir(), 'velvet-fleet-'));
  const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })]; // prettier-ignore
  const dispose = async () => {
    for (const close of closers.toReversed()) await close();
  };
  try {
    const fleet = await assemble(folder, options, closers);
    return Object.assign(fleet, { [Symbol.asyncDispose]: dispose });
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function assemble(
  folder: string,
  { counts = {}, ...given }: FleetOptions,
  closers: (() => Promise<unknown>)[],
): Promise<Omit<Fleet, typeof Symbol.asyncDispose>> {
  const world: OutsideOptions = {
    credentials: 1,
    consumers: 3,
    healthcheckAfter: 0,
    emergency: null,
    ...given,
  };
  const outside = await startOutside(world);
  closers.push(() => outside.close());
  const manifest = join(folder, 'manifest.yml');
  await writeFile(manifest, manifestOf(outside, world));

  const logDir = join(folder, 'log');
  // Two crews, so that Redis ends after those who use it.
  const [inner, outer] = [createMembers(root, logDir), createMembers(root, logDir)];
  closers.push(() => outer.stop(GRACE_MS));
  const place = (n: number) => join(folder, 'redis', String(n));
  let server = await startRedisNode(outer, place(1), redisArguments);
  const [link, past] = [await startTcpProxy(() => [server.port]), await startTcpProxy(() => [server.port])];
  closers.push(
    () => link.close(),
    () => past.close(),
  );
  const redis = new Redis(past.port, '127.0.0.1', { maxRetriesPerRequest: null, retryStrategy: () => 100 });
  redis.on('error', () => undefined);
  closers.push(async () => redis.disconnect());

  const keys = newKeys();
  const front = await startTcpProxy(() => webs.filter(({ member }) => member.ended === null).map(({ port }) => port)); // prettier-ignore
  closers.push(() => front.close());
  const url = `http://127.0.0.1:${front.port}`;
  const envs = environments({
    folder,
    manifest,
    url,
    redisPort: link.port,
    keys,
    outside,
    alarm: world.emergency !== null,
  });
  const webs: { readonly port: number; readonly member: Member }[] = [];
  closers.push(() => inner.stop(GRACE_MS));

  const vaultKey = Buffer.from(keys.VELVET_FILE_VAULT_KEY, 'base64');
  const vault = fileVault({ dir: join(folder, 'vault'), key: vaultKey, folder: '/velvet', env: ENV });
  await vault.initialise();
  for (const { name, first } of outside.credentials) {
    await vault.write(setUpCall(), slots.current(name), new Secret(first.token));
    await writeHandle(vault, setUpCall(), name, first.id);
  }
  const token = await operatorToken(redis);
  const stop = new AbortController();
  closers.push(async () => stop.abort(new Error('the fleet is being closed')));

  async function start(family: Family): Promise<Member> {
    const command = procfile.find(({ name }) => name === family)?.command ?? [];
    const port = family === 'web' ? await freePort() : 0;
    const env = family === 'web' ? { ...envs.web, PORT: String(port) } : envs.workers;
    const member = inner.start({ kind: family, command, env });
    await ready(member);
    if (family === 'web') webs.push({ port, member });
    return member;
  }
  await Promise.all(
    families.flatMap((family) => Array.from({ length: counts[family] ?? 1 }, () => start(family))),
  );
  const client = createClient(url, token, stop.signal);
  await untilWell(client, () => tail(20));
  await until(() => createSystemStore(redis).epoch());

  const faults: Fault[] = [];
  const all = () => [...outer.all(), ...inner.all()];
  function tail(lines: number): string {
    return all().map((member) => `--- ${member.name}\n${member.log().split('\n').slice(-lines).join('\n')}`).join('\n'); // prettier-ignore
  }
  return {
    outside,
    members: inner,
    get server() {
      return server;
    },
    link,
    newServer: (extra) => startRedisNode(outer, place(outer.all().length + 1), [...redisArguments, ...extra]),
    moveTo(next) {
      server = next;
      link.cut();
      past.cut();
    },
    redis,
    vault,
    client,
    ownSecrets: [...Object.values(keys), outside.slackToken, outside.smtpPassword, token],
    folder,
    logDir,
    faults,
    note: (fault) => void faults.push(fault),
    start,
    oldest(family) {
      const [first] = inner.living(family);
      if (first === undefined) throw new Error(`no ${family} lives`);
      return first;
    },
    tail,
  };
}

interface Setting {
  readonly folder: string;
  readonly manifest: string;
  readonly url: string;
  readonly redisPort: number;
  readonly keys: Readonly<Record<string, string>>;
  readonly outside: Outside;
  /** Whether the alarm has channels of its own. */
  readonly alarm: boolean;
}

/** What Velvet's processes have: the workers all, web the part without values. */
function environments({ folder, manifest, url, redisPort, keys, outside, alarm }: Setting) {
  const web = {
    APP_ENV: ENV,
    REDIS_URL: `redis://127.0.0.1:${redisPort}`,
    VELVET_MANIFEST: manifest,
    VELVET_ALLOW_LOOPBACK: '1',
    VELVET_PUBLIC_URL: url,
  };
  const workers = {
    ...web,
    ...keys,
    VELVET_FILE_VAULT_DIR: join(folder, 'vault'),
    HEROKU_API_URL: outside.heroku.url,
    HK_VELVET_BOOTSTRAP: outside.bootstrap.token,
    SL_BOT_NOTIFY: outside.slackToken,
    SLACK_API_URL: outside.slack.apiUrl,
    SLACK_OPERATOR_CHANNEL: SLACK_CHANNEL,
    ...(alarm ? alarmEnv(outside) : {}),
  };
  return { web, workers };
}

function alarmEnv({ smtp, smtpPassword }: Outside) {
  return {
    SLACK_ALERT_CHANNEL: ALERT_CHANNEL,
    SMTP_URL: `smtp://velvet:${smtpPassword}@${smtp.host}:${smtp.port}`,
    OPS_ALERT_EMAIL: MAIL_TO.join(','),
  };
}

async function operatorToken(redis: Redis): Promise<string> {
  const now = systemClock.now();
  const { token } = await createSystemStore(redis).createToken({
    name: 'fleet',
    owner: 'ada',
    scopes: ['rotate', 'admin'],
    credentials: null,
    slack_user_id: SLACK_USER,
    created_at: now,
    expires_at: now + 3_600_000,
  });
  return token;
}

const WELL_MS = 60_000;

async function untilWell(client: Client, why: () => string): Promise<void> {
  await until(
    async () => ((await client.ask('GET', '/healthz')).status === 200 ? true : null),
    WELL_MS,
    () => `Velvet to be well:\n${why()}`,
  );
}
