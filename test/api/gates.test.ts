// POST …/stage, what an operator must bring: a ticket, the right name, a second person.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildWorld, CREDENTIAL, type World, type WorldOptions } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { creation, lastEvent, paths, place, refused, setRow, toVerified } from './asking.ts';

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
  await setRow(world, jobId, console_, {
    distribute_status: 'succeeded',
    validate_status: 'succeeded',
    proof: 'possession',
    holds: 'new',
  });
  await setRow(world, jobId, api, {
    distribute_status: 'succeeded',
    validate_status: 'succeeded',
    proof: 'by_hand',
    holds: 'new',
  });
  await place(world, jobId, 'validated', {
    phase: 'validate',
    minted_by: 'ada',
    t_total: '2',
    t_pending: '0',
    t_ok: '2',
    t_proven: '2',
  });
  return jobId;
}

describe('proceed_revoke', () => {
  const noTicket = {
    http: 422,
    code: 'ticket_required',
    detail:
      'This gate needs a ticket. Open a ticket and send its id as `ticket_id`, e.g. `ROT-2026-HK_PLATFORM_FULL`.',
    extra: { job_status: 'validated', missing: ['ticketGiven'] },
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
    expect(await lastEvent(world, 'proceed_revoke')).toMatchObject({
      detail: { ticket_id: 'INC 7' },
    });
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

  test.each([['hk_platform_full'], ['HK_PLATFORM'], [''], [`${CREDENTIAL} `]])(
    '422 confirm %j is not the name',
    async (confirm) => {
      await using world = await idle();
      const jobId = await atRevokeGate(world);
      await refused(
        world,
        () => world.stage(jobId, { action: 'proceed_revoke', ticket_id: ticket, confirm }),
        {
          http: 422,
          code: 'confirm_mismatch',
          detail:
            "`confirm` is not the credential's name. Send the name of the credential, exactly, as `confirm`.",
          extra: { missing: ['confirmMatches'] },
        },
      );
      await place(world, jobId, 'verified');
      const mint = () => world.stage(jobId, { action: 'proceed_mint', confirm });
      await refused(world, mint, { http: 422, code: 'confirm_mismatch', detail: /exactly/ });
    },
  );

  test('the right name is taken, and none is asked for', async () => {
    await using world = await idle();
    const jobId = await atRevokeGate(world);
    const answer = await world.stage(jobId, {
      action: 'proceed_revoke',
      ticket_id: ticket,
      confirm: CREDENTIAL,
    });
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
    expect(await lastEvent(world, 'proceed_revoke')).toMatchObject({ detail: { evidence } });
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
    for (const owner of ['ada', 'Ada', 'ＡＤＡ']) {
      const again = await world.token(['rotate'], { owner });
      await refused(world, () => world.stage(jobId, revoke, again), refusal);
    }

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
