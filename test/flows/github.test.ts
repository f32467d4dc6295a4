// A rotation whose token lives in a Heroku app and in GitHub Actions: what is written there, what a person must say, and the ways back.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { slots } from '../../workers/vault/contract.ts';
import { buildWorld, CREDENTIAL, ENV, setUpCall, until, type JobView, type World } from '../harness.ts';
import { dumpRedis } from '../redis-dump.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import type { GithubApp } from '../sim/github-apps.ts';
import type { GithubRepo } from '../sim/github-places.ts';
import type { GithubSim } from '../sim/github.ts';
import { GITHUB_ROW as ROW, githubStage, type GithubRowOptions } from './github-row.ts';
import { sinceTheLook } from './started.ts';
import { admitAll, startSim } from '../sim/server.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const PUT = 'PUT /repos/:owner/:repo/actions/secrets/:name';

interface Stage extends AsyncDisposable {
  readonly world: World;
  readonly github: GithubSim;
  readonly app: GithubApp;
  readonly repo: GithubRepo;
  /** What a workflow would see. */
  readonly seen: () => string | undefined;
}

async function staged(options: GithubRowOptions = {}): Promise<Stage> {
  const { github, app, repo, options: more } = await githubStage(options);
  const world = await buildWorld(redis.url, { apps: [{ name: 'quiet-app' }], ...more });
  repo.set('HEROKU_API_KEY', world.firstToken);
  return {
    world,
    github,
    app,
    repo,
    seen: () => repo.values()[options.key ?? 'HEROKU_API_KEY'],
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]();
      await github[Symbol.asyncDispose]();
    },
  };
}

const row = (view: JobView) => view.consumers.find((one) => one['consumer_id'] === ROW) ?? {};

/** To the first status after the mint that waits for a person, whatever it is. */
async function minted({ world }: Stage, waits: string | readonly string[] = 'validating'): Promise<JobView> {
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'proceed_mint' });
  const view = await world.reaches(jobId, waits);
  if (view.status !== 'validating') return view;
  return until(async () => {
    const job = await world.job(jobId);
    return row(job)['validate_status'] === 'manual_required' ? job : null;
  });
}

function newToken(stage: Stage, view: JobView): string {
  const authorizations = stage.world.account.authorizations();
  return authorizations.find((one) => one.id === view.new_auth_id)?.token ?? '';
}

test('the secret is written for the workflows, a person confirms it, and the old token goes', async () => {
  await using stage = await staged();
  const { world, github, app, repo, seen } = stage;
  const waiting = await minted(stage);
  const { job_id: jobId } = waiting;

  expect(seen()).toBe(newToken(stage, waiting));
  expect(row(waiting)).toMatchObject({
    update_method: 'GITHUB_SECRET_PUT',
    distribute_status: 'succeeded',
    validate_status: 'manual_required',
    holds: 'new',
    proof: null,
    write_note: 'GitHub updated HEROKU_API_KEY; it shows no value, and jobs that run keep the old one.',
  });
  expect(waiting.allowed_actions).toContain('confirm_consumer');

  const confirm = { action: 'confirm_consumer', consumer_id: ROW, note: 'run 4711 deployed with it' };
  expect((await world.stage(jobId, confirm)).status).toBe(202);
  const gate = await world.reaches(jobId, 'validated');
  expect(row(gate)).toMatchObject({ proof: 'by_hand', validate_status: 'succeeded' });
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-2026-HK_PLATFORM_FULL' });
  await world.reaches(jobId, 'done');

  expect(world.heroku.isLive(world.firstToken)).toBe(false);
  expect(world.heroku.isLive(seen() ?? '')).toBe(true);
  expect(github.apps.tokens.length).toBeGreaterThan(0);
  expect(github.apps.tokens.every((one) => one.revoked && one.repositories?.[0] === repo)).toBe(true);
  const places = [
    await dumpRedis(world.redis),
    world.log.join('\n'),
    JSON.stringify(await world.job(jobId)),
    JSON.stringify(world.slack.messages),
  ].join('\n');
  expect(places).toContain(jobId);
  const key = app.privateKey.split('\n').filter((line) => line.length > 40);
  for (const value of [
    seen() ?? '-',
    world.firstToken,
    ...key,
    ...github.apps.tokens.map((one) => one.token),
  ])
    expect(places.includes(value)).toBe(false);
});

test('a name that was new is said on the row, and in the trail', async () => {
  await using stage = await staged({ key: 'HEROKU_APY_KEY' });
  const waiting = await minted(stage);
  expect(row(waiting)['write_note']).toContain(
    'GitHub made HEROKU_APY_KEY anew: no secret had that name before.',
  );
  const trail = await stage.world.feed.read(CREDENTIAL, ENV, 0, 10_000);
  const written = trail.find((event) => event.event === 'row_written' && event.consumer_id === ROW);
  expect(written?.detail['note']).toContain('HEROKU_APY_KEY anew');
});

test('an authority that is no App’s key fails that row alone, names it and says what it must look like', async () => {
  await using stage = await staged({ authority: () => 'ghp_a-token-where-a-key-belongs' });
  const { world, github, app, seen } = stage;
  expect(await sinceTheLook(world)).toMatch(
    /^The authority GH_APP_OPS_BOT cannot be used\. .*one line of JSON/,
  );
  const parked = await minted(stage, 'distribute_partial');
  const error = row(parked)['error'] as { code: string; detail: string };
  expect(error.code).toBe('authority_invalid');
  expect(error.detail).toContain(`GH_APP_OPS_BOT, with which ${ROW} is written`);
  expect(error.detail).toContain('one line of JSON');
  expect(error.detail).not.toContain('ghp_');
  expect([github.requests.length, seen()]).toEqual([0, world.firstToken]);

  // The remedy that the row names: put the key in, retry.
  await world.vault.write(setUpCall(), slots.current('GH_APP_OPS_BOT'), new Secret(app.authority));
  await world.stage(parked.job_id, { action: 'retry' });
  await world.reaches(parked.job_id, 'validating');
  expect(seen()).not.toBe(world.firstToken);
});

test('a refused key and a repository out of reach are told apart', async () => {
  await using stage = await staged();
  stage.github.script({
    on: 'GET /repos/:owner/:repo/installation',
    do: { status: 401, body: { message: 'Bad credentials' } },
  });
  const first = await minted(stage, 'distribute_partial');
  expect(row(first)['error']).toMatchObject({
    code: 'authority_invalid',
    detail: expect.stringContaining('The vendor refused the authority GH_APP_OPS_BOT') as string,
  });
  stage.github.script({
    on: 'GET /repos/:owner/:repo/installation',
    do: { status: 404, body: { message: 'Not Found' } },
  });
  await stage.world.stage(first.job_id, { action: 'retry' });
  const second = await until(async () => {
    const job = await stage.world.job(first.job_id);
    const error = row(job)['error'] as { code: string } | null;
    return job.status === 'distribute_partial' && error?.code === 'vendor_target_missing' ? job : null;
  });
  expect(row(second)['error']).toMatchObject({
    detail: expect.stringContaining("check the name in the manifest and the App's repositories") as string,
  });
});

test('a lost answer is written again, and a limit is waited for', async () => {
  await using stage = await staged();
  const lost = stage.github.script({ on: PUT, do: 'hang_after' });
  const limit = stage.github.script({
    on: PUT,
    do: { status: 403, body: { message: 'You have exceeded a secondary rate limit.' } },
  });
  const waiting = await minted(stage);
  expect([lost.fired, limit.fired]).toEqual([1, 1]);
  expect(stage.seen()).toBe(newToken(stage, waiting));
});

test('abort leaves what GitHub may hold alive and named; restore puts the old value back there', async () => {
  await using stage = await staged();
  const { world, seen } = stage;
  const waiting = await minted(stage);
  const { job_id: jobId } = waiting;
  const token = newToken(stage, waiting);
  await world.stage(jobId, { action: 'abort' });
  const aborted = await until(async () => {
    const job = await world.job(jobId);
    return job.cleanup === 'needs_person' ? job : null;
  });
  expect(JSON.stringify(aborted['residual'])).toContain(ROW);
  expect([seen(), world.heroku.isLive(token)]).toEqual([token, true]);

  await world.stage(jobId, { action: 'restore' });
  await until(
    async () => ((await world.job(jobId)).cleanup === 'done' ? true : null),
    10_000,
    async () => `${JSON.stringify(await world.job(jobId), null, 1)}\n${world.log.slice(-20).join('\n')}`,
  );
  expect(seen()).toBe(world.firstToken);
  expect([world.heroku.isLive(token), world.heroku.isLive(world.firstToken)]).toEqual([false, true]);
});

test('a health endpoint that only says 200 proves nothing of a place that shows no value: a person confirms', async () => {
  const consumer = await startAnswering();
  await using stage = await staged({ endpoint: consumer.url });
  try {
    const parked = await minted(stage, ['validate_partial', 'validated']);
    expect(parked.status).toBe('validate_partial');
    expect(row(parked)).toMatchObject({
      error: { code: 'consumer_not_proven' },
      probe: { http_status: 200 },
    });
    await stage.world.stage(parked.job_id, {
      action: 'confirm_consumer',
      consumer_id: ROW,
      note: 'seen in a run',
    });
    expect(row(await stage.world.reaches(parked.job_id, 'validated'))['proof']).toBe('by_hand');
  } finally {
    await consumer.close();
  }
});

/** A service that answers 200 to everything. */
async function startAnswering(): Promise<{ readonly url: string; close(): Promise<void> }> {
  const sim = await startSim<null>({
    routes: { 'GET /healthz': () => ({ status: 200, body: { at: systemClock.now() } }) },
    authorize: admitAll,
    notFound: { status: 404 },
    badBody: { status: 400 },
    rateLimited: () => ({ status: 429 }),
  });
  return { url: `${sim.url}/healthz`, close: () => sim.close() };
}
