// What a request must look like: each fault is a 400 that names it, a body that is too large a 413, and nothing is changed.
import { request } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { buildWorld, type Answer, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';
import { creation, isProblem, paths, refused } from './asking.ts';
import { listen } from './listen.ts';

let redis: RedisServer;
let world: World;
let jobId: string;
beforeAll(async () => {
  redis = await startRedis();
});
beforeEach(async () => {
  world = await buildWorld(redis.url, { families: [] });
  jobId = await world.create();
  return () => world[Symbol.asyncDispose]();
});
afterAll(() => redis.stop());

const confirm = { action: 'confirm_consumer', consumer_id: 'heroku-config-raxx-api-prod' };
const token = { name: 'ci', owner: 'ci', scopes: ['read'], expires_in: 3600 };
const without = (body: Readonly<Record<string, unknown>>, key: string) =>
  Object.fromEntries(Object.entries(body).filter(([name]) => name !== key));

type Fault = readonly [what: string, body: unknown, detail: RegExp, fields: readonly string[]];

// oxfmt-ignore
const rotateFaults: readonly Fault[] = [
  ['an unknown field', creation('k', { colour: 'red' }), /^unknown field 'colour'\. Mend it/, ['colour']],
  ['two unknown fields', creation('k', { a: 1, b: 2 }), /^unknown field 'a', 'b'\./, ['a', 'b']],
  ['a misspelt field', creation('k', { ticket: 'ROT-1' }), /^unknown field 'ticket'\./, ['ticket']],
  ['no flow', without(creation('k'), 'flow_type'), /^'flow_type' must be 'operational'/, ['flow_type']],
  ['a target of a rotation', creation('k', { target: 'old' }), /^'target' is for flow_type 'revocation' alone/, ['target']],
  ['a preemption by a rotation', creation('k', { preempt: true }), /^'preempt' is for flow_type 'revocation' alone/, ['preempt']],
  ['a replacement by an emergency', creation('k', { flow_type: 'revocation', replaces: 'j' }), /^'replaces' is for flow_type 'operational' alone/, ['replaces']],
  ['an unknown target', creation('k', { flow_type: 'revocation', target: 'both' }), /^'target' /, ['target']],
  ['a flow of another type', creation('k', { flow_type: 7 }), /^'flow_type' must be 'operational'/, ['flow_type']],
  ['no key', without(creation('k'), 'idempotency_key'), /^'idempotency_key' is missing; it must be a string/, ['idempotency_key']],
  ['an empty key', creation(''), /^'idempotency_key' /, ['idempotency_key']],
  ['a key of blanks', creation('  \t '), /^'idempotency_key' /, ['idempotency_key']],
  ['a key that is too long', creation('k'.repeat(201)), /^'idempotency_key' .*200/, ['idempotency_key']],
  ['a key that is a number', creation('k', { idempotency_key: 1 }), /^'idempotency_key' .*string/, ['idempotency_key']],
  ['force as text', creation('k', { force_revoke: 'false' }), /^'force_revoke' /, ['force_revoke']],
  ['an empty ticket', creation('k', { ticket_id: '' }), /^'ticket_id' /, ['ticket_id']],
  ['a ticket that is a list', creation('k', { ticket_id: ['ROT-1'] }), /^'ticket_id' .*string/, ['ticket_id']],
  ['two faults, both named', creation('', { ticket_id: 7 }), /^'idempotency_key' .*; 'ticket_id' /, ['idempotency_key', 'ticket_id']],
];

// oxfmt-ignore
const stageFaults: readonly Fault[] = [
  ['no action', {}, /'action'.*verify, proceed_mint, submit_value, proceed_revoke, retry/, ['action']],
  ['an unknown action', { action: 'rotate' }, /'action'.*verify, proceed_mint, submit_value, proceed_revoke, retry/, ['action']],
  ['an action of another type', { action: 1 }, /'action'.*verify, proceed_mint/, ['action']],
  ['an unknown field', { action: 'verify', force: true }, /^unknown field 'force'\./, ['force']],
  ["another action's field", { action: 'verify', note: 'x' }, /^unknown field 'note'\./, ['note']],
  ['a version that is text', { action: 'verify', version: '1' }, /^'version' must be a number/, ['version']],
  ['a version of 0', { action: 'verify', version: 0 }, /^'version' /, ['version']],
  ['a version with a fraction', { action: 'verify', version: 1.5 }, /^'version' must be a whole number/, ['version']],
  ['a confirm without note', confirm, /^'note' is missing; it must be a string/, ['note']],
  ['a confirm with an empty note', { ...confirm, note: ' ' }, /^'note' /, ['note']],
  ['a confirm without consumer', without({ ...confirm, note: 'seen' }, 'consumer_id'), /^'consumer_id' is missing/, ['consumer_id']],
  ['a skip without reason', { action: 'skip_consumer', consumer_id: 'x' }, /^'reason' is missing/, ['reason']],
  ['a ticket that is a number', { action: 'proceed_revoke', ticket_id: 7 }, /^'ticket_id' .*string/, ['ticket_id']],
  ['a retry of nobody', { action: 'retry', consumer_ids: [] }, /^'consumer_ids' /, ['consumer_ids']],
  ['a retry of one that is no list', { action: 'retry', consumer_ids: 'x' }, /^'consumer_ids' must be a list/, ['consumer_ids']],
];

// oxfmt-ignore
const tokenFaults: readonly Fault[] = [
  ['no owner', without(token, 'owner'), /^'owner' is missing/, ['owner']],
  ['an owner that is how Velvet signs', { ...token, owner: ' System' }, /^'owner' is how Velvet itself signs; name a person/, ['owner']],
  ['an unknown scope', { ...token, scopes: ['root'] }, /^'scopes\.0' .*"?read/, ['scopes.0']],
  ['no scope', { ...token, scopes: [] }, /^'scopes' /, ['scopes']],
  ['an expiry of a second', { ...token, expires_in: 1 }, /^'expires_in' .*60/, ['expires_in']],
  ['an expiry of two years', { ...token, expires_in: 63_072_000 }, /^'expires_in' .*31536000/, ['expires_in']],
  ['a star in the middle', { ...token, credentials: ['PM_*_FULL'] }, /^'credentials\.0' must be a credential's name, or a prefix/, ['credentials.0']],
  ['no credential', { ...token, credentials: [] }, /^'credentials' /, ['credentials']],
  ['a Slack name for an id', { ...token, slack_user_id: '@ada' }, /^'slack_user_id' must be a Slack user id/, ['slack_user_id']],
  ['an unknown field', { ...token, admin: true }, /^unknown field 'admin'\./, ['admin']],
];

const flagFaults: readonly Fault[] = [
  ['no value', {}, /^'enabled' is missing; it must be true or false/, ['enabled']],
  ['a value that is text', { enabled: 'off' }, /^'enabled' must be true or false/, ['enabled']],
  ['an unknown field', { enabled: true, on: true }, /^unknown field 'on'\./, ['on']],
];

// oxfmt-ignore
const drillFaults: readonly Fault[] = [
  ['an unknown field', { channel: 'mail' }, /^unknown field 'channel'\./, ['channel']],
];

const routes = [
  { route: 'POST …/rotate', method: 'POST', path: () => paths.rotate, faults: rotateFaults },
  { route: 'POST …/stage', method: 'POST', path: () => paths.stage(jobId), faults: stageFaults },
  { route: 'POST /service-tokens', method: 'POST', path: () => '/service-tokens', faults: tokenFaults },
  { route: 'PUT /flags', method: 'PUT', path: () => '/flags/velvet_v2_rotation', faults: flagFaults },
  { route: 'POST /alarm/test', method: 'POST', path: () => '/alarm/test', faults: drillFaults },
] as const;

describe.each(routes)('$route', ({ method, path, faults }) => {
  test.each(faults)('400 %s', async (_, body, detail, fields) => {
    const says = await refused(world, () => world.api(method, path(), body), {
      http: 400,
      code: 'invalid_request',
      detail,
      extra: { fields },
    });
    expect(says.detail).toMatch(/Mend it and send it again; nothing was changed\.$/);
  });

  test.each([
    ['no body', undefined],
    ['an empty body', ''],
    ['half a body', '{"flow_type":"oper'],
    ['a word', 'verify'],
    ['a form', 'action=verify'],
  ])('400 %s, with an example of what is wanted', async (_, body) => {
    const headers = { 'content-type': 'application/json' };
    await refused(world, () => world.api(method, path(), body, { headers }), {
      http: 400,
      code: 'invalid_request',
      detail: /^The body is not JSON\. Send one JSON object, e\.g\. \{.*\}; nothing was changed\.$/,
    });
  });

  test.each([['null'], ['[]'], ['"verify"'], ['7'], ['[{"action":"verify"}]']])(
    '400 JSON that is no object: %s',
    async (body) => {
      await refused(world, () => world.api(method, path(), body), {
        http: 400,
        code: 'invalid_request',
        detail: /^the body must be a JSON object/,
      });
    },
  );

  test.each([
    ['text/plain'],
    ['application/x-www-form-urlencoded'],
    ['multipart/form-data; boundary=x'],
    [''],
  ])('400 a body declared as %j: the header is named', async (contentType) => {
    const good = JSON.stringify({ action: 'verify', ...creation('k') });
    await refused(
      world,
      () => world.api(method, path(), good, { headers: { 'content-type': contentType } }),
      {
        http: 400,
        code: 'invalid_request',
        detail:
          'The body is not declared as JSON. Send the header `content-type: application/json`; nothing was changed.',
      },
    );
  });

  test('413 a body over 64 KiB, whether it is good JSON or not', async () => {
    for (const body of [JSON.stringify(creation('k', { reason: 'x'.repeat(65_536) })), 'x'.repeat(65_537)])
      await refused(world, () => world.api(method, path(), body), {
        http: 413,
        code: 'too_large',
        detail: /larger than 64 KiB\. Send a smaller body/,
      });
  });
});

test('a charset, or a JSON type of its own, is no fault', async () => {
  const types = ['application/json; charset=utf-8', 'Application/JSON', 'application/problem+json'];
  for (const [n, type] of types.entries()) {
    const headers = { 'content-type': type };
    expect((await world.api('POST', paths.rotate, creation(`k${n}`), { headers })).status).toBe(202);
  }
});

test('a body of 64 KiB exactly is read', async () => {
  const body = JSON.stringify({ action: 'verify' }).padEnd(65_536, ' ');
  expect((await world.api('POST', paths.stage(jobId), body)).status).toBe(202);
});

describe('on a socket', () => {
  const lengths = [
    ['whose length is declared', true],
    ['that comes in chunks', false],
  ] as const;
  test.each(lengths)('413 a large body %s', async (_, declared) => {
    await using socket = await listen(world.app);
    for (const path of [paths.rotate, paths.stage(jobId)]) {
      const ask = () => send(`${socket.url}${path}`, 'x'.repeat(300_000), declared);
      await refused(world, ask, { http: 413, code: 'too_large', detail: /larger than 64 KiB/ });
    }
    // Else the next request on the same connection, perhaps another caller's behind a router, would be lost.
    const last = await send(`${socket.url}${paths.rotate}`, 'x'.repeat(300_000), declared);
    expect(last.headers.get('connection')).toBe('close');
  });

  test.each(lengths)('a small body %s is read', async (_, declared) => {
    await using socket = await listen(world.app);
    const answer = await send(`${socket.url}${paths.stage(jobId)}`, '{"action":"abort"}', declared);
    expect([answer.status, answer.body.status]).toEqual([202, 'aborted']);
  });

  test('a large body is refused before anybody asks who sends it, and without being read to its end', async () => {
    await using socket = await listen(world.app);
    const answer = await send(`${socket.url}${paths.rotate}`, 'x'.repeat(300_000), true, null);
    await isProblem(world, answer, { http: 413, code: 'too_large', detail: /64 KiB/ });
  });
});

/** Sends a body with its length declared, or in chunks of 10 kB. */
function send(url: string, body: string, declared: boolean, bearer: string | null = world.operator) {
  return new Promise<Answer>((resolve, reject) => {
    const headers = {
      'content-type': 'application/json',
      ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
      ...(declared ? { 'content-length': String(body.length) } : { 'transfer-encoding': 'chunked' }),
    };
    const asking = request(url, { method: 'POST', headers }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const known = Object.entries(incoming.headers).map(([key, value]) => [key, String(value)] as const);
        resolve({
          status: incoming.statusCode ?? 0,
          headers: new Headers(Object.fromEntries(known)),
          text,
          body: JSON.parse(text) as Answer['body'],
        });
      });
    });
    // The server may close while the rest is still being sent; its answer counts.
    asking.on('error', reject);
    for (let at = 0; at < body.length; at += 10_000) asking.write(body.slice(at, at + 10_000));
    asking.end();
  });
}
