// Is there such a ticket? FreeScout is asked, its word is looked at again, and whatever goes wrong says what it was.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../shared/lib/clock.ts';
import type { ErrorCode } from '../../shared/lib/errors.ts';
import { createLog } from '../../shared/lib/log.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { lookUpTicket } from '../../workers/stages/ticket.ts';
import type { Tickets, VendorCall } from '../../workers/vendors/contract.ts';
import { freescoutTickets } from '../../workers/vendors/freescout.ts';
import { createDoor } from '../../workers/vendors/http.ts';
import type { Deed } from '../sim/faults.ts';
import { startFreescout, type FreescoutSim } from '../sim/freescout.ts';

let sim: FreescoutSim;
let tickets: Tickets;
const log: string[] = [];
beforeEach(async () => {
  log.length = 0;
  sim = await startFreescout();
  tickets = ticketsAs(sim.apiKey);
});
afterEach(() => sim.close());

const LIST = 'GET /api/conversations';
const ROT = 'ROT-2026-05-HK_PLATFORM_FULL';
const signal = new AbortController().signal;
const call: VendorCall = { jobId: 'ticket', fence: '0-none', lease: null, signal, repeat: false };

function ticketsAs(apiKey: string): Tickets {
  const door = createDoor({ fetch: globalThis.fetch, clock: systemClock, times: { vendorCallMs: 5_000 } });
  return freescoutTickets({ door, url: sim.url, apiKey: new Secret(apiKey), timeoutMs: 400 });
}

const lookUp = (ticketId: string, at: Tickets | null = tickets) =>
  lookUpTicket(at, ticketId, {
    signal,
    log: createLog({ env: 'staging', family: 'stage', write: (line) => log.push(line) }),
  });

describe('a ticket is found', () => {
  test('by part of its subject, in any case', async () => {
    sim.open('Something else');
    const { number } = sim.open(`Rotation ${ROT.toLowerCase()} (May)`, { number: 4711 });
    expect(await tickets.find(call, ROT)).toEqual({ number });
    expect(sim.requests[0]?.query).toEqual({ subject: ROT });
  });

  test.each([['#4711'], ['4711']])('by its number, written %s: not by its id', async (written) => {
    const { id, number } = sim.open('A subject without it', { number: 4711 });
    expect(await tickets.find(call, written)).toEqual({ number });
    expect(sim.requests[0]?.query).toEqual({ number: '4711' });
    expect(await tickets.find(call, String(id))).toBeNull();
  });

  test('and characters that mean something in an address are part of the text', async () => {
    sim.open('a&number=1 ü #x');
    expect(await tickets.find(call, 'a&number=1 ü #x')).toEqual({ number: 1 });
    expect(await tickets.find(call, 'b&number=1')).toBeNull();
  });
});

describe('a ticket is not found', () => {
  test('where nothing has it in its subject', async () => {
    sim.open('ROT-2026-04-HK_PLATFORM_FULL');
    expect(await tickets.find(call, ROT)).toBeNull();
  });

  test('where it was deleted, or is spam', async () => {
    sim.open(ROT, { state: 'deleted' });
    sim.open(ROT, { status: 'spam' });
    expect(await tickets.find(call, ROT)).toBeNull();
  });

  test('where the filter is not known and all is listed', async () => {
    sim.open('Something else', { number: 7 });
    sim.forgetFilters();
    expect([await tickets.find(call, ROT), await tickets.find(call, '#8')]).toEqual([null, null]);
    expect(await tickets.find(call, '#7')).toEqual({ number: 7 });
  });
});

const failures: readonly (readonly [string, Deed, ErrorCode])[] = [
  ['no answer in time', 'hang_before', 'vendor_unavailable'],
  ['half an answer', 'drop_mid_body', 'vendor_unavailable'],
  ['broken JSON', 'malformed', 'vendor_bad_answer'],
  ['another list', { status: 200, body: { data: [] } }, 'vendor_bad_answer'],
  ['an edge in front of it', 'edge', 'vendor_edge_refused'],
  ['a redirect, which is not followed', 'redirect', 'vendor_bad_answer'],
  ['too many requests', 'rate_limited', 'vendor_rate_limited'],
  ['a failure of its own', { status: 500, body: {} }, 'vendor_unavailable'],
  ['403', { status: 403, body: {} }, 'vendor_forbidden'],
  ['404, as without the module', { status: 404, body: {} }, 'vendor_rejected'],
  ['405, as with an old one', { status: 405, body: {} }, 'vendor_rejected'],
];

describe('whatever goes wrong is "unverified", with a reason, and never a refusal', () => {
  test.each(failures)('%s', async (_, deed, code) => {
    sim.open(ROT);
    sim.script({ on: LIST, times: 2, do: deed });
    await expect(tickets.find(call, ROT)).rejects.toMatchObject({ code });
    const said = await lookUp(ROT);
    expect(said).toMatchObject({ ticket: 'unverified', number: null });
    expect(said.reason).toMatch(/^FreeScout could not be asked\. freescout GET \/api\/conversations: /);
    expect(log[0]).toMatch(new RegExp(`msg="ticket not looked up" .*code=${code}`));
    expect(sim.redirects).toEqual([]);
    expect(await lookUp(ROT)).toEqual({ ticket: 'verified', number: 1, reason: null });
  });

  test('a key that is no good; it stands in no error and no log line', async () => {
    const wrong = 'a-key-that-nobody-knows';
    await expect(ticketsAs(wrong).find(call, ROT)).rejects.toMatchObject({ code: 'authority_invalid' });
    const said = await lookUp(ROT, ticketsAs(wrong));
    expect(said.ticket).toBe('unverified');
    expect(JSON.stringify([said, log])).not.toContain(wrong);
  });

  test('what customers wrote is not taken along', async () => {
    sim.open(`${ROT} of Carla`);
    expect(JSON.stringify(await lookUp(ROT))).not.toMatch(/Carla|hunter2/);
  });

  test('without a ticket system nothing is said of the ticket', async () => {
    expect(await lookUp(ROT, null)).toEqual({ ticket: null, number: null, reason: null });
  });
});
