// A worker process of its own, whose global fetch is nobody's, with its vault in Infisical: the SDK finds its way through the door.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildWorld, until } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

test('it logs in once, looks at its folder, and carries a rotation to the gate before the mint', async () => {
  await using world = await buildWorld(server.url, { infisical: true, families: [] });
  if (world.infisical === null) throw new Error('this world has no Infisical');
  const { sim, env, identity } = world.infisical;
  const before = sim.logins();
  const worker = spawn(process.execPath, ['workers/main.ts', 'stage'], {
    env: {
      PATH: process.env['PATH'] ?? '',
      ...world.environment,
      VELVET_FILE_VAULT_KEY: '',
      VELVET_AUDIT_SIGNING_KEY: Buffer.alloc(32, 11).toString('base64'),
      VELVET_VAULT: 'infisical',
      INFISICAL_SITE_URL: sim.url,
      INFISICAL_CLIENT_ID: env.clientId,
      INFISICAL_CLIENT_SECRET: identity.clientSecret,
      INFISICAL_PROJECT_ID: env.projectId,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said: string[] = [];
  for (const stream of [worker.stdout, worker.stderr])
    stream.on('data', (chunk: Buffer) => said.push(chunk.toString('utf8')));
  try {
    await until(
      () => (said.join('').includes('msg=ready') ? true : null),
      20_000,
      () => said.join(''),
    );
    const jobId = await world.create();
    await world.stage(jobId, { action: 'verify' });
    await world.reaches(jobId, 'verified', 20_000);
  } finally {
    worker.kill('SIGTERM');
    await once(worker, 'exit');
  }

  expect(sim.logins() - before).toBe(1);
  for (const secret of [world.firstToken, identity.clientSecret, ...sim.tokens])
    expect(said.join('')).not.toContain(secret);
});
