// How the API's tests ask: what every refusal must look like, and that it changed nothing.
import { expect } from 'vitest';
import { errorTable, type ErrorCode } from '../../shared/lib/errors.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';
import type { Job } from '../../shared/rotation/job.ts';
import { CREDENTIAL, ENV, type Answer, type World } from '../harness.ts';

export const paths = {
  rotate: `/tokens/${CREDENTIAL}/rotate`,
  rotations: `/tokens/${CREDENTIAL}/rotations`,
  job: (jobId: string) => `/tokens/${CREDENTIAL}/rotations/${jobId}`,
  stage: (jobId: string) => `/tokens/${CREDENTIAL}/rotations/${jobId}/stage`,
  stream: (jobId: string) => `/tokens/${CREDENTIAL}/rotations/${jobId}/stream`,
};

/** A body that creates a rotation. */
export function creation(key: string, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { flow_type: 'operational', idempotency_key: key, force_revoke: false, ...more };
}

export interface Expected {
  readonly http: number;
  readonly code: ErrorCode;
  /** The whole sentence, or what tells it apart. */
  readonly detail: string | RegExp;
  /** Further members of the problem document. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** Asks, and expects a refusal that an operator can work with and that changed nothing at all. */
export async function refused(
  world: World,
  ask: () => Promise<Answer>,
  expected: Expected,
): Promise<Answer['body']> {
  const before = await everything(world);
  const answer = await ask();
  expect(await everything(world)).toEqual(before);
  await isProblem(world, answer, expected);
  return answer.body;
}

/** The form of a refusal, and that its `type` leads to the section about it. */
export async function isProblem(world: World, answer: Answer, expected: Expected): Promise<void> {
  const { body, headers } = answer;
  expect([answer.status, body.code, body.detail]).toEqual([
    expected.http,
    expected.code,
    typeof expected.detail === 'string' ? expected.detail : expect.stringMatching(expected.detail),
  ]);
  expect(headers.get('content-type')).toBe('application/problem+json');
  expect(headers.get('x-request-id')).toMatch(/^[\w-]{8,}$/);
  expect(body['request_id']).toBe(headers.get('x-request-id'));
  expect(headers.get('x-velvet-env')).toBe(ENV);
  expect([body['status'], body['title']]).toEqual([expected.http, errorTable[expected.code].means]);
  expect(errorTable[expected.code].http).toBe(expected.http);
  expect(body).toMatchObject(expected.extra ?? {});
  expect(body.detail).not.toBe(body['title']);
  const [page, anchor] = String(body['type']).split('#');
  expect(anchor).toBe(expected.code);
  expect(await (await world.app.request(String(page))).text()).toContain(` id="${anchor}"`);
  for (const value of [world.firstToken, world.bootstrapToken, world.operator])
    expect(answer.text).not.toContain(value);
}

/** All that Velvet has written down, and all that lives at the vendor. Signs of life are left out, the seals over what was written, and who was told. */
async function everything(world: World): Promise<Record<string, unknown>> {
  const own = /:(beat|epoch|unavailable|seals|calls|anchoring|duty|answer|limit|metrics)\b/;
  const keys = (await world.redis.keys('velvet:*')).filter((key) => !own.test(key));
  const records = await Promise.all(
    keys.toSorted().map(async (key) => [key, await writtenUnder(world, key)] as const),
  );
  return { ...Object.fromEntries(records), live: world.heroku.live().map(({ id }) => id) };
}

async function writtenUnder(world: World, key: string): Promise<unknown> {
  // A dump ends in its checksum, which stands for the whole of it.
  if (!/:job:[^:]+$/.test(key)) return (await world.redis.dumpBuffer(key))?.subarray(-8).toString('hex');
  const job = Object.entries(await world.redis.hgetall(key));
  return Object.fromEntries(job.filter(([field]) => !field.startsWith('receipt_')));
}

/** Puts the job's record where a test needs it, as no API can: claimed, and as if it had come there by itself. */
export async function place(
  world: World,
  jobId: string,
  status: Job['status'],
  fields: Readonly<Record<string, string>> = {},
): Promise<void> {
  const keys = credentialKeys(CREDENTIAL, ENV);
  await world.redis.set(keys.claim, jobId);
  await world.redis.hset(keys.job(jobId), { status, ...fields });
}

/** Changes a row of the job as no API can. */
export async function setRow(
  world: World,
  jobId: string,
  id: string,
  fields: Readonly<Record<string, unknown>>,
) {
  const key = credentialKeys(CREDENTIAL, ENV).rows(jobId);
  const row = JSON.parse((await world.redis.hget(key, id)) ?? '{}') as object;
  await world.redis.hset(key, id, JSON.stringify({ ...row, ...fields }));
}

/** Runs the jobs on, one status after the other, to the gate before the mint. */
export async function toVerified(world: World): Promise<string> {
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  return jobId;
}

/** Appends an event of the job to the credential's stream, as the scripts do. */
export async function note(world: World, jobId: string, says: string): Promise<void> {
  const keys = credentialKeys(CREDENTIAL, ENV);
  const common = { at: '2026-01-01T00:00:00.000Z', env: ENV, credential: CREDENTIAL, operator_id: 'ada' };
  const event = { ...common, job_id: jobId, from_state: 'init', to_state: 'init', event: says, detail: {} };
  await world.redis.xadd(keys.events, `${await world.redis.incr(keys.seq)}-0`, 'row', JSON.stringify(event));
}

/** The last event of this name in the audit trail that is about the whole job. */
export async function lastEvent(world: World, event: string): Promise<Record<string, unknown> | undefined> {
  return (await audit(world)).findLast((one) => one['event'] === event && one['consumer_id'] === undefined);
}

/** The events of the credential's audit trail, oldest first. */
export async function audit(world: World): Promise<readonly Record<string, unknown>[]> {
  return (await world.feed.read(CREDENTIAL, ENV, 0, 10_000)).map((event) => ({ ...event }));
}
