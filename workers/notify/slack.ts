// Slack through its own SDK. Law: one try per delivery, in a lease; the queue repeats, the SDK never does.
import {
  LogLevel,
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
        // Its warnings go to standard error in a form of its own; what failed is thrown, and logged by us.
        logLevel: LogLevel.ERROR,
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

// Nobody can order a message again, so all but Slack's own refusal, and what was never sent, is worth another try.
function classified(error: unknown): VelvetError {
  const ours = error instanceof WebAPIRequestError ? error.original : error;
  if (isVelvetError(ours)) return ours.code === 'vendor_bad_answer' ? worthAnotherTry(ours) : ours;
  if (error instanceof WebAPIRateLimitedError) {
    return new VelvetError('vendor_rate_limited', 'Slack asks for a pause', {
      retryAfterMs: error.retryAfter * 1000,
      httpStatus: 429,
    });
  }
  if (error instanceof WebAPIPlatformError) {
    const said = error.data.error;
    // Of an answer that is not JSON the SDK makes a refusal whose "error" is the whole text.
    if (!/^[a-z][a-z0-9_]{0,63}$/.test(said))
      return new VelvetError('vendor_no_answer', 'Slack answered with something that is not JSON');
    const code = transient.has(said) ? 'vendor_unavailable' : 'vendor_rejected';
    const detail = `Slack refused the message: ${said}. Check SL_BOT_NOTIFY, its scopes (chat:write, im:write) and the channel.`;
    return new VelvetError(code, `Slack: ${said}`, { detail });
  }
  if (error instanceof WebAPIHTTPError)
    return new VelvetError('vendor_unavailable', `Slack answered ${error.statusCode}`, {
      httpStatus: error.statusCode,
    });
  return new VelvetError('vendor_unavailable', 'Slack was not reached', { kind: 'ConnectionError' });
}

function worthAnotherTry({ message, detail, httpStatus }: VelvetError): VelvetError {
  const status = httpStatus === undefined ? {} : { httpStatus };
  return new VelvetError('vendor_unavailable', message, { detail, ...status });
}
