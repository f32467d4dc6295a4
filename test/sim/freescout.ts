// A FreeScout with its API & Webhooks module: conversations that can be listed by number or subject, behind an API key.
// Sources: https://api-docs.freescout.net/ (List Conversations), an answer seen in a public test fixture of 2025-04.
import { startSim } from './server.ts';
import type { Admission, Answer, Call, Sim } from './server.ts';
import type { SimRequest } from './requests.ts';

export interface Conversation {
  readonly id: number;
  /** What people see as `#123`; not its id. */
  readonly number: number;
  readonly subject: string;
  readonly status: 'active' | 'pending' | 'closed' | 'spam';
  readonly state: 'draft' | 'published' | 'deleted';
}

export interface FreescoutSim extends Sim {
  /** The key that lets in. */
  readonly apiKey: string;
  open(subject: string, more?: Partial<Pick<Conversation, 'number' | 'status' | 'state'>>): Conversation;
  /** From now on no filter is known: everything is listed, as an older module does. */
  forgetFilters(): void;
}

export async function startFreescout(): Promise<FreescoutSim> {
  const apiKey = crypto.randomUUID().replaceAll('-', '');
  const conversations: Conversation[] = [];
  const state = { filters: true };
  const sim = await startSim<null>({
    routes: {
      'GET /api/conversations': (call) => list(conversations, state.filters, call),
    },
    authorize: (request) => admit(apiKey, request),
    notFound,
    badBody: { status: 400, body: { message: 'Bad request' } },
    rateLimited: (retryAfterS) => ({
      status: 429,
      headers: { 'retry-after': String(retryAfterS ?? 60) },
      body: { message: 'Too Many Attempts.' },
    }),
  });
  return Object.assign(sim, {
    apiKey,
    forgetFilters: () => {
      state.filters = false;
    },
    open(subject: string, more: Partial<Conversation> = {}): Conversation {
      const n = conversations.length + 1;
      const made: Conversation = {
        id: 1_000 + n,
        number: n,
        subject,
        status: 'active',
        state: 'published',
        ...more,
      };
      conversations.push(made);
      return made;
    },
  });
}

const notFound: Answer = { status: 404, body: { message: 'Not Found' } };

function admit(apiKey: string, request: SimRequest): Admission<null> {
  const given = request.headers['x-freescout-api-key'];
  if (given === apiKey) return { caller: null, name: 'velvet' };
  return { refusal: { status: 401, body: { message: 'Invalid API Key' } } };
}

function list(all: readonly Conversation[], filters: boolean, { request }: Call<null>): Answer {
  const { number, subject } = request.query;
  const found = all.filter(
    (one) =>
      !filters ||
      ((number === undefined || one.number === Number(number)) &&
        (subject === undefined || one.subject.toLowerCase().includes(subject.toLowerCase()))),
  );
  const page = { size: 50, totalElements: found.length, totalPages: 1, number: 1 };
  return { status: 200, body: { _embedded: { conversations: found.map(shown) }, page } };
}

/** As FreeScout shows one: with texts and people that are none of Velvet's business. */
function shown(one: Conversation): Record<string, unknown> {
  return {
    ...one,
    threadsCount: 2,
    type: 'email',
    folderId: 7,
    preview: 'Dear team, my password is hunter2',
    mailboxId: 1,
    assignee: null,
    createdBy: {
      id: 3,
      type: 'customer',
      firstName: 'Carla',
      lastName: 'Customer',
      email: 'carla@example.com',
    },
    createdAt: '2026-05-04T08:00:00Z',
    updatedAt: '2026-05-04T09:00:00Z',
    closedBy: null,
    closedAt: null,
    cc: [],
    bcc: [],
    customer: { id: 3, firstName: 'Carla', lastName: 'Customer', email: 'carla@example.com' },
    customFields: [],
    _embedded: { threads: [], timelogs: [], tags: [] },
  };
}
