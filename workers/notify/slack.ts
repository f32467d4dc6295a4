// Slack through its own SDK. Law: one try per delivery, in a lease; the queue repeats, the SDK never does.
import {
  WebAPIHTTPError,
  WebAPIPlatformError,
  WebAPIRateLimitedError,
  WebAPIRequestError,
  WebClient,
} from '@slack/web-api';
import { VelvetError, isVelvetError } from '../../shared/lib/errors.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import type { VendorCall } from '../vendors/contract.ts';
import type { Door } from '../vendors/http.ts';

export interface Slack {
  /** Posts to a person (`U…`, as a direct message) or a channel. Resolves once Slack accepted it; answers its `ts`. */
  post(call: VendorCall, to: string, text: string): Promise<string>;
}

export interface SlackOptions {
  readonly token: Secret;
  readonly apiUrl: string;
  readonly door: Door;
  readonly timeoutMs: number;
}

export function createSlack({ token, apiUrl, door, timeoutMs }: SlackOptions): Slack {
  return {
    async post(call, to, text) {
      const client = new WebClient(token.reveal(), {
        slackApiUrl: apiUrl,
        fetch: door.fetchFor(call, { vendor: 'slack', timeoutMs }),
        // The SDK's own defaults: no timeout, ten retries over half an hour, and a pause of its whole queue on a 429.
        timeout: timeoutMs,
        retryConfig: { retries: 0 },
        rejectRateLimitedCalls: true,
        allowAbsoluteUrls: false,
      });
      try {
        const channel = to.startsWith('U') || to.startsWith('W') ? await directChannel(client, to) : to;
        const sent = await client.chat.postMessage({ channel, text, unfurl_links: false });
        return sent.ts ?? '';
      } catch (error) {
        throw classified(error);
      }
    },
  };
}

// A `D…` id belongs to one bot and one user, so it is asked for anew instead of stored.
async function directChannel(client: WebClient, user: string): Promise<string> {
  const opened = await client.conversations.open({ users: user });
  const id = opened.channel?.id;
  if (id === undefined)
    throw new VelvetError('vendor_bad_answer', 'Slack opened a conversation without an id');
  return id;
}

const transient = new Set([
  'ratelimited',
  'internal_error',
  'fatal_error',
  'service_unavailable',
  'request_timeout',
]);

function classified(error: unknown): VelvetError {
  if (isVelvetError(error)) return error;
  if (error instanceof WebAPIRateLimitedError) {
    return new VelvetError('vendor_rate_limited', 'Slack asks for a pause', {
      retryAfterMs: error.retryAfter * 1000,
      httpStatus: 429,
    });
  }
  if (error instanceof WebAPIPlatformError) {
    const code = transient.has(error.data.error) ? 'vendor_unavailable' : 'vendor_rejected';
    const detail = `Slack refused the message: ${error.data.error}. Check SL_BOT_NOTIFY, its scopes (chat:write, im:write) and the channel.`;
    return new VelvetError(code, `Slack: ${error.data.error}`, { detail });
  }
  if (error instanceof WebAPIHTTPError)
    return new VelvetError('vendor_unavailable', `Slack answered ${error.statusCode}`, {
      httpStatus: error.statusCode,
    });
  if (error instanceof WebAPIRequestError && isVelvetError(error.original)) return error.original;
  return new VelvetError('vendor_unavailable', 'Slack was not reached', { kind: 'ConnectionError' });
}
