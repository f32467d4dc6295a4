// POST /tokens/:name/rotate: what is created, once however often it is sent, and each refusal with what to do.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Secret } from '../../shared/lib/secret.ts';
import { bootstrapCredentials } from '../../shared/manifest/vendors.ts';
import { credentialKeys, systemKeys } from '../../shared/redis/keys.ts';
import { workerFamilies } from '../../shared/redis/system-store.ts';
import { buildWorld, CREDENTIAL, ENV, setUpCall, until, type World, type WorldOptions } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { audit, creation, paths, refused, toVerified } from './asking.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

/** Nobody works: what the API writes stays as it was written. */
const idle = (more: WorldOptions = {}): Promise<World> => buildWorld(redis.url, { families: [], ...more });
const post = (world: World, name: string, body: unknown = creation('k1'), token?: string) =>
  world.api('POST', `/tokens/${name}/rotate`, body, token === undefined ? {} : { token });

describe('what is created', () => {
  test('202 with a job in init, which touches nobody and holds no claim', async () => {
    await using world = await idle();
    const answer = await post(world, CREDENTIAL, creation('k1', { ticket_id: ' ROT-1 ', reason: 'yearly' }));
    expect([answer.status, answer.body.status, answer.body['env']]).toEqual([202, 'init', ENV]);

    const job = await world.job(String(answer.body.job_id));
    expect(job).toMatchObject({ created_by: 'ada', ticket_id: 'ROT-1', force_revoke: false, inactive: [] });
    expect(job.consumers.map((row) => row['distribute_status'])).toEqual(['pending', 'pending']);
    expect(await audit(world)).toMatchObject([
      { event: 'created', env: ENV, operator_id: 'ada', job_id: job.job_id, detail: { reason: 'yearly' } },
    ]);
    expect(await world.store.claimant({ credential: CREDENTIAL, env: ENV })).toBeNull();
    expect(world.heroku.requests).toEqual([]);
  });

  test('a row that is inactive is left out, and the job and its first audit row name it', async () => {
    await using world = await idle({
      apps: [{ name: 'app-one' }, { name: 'app-two', extra: { active: false } }],
    });
    const job = await world.job(await world.create());
    expect(job.consumers.map((row) => row['consumer_id'])).toEqual(['heroku-config-app-one']);
    expect(job['inactive']).toEqual(['heroku-config-app-two']);
    expect(await audit(world)).toMatchObject([{ detail: { inactive: ['heroku-config-app-two'] } }]);
  });

  test('several jobs may wait in init side by side', async () => {
    await using world = await idle();
    const ids = [await world.create('a'), await world.create('b')];
    expect(new Set(ids).size).toBe(2);
  });
});

describe('a credential that is not rotated', () => {
  test('404 unknown: the list of credentials and the manifest are named', async () => {
    await using world = await idle();
    const detail =
      'HK_NOBODY has no subscribers. Check the name (`GET /tokens` lists them); new ones go into manifests/subscription-manifest.yml.';
    await refused(world, () => post(world, 'HK_NOBODY'), { http: 404, code: 'not_registered', detail });
    for (const name of ['__proto__', 'constructor', 'toString', '%', '%2e%2e%2fHK', "'"])
      await refused(world, () => post(world, name), {
        http: 404,
        code: 'not_registered',
        detail: /has no subscribers/,
      });
  });

  test('404 registered elsewhere: says for what, and what this is', async () => {
    await using world = await idle({ apps: [{ name: 'app-one', extra: { env: 'prod' } }] });
    await refused(world, () => post(world, CREDENTIAL), {
      http: 404,
      code: 'not_registered',
      detail: `${CREDENTIAL} is registered for prod; this is development. Ask the Velvet of that environment.`,
      extra: { registered_for: ['prod'] },
    });
  });

  test('409 inactive credential: the whole procedure by hand comes with it', async () => {
    await using world = await idle({ credential: { active: false } });
    const body = await refused(world, () => post(world, CREDENTIAL), {
      http: 409,
      code: 'credential_inactive',
      detail: /`active: false` in the manifest\. Rotate it by hand \(`manual_procedure`\)/,
    });
    expect(body['manual_procedure']).toMatch(/^Rotate HK_PLATFORM_FULL by hand/);
    expect(body['manual_procedure']).toContain('heroku-config-raxx-api-prod');
    expect(body['manual_procedure']).toContain('heroku authorizations:revoke <old id>');
  });

  test('409 all rows inactive: the same', async () => {
    await using world = await idle({ apps: [{ name: 'app-one', extra: { active: false } }] });
    const body = await refused(world, () => post(world, CREDENTIAL), {
      http: 409,
      code: 'credential_inactive',
      detail: /each of its rows/,
    });
    expect(body['manual_procedure']).toContain('INACTIVE in the manifest');
  });

  test.each(Object.keys(bootstrapCredentials))('409 bootstrap %s: its own procedure', async (name) => {
    await using world = await idle();
    const body = await refused(world, () => post(world, name), {
      http: 409,
      code: 'bootstrap_credential',
      detail: /cannot rotate it\. Follow `manual_procedure` on both apps/,
    });
    expect(body['manual_procedure']).toMatch(new RegExp(`^Replace ${name} by hand\\.[^]*/dev/null 2>&1`));
  });

  test('422 confirm is another name; the right one, or none, goes through', async () => {
    await using world = await idle();
    const ask = (key: string, confirm: string) => () =>
      world.api('POST', paths.rotate, creation(key, { confirm }));
    await refused(world, ask('k1', 'HK_OTHER'), {
      http: 422,
      code: 'confirm_mismatch',
      detail:
        /^`confirm` is not the credential's name\. Send the name of the credential, exactly, as `confirm`\.$/,
    });
    expect((await ask('k2', CREDENTIAL)()).status).toBe(202);
  });

  test('409 unavailable: a missing authority is named, and when it is mended the same request goes through', async () => {
    const authority = 'HK_OTHER_AUTHORITY';
    await using world = await idle({
      credential: { issuer_auth_token_name: authority },
      times: { availabilityMs: 50 },
    });
    world.start('stage');
    await until(async () => ((await world.system.unavailable())[CREDENTIAL] === undefined ? null : true));
    await refused(world, () => post(world, CREDENTIAL), {
      http: 409,
      code: 'credential_unavailable',
      detail: new RegExp(`${authority}.*(put|adopt)`, 'i'),
    });
    await world.stop('stage');
    await world.system.setUnavailable({});
    expect((await post(world, CREDENTIAL)).status).toBe(202);
  });

  test('409 unavailable: so is one with which a row is written; a good one is found at the next look', async () => {
    const extra = { update_auth_token_name: 'HK_WRITER' };
    await using world = await idle({
      apps: [{ name: 'good-app' }, { name: 'other-app', extra }],
      authorities: { HK_WRITER: 'never-issued' },
      times: { availabilityMs: 50 },
    });
    const stage = world.start('stage');
    await stage.ready;
    await until(async () => (await world.system.unavailable())[CREDENTIAL] ?? null);
    await refused(world, () => post(world, CREDENTIAL), {
      http: 409,
      code: 'credential_unavailable',
      detail: /^The vendor refuses the authority HK_WRITER\. Put a good one in place/,
    });
    const { token } = world.account.authorize({ description: 'writer', scope: ['global'] });
    await world.vault.write(setUpCall(), 'HK_WRITER', new Secret(token));
    await until(async () => ((await world.system.unavailable())[CREDENTIAL] === undefined ? true : null));
    expect((await post(world, CREDENTIAL)).status).toBe(202);
  });
});

describe('switched off, or not well', () => {
  test('503 flag off: with the procedure by hand; on again: the same request goes through', async () => {
    await using world = await idle();
    await world.system.setFlag('velvet_v2_rotation', false);
    const body = await refused(world, () => post(world, CREDENTIAL), {
      http: 503,
      code: 'rotation_disabled',
      detail: /switched off by the flag velvet_v2_rotation\. Rotate by hand \(`manual_procedure`\)/,
    });
    expect(body['manual_procedure']).toMatch(/^Rotate HK_PLATFORM_FULL by hand/);
    await world.system.setFlag('velvet_v2_rotation', true);
    expect((await post(world, CREDENTIAL)).status).toBe(202);
  });

  test.each(workerFamilies)('503 degraded while %s is silent, which it says', async (family) => {
    await using world = await idle();
    await world.redis.del(systemKeys.beat(family));
    const says = `${family}: no process of this family has beaten for 30 s`;
    await refused(world, () => post(world, CREDENTIAL), {
      http: 503,
      code: 'degraded',
      detail: new RegExp(`^Nothing new is started while the fleet is degraded: ${says}\\.`),
      extra: { failing: [says] },
    });
  });

  test('503 degraded on a Redis that may evict, with the command that mends it', async () => {
    await using world = await idle();
    await world.redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
    try {
      await refused(world, () => post(world, CREDENTIAL), {
        http: 503,
        code: 'degraded',
        detail: /redis: maxmemory-policy is 'allkeys-lru'.*config set maxmemory-policy noeviction/,
      });
    } finally {
      await world.redis.config('SET', 'maxmemory-policy', 'noeviction');
    }
  });

  test('an idempotency key that names a job answers with it also while nothing new is started', async () => {
    await using world = await idle();
    const jobId = await world.create('k1');
    await world.system.setFlag('velvet_v2_rotation', false);
    await world.redis.del(systemKeys.beat('stage'));
    expect((await post(world, CREDENTIAL)).body.job_id).toBe(jobId);
  });
});

describe('idempotency', () => {
  test('the same body is the same job, whatever the order of its fields and the defaults left out', async () => {
    await using world = await idle();
    const jobId = await world.create('k1');
    const same = { idempotency_key: ' k1 ', flow_type: 'operational' };
    expect(await post(world, CREDENTIAL, same)).toMatchObject({ status: 202, body: { job_id: jobId } });
    expect(await audit(world)).toHaveLength(1);
  });

  test('twenty at once are one job', async () => {
    await using world = await idle();
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(world, CREDENTIAL)));
    expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 20 }, () => 202));
    expect(new Set(answers.map((answer) => answer.body.job_id)).size).toBe(1);
    expect(await world.store.list(CREDENTIAL, ENV, 100)).toHaveLength(1);
    expect(await audit(world)).toHaveLength(1);
    expect(world.log.filter((line) => line.includes('rotation created'))).toHaveLength(1);
  });

  test('twenty at once with two bodies are one job of one body and refusals of the other', async () => {
    await using world = await idle();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => post(world, CREDENTIAL, creation('k1', { reason: `r${n % 2}` }))),
    );
    expect(answers.filter((answer) => answer.status === 202)).toHaveLength(10);
    expect(answers.filter((answer) => answer.body.code === 'idempotency_mismatch')).toHaveLength(10);
    expect(await world.store.list(CREDENTIAL, ENV, 100)).toHaveLength(1);
  });

  test.each([
    ['another ticket', { ticket_id: 'ROT-2' }],
    ['another reason', { reason: 'leak' }],
  ])('409 the same key with %s', async (_, more) => {
    await using world = await idle();
    await world.create('k1');
    await refused(world, () => post(world, CREDENTIAL, creation('k1', more)), {
      http: 409,
      code: 'idempotency_mismatch',
      detail:
        'The idempotency key was used before, with another body. Use a new key for a new request; to ask for the earlier job again, send its body unchanged.',
    });
  });

  test('a key belongs to its caller: another person gets another job, a second token of the same person the same', async () => {
    await using world = await idle();
    const jobId = await world.create('k1');
    const [grace, again] = [
      await world.token(['rotate'], { owner: 'grace' }),
      await world.token(['rotate'], { owner: 'ada' }),
    ];
    const other = await post(world, CREDENTIAL, creation('k1'), grace);
    expect([other.status, other.body.job_id === jobId]).toEqual([202, false]);
    expect((await post(world, CREDENTIAL, creation('k1'), again)).body.job_id).toBe(jobId);
  });

  test('the key is kept while the job is open, and a day after; the key itself is stored nowhere', async () => {
    await using world = await buildWorld(redis.url);
    const jobId = await toVerified(world);
    const idem = async () => (await world.redis.keys('velvet:*:idem:*'))[0] ?? '';
    expect(await world.redis.pttl(await idem())).toBe(-1);
    await world.stage(jobId, { action: 'abort' });
    await until(async () => ((await world.job(jobId)).cleanup === 'done' ? true : null));
    const day = 86_400_000;
    expect(await world.redis.pttl(await idem())).toBeGreaterThan(day - 60_000);
    expect(await world.redis.pttl(await idem())).toBeLessThanOrEqual(day);

    const secretKey = 'a-key-that-was-badly-chosen';
    await world.create(secretKey);
    const keys = credentialKeys(CREDENTIAL, ENV);
    expect((await world.redis.keys('*')).join(' ')).not.toContain(secretKey);
    expect(
      JSON.stringify([await audit(world), world.log, await world.redis.zrange(keys.jobs, 0, '-1')]),
    ).not.toContain(secretKey);
  });
});
