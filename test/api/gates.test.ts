// POST …/stage, what an operator must bring: ticket, the right name, a second person, rows that can be acted on, a note.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { buildWorld, CREDENTIAL, ENV, type World, type WorldOptions } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { audit, creation, paths, place, refused, toVerified } from './asking.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
const idle = (more: WorldOptions = {}): Promise<World> => buildWorld(redis.url, { families: [], ...more });

const [console_, api] = ['heroku-config-raxx-console-prod', 'heroku-config-raxx-api-prod'];
const ticket = 'ROT-2026-HK_PLATFORM_FULL';

/** A job at the gate before the revoke that nobody carries on by itself. */
async function atRevokeGate(world: World, body: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const jobId = String((await world.api('POST', paths.rotate, creation('k1', body))).body.job_id);
  await setRow(world, jobId, console_, { distribute_status: 'succeeded', validate_status: 'succeeded', proof: 'possession', holds: 'new' });
  await setRow(world, jobId, api, { distribute_status: 'succeeded', validate_status: 'succeeded', proof: 'by_hand', holds: 'new' });
  await place(world, jobId, 'validated', { phase: 'validate', minted_by: 'ada', t_total: '2', t_pending: '0', t_ok: '2', t_proven: '2' });
  return jobId;
}

/** A job that is parked with one row done and one failed. */
async function parked(world: World, row: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const jobId = await world.create();
  await setRow(world, jobId, console_, { distribute_status: 'succeeded', validate_status: 'succeeded', proof: 'possession', holds: 'new' });
  await setRow(world, jobId, api, { distribute_status: 'succeeded', validate_status: 'failed', error: { code: 'consumer_not_proven', detail: 'it answers' }, ...row });
  const counts = { t_total: '2', t_pending: '0', t_ok: '1', t_proven: '1', t_failed: '1' };
  await place(world, jobId, 'validate_partial', { phase: 'validate', ...counts });
  return jobId;
}

async function setRow(world: World, jobId: string, id: string, fields: Readonly<Record<string, unknown>>) {
  const key = credentialKeys(CREDENTIAL, ENV).rows(jobId);
  const row = JSON.parse((await world.redis.hget(key, id)) ?? '{}') as object;
  await world.redis.hset(key, id, JSON.stringify({ ...row, ...fields }));
}

describe('proceed_revoke', () => {
  const noTicket = {
    http: 422,
    code: 'ticket_required',
    detail: 'This gate needs a ticket. Open a ticket and send its id as `ticket_id`, e.g. `ROT-2026-HK_PLATFORM_FULL`.',
    extra: { status: 'validated', missing: ['ticketGiven'] },
  } as const;

  test.each([[{}], [{ ticket_id: '' }], [{ ticket_id: ' \t\n' }]])('422 %j is no ticket', async (given) => {
    await using world = await idle();
    const jobId = await atRevokeGate(world);
    await refused(world, () => world.stage(jobId, { action: 'proceed_revoke', ...given }), noTicket);
  });

  test('a ticket of any form will do, is trimmed, and is recorded', async () => {
    await using world = await idle();
    const jobId = await atRevokeGate(world);
    const answer = await world.stage(jobId, { action: 'proceed_revoke', ticket_id: '  INC 7 ' });
    expect(answer.body).toMatchObject({ status: 'revoking', ticket_id: 'INC 7' });
    expect((await audit(world)).at(-1)).toMatchObject({ event: 'proceed_revoke', detail: { ticket_id: 'INC 7' } });
  });

  test('a ticket given at creation counts, and a later one takes its place', async () => {
    await using world = await idle();
    const jobId = await atRevokeGate(world, { ticket_id: 'ROT-1' });
    expect((await world.stage(jobId, { action: 'proceed_revoke' })).body['ticket_id']).toBe('ROT-1');
    await place(world, jobId, 'validated', { phase: 'validate' });
    const later = await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'ROT-2' });
    expect(later.body['ticket_id']).toBe('ROT-2');
  });

  test('422 an empty ticket is refused also where the job has one, which stays', async () => {
    await using world = await idle();
    const jobId = await atRevokeGate(world, { ticket_id: 'ROT-1' });
    await refused(world, () => world.stage(jobId, { action: 'proceed_revoke', ticket_id: ' ' }), noTicket);
    expect((await world.job(jobId))['ticket_id']).toBe('ROT-1');
  });

  test.each([['hk_platform_full'], ['HK_PLATFORM'], [''], [`${CREDENTIAL} `]])('422 confirm %j is not the name', async (confirm) => {
    await using world = await idle();
    const jobId = await atRevokeGate(world);
    await refused(world, () => world.stage(jobId, { action: 'proceed_revoke', ticket_id: ticket, confirm }), {
      http: 422,
      code: 'confirm_mismatch',
      detail: "`confirm` is not the credential's name. Send the name of the credential, exactly, as `confirm`.",
      extra: { missing: ['confirmMatches'] },
    });
    await place(world, jobId, 'verified');
    const mint = () => world.stage(jobId, { action: 'proceed_mint', confirm });
    await refused(world, mint, { http: 422, code: 'confirm_mismatch', detail: /exactly/ });
  });

  test('the right name is taken, and none is asked for', async () => {
    await using world = await idle();
    const jobId = await atRevokeGate(world);
    const answer = await world.stage(jobId, { action: 'proceed_revoke', ticket_id: ticket, confirm: CREDENTIAL });
    expect([answer.status, answer.body.status]).toEqual([202, 'revoking']);
  });

  test('the audit row shows what the decision rested on: each consumer with its proof', async () => {
    await using world = await idle();
    const jobId = await atRevokeGate(world);
    await world.stage(jobId, { action: 'proceed_revoke', ticket_id: ticket });
    const evidence = [
      { consumer_id: api, proof: 'by_hand', status: 'succeeded' },
      { consumer_id: console_, proof: 'possession', status: 'succeeded' },
    ];
    expect((await audit(world)).at(-1)).toMatchObject({ detail: { evidence } });
    // What Velvet proved is proven again; a person's word stands.
    const { consumers } = await world.job(jobId);
    expect(consumers.map((row) => [row['consumer_id'], row['validate_status'], row['proof']])).toEqual([
      [api, 'succeeded', 'by_hand'],
      [console_, 'pending', null],
    ]);
  });
});

describe('the two-person gate', () => {
  const refusal = {
    http: 409,
    code: 'two_persons_required',
    detail:
      'Another person must do this than the one who let the new token be minted. Ask a second operator to send it with a token of their own.',
    extra: { missing: ['twoPersons'] },
  } as const;

  test('409 the person who minted may not revoke, a second token of theirs neither; another person may', async () => {
    await using world = await buildWorld(redis.url, { credential: { two_person: true } });
    const jobId = await world.toValidated();
    const revoke = { action: 'proceed_revoke', ticket_id: ticket };
    await refused(world, () => world.stage(jobId, revoke), refusal);
    const again = await world.token(['rotate'], { owner: 'ada' });
    await refused(world, () => world.stage(jobId, revoke, again), refusal);

    const grace = await world.token(['rotate'], { owner: 'grace' });
    expect((await world.stage(jobId, revoke, grace)).status).toBe(202);
    await world.reaches(jobId, 'done');
  });

  test('who created and verified does not matter, only who let it be minted', async () => {
    await using world = await buildWorld(redis.url, { credential: { two_person: true } });
    const jobId = await toVerified(world);
    const grace = await world.token(['rotate'], { owner: 'grace' });
    await world.stage(jobId, { action: 'proceed_mint' }, grace);
    await world.reaches(jobId, 'validated');
    const revoke = { action: 'proceed_revoke', ticket_id: ticket };
    await refused(world, () => world.stage(jobId, revoke, grace), refusal);
    expect((await world.stage(jobId, revoke)).status).toBe(202);
  });

  test('409 mark_revoked has it too', async () => {
    await using world = await idle({ credential: { two_person: true } });
    const jobId = await atRevokeGate(world);
    await place(world, jobId, 'revoke_failed', { promoting: '1' });
    await refused(world, () => world.stage(jobId, { action: 'mark_revoked' }), refusal);
    const grace = await world.token(['rotate'], { owner: 'grace' });
    expect((await world.stage(jobId, { action: 'mark_revoked' }, grace)).status).toBe(202);
  });
});

describe('retry', () => {
  test('404 a consumer that the job does not have is named, and so are those it has', async () => {
    await using world = await idle();
    const jobId = await parked(world);
    const ids = [api, 'heroku-config-nobody'];
    await refused(world, () => world.stage(jobId, { action: 'retry', consumer_ids: ids }), {
      http: 404,
      code: 'not_found',
      detail: `The job has no consumer named heroku-config-nobody; it has ${api}, ${console_}.`,
    });
  });

  test('409 a consumer that did not fail: nothing to retry', async () => {
    await using world = await idle();
    const jobId = await parked(world);
    await refused(world, () => world.stage(jobId, { action: 'retry', consumer_ids: [console_] }), {
      http: 409,
      code: 'nothing_to_retry',
      detail:
        'No failed row matches. Leave `consumer_ids` out to retry every failed row, or name rows that are `failed`.',
      extra: { status: 'validate_partial' },
    });
  });

  test('of those named only the failed ones are opened again', async () => {
    await using world = await idle();
    const jobId = await parked(world);
    const answer = await world.stage(jobId, { action: 'retry', consumer_ids: [console_, api] });
    expect([answer.status, answer.body.status]).toEqual([202, 'validating']);
    const { consumers } = await world.job(jobId);
    expect(consumers.map((row) => row['validate_status'])).toEqual(['pending', 'succeeded']);
    expect((await audit(world)).at(-1)).toMatchObject({ event: 'retry', detail: { consumer_ids: [api] } });
  });
});

describe('confirm_consumer and skip_consumer', () => {
  const steps = [
    ['confirm_consumer', { note: 'seen in its log' }, 'succeeded', 'by_hand'],
    ['skip_consumer', { reason: 'gone since Monday' }, 'skipped', null],
  ] as const;

  test.each(steps)('%s settles the last row: who and why stay with it', async (action, why, status, proof) => {
    await using world = await idle();
    const jobId = await parked(world);
    const grace = await world.token(['rotate'], { owner: 'grace' });
    const answer = await world.stage(jobId, { action, consumer_id: api, ...why }, grace);
    expect([answer.status, answer.body.status]).toEqual([202, 'validated']);
    const note = Object.values(why)[0];
    const settled = { consumer_id: api, validate_status: status, proof, note, confirmed_by: 'grace', error: null };
    expect((await world.job(jobId)).consumers[0]).toMatchObject(settled);
    expect((await audit(world)).filter((event) => event['consumer_id'] === api)).toMatchObject([
      { operator_id: 'grace', detail: { note, error_before: { code: 'consumer_not_proven' } } },
    ]);
  });

  test.each(steps)('409 %s of a row that waits for nobody', async (action, why) => {
    await using world = await idle();
    const jobId = await parked(world);
    await refused(world, () => world.stage(jobId, { action, consumer_id: console_, ...why }), {
      http: 409,
      code: 'row_not_open',
      detail:
        'This row waits for nobody. Read the job: only rows that are `failed` or `manual_required` can be confirmed or skipped.',
      extra: { status: 'validate_partial' },
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
    ['old', /^heroku-config-raxx-api-prod was seen to hold the old value\. If you know better.*acknowledge_disproof: true/],
    ['other', /a value that is neither old nor new.*acknowledge_disproof: true/],
  ])('422 a consumer that was seen to hold the %s value is confirmed only by who says so', async (holds, detail) => {
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
  });

  test('409 a second confirm of the same row, at the same moment or later', async () => {
    await using world = await idle();
    const jobId = await parked(world);
    const confirm = { action: 'confirm_consumer', consumer_id: api, note: 'seen' };
    const answers = await Promise.all([1, 2, 3].map(() => world.stage(jobId, confirm)));
    expect(answers.map((answer) => answer.status).toSorted()).toEqual([202, 409, 409]);
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
