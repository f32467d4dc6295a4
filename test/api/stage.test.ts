// POST …/stage: each status takes its own actions and refuses every other one with what is open instead; two operators never undo each other.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Status } from '../../shared/rotation/statuses.ts';
import { buildWorld, CREDENTIAL, until, type World, type WorldOptions } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { audit, creation, paths, place, refused, toVerified } from './asking.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
const idle = (more: WorldOptions = {}): Promise<World> => buildWorld(redis.url, { families: [], ...more });

const consumer = 'heroku-config-raxx-api-prod';
/** A good body for each action that this release carries out. */
const bodies: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  verify: {},
  proceed_mint: {},
  submit_value: { value: 'a-value-that-nobody-may-see' },
  proceed_revoke: { ticket_id: 'ROT-2026-HK_PLATFORM_FULL' },
  retry: {},
  confirm_consumer: { consumer_id: consumer, note: 'seen in its log' },
  skip_consumer: { consumer_id: consumer, reason: 'gone since Monday' },
  mark_revoked: {},
  abort: {},
  restore: {},
  resolve_residual: { kind: 'stale_consumer', who: consumer },
};

const failedRow = { phase: 'distribute', t_total: '2', t_ok: '1', t_proven: '1', t_failed: '1' };
const failedProof = { ...failedRow, phase: 'validate' };
const settle = ['confirm_consumer', 'skip_consumer'];

/** The specification's table, typed in by hand, as far as this release carries it out. */
// oxfmt-ignore
const open: readonly { readonly status: Status; readonly may: readonly string[]; readonly fields?: Readonly<Record<string, string>> }[] = [
  { status: 'init', may: ['verify', 'abort'] },
  { status: 'verifying', may: ['abort'] },
  { status: 'verify_failed', may: ['retry', 'abort'] },
  { status: 'verify_failed', may: ['retry', 'proceed_mint', 'abort'], fields: { current_state: 'dead', may_mint: '1' } },
  { status: 'verified', may: ['proceed_mint', 'abort'] },
  { status: 'minting', may: ['abort'] },
  { status: 'minting', may: ['submit_value', 'abort'], fields: { awaiting: 'operator_value' } },
  { status: 'mint_failed', may: ['retry', 'abort'] },
  { status: 'minted', may: ['abort'] },
  { status: 'distributing', may: ['abort'], fields: { phase: 'distribute', t_total: '2', t_open: '2' } },
  { status: 'distributing', may: [...settle, 'abort'], fields: { phase: 'distribute', t_total: '2', t_open: '1', t_manual: '1', t_ok: '1' } },
  { status: 'distribute_partial', may: ['retry', ...settle, 'abort'], fields: failedRow },
  { status: 'distribute_failed', may: ['retry', ...settle, 'abort'], fields: failedRow },
  { status: 'distributed', may: ['abort'] },
  { status: 'validating', may: ['abort'], fields: { phase: 'validate', t_total: '2', t_open: '2' } },
  { status: 'validating', may: [...settle, 'abort'], fields: { phase: 'validate', t_total: '2', t_open: '1', t_manual: '1', t_ok: '1' } },
  { status: 'validate_partial', may: ['retry', ...settle, 'abort'], fields: failedProof },
  { status: 'validate_failed', may: ['retry', ...settle, 'abort'], fields: failedProof },
  { status: 'validated', may: ['proceed_revoke', 'retry', 'abort'], fields: { phase: 'validate', t_total: '2', t_ok: '2', t_proven: '2' } },
  { status: 'revoking', may: [], fields: { phase: 'prove', step: 'prove' } },
  { status: 'revoking', may: [], fields: { step: 'revoke', promoting: '1' } },
  { status: 'revoke_failed', may: ['retry', 'mark_revoked'], fields: { promoting: '1' } },
  { status: 'done', may: [] },
  { status: 'aborted', may: [], fields: { cleanup: 'done' } },
  { status: 'aborted', may: [], fields: { cleanup: 'pending' } },
];

/** Where nothing is offered, the words still say what to do. */
function openNow(offered: readonly string[]): string {
  const nothing = 'no action is open now: (it moves by itself|it has ended|its `error`)';
  return offered.length === 0 ? nothing : `open now: ${offered.join(', ')}\\.$`;
}

describe('an action that the status does not take', () => {
  test.each(open)('409 in $status, where only $may is open', async ({ status, may, fields = {} }) => {
    await using world = await idle();
    const jobId = await world.create();
    await place(world, jobId, status, fields);
    const offered = (await world.job(jobId)).allowed_actions;
    expect(new Set(offered)).toEqual(new Set(may));

    const closed = Object.keys(bodies).filter((action) => !may.includes(action));
    for (const action of closed) {
      await refused(world, () => world.stage(jobId, { action, ...bodies[action] }), {
        http: 409,
        code: 'action_not_allowed',
        detail: new RegExp(`^A job in status ${status} does not take '${action}'; ${openNow(offered)}`),
        extra: { job_status: status, allowed_actions: offered },
      });
    }
  });
});

describe('two operators, two jobs', () => {
  test('409 version_moved: whoever decided on an older version is told the present one', async () => {
    await using world = await idle();
    const jobId = await world.create();
    const seen = (await world.job(jobId)).version;
    expect((await world.stage(jobId, { action: 'verify', version: seen })).status).toBe(202);
    await refused(world, () => world.stage(jobId, { action: 'abort', version: seen }), {
      http: 409,
      code: 'version_moved',
      detail: 'The job is at version 2, not 1. Read it again, decide again, and send version 2.',
      extra: { version: 2, job_status: 'verifying', allowed_actions: ['abort'] },
    });
    const ahead = { action: 'abort', version: 99 };
    await refused(world, () => world.stage(jobId, ahead), {
      http: 409,
      code: 'version_moved',
      detail: /not 99/,
    });
    expect((await world.stage(jobId, { action: 'abort', version: 2 })).status).toBe(202);
  });

  test('ten decide on the same version at once: one is carried out, nine are told that it moved', async () => {
    await using world = await idle();
    const jobId = await world.create();
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) =>
        world.stage(jobId, { action: n % 2 === 0 ? 'verify' : 'abort', version: 1 }),
      ),
    );
    expect(answers.filter((answer) => answer.status === 202)).toHaveLength(1);
    expect(answers.filter((answer) => answer.body.code === 'version_moved')).toHaveLength(9);
    expect(await audit(world)).toHaveLength(2);
  });

  test('409 claimed: the second verify names the active job, and goes through when that one is over', async () => {
    await using world = await buildWorld(redis.url);
    const first = await toVerified(world);
    const second = await world.create();
    await refused(world, () => world.stage(second, { action: 'verify' }), {
      http: 409,
      code: 'claimed',
      detail: `active rotation already in progress: job ${first}. It must end (done, or aborted with its cleanup done) before another can be verified: finish it, or abort it.`,
      extra: { active_job_id: first },
    });
    expect((await world.job(second)).status).toBe('init');

    await world.stage(first, { action: 'abort' });
    await until(async () => ((await world.job(first)).cleanup === 'done' ? true : null));
    expect((await world.stage(second, { action: 'verify' })).status).toBe(202);
    await world.reaches(second, 'verified');
  });

  test('409 claimed by an adoption that was begun: says what to type', async () => {
    await using world = await idle();
    const jobId = await world.create();
    await world.redis.set(`velvet:{${CREDENTIAL}.development}:claim`, 'adopt.1234');
    await refused(world, () => world.stage(jobId, { action: 'verify' }), {
      http: 409,
      code: 'claimed',
      detail: /npx velvet adopt/,
      extra: { active_job_id: null },
    });
  });

  test('of ten jobs that are verified at once, one gets the claim', async () => {
    await using world = await idle();
    const jobs = await Promise.all(Array.from({ length: 10 }, () => world.create()));
    const answers = await Promise.all(jobs.map((jobId) => world.stage(jobId, { action: 'verify' })));
    const winner = jobs[answers.findIndex((answer) => answer.status === 202)];
    expect(answers.filter((answer) => answer.status === 202)).toHaveLength(1);
    const losers = answers.filter((answer) => answer.status === 409);
    expect(losers.map((answer) => answer.body['active_job_id'])).toEqual(losers.map(() => winner));
  });
});

describe('with the flag off', () => {
  const disabled = { http: 503, code: 'rotation_disabled', detail: /Rotate by hand/ } as const;

  test('503 verify and proceed_mint, with the procedure by hand; reads, retry and abort go on', async () => {
    await using world = await buildWorld(redis.url);
    const [waiting, jobId] = [await world.create(), await toVerified(world)];
    await world.system.setFlag('velvet_v2_rotation', false);
    for (const [id, action] of [
      [waiting, 'verify'],
      [jobId, 'proceed_mint'],
    ] as const) {
      const body = await refused(world, () => world.stage(id, { action }), disabled);
      expect(body['manual_procedure']).toMatch(/^Rotate HK_PLATFORM_FULL by hand/);
    }
    expect((await world.api('GET', paths.job(jobId))).status).toBe(200);
    expect((await world.api('GET', paths.rotations)).status).toBe(200);
    expect((await world.stage(jobId, { action: 'abort' })).status).toBe(202);
    await until(async () => ((await world.job(jobId)).cleanup === 'done' ? true : null));
  });

  test('what runs goes on to its end: a failed mint is retried, and the revoke takes place', async () => {
    await using world = await buildWorld(redis.url);
    const jobId = await toVerified(world);
    world.heroku.script({
      on: 'POST /oauth/authorizations',
      times: 1,
      do: { status: 403, body: { id: 'forbidden' } },
    });
    await world.stage(jobId, { action: 'proceed_mint' });
    await world.reaches(jobId, 'mint_failed');
    await world.system.setFlag('velvet_v2_rotation', false);
    expect((await world.stage(jobId, { action: 'retry' })).status).toBe(202);
    await world.reaches(jobId, 'validated');
    expect((await world.stage(jobId, { action: 'proceed_revoke', ...bodies['proceed_revoke'] })).status).toBe(
      202,
    );
    await world.reaches(jobId, 'done');
  });
});

test("404 another credential's job, an unknown one and an unknown credential, the same for each action", async () => {
  await using world = await idle({ more: otherCredential });
  const jobId = await world.create();
  for (const [action, more] of Object.entries(bodies)) {
    for (const [name, id] of [
      ['HK_OTHER', jobId],
      [CREDENTIAL, 'c3f4cf4e-0000-4000-8000-000000000000'],
      ['HK_NOBODY', jobId],
    ] as const) {
      const ask = () => world.api('POST', `/tokens/${name}/rotations/${id}/stage`, { action, ...more });
      await refused(world, ask, {
        http: 404,
        code: 'not_found',
        detail: `${name} has no job '${id}' in development. \`GET /tokens/${name}/rotations\` lists them.`,
      });
    }
  }
});

test('202 with the job as it is now, and who did it is in the audit trail', async () => {
  await using world = await idle();
  const jobId = await world.create();
  const grace = await world.token(['rotate'], { owner: 'grace' });
  const answer = await world.stage(jobId, { action: 'verify' }, grace);
  expect(answer.body).toMatchObject({ job_id: jobId, status: 'verifying', version: 2, env: 'development' });
  expect((await audit(world)).at(-1)).toMatchObject({
    operator_id: 'grace',
    from_state: 'init',
    to_state: 'verifying',
    event: 'verify',
  });
  const created = await world.api('POST', paths.rotate, creation('k'));
  expect(created.headers.get('content-type')).toMatch(/^application\/json/);
});

const otherCredential = {
  credentials: [
    {
      token_name: 'HK_OTHER',
      issuer: 'heroku-oauth',
      issuer_auth_token_name: 'HK_VELVET_BOOTSTRAP',
      entropy: 'high',
    },
  ],
};
