// The only place where an error becomes an HTTP answer: RFC 9457 problem details. What nobody foresaw becomes bland.
import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { VelvetError, errorTable, isVelvetError, type ErrorCode } from '../shared/lib/errors.ts';
import { logfields, type Log, type LogFields } from '../shared/lib/log.ts';

/** Where `type` points: the section of the runbook for the code, which this server also serves. */
export const runbookPath = '/docs/runbook';

/** No name that Velvet itself gives or takes is longer. */
const CLIPPED_AT = 120;

export interface ProblemDeps {
  readonly log: Log;
  /** Where people reach this server, so that `type` can be followed from anywhere; null leaves it relative. */
  readonly publicUrl: string | null;
}

export function problemAnswer(context: Context, thrown: unknown, { log, publicUrl }: ProblemDeps): Response {
  const error = known(thrown);
  const requestId = context.get('requestId');
  const row = errorTable[error.code];
  // 503 and its like are the surroundings; 500 is Velvet itself.
  if (row.http === 500) log.error('request failed', requestFields(context), { cause: thrown });
  // Whoever counts them says so once.
  else if (error.code !== 'rate_limited')
    log.info('request refused', { ...requestFields(context), ...logfields(error) });
  const body = {
    ...error.extra,
    type: `${publicUrl ?? ''}${runbookPath}#${error.code}`,
    title: row.means,
    status: row.http,
    detail: error.detail,
    code: error.code,
    request_id: requestId,
  };
  const headers: Record<string, string> = {
    'content-type': 'application/problem+json',
    'x-request-id': requestId,
  };
  if (error.code === 'unauthenticated') headers['www-authenticate'] = 'Bearer';
  // The rest of such a body is never read, so the connection cannot carry a next request: its sender would be cut off.
  if (error.code === 'too_large') headers['connection'] = 'close';
  if (error.retryAfterMs !== undefined) headers['retry-after'] = String(Math.ceil(error.retryAfterMs / 1000));
  return new Response(JSON.stringify(body), { status: row.http, headers });
}

/** The job's id stands in each line about it, also in those that say what was refused. */
function requestFields(context: Context): LogFields {
  const jobId = /\/rotations\/([A-Za-z0-9-]{1,64})(?:\/|$)/.exec(context.req.path)?.[1];
  return {
    request_id: context.get('requestId'),
    path: clipped(context.req.path),
    ...(jobId === undefined ? {} : { job_id: jobId }),
  };
}

/** What a caller sent, as a sentence or a log line may repeat it: a name of ten kilobytes tells nobody more. */
export function clipped(sent: string): string {
  return sent.length <= CLIPPED_AT ? sent : `${sent.slice(0, CLIPPED_AT)}…`;
}

function known(thrown: unknown): VelvetError {
  if (isVelvetError(thrown)) return thrown;
  if (thrown instanceof HTTPException) return fromHttp(thrown);
  return new VelvetError('internal', 'unforeseen');
}

// Hono's own refusals, before any handler of ours ran.
const httpCodes: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid_request',
  404: 'not_found',
  413: 'too_large',
  415: 'invalid_request',
};

function fromHttp(thrown: HTTPException): VelvetError {
  const code = httpCodes[thrown.status] ?? 'internal';
  const details: Readonly<Record<number, string>> = {
    400: 'The body is not JSON. Send one JSON object, e.g. {"action":"verify"}; nothing was changed.',
    415: 'The body is not declared as JSON. Send the header `content-type: application/json`; nothing was changed.',
  };
  const detail = details[thrown.status];
  return new VelvetError(code, thrown.message, detail === undefined ? {} : { detail });
}
