// A whole Velvet in one process: real Redis, the real families and API, simulators outside, times of its own. One fresh world per test.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { buildApp } from '../api/app.ts';
import type { Limits } from '../api/limits.ts';
import { lookThrough, ticketsThrough, type ApiDeps, type App } from '../api/router.ts';
import { systemClock } from '../shared/lib/clock.ts';
import type { AlarmEnv } from '../shared/lib/env-alarm.ts';
import type { InfisicalEnv, VaultEnv } from '../shared/lib/env-vault.ts';
import { createLog } from '../shared/lib/log.ts';
import { leaseFrom } from '../shared/lib/lease.ts';
import { newSealKeys } from '../shared/lib/seal-keys.ts';
import { Secret } from '../shared/lib/secret.ts';
import { parseManifest } from '../shared/manifest/load.ts';
import { createRelay } from '../shared/queue/enqueue.ts';
import { openQueues } from '../shared/queue/queues.ts';
import { createAsker } from '../shared/queue/questions.ts';
import { createAlarmStore } from '../shared/redis/alarm-store.ts';
import { createAnswers } from '../shared/redis/answers.ts';
import { createTypedValues } from '../shared/redis/typed-values.ts';
import { createFeed, type Feed } from '../shared/redis/feed.ts';
import { createGround } from '../shared/redis/ground.ts';
import { systemKeys } from '../shared/redis/keys.ts';
import { createJobStore, type JobStore } from '../shared/redis/job-store.ts';
import { createMetrics } from '../shared/redis/metrics.ts';
import { createRateLimits } from '../shared/redis/rate-limits.ts';
import {
  createSystemStore,
  workerFamilies,
  type Scope,
  type SystemStore,
  type WorkerFamily,
} from '../shared/redis/system-store.ts';
import { times as productTimes, type Times } from '../shared/times.ts';
import { tellMoves } from '../shared/moves.ts';
import { createTransitions } from '../shared/transition.ts';
import { startFamily } from '../workers/families.ts';
import type { RunningFamily } from '../workers/family-work.ts';
import { slots, type Vault } from '../workers/vault/contract.ts';
import { openVault } from '../workers/vault/open.ts';
import type { VendorCall } from '../workers/vendors/contract.ts';
import { createDoor } from '../workers/vendors/http.ts';
import { infisicalSecrets } from '../workers/vendors/infisical/secrets.ts';
import { startConsumer, type ConsumerSim } from './sim/consumer.ts';
import type { HerokuAccount } from './sim/heroku-accounts.ts';
import type { HerokuApp } from './sim/heroku-apps.ts';
import { startHeroku, type HerokuSim } from './sim/heroku.ts';
import type { MachineIdentity } from './sim/infisical-identities.ts';
import type { InfisicalProject } from './sim/infisical-projects.ts';
import { startInfisical, type InfisicalSim } from './sim/infisical.ts';
import { startPlainVendor, type PlainVendorSim } from './sim/plain-vendor.ts';
import { startSlack, type SlackSim } from './sim/slack.ts';

/** The product's constants, shrunk: what takes minutes there takes parts of a second here, in the same proportions. */
export const quickTimes: Times = {
  ...productTimes,
  leaseMs: 1_000,
  lateMs: 100,
  rateLimitWaitMs: 40,
  secondaryLimitWaitMs: 40,
  vendorCallMs: 500,
  probeMs: 400,
  slackMs: 250,
  scheduleMs: 600_000,
  settlePollMs: 15,
  settleForMs: 1_500,
  provePollMs: 15,
  proveForMs: 2_000,
  proveAgainForMs: 1_000,
  inspectForMs: 2_500,
  retryBackoffMs: 10,
  cleanupRetryMs: 100,
  taskLockMs: 2_000,
  stalledCheckMs: 500,
  sweepMs: 50,
  silentMs: 150,
  beatMs: 200,
  beatTtlMs: 2_000,
  availabilityMs: 600_000,
  sealMs: 100,
  anchorMs: 200,
  answerMs: 5_000,
  answerPollMs: 10,
  deepCheckMs: 850,
  deepHealthMs: 2_000,
  ticketCallMs: 300,
  ticketMs: 1_000,
  metricsMs: 20,
  alarmLeaseMs: 600,
  alarmSendMs: 500,
  alarmPollMs: 200,
  alarmStandInPollMs: 500,
  alarmStandInMs: 400,
  alarmPaceMs: 20,
  alarmBackoffMs: 20,
  alarmBackoffMaxMs: 200,
  alarmPauseMaxMs: 1_000,
  alarmRecipientMs: 50,
  alarmDrillWaitMs: 5_000,
  alarmYieldMs: 20,
  streamHeartbeatMs: 100,
  drainMs: 1_000,
  closeMs: 500,
};

/** A test asks as fast as it can, and all of it from one place. */
const plenty: Limits = {
  address: { most: 1e9, windowMs: 1_000 },
  token: { most: 1e9, windowMs: 1_000 },
  failedLogin: { most: 1e9, windowMs: 1_000 },
  deepHealth: { most: 1e9, windowMs: 1_000 },
};

export interface AppSpec {
  readonly name: string;
  readonly kind?: HerokuApp['kind'];
  readonly answersChallenge?: boolean;
  readonly wave?: number;
  /** False: the row has no health endpoint. */
  readonly endpoint?: boolean;
  /** Further lines of the manifest's row. */
  readonly extra?: Readonly<Record<string, string | number | boolean>>;
}

export interface WorldOptions {
  readonly apps?: readonly AppSpec[];
  readonly times?: Partial<Times>;
  readonly credential?: Readonly<Record<string, unknown>>;
  readonly families?: readonly WorkerFamily[];
  /** Further entries of the manifest, as it spells them. */
  readonly more?: {
    readonly credentials?: readonly Readonly<Record<string, unknown>>[];
    readonly subscribers?: readonly Readonly<Record<string, unknown>>[];
  };
  readonly adopt?: boolean;
  /** The credential is one of a vendor that Velvet has no code for; only `plainVendor` says whether a token works. */
  readonly byHand?: boolean;
  readonly healthcheckAfter?: number;
  /** What lies in the vault before any family starts, beside the credential: the authorities of further rows. */
  readonly authorities?: Readonly<Record<string, string>>;
  /** Tickets are looked up there. */
  readonly freescout?: { readonly url: string; readonly apiKey: string };
  /** A simulated GitHub, for a world that has rows there. */
  readonly githubUrl?: string;
  /** How long a release of the simulated Heroku takes. */
  readonly releaseMs?: number;
  /** What is called while the fleet is whole. */
  readonly heartbeatUrl?: string;
  /** Values lie in an Infisical of the world's own, which rows may target too. */
  readonly infisical?: boolean;
  /** Channels of the alarm beside Slack. */
  readonly alarm?: Partial<Pick<AlarmEnv, 'mail' | 'webhook'>>;
}

export const CREDENTIAL = 'HK_PLATFORM_FULL';
export const ENV = 'development';

export interface World extends AsyncDisposable {
  readonly app: App;
  /** What `app` was built from, for a second one that differs in a part. */
  readonly deps: ApiDeps;
  readonly heroku: HerokuSim;
  readonly account: HerokuAccount;
  /** Says whether a token of `account` works, to a world whose credential is minted by hand. */
  readonly plainVendor: PlainVendorSim;
  readonly slack: SlackSim;
  readonly apps: readonly HerokuApp[];
  readonly consumers: readonly ConsumerSim[];
  readonly redis: Redis;
  readonly store: JobStore;
  readonly system: SystemStore;
  readonly feed: Feed;
  readonly vault: Vault;
  /** Null unless asked for. */
  readonly infisical: OutsideInfisical | null;
  readonly vaultDir: string;
  readonly firstToken: string;
  readonly bootstrapToken: string;
  readonly operator: string;
  readonly log: string[];
  /** What a worker process of its own finds in its environment, to work in this world. */
  readonly environment: Readonly<Record<string, string>>;
  token(
    scopes: readonly Scope[],
    more?: {
      readonly owner?: string;
      readonly credentials?: readonly string[];
      readonly expiresInMs?: number;
      readonly slackUserId?: string;
    },
  ): Promise<string>;
  api(
    method: string,
    path: string,
    body?: unknown,
    options?: { readonly token?: string | null; readonly headers?: Readonly<Record<string, string>> },
  ): Promise<Answer>;
  create(key?: string): Promise<string>;
  stage(jobId: string, body: Readonly<Record<string, unknown>>, token?: string): Promise<Answer>;
  job(jobId: string): Promise<JobView>;
  reaches(jobId: string, status: string | readonly string[], ms?: number): Promise<JobView>;
  /** From nothing to the gate before the revoke. */
  toValidated(): Promise<string>;
  start(family: WorkerFamily): RunningFamily;
  stop(family: WorkerFamily): Promise<void>;
}

export interface OutsideInfisical {
  readonly sim: InfisicalSim;
  readonly project: InfisicalProject;
  readonly identity: MachineIdentity;
  readonly env: InfisicalEnv;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Record<string, unknown> & {
    readonly code?: string;
    readonly detail?: string;
    readonly allowed_actions?: readonly string[];
    readonly job_id?: string;
    readonly status?: string | number;
  };
}

export interface JobView {
  readonly job_id: string;
  readonly status: string;
  readonly version: number;
  readonly allowed_actions: readonly string[];
  readonly consumers: readonly Record<string, unknown>[];
  readonly error: { readonly code: string; readonly detail: string } | null;
  readonly old_auth_id: string | null;
  readonly new_auth_id: string | null;
  readonly vault_ref: string | null;
  readonly cleanup: string | null;
  readonly [key: string]: unknown;
}

export async function buildWorld(redisUrl: string, options: WorldOptions = {}): Promise<World> {
  const times = { ...quickTimes, ...options.times };
  const dir = await mkdtemp(join(tmpdir(), 'velvet-world-'));
  const outside = await startOutside(options);
  const manifestPath = join(dir, 'manifest.yml');
  await writeFile(manifestPath, manifestOf(outside, options));
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
  await redis.flushdb();
  const seal = newSealKeys();
  const keys = {
    fingerprint: Buffer.alloc(32, 7),
    vault: Buffer.alloc(32, 9),
    audit: Buffer.alloc(32, 11),
    sealPrivate: Buffer.from(seal.privateKey, 'base64'),
  };
  const vaultDir = join(dir, 'vault');
  const vaultEnv: VaultEnv =
    outside.infisical === null
      ? { kind: 'file', dir: vaultDir, key: keys.vault, folder: '/velvet' }
      : { kind: 'infisical', folder: '/velvet', infisical: outside.infisical.env };
  const vault = openVault(vaultEnv, ENV, {
    secrets: infisicalSecrets({
      door: createDoor({ fetch: globalThis.fetch, clock: systemClock, times }),
      clock: systemClock,
      siteUrl: outside.infisical?.sim.url ?? '',
      times,
    }),
    clock: systemClock,
  });
  await vault.initialise();
  if (options.adopt !== false)
    await vault.write(setUpCall(), slots.current(CREDENTIAL), new Secret(outside.first.token));
  for (const [name, value] of Object.entries(options.authorities ?? {}))
    await vault.write(setUpCall(), slots.current(name), new Secret(value));
  const log: string[] = [];
  const logOf = (family: string) => createLog({ env: ENV, family, write: (line) => log.push(line) });

  const store = createJobStore(redis, times.idempotencyKeepMs);
  const system = createSystemStore(redis);
  const subscriber = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const feed = createFeed(redis, subscriber);
  const queues = openQueues(redis, () => undefined);
  const relay = createRelay(queues, store, () => undefined);
  const stopping = new AbortController();
  const asker = createAsker({
    connection: redis,
    answers: createAnswers(redis),
    clock: systemClock,
    times,
    onError: () => undefined,
  });
  const ground = createGround(redis);
  const metrics = createMetrics(redis, times.metricsMs);
  const deps: ApiDeps = {
    asker,
    env: ENV,
    allowVolatileRedis: false,
    behindRouter: false,
    publicUrl: null,
    manifest: parseManifest(manifestOf(outside, options), manifestPath, { allowLoopback: true }),
    redis,
    store,
    system,
    alarms: createAlarmStore(redis, ENV, store),
    rateLimits: createRateLimits(redis),
    limits: plenty,
    queues,
    feed,
    ground,
    transitions: createTransitions(store, relay, systemClock, tellMoves(logOf('web'), metrics)),
    look: lookThrough(asker),
    typedValues: createTypedValues(redis, times.valueKeepMs),
    sealKey: Buffer.from(seal.publicKey, 'base64'),
    lookUpTicket: ticketsThrough(asker, times),
    clock: systemClock,
    times,
    log: logOf('web'),
    stopping: stopping.signal,
  };
  const app = buildApp(deps);

  const running = new Map<WorkerFamily, RunningFamily[]>();
  const env = workerEnv({
    outside,
    manifestPath,
    vaultEnv,
    keys,
    // Nobody listens there.
    githubUrl: options.githubUrl ?? 'http://127.0.0.1:9',
    freescout: options.freescout,
    heartbeatUrl: options.heartbeatUrl ?? null,
    alarm: options.alarm,
  });
  function start(family: WorkerFamily): RunningFamily {
    const started = startFamily(family, env as never, {
      redis,
      fetch: globalThis.fetch,
      clock: systemClock,
      times,
      log: logOf(family),
    });
    running.set(family, [...(running.get(family) ?? []), started]);
    return started;
  }
  async function stop(family: WorkerFamily): Promise<void> {
    const own = running.get(family) ?? [];
    running.delete(family);
    await Promise.all(own.map((one) => one.stop()));
  }
  await system.demandEpoch();
  // Today's drill is over: a world that counts what Slack heard is not disturbed by it.
  await redis.set(systemKeys.duty('alarm-drill'), 'yesterday', 'PX', 3_600_000);
  // Without a stage worker nobody looks; nothing was lost here.
  if (!(options.families ?? workerFamilies).includes('stage'))
    for (const { token_name: credential } of deps.manifest.credentials)
      await ground.reconciled({ credential, env: ENV }, await ground.server());
  await Promise.all((options.families ?? workerFamilies).map((family) => start(family).ready));
  for (const family of workerFamilies) await system.beat(family, 3_600_000);
  // The stage's first look at the authorities is over, so that a scripted fault meets the call that it was meant for.
  if ((options.families ?? workerFamilies).includes('stage') && options.byHand !== true) {
    await until(
      () => outside.heroku.requests.find((request) => request.route === 'GET /oauth/authorizations') ?? null,
    );
  }

  const token: World['token'] = async (scopes, more = {}) => {
    const now = systemClock.now();
    const record = {
      name: 'test',
      owner: more.owner ?? 'ada',
      scopes: [...scopes],
      credentials: more.credentials === undefined ? null : [...more.credentials],
      slack_user_id: more.slackUserId ?? 'U0OPERATOR',
      created_at: now,
      expires_at: now + (more.expiresInMs ?? 3_600_000),
    };
    return (await system.createToken(record)).token;
  };
  const operator = await token(['rotate', 'admin']);

  const api: World['api'] = async (method, path, body, { token: own = operator, headers = {} } = {}) => {
    const response = await app.request(path, {
      method,
      headers: {
        ...(own === null ? {} : { authorization: `Bearer ${own}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: parsed(text) };
  };
  const job = async (jobId: string) =>
    (await api('GET', `/tokens/${CREDENTIAL}/rotations/${jobId}`)).body as unknown as JobView;
  const stage: World['stage'] = (jobId, body, own) =>
    api(
      'POST',
      `/tokens/${CREDENTIAL}/rotations/${jobId}/stage`,
      body,
      own === undefined ? {} : { token: own },
    );
  const create = async (key: string = crypto.randomUUID()) => {
    const answer = await api('POST', `/tokens/${CREDENTIAL}/rotate`, {
      flow_type: 'operational',
      idempotency_key: key,
      force_revoke: false,
    });
    if (answer.status !== 202) throw new Error(`create: ${answer.status} ${answer.text}`);
    return String(answer.body.job_id);
  };
  const reaches: World['reaches'] = async (jobId, status, ms = 10_000) => {
    const wanted = typeof status === 'string' ? [status] : status;
    return until(
      async () => {
        const view = await job(jobId);
        return wanted.includes(view.status) ? view : null;
      },
      ms,
      async () =>
        `job in ${wanted.join('/')}; it is ${JSON.stringify(await job(jobId), null, 1)}\n${log.slice(-25).join('\n')}`,
    );
  };

  return {
    app,
    deps,
    ...outside,
    redis,
    store,
    system,
    feed,
    vault,
    vaultDir,
    firstToken: outside.first.token,
    bootstrapToken: outside.bootstrap.token,
    operator,
    log,
    environment: {
      APP_ENV: ENV,
      REDIS_URL: redisUrl,
      VELVET_MANIFEST: manifestPath,
      VELVET_ALLOW_LOOPBACK: '1',
      VELVET_FILE_VAULT_DIR: vaultDir,
      VELVET_FILE_VAULT_KEY: keys.vault.toString('base64'),
      VELVET_FINGERPRINT_KEY: keys.fingerprint.toString('base64'),
      HEROKU_API_URL: outside.heroku.url,
      HK_VELVET_BOOTSTRAP: outside.bootstrap.token,
    },
    token,
    api,
    create,
    stage,
    job,
    reaches,
    start,
    stop,
    async toValidated() {
      const jobId = await create();
      await stage(jobId, { action: 'verify' });
      await reaches(jobId, 'verified');
      await stage(jobId, { action: 'proceed_mint' });
      await reaches(jobId, 'validated');
      return jobId;
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await Promise.all([...running.keys()].map(stop));
      await Promise.all([asker, metrics, ...Object.values(queues)].map((one) => one.close()));
      redis.disconnect();
      subscriber.disconnect();
      await Promise.all([
        outside.heroku.close(),
        outside.slack.close(),
        outside.plainVendor.close(),
        outside.infisical?.sim.close(),
        ...outside.consumers.map((consumer) => consumer.close()),
      ]);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function startOutside(options: WorldOptions) {
  const heroku = await startHeroku({ bootMs: 20, releaseMs: options.releaseMs ?? 20 });
  const account = heroku.createAccount();
  const bootstrap = account.authorize({ description: 'velvet bootstrap', scope: ['global'] });
  const first = account.authorize({ description: 'made by hand', scope: ['global'] });
  const plainVendor = await startPlainVendor({ isLive: (token) => heroku.isLive(token) });
  const slack = await startSlack({
    token: 'xoxb-test',
    users: ['U0OPERATOR'],
    channels: ['C0OPS', 'C0ALERT'],
  });
  const specs = options.apps ?? [{ name: 'raxx-console-prod' }, { name: 'raxx-api-prod' }];
  const apps = specs.map((spec) =>
    heroku.createApp(account, spec.name, {
      config: { HEROKU_API_KEY: first.token, OTHER: 'left alone' },
      kind: spec.kind ?? 'normal',
    }),
  );
  const consumers = await Promise.all(
    specs.map((spec, index) =>
      startConsumer({
        heroku: heroku.url,
        app: apps[index] as HerokuApp,
        key: 'HEROKU_API_KEY',
        path: '/healthz/heroku',
        answersChallenge: spec.answersChallenge ?? true,
      }),
    ),
  );
  const infisical = options.infisical === true ? await startInfisicalOutside() : null;
  return { heroku, account, plainVendor, bootstrap, first, slack, apps, consumers, specs, infisical };
}

async function startInfisicalOutside(): Promise<OutsideInfisical> {
  // Loading it stops everything for a moment, and a world's deadlines are short.
  await import('@infisical/sdk');
  const sim = await startInfisical();
  const project = sim.createProject();
  project.folder(ENV, '/velvet');
  const identity = sim.createIdentity();
  const { clientId, clientSecret } = identity;
  const env = { siteUrl: sim.url, clientId, clientSecret: new Secret(clientSecret), projectId: project.id };
  return { sim, project, identity, env };
}
type Outside = Awaited<ReturnType<typeof startOutside>>;

function manifestOf({ specs, consumers, plainVendor }: Outside, options: WorldOptions): string {
  const ofNobody = {
    issuer: 'OPERATOR_MANUAL',
    issuer_auth_token_name: undefined,
    verify: { url: plainVendor.verifyUrl, header: 'X-Api-Token' },
  };
  const credential = {
    token_name: CREDENTIAL,
    issuer: 'heroku-oauth',
    issuer_auth_token_name: 'HK_VELVET_BOOTSTRAP',
    scope: 'shared',
    entropy: 'high',
    active: true,
    ...(options.byHand === true ? ofNobody : {}),
    ...options.credential,
  };
  const rows = specs.map((spec, index) => ({
    token_name: CREDENTIAL,
    consumer_id: `heroku-config-${spec.name}`,
    env: ENV,
    wave: spec.wave ?? 1,
    active: true,
    update_method: 'HEROKU_CONFIG_PATCH',
    update_endpoint: `https://api.heroku.com/apps/${spec.name}/config-vars`,
    update_key: 'HEROKU_API_KEY',
    update_auth_token_name: 'HK_VELVET_BOOTSTRAP',
    healthcheck_endpoint: spec.endpoint === false ? null : consumers[index]?.healthUrl,
    healthcheck_after: options.healthcheckAfter ?? 0,
    capabilities: spec.endpoint === false ? ['update'] : ['update', 'healthcheck'],
    ...spec.extra,
  }));
  const { credentials = [], subscribers = [] } = options.more ?? {};
  // JSON is YAML.
  return JSON.stringify(
    { version: 2, credentials: [credential, ...credentials], subscribers: [...rows, ...subscribers] },
    null,
    2,
  );
}

function workerEnv({
  outside,
  manifestPath,
  vaultEnv,
  keys,
  githubUrl,
  freescout,
  heartbeatUrl,
  alarm,
}: {
  outside: Outside;
  alarm: WorldOptions['alarm'];
  githubUrl: string;
  freescout: WorldOptions['freescout'];
  heartbeatUrl: string | null;
  manifestPath: string;
  vaultEnv: VaultEnv;
  keys: { fingerprint: Buffer; vault: Buffer; audit: Buffer; sealPrivate: Buffer };
}) {
  return {
    appEnv: ENV,
    redis: { url: '', rejectUnauthorized: true },
    manifestPath,
    allowLoopback: true,
    allowVolatileRedis: false,
    velvetApp: null,
    infisicalPlace: { host: 'app.infisical.com', projectId: null, folder: '/velvet' },
    infisical: outside.infisical?.env ?? null,
    publicUrl: null,
    probeKey: null,
    slack: {
      token: new Secret('xoxb-test'),
      apiUrl: outside.slack.apiUrl,
      operatorChannel: 'C0OPS',
      alertChannel: 'C0ALERT',
    },
    mail: alarm?.mail ?? null,
    webhook: alarm?.webhook ?? null,
    vault: vaultEnv,
    fingerprintKey: keys.fingerprint,
    auditSigningKey: keys.audit,
    sealKey: keys.sealPrivate,
    auditDays: 400,
    heartbeatUrl,
    heroku: { apiUrl: outside.heroku.url, bootstrap: new Secret(outside.bootstrap.token) },
    github: { apiUrl: githubUrl },
    freescout: freescout === undefined ? null : { url: freescout.url, apiKey: new Secret(freescout.apiKey) },
  };
}

/** A call with a lease, for what a test arranges in the vault itself. */
export function setUpCall(): VendorCall {
  const lease = leaseFrom(
    systemClock,
    '0-setup',
    systemClock.now() + 60_000,
    systemClock.monotonic(),
    60_000,
  );
  return { jobId: 'setup', fence: '0-setup', lease, signal: new AbortController().signal, repeat: false };
}

/** Asks until the answer is not null; a deadline instead of a sleep. */
export async function until<T>(
  ask: () => Promise<T | null> | T | null,
  ms = 10_000,
  what: () => Promise<string> | string = () => 'the condition',
): Promise<T> {
  const end = systemClock.monotonic() + ms;
  for (;;) {
    const answer = await ask();
    if (answer !== null) return answer;
    if (systemClock.monotonic() > end) throw new Error(`waited ${ms} ms in vain for ${await what()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function parsed(text: string): Answer['body'] {
  try {
    return JSON.parse(text) as Answer['body'];
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}
