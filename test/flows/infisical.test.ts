// A whole rotation with the values in Infisical, to a consumer at Heroku and one that reads from Infisical.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildWorld, CREDENTIAL, ENV, until, type World, type WorldOptions } from '../harness.ts';
import { dumpRedis } from '../redis-dump.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { admitAll, startSim, type Sim } from '../sim/server.ts';

let redis: RedisServer;
let consumer: Sim;
beforeAll(async () => {
  redis = await startRedis();
  // It says that its token works, and cannot answer a challenge: the read-back has to prove it.
  consumer = await startSim<null>({
    routes: { 'GET /healthz': () => ({ status: 200, body: { ok: true } }) },
    authorize: admitAll,
    notFound: { status: 404 },
    badBody: { status: 400 },
    rateLimited: () => ({ status: 429 }),
  });
});
afterAll(() => Promise.all([redis.stop(), consumer.close()]));

const options = (): WorldOptions => ({
  infisical: true,
  apps: [{ name: 'raxx-console-prod' }],
  more: {
    subscribers: [
      {
        token_name: CREDENTIAL,
        consumer_id: 'infisical-mail-prod',
        env: ENV,
        update_method: 'INFISICAL_WRITE',
        update_endpoint: 'https://app.infisical.com/api/v4/secrets?secretPath=/apps/mail',
        update_key: 'HEROKU_API_KEY',
        healthcheck_endpoint: `${consumer.url}/healthz`,
        capabilities: ['update', 'healthcheck'],
      },
    ],
  },
});

function infisicalOf({ infisical }: World) {
  if (infisical === null) throw new Error('this world has no Infisical');
  const mail = infisical.project.folder(ENV, '/apps/mail');
  return { ...infisical, mail, own: infisical.project.folder(ENV, '/velvet') };
}

function rowOf(job: { readonly consumers: readonly Record<string, unknown>[] }) {
  return job.consumers.find((row) => row['consumer_id'] === 'infisical-mail-prod');
}

describe('with values in Infisical', () => {
  test('a rotation leaves one new value, in the vault and at both consumers, and none where it must not be', async () => {
    await using world = await buildWorld(redis.url, options());
    const { mail, own, sim, identity } = infisicalOf(world);
    const jobId = await world.toValidated();
    const gate = await world.job(jobId);
    expect(rowOf(gate)).toMatchObject({ proof: 'read_back', holds: 'new' });
    expect(own.secrets.has(`${CREDENTIAL}__PREVIOUS_${jobId}`)).toBe(true);

    await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-2026-HK_PLATFORM_FULL' });
    const done = await world.reaches(jobId, 'done');

    const value = world.apps[0]?.config['HEROKU_API_KEY'] ?? '';
    expect(world.heroku.isLive(value)).toBe(true);
    expect(world.heroku.isLive(world.firstToken)).toBe(false);
    expect(mail.secrets.get('HEROKU_API_KEY')?.versions).toEqual([value]);
    expect(own.secrets.get(CREDENTIAL)?.versions.at(-1)).toBe(value);
    const slots = [...own.secrets.keys()].filter((name) => name.startsWith(CREDENTIAL));
    expect(slots.toSorted()).toEqual([CREDENTIAL, `${CREDENTIAL}__AUTH_ID`]);
    expect(done.vault_ref).toContain(`infisical secrets get ${CREDENTIAL} --path /velvet --env ${ENV}`);
    const said = [await dumpRedis(world.redis), ...world.log, JSON.stringify(done)].join('\n');
    for (const secret of [value, world.firstToken, identity.clientSecret, ...sim.tokens])
      expect(said.includes(secret)).toBe(false);
  });

  test('access tokens that end in the middle are renewed, and nobody notices', async () => {
    await using world = await buildWorld(redis.url, options());
    const { sim } = infisicalOf(world);
    const jobId = await world.create();
    for (const [action, status] of [
      ['verify', 'verified'],
      ['proceed_mint', 'validated'],
      ['proceed_revoke', 'done'],
    ] as const) {
      sim.endTokens();
      await world.stage(jobId, { action, ...(status === 'done' ? { ticket_id: 'ROT-1' } : {}) });
      await world.reaches(jobId, status);
    }
  });

  test("a change policy on the consumer's folder fails its row, not the others, and the retry after it is off goes through", async () => {
    await using world = await buildWorld(redis.url, options());
    const { mail } = infisicalOf(world);
    mail.approvals = true;
    const jobId = await world.create();
    await world.stage(jobId, { action: 'verify' });
    await world.reaches(jobId, 'verified');
    await world.stage(jobId, { action: 'proceed_mint' });

    const partial = await world.reaches(jobId, 'distribute_partial');

    expect(rowOf(partial)).toMatchObject({
      distribute_status: 'failed',
      error: { code: 'vendor_rejected', detail: expect.stringContaining("somebody's approval") },
    });
    mail.approvals = false;
    await world.stage(jobId, { action: 'retry' });
    await world.reaches(jobId, 'validated');
    expect(mail.secrets.get('HEROKU_API_KEY')?.versions).toHaveLength(1);
  });

  test("a client secret that was revoked fails the row with what to do, tried once, and the vault's login with it", async () => {
    await using world = await buildWorld(redis.url, options());
    const { sim, identity } = infisicalOf(world);
    const jobId = await world.create();
    await world.stage(jobId, { action: 'verify' });
    await world.reaches(jobId, 'verified');
    const before = sim.logins();
    identity.revokeSecret();
    sim.endTokens();
    await world.stage(jobId, { action: 'proceed_mint' });

    const failed = await world.reaches(jobId, 'mint_failed');

    expect(failed.error).toMatchObject({
      code: 'vault_unavailable',
      detail: expect.stringContaining('INFISICAL_CLIENT_SECRET'),
    });
    // Stage, distribute and healthcheck have a session each; the audit's duties go on meanwhile.
    expect(sim.logins() - before).toBeLessThanOrEqual(3);
    expect(world.heroku.live()).toHaveLength(2);
  });

  test('an aborted rotation leaves no value of its own behind', async () => {
    await using world = await buildWorld(redis.url, options());
    const { own } = infisicalOf(world);
    const jobId = await world.create();
    await world.stage(jobId, { action: 'verify' });
    await world.reaches(jobId, 'verified');

    await world.stage(jobId, { action: 'abort' });
    await until(async () => ((await world.job(jobId)).cleanup === 'done' ? true : null));

    const slots = [...own.secrets.keys()].filter((name) => name.startsWith(CREDENTIAL));
    expect(slots).toEqual([CREDENTIAL]);
  });
});

test('a folder that is gone makes the credential unavailable, with what to do', async () => {
  await using world = await buildWorld(redis.url, { ...options(), times: { availabilityMs: 50 } });
  const { project } = infisicalOf(world);
  project.removeFolder(ENV, '/velvet');

  const refused = await until(async () => {
    const answer = await world.api('POST', `/tokens/${CREDENTIAL}/rotate`, {
      flow_type: 'operational',
      idempotency_key: crypto.randomUUID(),
    });
    return answer.status === 409 ? answer : null;
  });

  expect(refused.body.code).toBe('credential_unavailable');
  expect(refused.body.detail).toContain('there is no folder /velvet');
});
