// `velvet adopt` and `velvet vault read` where the vault is Infisical.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { startInfisical } from '../sim/infisical.ts';
import { velvet } from './commands.ts';
import { APP_ENV, CREDENTIAL, openFixture, type Fixture } from './installation-fixture.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

async function openInfisical() {
  const sim = await startInfisical();
  const project = sim.createProject();
  const { clientId, clientSecret } = sim.createIdentity();
  const env = {
    VELVET_VAULT: 'infisical',
    VELVET_FILE_VAULT_KEY: '',
    INFISICAL_SITE_URL: sim.url,
    INFISICAL_CLIENT_ID: clientId,
    INFISICAL_CLIENT_SECRET: clientSecret,
    INFISICAL_PROJECT_ID: project.id,
  };
  return { sim, project, clientSecret, env, [Symbol.asyncDispose]: sim.close };
}

const run = (at: Fixture, env: Readonly<Record<string, string>>, args: readonly string[], input = '') =>
  velvet([...args], { cwd: at.cwd, env: { ...at.env, ...env }, input });

test('a first value goes into the folder with its handle, and the answer has the command that shows it', async () => {
  await using at = await openFixture(server);
  await using vault = await openInfisical();
  const folder = vault.project.folder(APP_ENV, '/velvet');
  const current = at.account.authorize({ description: 'made by hand' });

  const { code, stdout, stderr } = await run(at, vault.env, ['adopt', CREDENTIAL], `${current.token}\n`);

  expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining(current.id) as string });
  expect(stdout).toContain(`infisical secrets get ${CREDENTIAL} --path /velvet --env ${APP_ENV}`);
  expect(folder.secrets.get(CREDENTIAL)?.versions).toEqual([current.token]);
  expect(folder.secrets.get(`${CREDENTIAL}__AUTH_ID`)?.versions).toEqual([current.id]);
  const [event] = await at.events(CREDENTIAL);
  for (const secret of [current.token, vault.clientSecret, ...vault.sim.tokens])
    expect(`${stdout}${stderr}${JSON.stringify(event)}`).not.toContain(secret);
});

test('a folder that is not there is for a person to make, and nothing is written before', async () => {
  await using at = await openFixture(server);
  await using vault = await openInfisical();

  const { code, stderr } = await run(at, vault.env, ['adopt', CREDENTIAL], 'a-value\n');

  expect(code).toBe(1);
  expect(stderr).toContain(`there is no folder /velvet in the environment ${APP_ENV}`);
  expect(await at.events(CREDENTIAL)).toEqual([]);
});

test('what is missing is told at once', async () => {
  await using at = await openFixture(server);
  const env = { VELVET_VAULT: 'infisical', INFISICAL_CLIENT_SECRET: 'x' };

  const { code, stderr } = await run(at, env, ['adopt', CREDENTIAL], 'a-value\n');

  expect(code).toBe(1);
  expect(stderr).toMatch(/INFISICAL_CLIENT_ID is not set[^]*INFISICAL_PROJECT_ID is not set/);
});

test("reading a value is left to Infisical's own command", async () => {
  await using at = await openFixture(server);
  await using vault = await openInfisical();

  const { code, stderr } = await run(at, vault.env, ['vault', 'read', `infisical:/velvet/${APP_ENV}/NAME`]);

  expect(code).toBe(1);
  expect(stderr).toContain("the job's `vault_ref` has Infisical's own command");
});
