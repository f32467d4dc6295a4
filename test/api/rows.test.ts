// POST …/stage, one row at a time: retry, confirm_consumer, skip_consumer, and the rows that take none of them.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildWorld, type World, type WorldOptions } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { audit, lastEvent, place, refused, setRow } from './asking.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
const idle = (more: WorldOptions = {}): Promise<World> => buildWorld(redis.url, { families: [], ...more });

const [console_, api] = ['heroku-config-raxx-console-prod', 'heroku-config-raxx-api-prod'];

/** A job that is parked with one row done and one failed. */
async function parked(world: World, row: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const jobId = await world.create();
  await setRow(world, jobId, console_, {
    distribute_status: 'succeeded',
    validate_status: 'succeeded',
    proof: 'possession',
    holds: 'new',
  });
  await setRow(world, jobId, api, {
    distribute_status: 'succeeded',
    validate_status: 'failed',
    error: { code: 'consumer_not_proven', detail: 'it answers' },
    ...row,
  });
  const counts = { t_total: '2', t_pending: '0', t_ok: '1', t_proven: '1', t_failed: '1' };
  await place(world, jobId, 'validate_partial', { phase: 'validate', ...counts });
  return jobId;
}

describe('retry', () => {
  test('404 a consumer that the job does not have is named, and so are those it has', async () => {
    await using world = await idle();
    const jobId = await parked(world);
    const ids = [api, 'heroku-config-nobody'];
    await refused(world, () => world.stage(jobId, { action: 'retry', consumer_ids: ids }), {
      http: 404,
      code: 'not_found',
      detail: `The job has no consumer named heroku-config-nobody; name one of ${api}, ${console_}.`,
    });
  });

  test('409 a consumer that did not fail: nothing to retry', async () => {
    await using world = await idle();
    const jobId = await parked(world);
    await refused(world, () => world.stage(jobId, { action: 'retry', consumer_ids: [console_] }), {
      http: 409,
      code: 'nothing_to_retry',
      detail:
        'No failed row matches. Leave `consumer_ids` out to retry every failed row, or name rows that are `failed` or `skipped`; one that was skipped before anything was written to it stays skipped in this job.',
      extra: { job_status: 'validate_partial' },
    });
  });

  test('of those named only the failed ones are opened again', async () => {
    await using world = await idle();
    const jobId = await parked(world);
    const answer = await world.stage(jobId, { action: 'retry', consumer_ids: [console_, api] });
    expect([answer.status, answer.body.status]).toEqual([202, 'validating']);
    const { consumers } = await world.job(jobId);
    expect(consumers.map((row) => row['validate_status'])).toEqual(['pending', 'succeeded']);
    expect(await lastEvent(world, 'retry')).toMatchObject({ detail: { consumer_ids: [api] } });
  });
});

describe('confirm_consumer and skip_consumer', () => {
  const steps = [
    ['confirm_consumer', { note: 'seen in its log' }, 'succeeded', 'by_hand'],
    ['skip_consumer', { reason: 'gone since Monday' }, 'skipped', null],
  ] as const;

  test.each(steps)(
    '%s settles the last row: who and why stay with it',
    async (action, why, status, proof) => {
      await using world = await idle();
      const jobId = await parked(world);
      const grace = await world.token(['rotate'], { owner: 'grace' });
      const answer = await world.stage(jobId, { action, consumer_id: api, ...why }, grace);
      expect([answer.status, answer.body.status]).toEqual([202, 'validated']);
      const note = Object.values(why)[0];
      const settled = {
        consumer_id: api,
        validate_status: status,
        proof,
        note,
        confirmed_by: 'grace',
        error: null,
      };
      expect((await world.job(jobId)).consumers[0]).toMatchObject(settled);
      expect((await audit(world)).filter((event) => event['consumer_id'] === api)).toMatchObject([
        { operator_id: 'grace', detail: { note, error_before: { code: 'consumer_not_proven' } } },
      ]);
    },
  );

  test.each(steps)('409 %s of a row that waits for nobody', async (action, why) => {
    await using world = await idle();
    const jobId = await parked(world);
    await refused(world, () => world.stage(jobId, { action, consumer_id: console_, ...why }), {
      http: 409,
      code: 'row_not_open',
      detail:
        'This row waits for nobody. Read the job: only rows that are `failed` or `manual_required` can be confirmed or skipped.',
      extra: { job_status: 'validate_partial' },
    });
  });

  test.each(steps)('404 %s of a consumer that the job does not have', async (action, why) => {
    await using world = await idle();
    const jobId = await parked(world);
    for (const id of ['nobody', '__proto__', '../x', '%00'])
      await refused(world, () => world.stage(jobId, { action, consumer_id: id, ...why }), {
        http: 404,
        code: 'not_found',
        detail: new RegExp(`^The job has no consumer named ${id}`),
      });
  });

  test.each([
    [
      'old',
      /^heroku-config-raxx-api-prod was seen to hold the old value\. If you know better.*acknowledge_disproof: true/,
    ],
    ['other', /a value that is neither old nor new.*acknowledge_disproof: true/],
  ])(
    '422 a consumer that was seen to hold the %s value is confirmed only by who says so',
    async (holds, detail) => {
      await using world = await idle();
      const jobId = await parked(world, { holds });
      const confirm = { action: 'confirm_consumer', consumer_id: api, note: 'I looked' };
      const expected = { http: 422, code: 'not_acknowledged', detail } as const;
      await refused(world, () => world.stage(jobId, confirm), expected);
      await refused(world, () => world.stage(jobId, { ...confirm, acknowledge_disproof: false }), expected);
      const known = await world.stage(jobId, { ...confirm, acknowledge_disproof: true });
      expect([known.status, known.body.status]).toEqual([202, 'validated']);
      const said = (await audit(world)).find((event) => event['event'] === 'row_confirmed');
      expect(said).toMatchObject({ detail: { acknowledge_disproof: true } });
    },
  );

  test('409 a second confirm of the same row, at the same moment or later', async () => {
    await using world = await idle();
    const jobId = await parked(world);
    const confirm = { action: 'confirm_consumer', consumer_id: api, note: 'seen' };
    const answers = await Promise.all([1, 2, 3].map(() => world.stage(jobId, confirm)));
    expect(answers.filter((answer) => answer.status === 202)).toHaveLength(1);
    expect(answers.filter((answer) => answer.status === 409)).toHaveLength(2);
    expect((await audit(world)).filter((event) => event['event'] === 'row_confirmed')).toHaveLength(1);
  });

  test('409 version_moved for who confirms on an older version, also where another row moved it', async () => {
    await using world = await idle();
    const jobId = await parked(world);
    const { version } = await world.job(jobId);
    const skip = { action: 'skip_consumer', consumer_id: api, reason: 'gone' };
    await refused(world, () => world.stage(jobId, { ...skip, version: version + 1 }), {
      http: 409,
      code: 'version_moved',
      detail: /Read it again/,
    });
    expect((await world.stage(jobId, { ...skip, version })).status).toBe(202);
  });
});
