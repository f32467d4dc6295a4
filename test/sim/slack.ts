// A Slack workspace with one bot. Law: HTTP 200 even for a refusal, as Slack does; only a rate limit uses the status.
import { startSim } from './server.ts';
import type { Admission, Answer, Call, Sim } from './server.ts';
import type { SimRequest } from './requests.ts';

export interface SlackOptions {
  /** The bot token; `xoxb-…` by custom, not checked. */
  readonly token: string;
  readonly users: readonly string[];
  readonly channels: readonly string[];
  /** Least time between two messages in one channel, as Slack's own 1 per second; absent: no limit. */
  readonly messageEveryMs?: number;
}

export interface SlackMessage {
  readonly channel: string;
  /** Whose direct messages these are; null in a channel. */
  readonly user: string | null;
  readonly text: string | null;
  readonly blocks: readonly unknown[];
  readonly thread_ts: string | null;
  readonly ts: string;
  readonly at: number;
}

export interface SlackSim extends Sim {
  /** What the SDK takes as `slackApiUrl`; ends in `/api/`. */
  readonly apiUrl: string;
  readonly messages: readonly SlackMessage[];
  /** The id of the bot's direct messages with that user. */
  dm(user: string): string;
  /** From now on the token is answered with `token_revoked`. */
  revokeToken(): void;
}

const TEAM_ID = 'T0VELVET';
const BOT_USER_ID = 'U0VELVETBOT';
const BLOCKS_MAX = 50;

/** Starts the workspace. Ids that are not among `users` and `channels` do not exist in it. */
export async function startSlack(options: SlackOptions): Promise<SlackSim> {
  const messages: SlackMessage[] = [];
  const state = { revoked: false };
  const sim = await startSim<null>({
    routes: {
      'POST /api/auth.test': () =>
        ok({
          url: 'https://velvet.slack.com/',
          team: 'Velvet',
          team_id: TEAM_ID,
          user: 'velvet',
          user_id: BOT_USER_ID,
          bot_id: 'B0VELVET',
          is_enterprise_install: false,
        }),
      'POST /api/conversations.open': (call) => openConversation(options, call),
      'POST /api/chat.postMessage': (call) => postMessage(options, messages, call),
    },
    authorize: (request, authorization) => admitBot(options.token, state.revoked, request, authorization),
    notFound: refuse('unknown_method'),
    badBody: refuse('invalid_json'),
    rateLimited: (retryAfterS) => tooMany(retryAfterS ?? 1),
    headers: () => ({ 'x-oauth-scopes': 'chat:write,im:write', 'x-slack-req-id': crypto.randomUUID() }),
  });
  return Object.assign(sim, {
    apiUrl: `${sim.url}/api/`,
    messages,
    dm: dmOf,
    revokeToken: () => {
      state.revoked = true;
    },
  });
}

function ok(fields: Readonly<Record<string, unknown>>): Answer {
  return { status: 200, body: { ok: true, ...fields } };
}

function refuse(error: string): Answer {
  return { status: 200, body: { ok: false, error } };
}

function tooMany(retryAfterS: number): Answer {
  return {
    status: 429,
    headers: { 'retry-after': String(retryAfterS) },
    body: { ok: false, error: 'ratelimited' },
  };
}

function admitBot(
  token: string,
  revoked: boolean,
  request: SimRequest,
  authorization: string | null,
): Admission<null> {
  const given = authorization?.replace(/^Bearer /, '') ?? field(request, 'token');
  if (given === null) return { refusal: refuse('not_authed') };
  if (given !== token) return { refusal: refuse('invalid_auth') };
  if (revoked) return { refusal: refuse('token_revoked') };
  return { caller: null, name: BOT_USER_ID };
}

function openConversation(options: SlackOptions, { request }: Call<null>): Answer {
  const users = field(request, 'users');
  if (users === null) return refuse('users_list_not_supplied');
  // Several users would open a group conversation, which no bot of ours does.
  if (!options.users.includes(users)) return refuse('user_not_found');
  return ok({ channel: { id: dmOf(users) } });
}

function postMessage(options: SlackOptions, messages: SlackMessage[], { request }: Call<null>): Answer {
  const target = field(request, 'channel');
  const user = options.users.find((id) => id === target || dmOf(id) === target) ?? null;
  if (target === null || (user === null && !options.channels.includes(target)))
    return refuse('channel_not_found');
  const channel = user === null ? target : dmOf(user);
  const text = field(request, 'text');
  const blocks = readBlocks(request);
  if (blocks === null || blocks.length > BLOCKS_MAX) return refuse('invalid_blocks');
  if (text === null && blocks.length === 0) return refuse('no_text');
  const last = messages.findLast((message) => message.channel === channel);
  const waitMs = last === undefined ? 0 : last.at + (options.messageEveryMs ?? 0) - request.at;
  if (waitMs > 0) return tooMany(Math.ceil(waitMs / 1000));
  const ts = `${Math.floor(request.at / 1000)}.${String(messages.length + 1).padStart(6, '0')}`;
  messages.push({ channel, user, text, blocks, thread_ts: field(request, 'thread_ts'), ts, at: request.at });
  return ok({
    channel,
    ts,
    message: { type: 'message', user: BOT_USER_ID, bot_id: 'B0VELVET', text: text ?? '', blocks, ts },
  });
}

/** A form field, or a member of a JSON body; an empty one counts as missing, as it does for Slack. */
function field(request: SimRequest, name: string): string | null {
  const value = member(request, name);
  return typeof value === 'string' && value !== '' ? value : null;
}

function member(request: SimRequest, name: string): unknown {
  const { body } = request;
  return typeof body === 'object' && body !== null
    ? (body as Readonly<Record<string, unknown>>)[name]
    : undefined;
}

/** Blocks come as an array in JSON and as a JSON string in a form. Null where they are neither. */
function readBlocks(request: SimRequest): readonly unknown[] | null {
  const given = member(request, 'blocks');
  if (given === undefined || given === '') return [];
  if (Array.isArray(given)) return given;
  if (typeof given !== 'string') return null;
  try {
    const parsed: unknown = JSON.parse(given);
    return Array.isArray(parsed) ? parsed : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** One id per pair of bot and user, always the same. */
function dmOf(user: string): string {
  return `D${user.slice(1)}`;
}
