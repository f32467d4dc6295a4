// Abort after somebody may hold the new value, and the ways out of what it leaves: nothing that a consumer runs on is deleted or revoked.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildWorld, CREDENTIAL, ENV, until, type JobView, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const apps = [{ name: 'a-prod' }, { name: 'b-prod' }, { name: 'c-prod' }] as const;
const ref = { credential: CREDENTIAL, env: ENV };

interface Left {
  readonly kind: string;
  readonly who: string;
  readonly resolved_at: string | null;
}

const open = (job: JobView) =>
  (job['residual'] as readonly Left[])
    .filter((one) => one.resolved_at === null)
    .map(({ kind, who }) => `${kind} ${who}`)
    .toSorted();

async function settled(world: World, jobId: string, cleanup: 'done' | 'needs_person'): Promise<JobView> {
  return until(
    async () => {
      const job = await world.job(jobId);
      return job.status === 'aborted' && job.cleanup === cleanup ? job : null;
    },
    10_000,
    async () => `${JSON.stringify(await world.job(jobId), null, 1)}\n${world.log.slice(-20).join('\n')}`,
  );
}

const token = (world: World, index: number) => String(world.apps[index]?.env()['HEROKU_API_KEY']);

/** Every consumer runs on a live token whose value the vault holds. */
async function nobodyIsLost(world: World): Promise<void> {
  const slots = await world.vault.list(CREDENTIAL);
  const values = await Promise.all(slots.map(async (slot) => (await world.vault.read(slot))?.reveal()));
  for (const [index, app] of world.apps.entries()) {
    expect(world.heroku.isLive(token(world, index)), `${app.name} runs on a live token`).toBe(true);
    expect(values, `the vault holds what ${app.name} runs on`).toContain(token(world, index));
  }
}

/** The old value everywhere, and nothing of the job left. */
async function asBefore(world: World, jobId: string): Promise<void> {
  const job = await settled(world, jobId, 'done');
  expect(open(job)).toEqual([]);
  for (const index of world.apps.keys()) expect(token(world, index)).toBe(world.firstToken);
  expect(await world.vault.list(CREDENTIAL)).toEqual([CREDENTIAL]);
  expect(world.heroku.live()).toHaveLength(2);
  expect(world.heroku.isLive(world.firstToken)).toBe(true);
  expect(await world.store.claimant(ref)).toBeNull();
}

async function toVerified(world: World): Promise<string> {
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  return jobId;
}

/** Parked with a and b written and c refused. */
async function partial(world: World): Promise<string> {
  const jobId = await toVerified(world);
  world.heroku.script({
    on: 'PATCH /apps/:app/config-vars',
    where: (request) => request.path.includes('/c-prod/'),
    times: Infinity,
    do: { status: 403, body: { id: 'forbidden' } },
  });
  await world.stage(jobId, { action: 'proceed_mint' });
  await world.reaches(jobId, 'distribute_partial');
  world.heroku.clearFaults();
  return jobId;
}

describe('abort', () => {
  test('names each consumer that holds the new value, keeps slot and token, and holds the credential', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const jobId = await partial(world);
    const answer = await world.stage(jobId, { action: 'abort' });
    expect(answer.status).toBe(202);
    const job = await settled(world, jobId, 'needs_person');
    expect(open(job).length).toBeGreaterThan(0);
    expect(job.allowed_actions).toEqual(expect.arrayContaining(['restore', 'resolve_residual']));
    await nobodyIsLost(world);
    expect(await world.store.claimant(ref)).toBe(jobId);
    expect(world.heroku.live()).toHaveLength(3);

    expect((await world.stage(jobId, { action: 'restore' })).status).toBe(202);
    await asBefore(world, jobId);
  });

  test('with restore puts everything back at once', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const jobId = await partial(world);
    await world.stage(jobId, { action: 'abort', restore: true });
    await asBefore(world, jobId);
  });

  test('from validated leaves both tokens alive; restore goes back', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const jobId = await world.toValidated();
    await world.stage(jobId, { action: 'abort' });
    const job = await settled(world, jobId, 'needs_person');
    expect(open(job)).toEqual([`old_token_live ${String(job.old_auth_id)}`]);
    expect(job.allowed_actions).toEqual(expect.arrayContaining(['restore', 'mark_revoked']));
    await nobodyIsLost(world);
    await world.stage(jobId, { action: 'restore' });
    await asBefore(world, jobId);
  });

  test('from validated: mark_revoked is believed only when the vendor agrees, then the new value is the current one', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const jobId = await world.toValidated();
    await world.stage(jobId, { action: 'abort' });
    await settled(world, jobId, 'needs_person');
    await world.stage(jobId, { action: 'mark_revoked' });
    const still = await until(async () => {
      const job = await world.job(jobId);
      return job.error?.code === 'revoke_pending' ? job : null;
    });
    expect(still.error?.detail).toContain('heroku authorizations:revoke');
    await settled(world, jobId, 'needs_person');

    world.account.revoke(String(still.old_auth_id));
    await world.stage(jobId, { action: 'mark_revoked' });
    const job = await settled(world, jobId, 'done');
    expect(open(job)).toEqual([]);
    expect(await world.vault.list(CREDENTIAL)).toEqual([CREDENTIAL, `${CREDENTIAL}__AUTH_ID`]);
    expect((await world.vault.read(CREDENTIAL))?.reveal()).toBe(token(world, 0));
    await nobodyIsLost(world);
    expect(job.allowed_actions).toEqual([]);
  });

  test('a restore is refused by the vendor where the previous token has died since: nobody is moved', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const jobId = await world.toValidated();
    await world.stage(jobId, { action: 'abort' });
    const before = await settled(world, jobId, 'needs_person');
    world.account.revoke(String(before.old_auth_id));
    await world.stage(jobId, { action: 'restore' });
    const job = await until(async () => {
      const view = await world.job(jobId);
      return view.error?.code === 'current_token_invalid' && view.cleanup === 'needs_person' ? view : null;
    });
    expect(open(job)).toEqual([`old_token_live ${String(job.old_auth_id)}`]);
    await nobodyIsLost(world);
    expect(job.allowed_actions).toContain('mark_revoked');
  });
});

describe('a residual that a person resolves', () => {
  const stale = (who: string) => ({ action: 'resolve_residual', kind: 'stale_consumer', who }) as const;

  test('is read back first, refused while the consumer holds the new value, and the last one ends the cleanup', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const jobId = await partial(world);
    await world.stage(jobId, { action: 'abort' });
    const job = await settled(world, jobId, 'needs_person');
    const names = ['heroku-config-a-prod', 'heroku-config-b-prod'];
    expect(open(job)).toEqual(names.map((name) => `stale_consumer ${name}`));

    const refused = await world.stage(jobId, stale(String(names[0])));
    expect([refused.status, refused.body.code]).toEqual([409, 'still_on_new']);
    const unknown = await world.stage(jobId, stale('heroku-config-c-prod'));
    expect([unknown.status, unknown.body.code]).toEqual([404, 'not_found']);
    expect(unknown.body.detail).toContain(String(names[1]));

    for (const [index, name] of names.entries()) {
      world.apps[index]?.patchConfig({ HEROKU_API_KEY: world.firstToken });
      await until(() => (token(world, index) === world.firstToken ? true : null));
      // Refused until its new dynos are up: till then the old ones may still answer.
      await until(async () => {
        const answer = await world.stage(jobId, {
          ...stale(name),
          ticket_id: 'ROT-7',
          note: 'put back by hand',
        });
        return answer.status === 202 ? true : null;
      });
      await settled(world, jobId, index === 0 ? 'needs_person' : 'done');
    }
    await asBefore(world, jobId);
  });

  test('is taken by word where its place refuses every look for good, never where it is away for a moment', async () => {
    await using world = await buildWorld(redis.url, { apps });
    const jobId = await partial(world);
    const minted = token(world, 0);
    const unreadable = (status: number) => {
      world.heroku.clearFaults();
      world.heroku.script({
        on: 'GET /apps/:app/config-vars',
        where: (request) => request.path.includes('/a-prod/'),
        times: Infinity,
        do: { status, body: { id: status === 403 ? 'forbidden' : 'unavailable' } },
      });
    };
    unreadable(403);
    await world.stage(jobId, { action: 'abort' });
    const job = await settled(world, jobId, 'needs_person');
    const names = ['heroku-config-a-prod', 'heroku-config-b-prod'];
    expect(open(job)).toEqual(names.map((name) => `stale_consumer ${name}`));
    world.apps[0]?.patchConfig({ HEROKU_API_KEY: world.firstToken });
    await until(() => (token(world, 0) === world.firstToken ? true : null));

    unreadable(503);
    const word = { ...stale(String(names[0])), note: 'put back, and looked at in the dashboard' };
    const refused = await world.stage(jobId, word);
    expect([refused.status, refused.body.code]).toEqual([503, 'vendor_unavailable']);
    expect(open(await world.job(jobId))).toHaveLength(2);

    unreadable(403);
    expect((await world.stage(jobId, word)).status).toBe(202);
    // Resolved for good: the cleanup does not find again what nobody can see, and the other still keeps the new token.
    expect(open(await settled(world, jobId, 'needs_person'))).toEqual([`stale_consumer ${names[1]}`]);
    expect(world.heroku.isLive(minted)).toBe(true);
    await world.stage(jobId, { action: 'restore' });
    await asBefore(world, jobId);
    const events = await world.feed.read(CREDENTIAL, ENV, 0, 10_000);
    expect(events.find((event) => event.event === 'resolve_residual')?.detail).toMatchObject({
      kind: 'stale_consumer',
      who: names[0],
      note: word.note,
    });
  });

  test('is not taken by word where nobody can look: 503, and nothing is changed', async () => {
    await using world = await buildWorld(redis.url, { apps, times: { answerMs: 200 } });
    const jobId = await partial(world);
    await world.stage(jobId, { action: 'abort' });
    await settled(world, jobId, 'needs_person');
    await world.stop('stage');
    const refused = await world.stage(jobId, stale('heroku-config-a-prod'));
    expect([refused.status, refused.body.code]).toEqual([503, 'degraded']);
    expect((await world.job(jobId)).cleanup).toBe('needs_person');
  });
});
