// The two ways past what a rotation demands: a current token that is dead (nothing to go back to), and a revoke forced over unproven consumers.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildWorld, CREDENTIAL, ENV, until, type JobView, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const apps = [{ name: 'a-prod' }, { name: 'b-prod' }] as const;
const KEY = 'HEROKU_API_KEY';
const held = (world: World, index: number) => String(world.apps[index]?.env()[KEY]);
const idOf = (app: string) => `heroku-config-${app}`;
const open = (job: JobView) =>
  (job['residual'] as readonly { kind: string; who: string; resolved_at: string | null }[])
    .filter((one) => one.resolved_at === null)
    .map(({ kind, who }) => `${kind} ${who}`);

async function cleanedUp(world: World, jobId: string, cleanup: string): Promise<JobView> {
  return until(async () => {
    const job = await world.job(jobId);
    return job.cleanup === cleanup ? job : null;
  });
}

/** The current token died before the job: verify says so, and what the consumers hold. */
async function dead(world: World): Promise<{ jobId: string; view: JobView }> {
  const first = world.account.authorizations().find((one) => one.token === world.firstToken);
  world.account.revoke(String(first?.id));
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  return { jobId, view: await world.reaches(jobId, 'verify_failed') };
}
const acknowledge = { action: 'proceed_mint', acknowledge_dead: true, confirm: CREDENTIAL } as const;

describe('a dead current token', () => {
  test('is minted over once that is acknowledged by name, and nothing is left to revoke', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const { jobId, view } = await dead(world);
    expect(view.error).toMatchObject({
      code: 'current_token_invalid',
      detail: expect.stringContaining('No consumer was seen to hold another value') as string,
    });
    expect(view.allowed_actions).toContain('proceed_mint');
    const refusals = [
      await world.stage(jobId, { action: 'proceed_mint' }),
      await world.stage(jobId, { action: 'proceed_mint', acknowledge_dead: true }),
      await world.stage(jobId, { ...acknowledge, confirm: 'PM_SERVER_MAIL' }),
    ];
    expect(refusals.map((one) => [one.status, one.body.code])).toEqual([
      [422, 'not_acknowledged'],
      [422, 'confirm_mismatch'],
      [422, 'confirm_mismatch'],
    ]);
    await world.stage(jobId, acknowledge);
    await world.reaches(jobId, 'validated');
    await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-1' });
    await world.reaches(jobId, 'done');
    expect(held(world, 0)).toBe(held(world, 1));
    expect((await world.vault.read(CREDENTIAL))?.reveal()).toBe(held(world, 0));
    expect(world.heroku.live()).toHaveLength(2);
  });

  test('is not minted over unseen where consumers hold another value that works: the job says so first', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const byHand = world.account.authorize({ description: 'rotated by hand', scope: ['global'] });
    for (const app of world.apps) app.patchConfig({ [KEY]: byHand.token });
    await until(() => (held(world, 1) === byHand.token ? true : null));
    const { view } = await dead(world);
    expect(view.error?.detail).toContain(
      'heroku-config-a-prod, heroku-config-b-prod hold another value and answer with success',
    );
    expect(view.error?.detail).toContain('npx velvet adopt');
    expect(JSON.stringify(view)).not.toContain(byHand.token);
  });

  test('leaves no way back: an abort keeps the new value as the current one and names who is still on the dead one', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const { jobId } = await dead(world);
    world.heroku.script({
      on: 'PATCH /apps/:app/config-vars',
      where: (request) => request.path.includes('/b-prod/'),
      times: Infinity,
      do: { status: 403, body: { id: 'forbidden' } },
    });
    await world.stage(jobId, acknowledge);
    await world.reaches(jobId, 'distribute_partial');
    world.heroku.clearFaults();
    const refused = await world.stage(jobId, { action: 'abort', restore: true });
    expect([refused.status, refused.body.code]).toEqual([409, 'action_not_allowed']);
    await world.stage(jobId, { action: 'abort' });
    const job = await cleanedUp(world, jobId, 'needs_person');
    expect(open(job)).toEqual([`stale_consumer ${idOf('b-prod')}`]);
    expect(job.allowed_actions).toEqual(['resolve_residual']);
    expect((await world.vault.read(CREDENTIAL))?.reveal()).toBe(held(world, 0));
    expect(world.heroku.isLive(held(world, 0))).toBe(true);
    expect(await world.vault.list(CREDENTIAL)).toEqual([CREDENTIAL, `${CREDENTIAL}__AUTH_ID`]);
  });

  test('and nobody on the new value: an abort takes everything back', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const { jobId } = await dead(world);
    world.heroku.script({
      on: 'PATCH /apps/:app/config-vars',
      times: Infinity,
      do: { status: 403, body: { id: 'forbidden' } },
    });
    await world.stage(jobId, acknowledge);
    await world.reaches(jobId, 'distribute_failed');
    world.heroku.clearFaults();
    await world.stage(jobId, { action: 'abort' });
    await cleanedUp(world, jobId, 'done');
    expect(world.heroku.live()).toHaveLength(1);
    expect(await world.vault.list(CREDENTIAL)).toEqual([CREDENTIAL]);
    expect(await world.store.claimant({ credential: CREDENTIAL, env: ENV })).toBeNull();
  });
});

describe('a forced revoke', () => {
  async function forced(world: World, force_revoke = true): Promise<string> {
    const made = await world.api('POST', `/tokens/${CREDENTIAL}/rotate`, {
      flow_type: 'operational',
      idempotency_key: 'forced',
      force_revoke,
    });
    const jobId = String(made.body.job_id);
    await world.stage(jobId, { action: 'verify' });
    await world.reaches(jobId, 'verified');
    await world.stage(jobId, { action: 'proceed_mint' });
    return jobId;
  }
  const specs = [{ name: 'a-prod' }, { name: 'frozen', kind: 'never_restarts' as const }];
  const revoke = { action: 'proceed_revoke', ticket_id: 'ROT-1' } as const;

  test('needs each unproven consumer by name, proves the others once more, and says who was cut off', async () => {
    await using world = await buildWorld(redis.url, { apps: specs });
    const jobId = await forced(world);
    await world.reaches(jobId, 'validate_partial');
    const wrong = [[], ['a-prod'], [idOf('a-prod'), idOf('frozen')]];
    for (const acknowledge_stale of wrong) {
      const refused = await world.stage(jobId, { ...revoke, acknowledge_stale });
      expect([refused.status, refused.body.code]).toEqual([422, 'stale_not_acknowledged']);
      expect(refused.body.detail).toContain(idOf('frozen'));
    }
    expect((await world.stage(jobId, { ...revoke, acknowledge_stale: [idOf('frozen')] })).status).toBe(202);
    const done = await world.reaches(jobId, 'done');
    expect(done.consumers.map((row) => [row['consumer_id'], row['stale']])).toEqual([
      [idOf('a-prod'), false],
      [idOf('frozen'), true],
    ]);
    expect(world.heroku.isLive(world.firstToken)).toBe(false);
  });

  test('reaches from distribute_partial, where nothing is proven yet', async () => {
    await using world = await buildWorld(redis.url, { apps });
    world.heroku.script({
      on: 'PATCH /apps/:app/config-vars',
      where: (request) => request.path.includes('/b-prod/'),
      times: Infinity,
      do: { status: 403, body: { id: 'forbidden' } },
    });
    const jobId = await forced(world);
    await world.reaches(jobId, 'distribute_partial');
    const both = { ...revoke, acknowledge_stale: [idOf('a-prod'), idOf('b-prod')] };
    expect((await world.stage(jobId, both)).status).toBe(202);
    await world.reaches(jobId, 'done');
    expect((await world.vault.read(CREDENTIAL))?.reveal()).toBe(held(world, 0));
  });

  test('is not offered by a job that was created without it', async () => {
    await using world = await buildWorld(redis.url, { apps: specs });
    const jobId = await forced(world, false);
    await world.reaches(jobId, 'validate_partial');
    const refused = await world.stage(jobId, { ...revoke, acknowledge_stale: [idOf('frozen')] });
    expect([refused.status, refused.body.code]).toEqual([409, 'action_not_allowed']);
  });

  test('an acknowledgement holds for one revoke: a lost proof ends it, and the gate asks anew', async () => {
    await using world = await buildWorld(redis.url, { apps: [...specs, { name: 'c-prod' }] });
    const jobId = await forced(world);
    await world.reaches(jobId, 'validate_partial');
    world.apps[2]?.patchConfig({ [KEY]: world.firstToken });
    await until(() => (held(world, 2) === world.firstToken ? true : null));
    await world.stage(jobId, { ...revoke, acknowledge_stale: [idOf('frozen')] });
    await world.reaches(jobId, 'validate_partial');
    expect(world.heroku.isLive(world.firstToken)).toBe(true);
    await world.stage(jobId, {
      action: 'skip_consumer',
      consumer_id: idOf('c-prod'),
      reason: 'given up for the test',
    });
    await world.reaches(jobId, 'validated');
    const refused = await world.stage(jobId, revoke);
    expect([refused.status, refused.body.code]).toEqual([422, 'stale_not_acknowledged']);
  });
});
