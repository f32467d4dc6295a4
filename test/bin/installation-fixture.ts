// A small installation for the commands that need all of it: Redis, a Heroku, a vault's place, a manifest, an environment.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { createFeed } from '../../shared/redis/feed.ts';
import type { NumberedEvent } from '../../shared/redis/events.ts';
import { fileVault, type FileVault } from '../../workers/vault/file.ts';
import type { HerokuAccount } from '../sim/heroku-accounts.ts';
import { startHeroku, type HerokuSim } from '../sim/heroku.ts';
import type { RedisServer } from '../redis-server.ts';

export const CREDENTIAL = 'HK_ONE';
export const AUTHORITY = 'HK_WRITER';
export const APP_ENV = 'development';

export interface Fixture extends AsyncDisposable {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly redis: Redis;
  readonly heroku: HerokuSim;
  readonly account: HerokuAccount;
  readonly vault: FileVault;
  events(name: string): Promise<readonly NumberedEvent[]>;
}

export async function openFixture(server: RedisServer): Promise<Fixture> {
  const [cwd, heroku] = await Promise.all([mkdtemp(join(tmpdir(), 'velvet-cli-')), startHeroku()]);
  const account = heroku.createAccount();
  const bootstrap = account.authorize({ description: 'velvet bootstrap' });
  const redis = new Redis(server.url);
  await redis.flushdb();
  await writeFile(join(cwd, 'm.yml'), manifest);
  const key = Buffer.alloc(32, 3);
  const env = {
    APP_ENV,
    REDIS_URL: server.url,
    VELVET_MANIFEST: 'm.yml',
    VELVET_ALLOW_LOOPBACK: '1',
    VELVET_FILE_VAULT_KEY: key.toString('base64'),
    VELVET_FILE_VAULT_DIR: 'vault',
    HEROKU_API_URL: heroku.url,
    HK_VELVET_BOOTSTRAP: bootstrap.token,
  };
  return {
    cwd,
    env,
    redis,
    heroku,
    account,
    vault: fileVault({ dir: join(cwd, 'vault'), key, folder: '/velvet', env: APP_ENV }),
    events: (name) => createFeed(redis, redis).read(name, APP_ENV, 0, 100),
    async [Symbol.asyncDispose]() {
      redis.disconnect();
      await heroku.close();
      await rm(cwd, { recursive: true, force: true });
    },
  };
}

const manifest = `version: 2
credentials:
  - token_name: ${CREDENTIAL}
    issuer: heroku-oauth
    issuer_auth_token_name: HK_VELVET_BOOTSTRAP
    entropy: high
  - token_name: AWS_ONE
    issuer: aws-iam
    issuer_auth_token_name: ${AUTHORITY}
    entropy: high
    active: false
subscribers:
  - token_name: ${CREDENTIAL}
    consumer_id: first
    env: ${APP_ENV}
    update_method: HEROKU_CONFIG_PATCH
    update_endpoint: https://api.heroku.com/apps/first-app/config-vars
    update_key: API_KEY
    update_auth_token_name: ${AUTHORITY}
    healthcheck_endpoint: null
    capabilities: [update]
`;
