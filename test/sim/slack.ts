// A Slack workspace with one bot. Law: HTTP 200 even for a refusal, as Slack does; only a rate limit uses the status.
import { startSim } from './server.ts';
import type { Admission, Answer, Call, Sim } from './server.ts';
import type { SimRequest } from './requests.ts';

export interface SlackOptions {
  /** The bot token; `xoxb-…` by custom, not checked. */
  readonly token: string;
  readonly users: readonly string[];
  readonly channels: readonly string[];
  /** Time after which a channel takes one more message, as Slack's own second; absent: no limit. */
  readonly messageEveryMs?: number;
  /** How many a channel takes at once after a silence; 1 unless given. */
  readonly burst?: number;
  /** How many messages the whole workspace takes within a minute; absent: no limit. Slack's own is several hundred. */
  readonly workspacePerMinute?: number;
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
/** Beyond it Slack cuts the text. */
const TEXT_MAX = 40_000;

/** Slack's own limits, as far as they are known: about one message a second and channel, a few at once, several hundred a minute in all. */
export const slackLimits = { messageEveryMs: 1_000, burst: 3, workspacePerMinute: 300 } as const;

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
  const waitMs = waitOf(options, messages, channel, request.at);
  if (waitMs > 0) return tooMany(Math.ceil(waitMs / 1000));
  const ts = `${Math.floor(request.at / 1000)}.${String(messages.length + 1).padStart(6, '0')}`;
  messages.push({
    channel,
    user,
    text: text?.slice(0, TEXT_MAX) ?? null,
    blocks,
    thread_ts: field(request, 'thread_ts'),
    ts,
    at: request.at,
  });
  return ok({
    channel,
    ts,
    message: { type: 'message', user: BOT_USER_ID, bot_id: 'B0VELVET', text: text ?? '', blocks, ts },
  });
}

/** How long until the channel takes another message: each takes a place out of `burst`, and each `messageEveryMs` gives one back. */
function waitOf(
  { messageEveryMs = 0, burst = 1, workspacePerMinute = Number.POSITIVE_INFINITY }: SlackOptions,
  messages: readonly SlackMessage[],
  channel: string,
  at: number,
): number {
  // The moment at which all places are free again, had nothing come since.
  const full = messages
    .filter((message) => message.channel === channel)
    .reduce((until, message) => Math.max(until, message.at) + messageEveryMs, 0);
  const lately = messages.filter((message) => at - message.at < 60_000);
  const oldest = lately.at(-workspacePerMinute)?.at;
  const workspaceMs = lately.length < workspacePerMinute ? 0 : (oldest ?? at) + 60_000 - at;
  return Math.max(full - (burst - 1) * messageEveryMs - at, workspaceMs);
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
