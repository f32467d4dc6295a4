// The ticket at the gate before the revoke, and of what stops a rotation, is looked up by the stage worker: a note beside it, which holds nothing up.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lastEvent } from '../api/asking.ts';
import { buildWorld, until, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { startFreescout, type FreescoutSim } from '../sim/freescout.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const TICKET = 'ROT-2026-HK_PLATFORM_FULL';

async function revoked(world: World, ticketId = TICKET): Promise<Record<string, unknown>> {
  const jobId = await world.toValidated();
  const gate = await world.stage(jobId, { action: 'proceed_revoke', ticket_id: ticketId });
  expect(gate.status).toBe(202);
  const done = await world.reaches(jobId, 'done');
  expect(done['ticket']).toBe(gate.body['ticket']);
  expect(world.heroku.live().map(({ id }) => id)).not.toContain(done.old_auth_id);
  return { ...(await lastEvent(world, 'proceed_revoke')) };
}

async function withTickets(freescout: FreescoutSim): Promise<World> {
  return buildWorld(redis.url, { freescout: { url: freescout.url, apiKey: freescout.apiKey } });
}

test('a ticket that is there is verified: in the answer, on the job and in the audit trail', async () => {
  await using freescout = await startFreescout();
  freescout.open(`${TICKET}: rotate it`, { number: 812 });
  await using world = await withTickets(freescout);
  expect((await revoked(world))['detail']).toMatchObject({
    ticket_id: TICKET,
    ticket: 'verified',
    ticket_number: 812,
    ticket_reason: null,
  });
  expect(freescout.requests).toHaveLength(1);
});

test('one that is not there is unverified, and the old token is revoked all the same', async () => {
  await using freescout = await startFreescout();
  await using world = await withTickets(freescout);
  expect((await revoked(world))['detail']).toMatchObject({
    ticket: 'unverified',
    ticket_reason: expect.stringMatching(/no such conversation/) as string,
  });
});

test('a FreeScout that does not answer is a matter of its own deadline, and of no other', async () => {
  await using freescout = await startFreescout();
  freescout.script({ on: '*', times: Infinity, do: 'hang_before' });
  await using world = await withTickets(freescout);
  expect((await revoked(world))['detail']).toMatchObject({
    ticket: 'unverified',
    ticket_reason: expect.stringMatching(/^FreeScout could not be asked\. .*no answer in time/) as string,
  });
});

test('a stage worker that does not answer in time is waited for no longer than that', async () => {
  await using freescout = await startFreescout();
  freescout.open(TICKET);
  await using world = await withTickets(freescout);
  const jobId = await world.toValidated();
  await world.stop('stage');
  const gate = await world.stage(jobId, { action: 'proceed_revoke', ticket_id: TICKET });
  expect([gate.status, gate.body['ticket']]).toEqual([202, 'unverified']);
  const { detail } = (await lastEvent(world, 'proceed_revoke')) ?? {};
  expect(detail).toMatchObject({
    ticket_reason: expect.stringMatching(/No stage worker said within/) as string,
  });
  world.start('stage');
  await world.reaches(jobId, 'done');
});

test('of a step that is refused nobody is asked', async () => {
  await using freescout = await startFreescout();
  await using world = await withTickets(freescout);
  const jobId = await world.toValidated();
  for (const body of [{ ticket_id: '' }, { ticket_id: TICKET, confirm: 'HK_OTHER' }])
    expect((await world.stage(jobId, { action: 'proceed_revoke', ...body })).status).toBe(422);
  expect(freescout.requests).toEqual([]);
});

test('where no ticket system is set up nothing is said of the ticket', async () => {
  await using world = await buildWorld(redis.url);
  const { detail } = await revoked(world);
  expect(detail).toMatchObject({ ticket_id: TICKET });
  expect(detail).not.toHaveProperty('ticket');
});

test('what is said of one ticket is not said of the next: each that stops a rotation, or deals with its rest, is looked up', async () => {
  await using freescout = await startFreescout();
  freescout.open(TICKET);
  await using world = await withTickets(freescout);
  const jobId = await world.toValidated();
  const ends = () => until(async () => ((await world.job(jobId)).cleanup === 'needs_person' ? true : null));
  const asked = async (body: Record<string, unknown>) => {
    const answer = await world.stage(jobId, body);
    const event = await lastEvent(world, String(body['action']));
    const detail = event?.['detail'] as Readonly<Record<string, unknown>> | undefined;
    return [answer.status, answer.body['ticket_id'], answer.body['ticket'], detail?.['ticket']];
  };

  expect(await asked({ action: 'abort', ticket_id: TICKET })).toEqual([202, TICKET, 'verified', 'verified']);
  await ends();
  // The old token lives, so that the job waits once more.
  expect(await asked({ action: 'mark_revoked', ticket_id: 'ROT-OTHER' })).toEqual([
    202,
    'ROT-OTHER',
    'unverified',
    'unverified',
  ]);
  await ends();
  const requests = freescout.requests.length;
  expect((await asked({ action: 'proceed_mint', ticket_id: TICKET }))[0]).toBe(400);
  const wrong = { kind: 'stale_consumer', who: 'nobody', ticket_id: TICKET };
  expect((await asked({ action: 'resolve_residual', ...wrong }))[0]).toBe(404);
  expect(freescout.requests).toHaveLength(requests);
  expect(await asked({ action: 'restore' })).toEqual([202, 'ROT-OTHER', 'unverified', undefined]);
});

test('an abort is held up by a FreeScout that hangs no longer than its deadline', async () => {
  await using freescout = await startFreescout();
  freescout.script({ on: '*', times: Infinity, do: 'hang_before' });
  await using world = await withTickets(freescout);
  const jobId = await world.create();
  const answer = await world.stage(jobId, { action: 'abort', ticket_id: TICKET });
  expect([answer.status, answer.body.status, answer.body['ticket']]).toEqual([202, 'aborted', 'unverified']);
});
