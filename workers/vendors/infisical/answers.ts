// What Infisical's answers mean. Law: status and the error's name decide, never its words; no answer's text leaves.
import { z } from 'zod';
import { VelvetError } from '../../../shared/lib/errors.ts';
import type { Heard } from '../http-sdk.ts';
import { failure, statusFailure } from '../http-failures.ts';

export interface JudgeOptions {
  readonly nowMs: number;
  /** What a 429 is reported to ask for where it names no wait. */
  readonly rateLimitWaitMs: number;
}

// `message` is words, or for a 422 the list of what is wrong with the fields.
const refusalShape = z.looseObject({
  statusCode: z.number(),
  error: z.string(),
  message: z.union([z.string(), z.array(z.looseObject({ path: z.array(z.unknown()).optional() }))]),
});
type Refusal = z.output<typeof refusalShape>;

/** Whether the access token was refused, and not the identity: Infisical says so with 403, not with 401. */
export function isTokenRefused(heard: Heard): boolean {
  return heard.answer.status === 403 && refusalIn(heard)?.error === 'TokenError';
}

/**
 * The error that this answer is; null for a success, and for a status in `answers` where it is really Infisical's. Source:
 * github.com/Infisical/infisical, backend/src/server/plugins/error-handler.ts.
 */
export function refusalOf(
  heard: Heard,
  options: JudgeOptions,
  answers: readonly number[] = [],
): VelvetError | null {
  const { name, answer, response } = heard;
  const wait = askedWaitMs(heard) ?? options.rateLimitWaitMs;
  const failed = statusFailure(name, answer, options.nowMs, { rateLimitWaitMs: wait });
  if (failed !== null) return failed;
  if (answer.status < 300) return null;

  const refusal = refusalIn(heard);
  if (refusal === null)
    return response.notUnderstood(`answered ${answer.status}, but not in Infisical's form`);
  const said = `answered ${answer.status} ${nameIn(refusal)}${fieldsIn(refusal)}`;
  // The web framework's own words for a path that it does not know: nothing was looked for.
  if (answer.status === 404 && refusal.error === 'Not Found')
    return response.notUnderstood(
      `${said}: this address has no such API, so INFISICAL_SITE_URL may be wrong`,
    );
  if (answers.includes(answer.status)) return null;
  switch (answer.status) {
    case 401:
      return response.error('authority_invalid', said);
    case 403:
      return response.error(refusal.error === 'TokenError' ? 'authority_invalid' : 'vendor_forbidden', said);
    case 404:
      return response.error('vendor_target_missing', said);
    default:
      return response.error('vendor_rejected', said);
  }
}

/** The answer in the shape that is expected. What zod found stays here: its words could quote a key of the answer. */
export function parseAnswer<T>(heard: Heard, shape: z.ZodType<T>): T {
  const parsed = shape.safeParse(heard.response.json());
  if (!parsed.success)
    throw heard.response.notUnderstood(`answered ${heard.answer.status} in an unknown shape`);
  return parsed.data;
}

const changeShape = z.union([
  z.looseObject({ secret: z.looseObject({ version: z.int() }) }),
  z.looseObject({ approval: z.looseObject({}) }),
]);

/** Throws where a change was answered with success and not made: under an approval policy it only becomes a request. */
export function demandApplied(heard: Heard): void {
  if ('secret' in parseAnswer(heard, changeShape)) return;
  const refused = failure(
    heard.name,
    'vendor_rejected',
    'taken as a change request that waits for an approval; nothing was changed',
    {
      httpStatus: heard.answer.status,
    },
  );
  throw new VelvetError(refused.code, refused.message, {
    detail:
      "Infisical took the change as a request that waits for somebody's approval, because a change policy is on for this folder; nothing was changed. Reject that request (approved later it would write a value that may be dead by then), take the policy off the folder or let Velvet's identity bypass it, then retry.",
    httpStatus: heard.answer.status,
  });
}

/** "Please try again in N seconds", which the cloud says instead of `Retry-After`; null where it does not. */
function askedWaitMs(heard: Heard): number | null {
  if (heard.answer.status !== 429) return null;
  const message = refusalIn(heard)?.message;
  const seconds = typeof message === 'string' ? /\bin (\d{1,5}) seconds?\b/.exec(message)?.[1] : undefined;
  return seconds === undefined ? null : Number(seconds) * 1_000;
}

function refusalIn({ response }: Heard): Refusal | null {
  try {
    return refusalShape.safeParse(response.json()).data ?? null;
  } catch {
    return null;
  }
}

/** A name and nothing else: what stands there in its place could be anything. */
function nameIn({ error }: Refusal): string {
  return /^[A-Za-z][A-Za-z ]{1,40}$/.test(error) ? error : '(unnamed)';
}

/** Which fields a 422 is about, without what it says of them: that may quote what was sent. */
function fieldsIn({ message }: Refusal): string {
  if (typeof message === 'string') return '';
  const fields = message
    .map(({ path = [] }) => path.at(-1))
    .filter((field): field is string => typeof field === 'string' && /^[A-Za-z]{1,40}$/.test(field));
  return fields.length === 0 ? '' : ` (${[...new Set(fields)].join(', ')})`;
}
