// The runbook: the failure tables of Heroku, GitHub and Infisical, row by row.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Secret } from '../../shared/lib/secret.ts';
import { slots } from '../../workers/vault/contract.ts';
import { buildWorld, CREDENTIAL, ENV, setUpCall, until, type JobView, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { GITHUB_ROW, githubStage } from '../flows/github-row.ts';
import { sinceTheLook, started } from '../flows/started.ts';
import {
  API,
  apps,
  cleaned,
  confirmed,
  endsWell,
  held,
  KEY,
  partly,
  refusesApi,
  rowOf,
  TICKET,
} from './world.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

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
    const {
      world: opened,
      jobId,
      job,
    } = await partly(redis.url, (world) => refusesApi(world, 404, 'not_found'));
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
    const options = {
      infisical: true,
      apps: [{ name: 'console-prod' }],
      more: { subscribers: [{ ...infisicalRow, update_auth_token_name: 'MAIL_IDENTITY' }] },
      authorities: { MAIL_IDENTITY: 'no-such-client:no-such-secret' },
    };
    const { world: opened, jobId } = await started(redis.url, options, sinceTheLook);
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
