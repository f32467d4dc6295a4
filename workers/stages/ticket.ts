// Whether the ticket system knows the ticket of a revoke. Law: it is a note beside the ticket, never a refusal: whatever goes wrong here is "unverified".
import { isVelvetError } from '../../shared/lib/errors.ts';
import { logfields, type Log } from '../../shared/lib/log.ts';
import type { Answer } from '../../shared/queue/questions.ts';
import type { Tickets, VendorCall } from '../vendors/contract.ts';

/** `tickets` is null where no ticket system is set up. */
export async function lookUpTicket(
  tickets: Tickets | null,
  ticketId: string,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Log },
): Promise<Answer<'look_up_ticket'>> {
  if (tickets === null) return { ticket: null, number: null, reason: null };
  const call: VendorCall = { jobId: 'ticket', fence: '0-none', lease: null, signal, repeat: false };
  try {
    const found = await tickets.find(call, ticketId);
    if (found !== null) return { ticket: 'verified', number: found.number, reason: null };
    return unverified('FreeScout has no such conversation; check the id, or open one.');
  } catch (error) {
    if (!isVelvetError(error)) throw error;
    log.warn('ticket not looked up', logfields(error));
    return unverified(`FreeScout could not be asked. ${error.detail}`);
  }
}

function unverified(reason: string): Answer<'look_up_ticket'> {
  return { ticket: 'unverified', number: null, reason };
}
