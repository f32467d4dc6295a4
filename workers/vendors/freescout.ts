// FreeScout's API & Webhooks module: is there such a ticket? Law: of a conversation only its number and state are read; subjects and texts are customers'.
// Sources: https://api-docs.freescout.net/ (List Conversations, Get Conversation), https://freescout.net/module/api-webhooks/
import { z } from 'zod';
import type { Secret } from '../../shared/lib/secret.ts';
import type { Tickets } from './contract.ts';
import type { Door } from './http.ts';

export interface FreescoutDeps {
  readonly door: Door;
  /** Without a slash at its end. */
  readonly url: string;
  readonly apiKey: Secret;
  readonly timeoutMs: number;
}

const listed = z.object({
  _embedded: z.object({
    conversations: z.array(
      z.object({
        number: z.int(),
        subject: z.string().nullish(),
        status: z.string().nullish(),
        state: z.string().nullish(),
      }),
    ),
  }),
});

export function freescoutTickets({ door, url, apiKey, timeoutMs }: FreescoutDeps): Tickets {
  return {
    async find(call, ticketId) {
      const number = /^#?(\d{1,15})$/.exec(ticketId)?.[1];
      const query = new URLSearchParams(number === undefined ? { subject: ticketId } : { number });
      const response = await door.send(call, {
        vendor: 'freescout',
        method: 'GET',
        url: `${url}/api/conversations?${query.toString()}`,
        headers: { 'X-FreeScout-API-Key': apiKey, accept: 'application/json' },
        accept: [401, 403, 404, 405],
        timeoutMs,
      });
      if (response.status === 401) throw response.error('authority_invalid', 'answered 401 to the API key');
      if (response.status === 403) throw response.error('vendor_forbidden', 'answered 403 to the API key');
      // Without the module, or with an old one, there is no such address.
      if (response.status !== 200)
        throw response.error('vendor_rejected', `answered ${response.status}: is its API module on?`);
      const parsed = listed.safeParse(response.json());
      if (!parsed.success) throw response.notUnderstood('answered with no list of conversations');
      // A filter that it does not know it leaves out, and lists everything: what it lists is looked at again.
      const found = parsed.data['_embedded'].conversations.find(
        (one) =>
          one.state !== 'deleted' &&
          one.status !== 'spam' &&
          (number === undefined
            ? (one.subject ?? '').toLowerCase().includes(ticketId.toLowerCase())
            : one.number === Number(number)),
      );
      return found === undefined ? null : { number: found.number };
    },
  };
}
