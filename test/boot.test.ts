// Every line of the Procfile as a real process: it boots, is healthy with the others, lets go; and refuses a Redis that it must not use.
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from './harness.ts';
import { freePort, startRedis, type RedisServer } from './redis-server.ts';

const root = new URL('..', import.meta.url).pathname;
const procfile = (await readFile(join(root, 'Procfile'), 'utf8')).trim().split('\n');
const lines = new Map(procfile.map((line) => line.split(': ') as [string, string]));
const processes = [...lines.keys()].filter((name) => name !== 'release');

let good: RedisServer;
let volatile: RedisServer;
let dir: string;
let settings: Readonly<Record<string, string>>;
beforeAll(async () => {
  [good, volatile] = await Promise.all([
    startRedis(),
    startRedis(['--appendonly', 'no', '--maxmemory-policy', 'allkeys-lru']),
  ]);
  dir = await mkdtemp(join(tmpdir(), 'velvet-boot-'));
  settings = await newInstallation(dir);
});
afterAll(async () => {
  await Promise.all([good.stop(), volatile.stop()]);
  await rm(dir, { recursive: true, force: true });
});

/** A manifest, an empty vault and fresh keys. No authority: its credential is unavailable, and the processes run. */
async function newInstallation(dir: string): Promise<Readonly<Record<string, string>>> {
  const manifest = join(dir, 'manifest.yml');
  const credential = {
    token_name: 'HK_PLATFORM_FULL',
    issuer: 'heroku-oauth',
    issuer_auth_token_name: 'HK_VELVET_BOOTSTRAP',
    scope: 'shared',
    entropy: 'high',
    active: true,
  };
  const row = {
    token_name: 'HK_PLATFORM_FULL',
    consumer_id: 'heroku-config-console',
    env: 'development',
    wave: 1,
    active: true,
    update_method: 'HEROKU_CONFIG_PATCH',
    update_endpoint: 'https://api.heroku.com/apps/console/config-vars',
    update_key: 'HEROKU_API_KEY',
    update_auth_token_name: 'HK_VELVET_BOOTSTRAP',
    healthcheck_endpoint: 'http://127.0.0.1:9/healthz',
    capabilities: ['update', 'healthcheck'],
  };
  await writeFile(manifest, JSON.stringify({ version: 2, credentials: [credential], subscribers: [row] }));
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: dir,
    APP_ENV: 'development',
    VELVET_MANIFEST: manifest,
    VELVET_ALLOW_LOOPBACK: '1',
    VELVET_FILE_VAULT_DIR: join(dir, 'vault'),
    VELVET_FILE_VAULT_KEY: randomBytes(32).toString('base64'),
    VELVET_FINGERPRINT_KEY: randomBytes(32).toString('base64'),
    VELVET_AUDIT_SIGNING_KEY: randomBytes(32).toString('base64'),
    // Nothing listens there: no test of ours may reach the real one.
    HEROKU_API_URL: 'http://127.0.0.1:9',
  };
}

interface Running extends AsyncDisposable {
  readonly process: ChildProcess;
  readonly said: { out: string; err: string };
  /** Ends by itself or by a signal: the exit code. */
  ended(): Promise<number | null>;
  ready(): Promise<void>;
}

function run(command: string, extra: Readonly<Record<string, string>>): Running {
  const [, ...args] = command.split(' ');
  const child = spawn(process.execPath, args, { cwd: root, env: { ...settings, ...extra } });
  const said = { out: '', err: '' };
  child.stdout.on('data', (data) => (said.out += String(data)));
  child.stderr.on('data', (data) => (said.err += String(data)));
  const exited = once(child, 'exit');
  const ended = async () => ((await exited) as [number | null])[0];
  return {
    process: child,
    said,
    ended,
    ready: async () => {
      const is = () => (said.out.includes('msg=ready') ? true : null);
      await until(is, 20_000, () => `${command} to be ready\n${said.out}\n${said.err}`);
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await exited;
    },
  };
}

async function health(port: number): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(`http://127.0.0.1:${port}/healthz`);
  return { status: response.status, text: await response.text() };
}

test('the Procfile has a line for each process family and one for the release', () => {
  expect([...lines.keys()]).toEqual(['web', 'stage', 'distribute', 'healthcheck', 'notifier', 'release']);
});

test('every line boots, together they are healthy, and each ends with 0 soon after SIGTERM', async () => {
  const port = await freePort();
  const env = { REDIS_URL: good.url, PORT: String(port) };
  await using web = run(lines.get('web') ?? '', env);
  await web.ready();
  const alone = await health(port);
  expect(alone.status).toBe(503);
  for (const family of processes.filter((name) => name !== 'web'))
    expect(alone.text).toContain(`${family}: no process`);

  await using stack = new AsyncDisposableStack();
  const workers = processes
    .filter((name) => name !== 'web')
    .map((name) => stack.use(run(lines.get(name) ?? '', env)));
  await Promise.all(workers.map((worker) => worker.ready()));
  const together = await until(async () => {
    const seen = await health(port);
    return seen.status === 200 ? seen : null;
  });
  expect(JSON.parse(together.text)).toMatchObject({ status: 'ok' });

  const began = performance.now();
  for (const one of [web, ...workers]) one.process.kill('SIGTERM');
  const codes = await Promise.all([web, ...workers].map((one) => one.ended()));
  expect(codes).toEqual(processes.map(() => 0));
  // They had nothing to do: the 25 s that they may take are for tasks that run.
  expect(performance.now() - began).toBeLessThan(10_000);
  expect([web, ...workers].map((one) => one.said.err)).toEqual(processes.map(() => ''));
});

test('one process of all worker families is as good as four', async () => {
  const port = await freePort();
  await using server = await startRedis();
  const env = { REDIS_URL: server.url, PORT: String(port) };
  await using web = run(lines.get('web') ?? '', env);
  await using all = run('node workers/main.ts all', env);
  await Promise.all([web.ready(), all.ready()]);
  await until(async () => ((await health(port)).status === 200 ? true : null));
  all.process.kill('SIGINT');
  expect(await all.ended()).toBe(0);
});

test.each(['node api/main.ts', 'node workers/main.ts stage'])(
  '%s refuses a Redis that evicts and forgets: exit 1, both reasons, what to do, no stack',
  async (command) => {
    await using refusing = run(command, { REDIS_URL: volatile.url, PORT: '0' });
    expect(await refusing.ended()).toBe(1);
    const { out, err } = refusing.said;
    for (const words of [
      'allkeys-lru',
      'noeviction',
      'appendonly is off',
      '`appendonly yes`',
      'VELVET_ALLOW_VOLATILE_REDIS=1',
    ])
      expect(err).toContain(words);
    expect(err.trim().split('\n')).toHaveLength(1);
    expect(`${out}${err}`).not.toMatch(/^\s+at |node:internal/m);
    expect(out).not.toContain('msg=ready');
  },
);

test('a volatile Redis is used where the installation says so', async () => {
  await using allowed = run('node workers/main.ts notifier', {
    REDIS_URL: volatile.url,
    VELVET_ALLOW_VOLATILE_REDIS: '1',
  });
  await allowed.ready();
  allowed.process.kill('SIGTERM');
  expect(await allowed.ended()).toBe(0);
});

test('a family that does not exist, and an environment that is not complete, are named', async () => {
  await using strange = run('node workers/main.ts cleaner', { REDIS_URL: good.url });
  await using bare = run('node workers/main.ts stage', {
    REDIS_URL: good.url,
    VELVET_FINGERPRINT_KEY: '',
    VELVET_TYPO: '1',
  });
  expect(await Promise.all([strange.ended(), bare.ended()])).toEqual([1, 1]);
  expect(strange.said.err).toContain('stage, distribute, healthcheck, notifier or all');
  expect(bare.said.err).toContain('VELVET_FINGERPRINT_KEY');
  expect(bare.said.err).toContain('VELVET_TYPO');
  expect(`${strange.said.err}${bare.said.err}`).not.toMatch(/^\s+at |node:internal/m);
});

test('web and stage refuse to start without their half of the seal where a credential is minted by hand', async () => {
  const manifest = join(dir, 'by-hand.yml');
  const text = JSON.parse(await readFile(settings['VELVET_MANIFEST'] ?? '', 'utf8')) as {
    credentials: Record<string, unknown>[];
  };
  const verify = { url: 'https://api.example.com/me', header: 'Authorization' };
  const credentials = text.credentials.map((one) => ({ ...one, issuer: 'OPERATOR_MANUAL', verify }));
  await writeFile(manifest, JSON.stringify({ ...text, credentials }));
  const env = { REDIS_URL: good.url, PORT: '0', VELVET_MANIFEST: manifest };

  await using web = run('node api/main.ts', env);
  await using stage = run('node workers/main.ts stage', env);

  expect(await Promise.all([web.ended(), stage.ended()])).toEqual([1, 1]);
  expect(web.said.err).toContain('VELVET_SEAL_PUBLIC_KEY is not set');
  expect(stage.said.err).toContain('VELVET_SEAL_PRIVATE_KEY is not set');
  for (const { err } of [web.said, stage.said]) expect(err).toContain('npx velvet keygen');
  expect(`${web.said.err}${stage.said.err}`).not.toMatch(/^\s+at |node:internal/m);
});

test('the release line lets a good set-up out and stops on a Redis that is not fit', async () => {
  const release = lines.get('release') ?? '';
  await using fine = run(release, { REDIS_URL: good.url });
  await using unfit = run(release, { REDIS_URL: volatile.url });
  expect([await fine.ended(), await unfit.ended()]).toEqual([0, 1]);
  expect(unfit.said.err).toContain('appendonly is off');
  expect(`${fine.said.err}${unfit.said.err}`).not.toMatch(/^\s+at |node:internal/m);
});

const counted = await readFile(join(root, 'docs/deploy-heroku.md'), 'utf8');

test.for(processes)('%s holds as many connections to Redis as docs/deploy-heroku.md says', async (name) => {
  const [, wanted] = new RegExp(`^\\| \`${name}\` \\| (\\d+) \\|`, 'm').exec(counted) ?? [];
  // Of a server of its own: what another process leaves there would be counted with it.
  await using server = await startRedis();
  const redis = new Redis(server.url);
  await using process = run(lines.get(name) ?? '', {
    REDIS_URL: server.url,
    PORT: String(await freePort()),
  });
  await process.ready();
  const open = async () =>
    String(await redis.call('CLIENT', 'LIST', 'TYPE', 'normal'))
      .trim()
      .split('\n').length +
    String(await redis.call('CLIENT', 'LIST', 'TYPE', 'pubsub'))
      .split('\n')
      .filter((line) => line !== '').length -
    1;
  await until(
    async () => ((await open()) === Number(wanted) ? true : null),
    10_000,
    async () => `${wanted} connections; there are ${await open()}`,
  );
  const later: number[] = [];
  for (let look = 0; look < 50; look += 1) later.push(await open());
  redis.disconnect();
  expect(new Set(later)).toEqual(new Set([Number(wanted)]));
});

test('the sum of them is what docs/deploy-heroku.md says', () => {
  const table = [...counted.matchAll(/^\| (`\w+`|all, one dyno each) \| (\d+) \|/gm)];
  const each = table.filter(([, name = '']) => name.startsWith('`')).map(([, , n]) => Number(n));
  expect(each).toHaveLength(processes.length);
  expect(table.find(([, name]) => name === 'all, one dyno each')?.[2]).toBe(
    String(each.reduce((a, b) => a + b)),
  );
});

test('a Redis that closes idle connections harms no process', { timeout: 90_000 }, async () => {
  await using server = await startRedis(['--timeout', '1']);
  const port = await freePort();
  const start = (name: string) => run(lines.get(name) ?? '', { REDIS_URL: server.url, PORT: String(port) });
  await using web = start('web');
  await using worker = start('notifier');
  await Promise.all([web.ready(), worker.ready()]);

  const redis = new Redis(server.url);
  const opened = async () => Number(/total_connections_received:(\d+)/.exec(await redis.info('stats'))?.[1]);
  const before = await opened();
  await until(async () => ((await opened()) > before + 5 ? true : null), 30_000);
  redis.disconnect();

  // Neither Redis nor the worker's beat is missed; the families that do not run are.
  const { text } = await health(port);
  expect(text).toContain('"stage: no process');
  expect(text).not.toMatch(/redis|notifier/);
  expect([web, worker].map((one) => one.process.exitCode)).toEqual([null, null]);
});
