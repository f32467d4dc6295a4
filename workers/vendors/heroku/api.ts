// How Heroku's Platform API v3 is asked and what its refusals mean. Law: status and id decide, never the message; no answer's text leaves.
import { z } from 'zod';
import type { VelvetError } from '../../../shared/lib/errors.ts';
import type { Secret } from '../../../shared/lib/secret.ts';
import type { VendorCall } from '../contract.ts';
import type { Door, VendorResponse } from '../http.ts';

export interface HerokuDeps {
  readonly door: Door;
  /** `https://api.heroku.com`, or what stands in for it. Authorities are sent nowhere else. */
  readonly baseUrl: string;
  /** How long after a lost answer Heroku may still apply a change; it documents nothing shorter. */
  readonly lateMs: number;
  /** What a 429 is reported to ask for; Heroku names no wait. */
  readonly rateLimitWaitMs: number;
}

export interface HerokuRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Escaped by the caller. */
  readonly path: string;
  /** `version ..; order=desc,max=1` */
  readonly range?: string;
  readonly json?: unknown;
  /** Statuses that are an answer to this request and not a refusal; their id is the caller's to check. */
  readonly answers?: readonly number[];
}

export interface HerokuApi {
  /** One request. Besides the door's errors, throws what `refusal` makes of a status that is not in `answers`. */
  ask(call: VendorCall, token: Secret, request: HerokuRequest): Promise<VendorResponse>;
  /** Every item of a list, page after page. */
  list<T>(call: VendorCall, token: Secret, request: HerokuRequest, item: z.ZodType<T>): Promise<readonly T[]>;
}

/** The bucket refills by 75 a minute, and heroku-go begins with 30 s. */
const rateLimitWaitMsDefault = 30_000;
/** 1,000 authorizations a page; an account with 100,000 is an answer that never ends. */
const pagesMax = 100;
const refusals = [400, 401, 402, 403, 404, 406, 409, 410, 412, 416, 422] as const;

export function herokuApi(deps: HerokuDeps): HerokuApi {
  const base = deps.baseUrl.replace(/\/+$/, '');

  async function ask(call: VendorCall, token: Secret, request: HerokuRequest): Promise<VendorResponse> {
    const response = await deps.door.send(call, {
      vendor: 'heroku',
      method: request.method,
      url: `${base}${request.path}`,
      // Without this Accept every request is answered 406.
      headers: {
        accept: 'application/vnd.heroku+json; version=3',
        ...(request.range === undefined ? {} : { range: request.range }),
      },
      authority: token,
      accept: refusals,
      rateLimitWaitMs: deps.rateLimitWaitMs ?? rateLimitWaitMsDefault,
      ...(request.json === undefined ? {} : { json: request.json }),
    });
    if (response.status < 300 || request.answers?.includes(response.status) === true) return response;
    throw refusal(response);
  }

  async function list<T>(
    call: VendorCall,
    token: Secret,
    request: HerokuRequest,
    item: z.ZodType<T>,
  ): Promise<readonly T[]> {
    const items: T[] = [];
    let next = request;
    for (let page = 1; ; page++) {
      const response = await ask(call, token, next);
      items.push(...parseAnswer(response, z.array(item)));
      const range = response.headers['next-range'];
      if (range === undefined) return items;
      if (range === next.range || page === pagesMax)
        throw response.notUnderstood('the pages of the list do not end');
      next = { ...request, range };
    }
  }

  return { ask, list };
}

/** The answer in the shape that is expected. What zod found stays here: its words could quote a key of the answer. */
export function parseAnswer<T>(response: VendorResponse, shape: z.ZodType<T>): T {
  const parsed = shape.safeParse(response.json());
  if (!parsed.success) throw response.notUnderstood(`answered ${response.status} in an unknown shape`);
  return parsed.data;
}

const errorShape = z.looseObject({ id: z.string().regex(/^[a-z][a-z0-9_]{1,63}$/) });

/** Heroku's own id of a refusal. A refusal without one is not Heroku's API speaking, and says nothing. */
export function errorId(response: VendorResponse): string {
  return parseAnswer(response, errorShape).id;
}

/** Sources: Platform API reference, errors (devcenter.heroku.com/articles/platform-api-reference#error-responses). */
export function refusal(response: VendorResponse): VelvetError {
  const id = errorId(response);
  const said = `answered ${response.status} ${id}`;
  switch (response.status) {
    case 401:
      return id === 'unauthorized' ? response.error('authority_invalid', said) : response.notUnderstood(said);
    case 403:
      return response.error('vendor_forbidden', said);
    case 404:
      return id === 'not_found'
        ? response.error('vendor_target_missing', said)
        : response.notUnderstood(said);
    case 409:
      // Another release of the app is in progress; it ends by itself.
      return response.error('vendor_unavailable', said);
    default:
      return response.error('vendor_rejected', said);
  }
}
