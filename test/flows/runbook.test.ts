// The runbook's failure tables, row by row: what went wrong, what the job and the log say, and that what the operator then does leads to a good end.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Secret } from '../../shared/lib/secret.ts';
import { slots } from '../../workers/vault/contract.ts';
import {
  buildWorld,
  CREDENTIAL,
  ENV,
  setUpCall,
  until,
  type JobView,
  type World,
  type WorldOptions,
} from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { GITHUB_ROW, githubStage } from './github-row.ts';
import { started } from './started.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const KEY = 'HEROKU_API_KEY';
const TICKET = 'ROT-2026-HK_PLATFORM_FULL';
const apps = [{ name: 'console-prod' }, { name: 'api-prod' }] as const;
const API = 'heroku-config-api-prod';

const held = (world: World, index: number) => String(world.apps[index]?.env()[KEY]);
const rowOf = (job: JobView, id: string) => job.consumers.find((one) => one['consumer_id'] === id) ?? {};
const logged = (world: World, jobId: string) => world.log.filter((line) => line.includes(`job_id=${jobId}`));
const residuals = (job: JobView) =>
  (job['residual'] as readonly { kind: string; resolved_at: string | null }[])
    .filter((one) => one.resolved_at === null)
    .map(({ kind }) => kind);

async function cleaned(world: World, jobId: string, cleanup: 'done' | 'needs_person'): Promise<JobView> {
  return until(
    async () => {
      const job = await world.job(jobId);
      return job.cleanup === cleanup ? job : null;
    },
    10_000,
    async () => JSON.stringify(await world.job(jobId), null, 1),
  );
}

/** Every consumer on the one new token, and the old one dead. */
async function endsWell(world: World, jobId: string): Promise<void> {
  await world.reaches(jobId, 'validated');
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: TICKET });
  await world.reaches(jobId, 'done');
  expect(world.heroku.isLive(world.firstToken)).toBe(false);
  const [first] = world.apps.map((_, index) => held(world, index));
  for (const index of world.apps.keys()) expect(held(world, index)).toBe(first);
  expect(world.heroku.isLive(first ?? '')).toBe(true);
}

/** The old value everywhere, the new token dead, nothing of the job left in the vault. */
async function asBefore(world: World, jobId: string): Promise<void> {
  await cleaned(world, jobId, 'done');
  for (const index of world.apps.keys()) expect(held(world, index)).toBe(world.firstToken);
  expect(world.heroku.live()).toHaveLength(2);
  expect(await world.vault.list(CREDENTIAL)).toEqual([CREDENTIAL]);
}

const refusesApi = (world: World, status = 403, id = 'forbidden') =>
  world.heroku.script({
    on: 'PATCH /apps/:app/config-vars',
    where: ({ path }) => path.includes('/api-prod/'),
    times: Infinity,
    do: { status, body: { id } },
  });

/** console-prod is written, api-prod is refused. */
async function partly(options: WorldOptions = {}, fault = refusesApi) {
  const world = await buildWorld(redis.url, { apps, ...options });
  fault(world);
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'proceed_mint' });
  const job = await world.reaches(jobId, 'distribute_partial');
  world.heroku.clearFaults();
  return { world, jobId, job };
}

async function verified(options: WorldOptions = {}) {
  const world = await buildWorld(redis.url, { apps, ...options });
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  return { world, jobId };
}

describe('where a job stands still', () => {
  test.each([
    ['no answer', 'hang_before', /error=Timeout/],
    ['an HTTP status', { status: 503, body: { id: 'unavailable' } }, /http_status=503/],
    ['a rate limit', 'rate_limited', /msg="paced by the vendor"/],
  ] as const)('verifying: %s is in the log by job_id; wait', async (_what, deed, words) => {
    await using world = await buildWorld(redis.url, { apps });
    world.heroku.script({ on: 'GET /account', do: deed });
    const jobId = await world.create();
    await world.stage(jobId, { action: 'verify' });
    await world.reaches(jobId, 'verified');
    expect(logged(world, jobId).join('\n')).toMatch(words);
  });

  test('minting: msg="mint failed" with its code; the old token is untouched; retry', async () => {
    const { world: opened, jobId } = await verified();
    await using world = opened;
    world.heroku.script({
      on: 'POST /oauth/authorizations',
      do: { status: 422, body: { id: 'invalid_params' } },
    });
    await world.stage(jobId, { action: 'proceed_mint' });
    const failed = await world.reaches(jobId, 'mint_failed');
    const line = logged(world, jobId).find((one) => one.includes('msg="mint failed"'));
    expect(line).toContain(String(failed.error?.code));
    expect(world.heroku.isLive(world.firstToken)).toBe(true);
    expect(failed.allowed_actions).toEqual(expect.arrayContaining(['retry', 'abort']));
    await world.stage(jobId, { action: 'retry' });
    await endsWell(world, jobId);
  });

  test('distribute_partial, A: the rows say which; retry the failed one', async () => {
    const { world: opened, jobId, job } = await partly();
    await using world = opened;
    expect(rowOf(job, API)).toMatchObject({
      distribute_status: 'failed',
      error: { code: expect.any(String) },
    });
    await world.stage(jobId, { action: 'retry', consumer_ids: [API] });
    await endsWell(world, jobId);
  });

  test('distribute_partial, B: vault_ref says where the value is; write it by hand, Manual confirm', async () => {
    const { world: opened, jobId, job } = await partly();
    await using world = opened;
    const slot = (await world.vault.list(slots.pendingPrefix(CREDENTIAL)))[0] ?? '';
    expect(job.vault_ref).toBe(world.vault.ref(slot));
    const value = (await world.vault.read(slot))?.reveal() ?? '';
    world.apps[1]?.patchConfig({ [KEY]: value });
    await until(() => (held(world, 1) === value ? true : null));
    const confirm = { action: 'confirm_consumer', consumer_id: API, note: 'set with heroku config:set' };
    expect((await world.stage(jobId, confirm)).status).toBe(202);
    await endsWell(world, jobId);
  });

  test('distribute_partial, C: abort with restore', async () => {
    const { world: opened, jobId } = await partly();
    await using world = opened;
    await world.stage(jobId, { action: 'abort', restore: true, ticket_id: TICKET });
    await asBefore(world, jobId);
  });

  test('validate_failed: the row says so; its processes are down; started again, retry', async () => {
    await using world = await buildWorld(redis.url, {
      apps: [{ name: 'api-prod' }],
      times: { proveForMs: 300 },
    });
    const jobId = await world.create();
    await world.stage(jobId, { action: 'verify' });
    await world.reaches(jobId, 'verified');
    world.consumers[0]?.script({ on: '*', times: Infinity, do: { status: 503 } });
    await world.stage(jobId, { action: 'proceed_mint' });
    const failed = await world.reaches(jobId, ['validate_failed', 'validate_partial']);
    expect(rowOf(failed, API)).toMatchObject({ validate_status: 'failed' });
    expect(world.heroku.isLive(world.firstToken)).toBe(true);
    world.consumers[0]?.clearFaults();
    await world.stage(jobId, { action: 'retry' });
    await endsWell(world, jobId);
  });

  test('revoke_failed: old_auth_id in the job, the audit and the log; renewed authority, retry', async () => {
    const jobOf = await revokeFails();
    await using world = jobOf.world;
    const { jobId, failed } = jobOf;
    const old = String(failed.old_auth_id);
    expect(failed.error).toMatchObject({ code: 'revoke_pending' });
    expect(failed.error?.detail).toContain(`heroku authorizations:revoke ${old}`);
    const trail = await world.feed.read(CREDENTIAL, ENV, 0, 10_000);
    expect(JSON.stringify(trail.find((one) => one.event === 'revoke_failed'))).toContain(old);
    expect(logged(world, jobId).find((line) => line.includes('revoke_failed'))).toContain(old);
    await world.stage(jobId, { action: 'retry' });
    await world.reaches(jobId, 'done');
  });

  test('revoke_failed: revoked at the vendor by hand, then Mark manually revoked', async () => {
    const jobOf = await revokeFails();
    await using world = jobOf.world;
    const { jobId, failed } = jobOf;
    const early = await world.stage(jobId, { action: 'mark_revoked', ticket_id: TICKET });
    expect(early.status).toBe(202);
    // Velvet asks the vendor: it lives, so nothing is believed.
    await until(async () => {
      const job = await world.job(jobId);
      return job.status === 'revoke_failed' && job['version'] !== failed['version'] ? job : null;
    });
    world.account.revoke(String(failed.old_auth_id));
    await world.stage(jobId, { action: 'mark_revoked', ticket_id: TICKET });
    await world.reaches(jobId, 'done');
  });
});

async function revokeFails() {
  const world = await buildWorld(redis.url, { apps });
  const jobId = await world.toValidated();
  world.heroku.script({
    on: 'DELETE /oauth/authorizations/:id',
    do: { status: 403, body: { id: 'forbidden' } },
  });
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: TICKET });
  return { world, jobId, failed: await world.reaches(jobId, 'revoke_failed') };
}

describe('aborted from', () => {
  test('minted: the new token, which nobody has, is deleted and revoked', async () => {
    const { world: opened, jobId } = await verified({ families: ['stage', 'notifier'] });
    await using world = opened;
    await world.stage(jobId, { action: 'proceed_mint' });
    await world.reaches(jobId, ['minted', 'distributing']);
    await world.stage(jobId, { action: 'abort' });
    await asBefore(world, jobId);
  });

  test('distribute_partial: some on new, some on old; restore, then the new token and its slot go', async () => {
    const { world: opened, jobId } = await partly();
    await using world = opened;
    await world.stage(jobId, { action: 'abort' });
    const left = await cleaned(world, jobId, 'needs_person');
    expect(residuals(left)).toEqual(['stale_consumer']);
    expect([held(world, 0) === world.firstToken, held(world, 1)]).toEqual([false, world.firstToken]);
    await world.stage(jobId, { action: 'restore' });
    await asBefore(world, jobId);
  });

  test('validated: all on new, the old one live; revoke it by hand, Mark manually revoked', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const jobId = await world.toValidated();
    await world.stage(jobId, { action: 'abort' });
    const left = await cleaned(world, jobId, 'needs_person');
    expect(residuals(left)).toEqual(['old_token_live']);
    expect(world.heroku.isLive(world.firstToken)).toBe(true);
    world.account.revoke(String(left.old_auth_id));
    await world.stage(jobId, { action: 'mark_revoked', ticket_id: TICKET });
    await cleaned(world, jobId, 'done');
    expect((await world.vault.read(CREDENTIAL))?.reveal()).toBe(held(world, 0));
  });
});

describe('mistakes', () => {
  test('a prod rotation started on the staging app: 404 that names both', async () => {
    const row = {
      token_name: 'HK_OTHER',
      consumer_id: 'elsewhere',
      env: 'prod',
      update_method: 'HEROKU_CONFIG_PATCH',
      update_endpoint: 'https://api.heroku.com/apps/elsewhere/config-vars',
      update_key: KEY,
      update_auth_token_name: 'HK_VELVET_BOOTSTRAP',
      healthcheck_endpoint: null,
      capabilities: ['update'],
    };
    const credential = {
      token_name: 'HK_OTHER',
      issuer: 'heroku-oauth',
      issuer_auth_token_name: 'HK_VELVET_BOOTSTRAP',
      entropy: 'high',
    };
    await using world = await buildWorld(redis.url, {
      apps,
      more: { credentials: [credential], subscribers: [row] },
    });
    const answer = await world.api('POST', '/tokens/HK_OTHER/rotate', {
      flow_type: 'operational',
      idempotency_key: crypto.randomUUID(),
    });
    expect([answer.status, answer.body.code]).toEqual([404, 'not_registered']);
    expect(answer.body.detail).toContain(`registered for prod; this is ${ENV}`);
  });

  test('no ticket opened: the revoke gate refuses, and goes on once it is there', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const jobId = await world.toValidated();
    const refused = await world.stage(jobId, { action: 'proceed_revoke' });
    expect([refused.status, refused.body.code]).toEqual([422, 'ticket_required']);
    expect((await world.job(jobId)).status).toBe('validated');
    await endsWell(world, jobId);
  });

  test('abort from validated, thinking that it rolls back: restore does', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const jobId = await world.toValidated();
    await world.stage(jobId, { action: 'abort' });
    const left = await cleaned(world, jobId, 'needs_person');
    expect(left.allowed_actions).toEqual(expect.arrayContaining(['restore', 'mark_revoked']));
    expect(held(world, 0)).not.toBe(world.firstToken);
    await world.stage(jobId, { action: 'restore' });
    await asBefore(world, jobId);
  });

  test('retrying a failed revoke with a stale authority: authority_invalid with its name; a good one, retry', async () => {
    const jobOf = await revokeFails();
    await using world = jobOf.world;
    const { jobId } = jobOf;
    const refuses = { status: 401, body: { id: 'unauthorized' } };
    world.heroku.script({ on: '*', times: Infinity, do: refuses });
    await world.stage(jobId, { action: 'retry' });
    const failed = await until(async () => {
      const job = await world.job(jobId);
      return job.error?.code === 'authority_invalid' ? job : null;
    });
    expect(failed.error?.detail).toContain('HK_VELVET_BOOTSTRAP');
    expect(failed.status).toBe('revoke_failed');
    world.heroku.clearFaults();
    await world.stage(jobId, { action: 'retry' });
    await world.reaches(jobId, 'done');
  });

  test("two operators, one credential: the second's verify is refused until the first job has ended", async () => {
    const { world: opened, jobId } = await verified();
    await using world = opened;
    const token = await world.token(['rotate'], { owner: 'grace' });
    const second = await world.create();
    const refused = await world.stage(second, { action: 'verify' }, token);
    expect([refused.status, refused.body.code]).toEqual([409, 'claimed']);
    expect(refused.body.detail).toContain(`active rotation already in progress: job ${jobId}`);
    await world.stage(jobId, { action: 'abort' });
    await cleaned(world, jobId, 'done');
    expect((await world.stage(second, { action: 'verify' }, token)).status).toBe(202);
    await world.reaches(second, 'verified');
  });

  test("looking for the value after done: the job's vault_ref says where it is", async () => {
    await using world = await buildWorld(redis.url, { apps });
    const jobId = await world.toValidated();
    await endsWell(world, jobId);
    const done = await world.job(jobId);
    expect(done.vault_ref).toBe(world.vault.ref(slots.current(CREDENTIAL)));
    expect((await world.vault.read(CREDENTIAL))?.reveal()).toBe(held(world, 0));
    expect(await world.vault.list(slots.pendingPrefix(CREDENTIAL))).toEqual([]);
  });
});

const infisicalRow = {
  token_name: CREDENTIAL,
  consumer_id: 'infisical-mail',
  env: ENV,
  update_method: 'INFISICAL_WRITE',
  update_endpoint: 'https://app.infisical.com/api/v4/secrets?secretPath=/apps/mail',
  update_key: KEY,
  healthcheck_endpoint: null,
  capabilities: ['update'],
};

/** A row that no endpoint proves, once it waits for a person. */
async function confirmed(world: World, jobId: string, id: string): Promise<void> {
  await until(async () => {
    const row = rowOf(await world.job(jobId), id);
    return row['validate_status'] === 'manual_required' ? row : null;
  });
  const confirm = { action: 'confirm_consumer', consumer_id: id, note: 'a run that began later works' };
  expect((await world.stage(jobId, confirm)).status).toBe(202);
}

/** The vault's value dies; its consumers are given `copies` beforehand. */
async function drifted(world: World, copies: string | null): Promise<{ jobId: string; job: JobView }> {
  for (const app of world.apps) if (copies !== null) app.patchConfig({ [KEY]: copies });
  await until(() => (copies === null || held(world, 1) === copies ? true : null));
  const old = world.account.authorizations().find((one) => one.token === world.firstToken);
  world.account.revoke(String(old?.id));
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  return { jobId, job: await world.reaches(jobId, 'verify_failed') };
}

describe('Heroku', () => {
  test('verify_failed, old token invalid; vault dead, copies alive: abort, adopt what they hold, start again', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const byHand = world.account.authorize({ description: 'by hand', scope: ['global'] });
    const { jobId, job } = await drifted(world, byHand.token);
    expect(job.error).toMatchObject({ code: 'current_token_invalid' });
    expect(job.error?.detail).toContain('old token invalid');
    expect(job.error?.detail).toContain(`npx velvet adopt ${CREDENTIAL}`);
    await world.stage(jobId, { action: 'abort' });
    await cleaned(world, jobId, 'done');
    await world.vault.write(setUpCall(), slots.current(CREDENTIAL), new Secret(byHand.token));
    const again = await world.toValidated();
    await world.stage(again, { action: 'proceed_revoke', ticket_id: TICKET });
    await world.reaches(again, 'done');
    expect(world.heroku.isLive(byHand.token)).toBe(false);
  });

  test('verify_failed, old token invalid; both dead: go on with acknowledge_dead', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const { jobId, job } = await drifted(world, null);
    expect(job.error).toMatchObject({ code: 'current_token_invalid' });
    await world.stage(jobId, { action: 'proceed_mint', acknowledge_dead: true, confirm: CREDENTIAL });
    await endsWell(world, jobId);
  });

  test('distribute_partial, one app was deleted: skip the row, remove it from the manifest', async () => {
    const { world: opened, jobId, job } = await partly({}, (world) => refusesApi(world, 404, 'not_found'));
    await using world = opened;
    expect(rowOf(job, API)).toMatchObject({
      error: {
        code: 'vendor_target_missing',
        detail: expect.stringContaining('skip the row and remove it from the manifest'),
      },
    });
    const skip = { action: 'skip_consumer', consumer_id: API, reason: 'the app was deleted' };
    expect((await world.stage(jobId, skip)).status).toBe(202);
    await world.reaches(jobId, 'validated');
    await world.stage(jobId, { action: 'proceed_revoke', ticket_id: TICKET });
    await world.reaches(jobId, 'done');
  });

  test('distribute_partial on the GitHub secret: the App may not reach the repository; installed there, retry', async () => {
    const stage = await githubStage();
    await using github = stage.github;
    const { app, repo, options } = stage;
    await using world = await buildWorld(redis.url, { apps: [{ name: 'console-prod' }], ...options });
    repo.set(KEY, world.firstToken);
    const [installation] = github.apps.installations.splice(0);
    const jobId = await world.create();
    await world.stage(jobId, { action: 'verify' });
    await world.reaches(jobId, 'verified');
    await world.stage(jobId, { action: 'proceed_mint' });
    const partial = await world.reaches(jobId, 'distribute_partial');
    const { error } = rowOf(partial, GITHUB_ROW) as { error: { code: string; detail: string } };
    expect(error.detail).toMatch(/App/);
    expect(error.detail).toContain('acme/console');
    github.install(app, installation?.owner ?? repo.owner, { repositories: [repo] });
    await world.stage(jobId, { action: 'retry', consumer_ids: [GITHUB_ROW] });
    await confirmed(world, jobId, GITHUB_ROW);
    await endsWell(world, jobId);
    expect(repo.values()[KEY]).toBe(held(world, 0));
  });
});

describe('Infisical', () => {
  test('distribute_partial on the row in Infisical: there is no such folder, nor the one that it would lie in; made, retry', async () => {
    const { world: opened, jobId } = await started(redis.url, {
      infisical: true,
      apps: [{ name: 'console-prod' }],
      more: { subscribers: [infisicalRow] },
    });
    await using world = opened;
    const partial = await world.reaches(jobId, 'distribute_partial');
    expect(rowOf(partial, 'infisical-mail')).toMatchObject({
      error: {
        code: 'vendor_target_missing',
        detail: expect.stringContaining(`there is no folder /apps/mail in the environment ${ENV}`),
      },
    });
    world.infisical?.project.folder(ENV, '/apps/mail');
    await world.stage(jobId, { action: 'retry' });
    await confirmed(world, jobId, 'infisical-mail');
    await endsWell(world, jobId);
  });

  test('distribute_partial on the row in Infisical: its identity is refused; mended, retry', async () => {
    const { world: opened, jobId } = await started(redis.url, {
      infisical: true,
      apps: [{ name: 'console-prod' }],
      more: { subscribers: [{ ...infisicalRow, update_auth_token_name: 'MAIL_IDENTITY' }] },
      authorities: { MAIL_IDENTITY: 'no-such-client:no-such-secret' },
    });
    await using world = opened;
    world.infisical?.project.folder(ENV, '/apps/mail');
    const partial = await world.reaches(jobId, 'distribute_partial');
    const { error } = rowOf(partial, 'infisical-mail') as { error: { code: string; detail: string } };
    expect(error.code).toBe('authority_invalid');
    expect(error.detail).toContain('MAIL_IDENTITY');
    const good = world.infisical?.identity;
    await world.vault.write(
      setUpCall(),
      slots.current('MAIL_IDENTITY'),
      new Secret(`${good?.clientId}:${good?.clientSecret}`),
    );
    await world.stage(jobId, { action: 'retry' });
    await confirmed(world, jobId, 'infisical-mail');
    await endsWell(world, jobId);
  });
});
