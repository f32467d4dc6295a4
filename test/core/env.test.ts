import { inspect } from 'node:util';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { readEnv, requireParts } from '../../shared/lib/env.ts';
import type { WebEnv } from '../../shared/lib/env.ts';
import { Secret } from '../../shared/lib/secret.ts';
import {
  auditSigningKey,
  common,
  every,
  fingerprintKey,
  full,
  infisicalIdentity,
  problemsOf,
  vaultKey,
} from './env-fixture.ts';

describe('each family gets only what it needs', () => {
  test('web gets neither vault nor vendor credential, even where they are set', () => {
    const secrets = {
      HK_VELVET_BOOTSTRAP: 'bootstrap-value',
      SL_BOT_NOTIFY: 'slack-value',
      VELVET_PROBE_KEY: 'probe-value',
    };

    const env = readEnv('web', {
      ...full,
      ...secrets,
      PORT: '8080',
      VELVET_PUBLIC_URL: 'https://velvet.example.com/',
    });

    expect(env).toEqual({
      appEnv: 'staging',
      redis: { url: 'redis://127.0.0.1:6379', rejectUnauthorized: true },
      manifestPath: 'manifests/subscription-manifest.yml',
      allowLoopback: false,
      allowVolatileRedis: false,
      velvetApp: null,
      infisicalPlace: { host: 'app.infisical.com', projectId: null, folder: '/velvet' },
      publicUrl: 'https://velvet.example.com',
      host: '127.0.0.1',
      port: 8080,
      sealKey: null,
      behindRouter: false,
    });
    expectTypeOf<
      Extract<keyof WebEnv, 'vault' | 'fingerprintKey' | 'heroku' | 'slack' | 'probeKey' | 'auditSigningKey'>
    >().toBeNever();
  });

  test("stage gets vault, keys, authority and the alarm's channels", () => {
    const env = readEnv('stage', {
      ...full,
      HK_VELVET_BOOTSTRAP: 'bootstrap-value',
      SL_BOT_NOTIFY: 'slack-value',
      SLACK_ALERT_CHANNEL: 'C-ALERT',
      SLACK_OPERATOR_CHANNEL: 'C-OPS',
      HEROKU_APP_NAME: 'velvet-staging',
      VELVET_MANIFEST: '/etc/velvet.yml',
    });

    expect(env.vault).toEqual({ kind: 'file', dir: '.velvet/vault', key: vaultKey, folder: '/velvet' });
    expect(env.fingerprintKey).toEqual(fingerprintKey);
    expect([env.auditSigningKey, env.auditDays]).toEqual([auditSigningKey, 400]);
    expect(readEnv('stage', { ...full, VELVET_AUDIT_DAYS: '30' }).auditDays).toBe(30);
    expect(readEnv('distribute', full)).not.toHaveProperty('auditSigningKey');
    expect(env.heroku.apiUrl).toBe('https://api.heroku.com');
    expect(env.heroku.bootstrap?.equals(new Secret('bootstrap-value'))).toBe(true);
    expect(env.slack).toMatchObject({
      apiUrl: 'https://slack.com/api/',
      operatorChannel: 'C-OPS',
      alertChannel: 'C-ALERT',
    });
    expect(env.velvetApp).toBe('velvet-staging');
    expect(env.manifestPath).toBe('/etc/velvet.yml');
  });

  test('distribute has the authority, healthcheck the probe key, notifier neither', () => {
    const source = { ...full, HK_VELVET_BOOTSTRAP: 'b', VELVET_PROBE_KEY: 'p' };

    expect(Object.keys(readEnv('distribute', source))).toEqual(
      expect.arrayContaining(['vault', 'fingerprintKey', 'heroku', 'slack']),
    );
    expect(readEnv('healthcheck', source).probeKey).toBeInstanceOf(Secret);
    expect(readEnv('healthcheck', source)).not.toHaveProperty('heroku');
    expect(Object.keys(readEnv('notifier', common)).filter((name) => /vault|key|heroku/i.test(name))).toEqual(
      [],
    );
  });

  test('a missing authority, Slack token or probe key is no problem: what needs it is unavailable', () => {
    expect(readEnv('stage', full)).toMatchObject({
      heroku: { bootstrap: null },
      slack: null,
      publicUrl: null,
    });
    expect(readEnv('healthcheck', full).probeKey).toBe(null);
  });

  test("another family's variable is not looked at, however malformed", () => {
    expect(
      problemsOf('web', {
        ...common,
        VELVET_FILE_VAULT_KEY: 'short',
        HEROKU_API_URL: 'ftp://x',
        VELVET_VAULT: 'paper',
      }),
    ).toEqual([]);
    expect(problemsOf('stage', { ...full, PORT: 'http', VELVET_TOKEN: ' x', VELVET_URL: 'nowhere' })).toEqual(
      [],
    );
  });

  test('the whole of it is frozen', () => {
    const env = readEnv('stage', full);

    expect([env, env.redis, env.vault, env.heroku].every((part) => Object.isFrozen(part))).toBe(true);
  });
});

describe('Infisical', () => {
  const { VELVET_FILE_VAULT_KEY: _, ...withoutFile } = full;

  test('is the vault where VELVET_VAULT says so, on a dyno too, and needs no key of the file vault', () => {
    const source = { ...withoutFile, ...infisicalIdentity, VELVET_VAULT: 'infisical', DYNO: 'stage.1' };

    for (const family of ['stage', 'distribute', 'healthcheck'] as const)
      expect(readEnv(family, source).vault).toMatchObject({
        kind: 'infisical',
        folder: '/velvet',
        infisical: { siteUrl: 'https://app.infisical.com', projectId: 'project-1' },
      });
    expect(inspect(readEnv('stage', source), { depth: null })).not.toContain('client-secret-value');
    expect(readEnv('cli', source).vault?.kind).toBe('infisical');
    expect(problemsOf('release', source)).toEqual([]);
  });

  test('is there for rows beside the file vault, and not at all where nothing of it is set', () => {
    const env = readEnv('distribute', {
      ...full,
      ...infisicalIdentity,
      INFISICAL_SITE_URL: 'https://eu.infisical.com/',
    });

    expect([env.vault.kind, env.infisical?.siteUrl]).toEqual(['file', 'https://eu.infisical.com']);
    expect(env.infisicalPlace).toEqual({
      host: 'eu.infisical.com',
      projectId: 'project-1',
      folder: '/velvet',
    });
    expect(readEnv('distribute', full).infisical).toBe(null);
    expect(readEnv('web', { ...full, ...infisicalIdentity })).not.toHaveProperty('infisical');
    expect(readEnv('notifier', { ...full, ...infisicalIdentity })).not.toHaveProperty('infisical');
  });

  test('its three parts belong together, and what is missing is said at once, each problem once', () => {
    expect(problemsOf('stage', { ...withoutFile, VELVET_VAULT: 'infisical' })).toEqual([
      expect.stringContaining('INFISICAL_CLIENT_ID is not set'),
      expect.stringContaining('INFISICAL_CLIENT_SECRET is not set'),
      expect.stringContaining('INFISICAL_PROJECT_ID is not set'),
    ]);
    expect(problemsOf('distribute', { ...full, INFISICAL_CLIENT_SECRET: 'x' })).toHaveLength(2);
  });
});

describe('allowances', () => {
  const allowances = { VELVET_ALLOW_LOOPBACK: '1', VELVET_ALLOW_VOLATILE_REDIS: '1' };

  test.for(every)('with APP_ENV=prod both are refused: %s', (family) => {
    expect(problemsOf(family, { ...full, ...allowances, APP_ENV: 'prod' })).toEqual([
      'VELVET_ALLOW_LOOPBACK is not allowed with APP_ENV=prod: remove it.',
      'VELVET_ALLOW_VOLATILE_REDIS is not allowed with APP_ENV=prod: remove it.',
    ]);
  });

  test('loopback http is let through for vendors with the allowance alone, and never another host', () => {
    const urls = {
      HEROKU_API_URL: 'http://127.0.0.1:4010/',
      GITHUB_API_URL: 'http://127.0.0.1:4012/api/v3',
      SLACK_API_URL: 'http://localhost:4011/api',
    };

    const env = readEnv('distribute', {
      ...full,
      ...urls,
      ...allowances,
      SL_BOT_NOTIFY: 'x',
      SLACK_OPERATOR_CHANNEL: 'C1',
    });

    expect(env).toMatchObject({
      allowLoopback: true,
      allowVolatileRedis: true,
      heroku: { apiUrl: 'http://127.0.0.1:4010' },
      github: { apiUrl: 'http://127.0.0.1:4012/api/v3' },
    });
    expect(env.slack).toMatchObject({
      apiUrl: 'http://localhost:4011/api/',
      operatorChannel: 'C1',
      alertChannel: 'C1',
    });
    expect(problemsOf('distribute', { ...full, ...urls })).toHaveLength(3);
    for (const host of ['10.0.0.1', '127.0.0.1.example.com', 'localhost.example.com', '0.0.0.0'])
      expect(
        problemsOf('distribute', { ...full, ...allowances, HEROKU_API_URL: `http://${host}` }),
      ).toHaveLength(1);
  });
});

describe('on a Heroku dyno', () => {
  const dyno = { ...full, DYNO: 'web.1', APP_ENV: 'prod', REDIS_URL: 'rediss://:pw@host:6380' };

  test('web listens to the router, and Redis may have a self-signed certificate', () => {
    expect(readEnv('web', dyno)).toMatchObject({ host: '0.0.0.0', redis: { rejectUnauthorized: false } });
    expect(readEnv('web', { ...dyno, DYNO: undefined })).toMatchObject({
      host: '127.0.0.1',
      redis: { rejectUnauthorized: true },
    });
  });

  test.for(['stage', 'distribute', 'healthcheck', 'release'] as const)(
    'the file vault is refused with the reason: %s',
    (family) => {
      for (const source of [dyno, { ...dyno, VELVET_VAULT: 'file' }])
        expect(problemsOf(family, source)).toEqual([expect.stringContaining('file system is ephemeral')]);
    },
  );
});

describe('secrets', () => {
  test('print as [secret], and so does the password of Redis', () => {
    const env = readEnv('stage', {
      ...full,
      REDIS_URL: 'redis://default:redis-password@host:6379',
      HK_VELVET_BOOTSTRAP: 'bootstrap-value',
    });

    for (const printed of [inspect(env, { depth: null }), JSON.stringify(env)])
      expect(printed).not.toMatch(/redis-password|bootstrap-value/);
    expect(env.redis.url).toContain('redis-password');
    expect({ ...env.redis }).toEqual({ url: env.redis.url, rejectUnauthorized: true });
  });
});

describe('cli', () => {
  test('works with nothing set, and a command says which of its parts are missing', () => {
    const env = readEnv('cli', {});

    expect(env).toMatchObject({
      url: null,
      token: null,
      appEnv: null,
      redis: null,
      vault: null,
      fingerprintKey: null,
    });
    expect(() => requireParts(env, 'url', 'vault')).toThrow(
      /VELVET_URL is not set.*\n.*VELVET_FILE_VAULT_KEY is not set/,
    );
  });

  test('has what is set, and refuses what is malformed', () => {
    // oxfmt-ignore
    const env = requireParts(
      readEnv('cli', { ...full, VELVET_URL: 'http://127.0.0.1:3000/', VELVET_TOKEN: 'service-token' }),
      'url',
      'token',
      'appEnv',
      'redis',
      'vault',
      'fingerprintKey',
    );

    expect(env).toMatchObject({
      url: 'http://127.0.0.1:3000',
      appEnv: 'staging',
      vault: { folder: '/velvet' },
    });
    expectTypeOf(env.token).toEqualTypeOf<Secret>();
    expect(problemsOf('cli', { VELVET_URL: 'http://velvet.example.com', APP_ENV: 'live' })).toHaveLength(2);
  });
});

describe('release', () => {
  test("a deploy stops at any family's problem", () => {
    expect(
      problemsOf('release', {
        ...full,
        PORT: 'x',
        VELVET_PUBLIC_URL: 'x',
        SLACK_API_URL: 'x',
        VELVET_PROBE_KEY: ' x',
      }),
    ).toHaveLength(4);
    expect(readEnv('release', full)).toEqual(expect.objectContaining({ appEnv: 'staging' }));
    expect(Object.keys(readEnv('release', full))).not.toContain('vault');
  });
});
