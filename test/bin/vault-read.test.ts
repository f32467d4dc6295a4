import { afterAll, beforeAll, expect, test } from 'vitest';
import { Secret } from '../../shared/lib/secret.ts';
import { setUpCall } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { onTerminal, velvet } from './commands.ts';
import { APP_ENV, CREDENTIAL, openFixture, type Fixture } from './installation-fixture.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

async function openFilled(slot: string): Promise<Fixture> {
  const at = await openFixture(server);
  await at.vault.initialise();
  await at.vault.write(setUpCall(), slot, new Secret('hunter2-hunter2'));
  return at;
}

test('a terminal sees the value, and the audit trail of its credential who saw it', async () => {
  const slot = `${CREDENTIAL}__PENDING_3-abcdefgh`;
  await using at = await openFilled(slot);
  const ref = `file:/velvet/${APP_ENV}/${slot}`;

  const { code, screen } = await onTerminal(['vault', 'read', ref], { cwd: at.cwd, env: at.env });

  expect(code).toBe(0);
  expect(screen.replaceAll('\r', '').trimEnd().split('\n').at(-1)).toBe('hunter2-hunter2');
  expect(await at.events(CREDENTIAL)).toMatchObject([
    { event: 'value_read', job_id: null, env: APP_ENV, detail: { vault_ref: ref } },
  ]);
});

test('a pipe sees nothing, and nothing is recorded', async () => {
  await using at = await openFilled(CREDENTIAL);

  const { code, stdout, stderr } = await velvet(
    ['vault', 'read', `file:/velvet/${APP_ENV}/${CREDENTIAL}`],
    at,
  );

  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain('A value is shown on a terminal only');
  expect(await at.events(CREDENTIAL)).toEqual([]);
});

test('nothing is shown that could not be recorded', async () => {
  await using at = await openFilled(CREDENTIAL);
  const env = { ...at.env, REDIS_URL: 'redis://127.0.0.1:1' };

  const { code, screen } = await onTerminal(['vault', 'read', `file:/velvet/${APP_ENV}/${CREDENTIAL}`], {
    cwd: at.cwd,
    env,
  });

  expect(code).toBe(1);
  expect(screen).toContain('was not reached');
  expect(screen).not.toContain('hunter2');
});

test('a reference of another place, or none at all, and an empty slot are refused', async () => {
  await using at = await openFilled(CREDENTIAL);
  const read = (ref: string) => onTerminal(['vault', 'read', ref], { cwd: at.cwd, env: at.env });

  const [env, folder, other, empty] = await Promise.all([
    read(`file:/velvet/prod/${CREDENTIAL}`),
    read(`file:/elsewhere/${APP_ENV}/${CREDENTIAL}`),
    read(`infisical:/velvet/${CREDENTIAL}`),
    read(`file:/velvet/${APP_ENV}/HK_TWO`),
  ]);

  expect(env.screen).toContain('this environment is /velvet of development');
  expect(folder.screen).toContain('this environment is /velvet of development');
  expect(other.screen).toContain('not a `vault_ref` of the file vault');
  expect(empty.screen).toContain('is empty');
  expect([env, folder, other, empty].map(({ code }) => code)).toEqual([1, 1, 1, 1]);
});
