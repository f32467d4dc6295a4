import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { EnvError, readEnv } from '../../shared/lib/env.ts';
import { common, every, full, infisicalIdentity, problemsOf } from './env-fixture.ts';

describe('problems', () => {
  test('FreeScout is an address and a key, or neither; both are of the stage worker alone', () => {
    const [url, key] = [{ FREESCOUT_URL: 'https://help.example.com/desk/' }, { FREESCOUT_API_KEY: 'fs-key' }];
    expect(problemsOf('stage', { ...full, ...url })).toEqual([
      expect.stringMatching(/^FREESCOUT_API_KEY is not set: set it to .* or leave FREESCOUT_URL out/),
    ]);
    expect(problemsOf('stage', { ...full, ...key })).toEqual([
      expect.stringMatching(/^FREESCOUT_URL is not set: set it to .* or leave both out/),
    ]);
    expect(problemsOf('stage', { ...full, ...key, FREESCOUT_URL: 'http://help.example.com' })).toContain(
      'FREESCOUT_URL must be an https address.',
    );
    const env = readEnv('stage', { ...full, ...url, ...key });
    expect(env.freescout?.url).toBe('https://help.example.com/desk');
    expect(JSON.stringify(env.freescout)).not.toContain('fs-key');
    expect(readEnv('stage', full).freescout).toBeNull();
    for (const family of ['web', 'distribute', 'healthcheck', 'notifier'] as const)
      expect(readEnv(family, { ...full, ...url, ...key })).not.toHaveProperty('freescout');
  });

  test('on a dyno alone the router is believed to say where a request comes from', () => {
    expect(readEnv('web', common).behindRouter).toBe(false);
    expect(readEnv('web', { ...common, DYNO: 'web.1' }).behindRouter).toBe(true);
  });

  test('all are said at once, each with its variable and what to set it to', () => {
    const error = new EnvError(
      problemsOf('stage', {
        VELVET_ALLOW_LOOPBACK: 'yes',
        HEROKU_API_URL: 'http://api.heroku.com',
        VELVET_AUDIT_DAYS: '1.5',
        VELVET_VALT: 'file',
      }),
    );

    expect(error.problems).toEqual([
      'VELVET_VALT is unknown: remove it; did you mean VELVET_VAULT?',
      'VELVET_ALLOW_LOOPBACK must be 1, or left out.',
      'APP_ENV is not set: set it to prod, staging or development.',
      'REDIS_URL is not set: set it to redis://<host>:<port> or, with TLS, rediss://<host>:<port>.',
      'VELVET_FILE_VAULT_KEY is not set: set it to 32 random bytes in base64; `npx velvet keygen` prints one.',
      'VELVET_FINGERPRINT_KEY is not set: set it to 32 random bytes in base64; `npx velvet keygen` prints one.',
      'HEROKU_API_URL must be an https address.',
      'VELVET_AUDIT_SIGNING_KEY is not set: set it to 32 random bytes in base64; `npx velvet keygen` prints one.',
      'VELVET_AUDIT_DAYS must be a whole number of days, 1 to 36500.',
    ]);
    for (const problem of error.problems) expect(error.message).toContain(problem);
  });

  test('an empty variable counts as not set', () => {
    expect(
      problemsOf('web', { ...common, APP_ENV: '', VELVET_PUBLIC_URL: '', VELVET_ALLOW_LOOPBACK: '' }),
    ).toEqual([expect.stringContaining('APP_ENV is not set')]);
  });

  test.for(every)('none shows a value: %s', (family) => {
    const bad = 'sk-value-that-must-not-show';
    const names = `APP_ENV REDIS_URL PORT VELVET_ALLOW_LOOPBACK VELVET_PUBLIC_URL VELVET_VAULT VELVET_VAULT_FOLDER VELVET_FILE_VAULT_KEY
      HEROKU_API_URL GITHUB_API_URL HK_VELVET_BOOTSTRAP INFISICAL_SITE_URL INFISICAL_CLIENT_ID INFISICAL_CLIENT_SECRET INFISICAL_PROJECT_ID VELVET_FINGERPRINT_KEY VELVET_AUDIT_SIGNING_KEY VELVET_AUDIT_DAYS VELVET_PROBE_KEY SL_BOT_NOTIFY SLACK_API_URL VELVET_URL VELVET_TOKEN VELVET_TYPO`;
    const source = Object.fromEntries(names.split(/\s+/).map((name) => [name, ` ${bad}\n`]));

    const problems = problemsOf(family, source);

    expect(problems.length).toBeGreaterThan(3);
    expect(problems.join()).not.toContain(bad);
  });

  // oxfmt-ignore
  const refused = [
    ['APP_ENV', 'production', 'APP_ENV must be prod, staging or development.'],
    ['REDIS_URL', 'http://127.0.0.1:6379', 'REDIS_URL must be redis://'],
    ['REDIS_URL', 'redis://', 'REDIS_URL must be redis://'],
    ['VELVET_FINGERPRINT_KEY', randomBytes(31).toString('base64'), 'VELVET_FINGERPRINT_KEY must be 32 random bytes'],
    ['VELVET_FINGERPRINT_KEY', randomBytes(32).toString('hex'), 'VELVET_FINGERPRINT_KEY must be 32 random bytes'],
    ['VELVET_FINGERPRINT_KEY', ` ${randomBytes(32).toString('base64')}`, 'VELVET_FINGERPRINT_KEY must be 32 random bytes'],
    ['VELVET_AUDIT_SIGNING_KEY', randomBytes(64).toString('base64'), 'VELVET_AUDIT_SIGNING_KEY must be 32 random bytes'],
    ['VELVET_AUDIT_DAYS', '0', 'VELVET_AUDIT_DAYS must be a whole number of days'],
    ['VELVET_AUDIT_DAYS', '36501', 'VELVET_AUDIT_DAYS must be a whole number of days'],
    ['HK_VELVET_BOOTSTRAP', 'pasted\n', 'HK_VELVET_BOOTSTRAP must be set without the white space around it.'],
    ['HEROKU_API_URL', 'https://user:pw@api.heroku.com', 'HEROKU_API_URL must be an address alone'],
    ['SLACK_API_URL', 'https://slack.com/api/?x=1', 'SLACK_API_URL must be an address alone'],
    ['VELVET_VAULT_FOLDER', 'velvet', 'VELVET_VAULT_FOLDER must be a path like /velvet'],
    ['VELVET_VAULT_FOLDER', '/velvet/../etc', 'VELVET_VAULT_FOLDER must be a path like /velvet'],
    ['VELVET_VAULT', 'ssm', 'VELVET_VAULT must be file or infisical in this release'],
    ['VELVET_VAULT', 'paper', 'VELVET_VAULT must be file, infisical or ssm.'],
    ['INFISICAL_SITE_URL', 'http://infisical.example.com', 'INFISICAL_SITE_URL must be an https address'],
    ['INFISICAL_PROJECT_ID', 'a b', 'INFISICAL_PROJECT_ID must be letters'],
    ['INFISICAL_CLIENT_ID', '$(id)', 'INFISICAL_CLIENT_ID must be letters'],
    ['INFISICAL_CLIENT_SECRET', 'pasted\n', 'INFISICAL_CLIENT_SECRET must be set without the white space'],
    ['SL_BOT_NOTIFY', 'xoxb', 'SLACK_ALERT_CHANNEL is not set'],
  ] as const;

  test.for(refused)('stage refuses %s=%s', ([name, value, problem]) => {
    const identity = name.startsWith('INFISICAL_') ? infisicalIdentity : {};
    expect(problemsOf('stage', { ...full, ...identity, [name]: value })).toEqual([
      expect.stringContaining(problem),
    ]);
  });

  test.for(['-1', '65536', '80a', '3e3', ' 80'])('web refuses PORT=%s', (port) => {
    expect(problemsOf('web', { ...common, PORT: port })).toEqual(['PORT must be a port number, 0 to 65535.']);
  });
});

describe('VELVET_* names', () => {
  // Section 12 of the specification, typed in again.
  const known =
    `VELVET_URL VELVET_TOKEN VELVET_MANIFEST VELVET_ALLOW_LOOPBACK VELVET_ALLOW_VOLATILE_REDIS VELVET_AUDIT_DAYS
    VELVET_PUBLIC_URL VELVET_VAULT VELVET_VAULT_FOLDER VELVET_FILE_VAULT_DIR VELVET_FILE_VAULT_KEY VELVET_AWS_ACCESS_KEY_ID
    VELVET_AWS_SECRET_ACCESS_KEY VELVET_AWS_ROLE_ARN VELVET_FINGERPRINT_KEY VELVET_SEAL_PUBLIC_KEY VELVET_SEAL_PRIVATE_KEY
    VELVET_AUDIT_SIGNING_KEY VELVET_PROBE_KEY VELVET_IMPERSONATION_KEY VELVET_CA_CERT VELVET_CA_KEY VELVET_SESSION_KEY`.split(
      /\s+/,
    );

  test.for(every)('every one of the product is known to %s, an unknown one stops it', (family) => {
    // Empty: whether a name is known does not hang on its value.
    const source = { ...Object.fromEntries(known.map((name) => [name, ''])), ...full };

    expect(problemsOf(family, source)).toEqual([]);
    expect(problemsOf(family, { ...source, VELVET_COLOUR_OF_THE_DAY: '' })).toEqual([
      'VELVET_COLOUR_OF_THE_DAY is unknown: remove it.',
    ]);
  });
});

test('.env.example is an environment that stops at what only the installation can know', async () => {
  const text = await readFile(new URL('../../.env.example', import.meta.url), 'utf8');
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('# '));
  const source = Object.fromEntries(lines.map((line) => line.replace(/^#/, '').split(/=(.*)/s)));

  expect(lines.length).toBeGreaterThan(20);
  expect(problemsOf('release', source).map((problem) => problem.split(' ')[0])).toEqual([
    'VELVET_FILE_VAULT_KEY',
    'VELVET_FINGERPRINT_KEY',
    'VELVET_AUDIT_SIGNING_KEY',
  ]);
});
