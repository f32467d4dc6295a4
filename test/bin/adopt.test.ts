import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { until } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { begin, onTerminal, velvet } from './commands.ts';
import { APP_ENV, AUTHORITY, CREDENTIAL, openFixture, type Fixture } from './installation-fixture.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const adopt = (
  at: Fixture,
  input: string,
  args: readonly string[] = [CREDENTIAL],
  env: Readonly<Record<string, string>> = {},
) => velvet(['adopt', ...args], { cwd: at.cwd, env: { ...at.env, ...env }, input });
const keys = credentialKeys(CREDENTIAL, APP_ENV);
const inVault = async (at: Fixture, slot: string) => (await at.vault.read(slot))?.reveal() ?? null;
const nothingWritten = async (at: Fixture) => {
  expect(existsSync(join(at.cwd, 'vault')) ? await at.vault.list('') : []).toEqual([]);
  expect(await at.redis.get(keys.claim)).toBeNull();
  expect(await at.events(CREDENTIAL)).toEqual([]);
};

test('a first value goes into the vault with its handle, is audited, and is shown nowhere', async () => {
  await using at = await openFixture(server);
  const current = at.account.authorize({ description: 'made by hand' });

  const { code, stdout, stderr } = await adopt(at, `${current.token}\n`);

  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: `adopted ${CREDENTIAL}: file:/velvet/${APP_ENV}/${CREDENTIAL}\n`,
  });
  expect(stderr).toContain(`Its handle is ${current.id}: Velvet can revoke it.`);
  expect(await inVault(at, CREDENTIAL)).toBe(current.token);
  expect(await inVault(at, `${CREDENTIAL}__AUTH_ID`)).toBe(current.id);
  expect(await at.redis.get(keys.claim)).toBeNull();
  const [event, ...more] = await at.events(CREDENTIAL);
  expect(more).toEqual([]);
  expect(event).toMatchObject({
    event: 'adopted',
    env: APP_ENV,
    job_id: null,
    operator_id: expect.stringMatching(/^cli:./) as string,
    detail: { vault_ref: `file:/velvet/${APP_ENV}/${CREDENTIAL}`, auth_id: current.id, checked: true },
  });
  expect(`${stdout}${stderr}${JSON.stringify(event)}`).not.toContain(current.token);
});

test('a value is replaced by a later adoption, and with it the handle', async () => {
  await using at = await openFixture(server);
  const [first, second] = [at.account.authorize(), at.account.authorize()];

  await adopt(at, first.token);
  const { code } = await adopt(at, second.token);

  expect(code).toBe(0);
  expect(await inVault(at, CREDENTIAL)).toBe(second.token);
  expect(await inVault(at, `${CREDENTIAL}__AUTH_ID`)).toBe(second.id);
  expect(await at.events(CREDENTIAL)).toHaveLength(2);
});

test('typed at a terminal, the value is not echoed', async () => {
  await using at = await openFixture(server);
  const current = at.account.authorize();

  const { code, screen } = await onTerminal(
    ['adopt', CREDENTIAL],
    { cwd: at.cwd, env: at.env },
    { prompt: 'not shown', typed: `${current.token}\r` },
  );

  expect(screen).toContain(`adopted ${CREDENTIAL}`);
  expect(code).toBe(0);
  expect(screen).not.toContain(current.token.slice(0, 12));
  expect(await inVault(at, CREDENTIAL)).toBe(current.token);
});

test('while a job is open an adoption is refused, naming the job, before anybody types', async () => {
  await using at = await openFixture(server);
  await at.redis.set(keys.claim, 'job-1');

  const { code, stdout, stderr } = await adopt(at, at.account.authorize().token);

  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain('active rotation already in progress: job job-1');
  expect(stderr).toContain('(claimed)');
  expect(existsSync(join(at.cwd, 'vault'))).toBe(false);
  expect(await at.redis.get(keys.claim)).toBe('job-1');
});

test('one that was broken off is taken over, once it can write nothing more', async () => {
  await using at = await openFixture(server);
  await at.redis.set(keys.claim, 'adopt.dead');

  const child = begin('velvet.ts', ['adopt', CREDENTIAL], { cwd: at.cwd, env: at.env });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
  child.stdin?.end(at.account.authorize().token);
  await until(() => (said.includes('waiting 15 s') ? true : null));
  const [claim, slots] = [await at.redis.get(keys.claim), await at.vault.list('')];
  child.kill('SIGKILL');

  expect(claim).toMatch(/^adopt\.(?!dead)/);
  expect(slots).toEqual([]);
});

test('a value that the issuer refuses is refused; with --force it is taken, without a handle', async () => {
  await using at = await openFixture(server);
  const dead = at.account.authorize();
  at.account.revoke(dead.id);

  const refused = await adopt(at, dead.token);
  await nothingWritten(at);
  const forced = await adopt(at, dead.token, [CREDENTIAL, '--force']);

  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('The issuer refuses this value');
  expect(refused.stderr).toContain('current_token_invalid');
  expect(forced.code).toBe(0);
  expect(forced.stderr).toContain('revoke will be by hand');
  expect(await inVault(at, CREDENTIAL)).toBe(dead.token);
  expect(await inVault(at, `${CREDENTIAL}__AUTH_ID`)).toBeNull();
});

test('a vendor that cannot be asked, or an authority that is missing, refuses; --force takes the value unchecked', async () => {
  await using at = await openFixture(server);
  const { token } = at.account.authorize();

  const away = await adopt(at, token, [CREDENTIAL], { HEROKU_API_URL: 'http://127.0.0.1:1' });
  const missing = await adopt(at, token, [CREDENTIAL], { HK_VELVET_BOOTSTRAP: '' });
  await nothingWritten(at);
  const forced = await adopt(at, token, [CREDENTIAL, '--force'], { HEROKU_API_URL: 'http://127.0.0.1:1' });

  expect(away.code).toBe(1);
  expect(away.stderr).toMatch(/could not be checked .*vendor_unavailable/);
  expect(missing.code).toBe(1);
  expect(missing.stderr).toContain('The authority HK_VELVET_BOOTSTRAP is missing');
  expect(forced.code).toBe(0);
  expect(forced.stderr).toContain('Its handle is not known: revoke will be by hand');
  const [event] = await at.events(CREDENTIAL);
  expect(event?.detail).toMatchObject({ auth_id: null, checked: false });
});

test('a token that its issuer cannot name is taken, and will be revoked by hand', async () => {
  await using at = await openFixture(server);
  const elsewhere = at.heroku.createAccount().authorize();

  const { code, stderr } = await adopt(at, elsewhere.token);

  expect(code).toBe(0);
  expect(stderr).toContain(
    'cannot name this token: revoke will be by hand (`heroku authorizations:revoke <handle>`)',
  );
  expect(await inVault(at, CREDENTIAL)).toBe(elsewhere.token);
});

test('an authority goes into the same folder, without a handle and unasked', async () => {
  await using at = await openFixture(server);

  const { code, stdout } = await adopt(at, 'an-authority', [AUTHORITY], {
    HEROKU_API_URL: 'http://127.0.0.1:1',
  });

  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: `adopted ${AUTHORITY}: file:/velvet/${APP_ENV}/${AUTHORITY}\n`,
  });
  expect(await inVault(at, AUTHORITY)).toBe('an-authority');
  expect(await at.vault.list('')).toEqual([AUTHORITY]);
  expect(await at.events(AUTHORITY)).toMatchObject([{ event: 'adopted', detail: { auth_id: null } }]);
});

test('a credential whose issuer this release has no code for is taken as it is', async () => {
  await using at = await openFixture(server);

  const { code, stderr } = await adopt(at, 'an-aws-key', ['AWS_ONE']);

  expect(code).toBe(0);
  expect(stderr).toContain('no code for the issuer aws-iam');
  expect(stderr).toContain('revoke will be by hand');
});

test('a bootstrap credential and an unknown name are refused with what to do', async () => {
  await using at = await openFixture(server);

  const bootstrap = await adopt(at, 'x', ['HK_VELVET_BOOTSTRAP']);
  const unknown = await adopt(at, 'x', ['HK_ONCE']);

  expect([bootstrap.code, unknown.code]).toEqual([1, 1]);
  expect(bootstrap.stderr).toContain(
    'it lives in the environment of stage and distribute, never in the vault',
  );
  expect(bootstrap.stderr).toContain('heroku authorizations:create');
  expect(unknown.stderr).toContain('HK_ONCE is neither a credential nor an authority of m.yml');
  expect(unknown.stderr).toContain(`${CREDENTIAL}, AWS_ONE, ${AUTHORITY}`);
});

test('what cannot be one value is refused, and never quoted', async () => {
  await using at = await openFixture(server);
  const inputs = ['', '\n', 'hunter2\nhunter3\n', ' hunter2', 'hunter2\t', 'hunter2\n\n'];

  const ran = await Promise.all(inputs.map((input) => adopt(at, input)));

  expect(ran.map(({ code, stdout }) => [code, stdout])).toEqual(inputs.map(() => [1, '']));
  const parts = [
    'No value came in',
    'No value came in',
    'more than one line',
    'white space',
    'control characters',
    'more than one line',
  ];
  parts.forEach((part, index) => expect(ran[index]?.stderr).toContain(part));
  for (const { stderr } of ran) expect(stderr).not.toMatch(/hunter|at .*:\d+/);
  await nothingWritten(at);
});

test('a value is never taken as an argument', async () => {
  await using at = await openFixture(server);

  const { code, stderr } = await adopt(at, '', [CREDENTIAL, 'hunter2']);

  expect(code).toBe(1);
  expect(stderr).toContain('too many arguments');
  expect(stderr).not.toContain('hunter2');
});

test('a vault of another key is left alone', async () => {
  await using at = await openFixture(server);
  await at.vault.initialise();
  const otherKey = Buffer.alloc(32, 4).toString('base64');

  const { code, stderr } = await adopt(at, at.account.authorize().token, [CREDENTIAL], {
    VELVET_FILE_VAULT_KEY: otherKey,
  });

  expect(code).toBe(1);
  expect(stderr).toContain('this key does not open it');
  await nothingWritten(at);
});

test('.env in the folder counts, below what is set; and each missing variable is named', async () => {
  await using at = await openFixture(server);
  const { APP_ENV: _, REDIS_URL, ...rest } = at.env;

  const missing = await velvet(['adopt', CREDENTIAL], { cwd: at.cwd, env: rest, input: 'x' });
  expect(missing.code).toBe(1);
  expect(missing.stderr).toContain('APP_ENV is not set');
  expect(missing.stderr).toContain('REDIS_URL is not set');

  await writeFile(
    join(at.cwd, '.env'),
    `APP_ENV=${APP_ENV}\nREDIS_URL=${REDIS_URL}\nVELVET_MANIFEST=nowhere.yml\n`,
  );
  const { code } = await velvet(['adopt', AUTHORITY], { cwd: at.cwd, env: rest, input: 'x' });
  expect(code).toBe(0);
});
