// What `grep job_id=` over the log lines of one rotation reads: its story, in order, with what a reader needs in each line.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildWorld, CREDENTIAL, ENV, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

type Line = Readonly<Record<string, string>>;

/** A logfmt line's fields. */
function fieldsOf(line: string): Line {
  const pairs = [...line.matchAll(/(\w+)=("(?:[^"\\]|\\.)*"|\S*)/g)].map(
    ([, key = '', value = '']) =>
      [key, value.startsWith('"') ? (JSON.parse(value) as string) : value] as const,
  );
  return Object.fromEntries(pairs);
}

/** `grep job_id=<id>`. */
const grep = (world: World, jobId: string): readonly Line[] =>
  world.log.filter((line) => line.includes(`job_id=${jobId}`)).map(fieldsOf);

/** A line as a reader sees it at a glance. */
function told(line: Line): string {
  const { msg = '', from, status, action, consumer_id } = line;
  if (msg === 'status changed') return `${from} → ${status}`;
  if (msg === 'operator acts') return `${line['operator_id']}: ${action}`;
  return consumer_id === undefined ? msg : `${msg} ${consumer_id}`;
}

const inOrder = (story: readonly string[], wanted: readonly string[]) => {
  const at = wanted.map((step) => story.indexOf(step));
  expect([wanted.filter((_, n) => at[n] === -1), story]).toEqual([[], story]);
  expect([at, story]).toEqual([at.toSorted((a, b) => a - b), story]);
};

const [api, console_] = ['heroku-config-raxx-api-prod', 'heroku-config-raxx-console-prod'];

test('a whole rotation tells its story in order', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await world.toValidated();
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'T-1' });
  const { old_auth_id, new_auth_id } = await world.reaches(jobId, 'done');
  const lines = grep(world, jobId);
  const story = lines.map(told);

  inOrder(story, [
    'rotation created',
    'ada: verify',
    'init → verifying',
    'verified',
    'verifying → verified',
    'ada: proceed_mint',
    'verified → minting',
    'minted',
    'minting → minted',
    'minted → distributing',
    `write took effect ${api}`,
    'distributing → distributed',
    'distributed → validating',
    `proven ${api}`,
    'validating → validated',
    'ada: proceed_revoke',
    'validated → revoking',
    'revoking',
    'revoking → done',
  ]);
  const before = (step: string, status: string) => story.indexOf(step) < story.indexOf(status);
  expect(before(`write took effect ${console_}`, 'distributing → distributed')).toBe(true);
  expect(before(`proven ${console_}`, 'validating → validated')).toBe(true);
  // Each change of status is told once, by whichever process made it.
  const moves = story.filter((step) => step.includes(' → '));
  expect(moves.filter((move, n) => moves.indexOf(move) !== n && move !== 'revoking → revoking')).toEqual([]);

  for (const line of lines)
    expect([line, line['env'], line['job_id'], line['credential']]).toEqual([line, ENV, jobId, CREDENTIAL]);
  for (const line of lines.filter(({ logger }) => logger === 'web')) {
    if (line['msg'] === 'status changed') continue;
    expect([line, line['request_id']]).toEqual([line, expect.stringMatching(/^[\w-]{8,}$/)]);
  }
  for (const line of lines.filter(({ task }) => task !== undefined))
    expect([line, line['attempt']]).toEqual([line, expect.stringMatching(/^\d+$/)]);
  const find = (msg: string) => lines.find((line) => line['msg'] === msg);
  expect(find('minted')).toMatchObject({ old_auth_id, new_auth_id });
  expect(find('revoking')).toMatchObject({ old_auth_id, new_auth_id });
  for (const secret of [world.firstToken, world.bootstrapToken, world.operator.slice(17)])
    expect(world.log.join('\n')).not.toContain(secret);
});

test('a failure says what the runbook greps for: msg, error, http_status, the attempt', async () => {
  await using world = await buildWorld(redis.url, { times: { vendorCallMs: 100 } });
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  world.heroku.script({ on: 'POST /oauth/authorizations', do: { status: 403, body: { id: 'forbidden' } } });
  await world.stage(jobId, { action: 'proceed_mint' });
  await world.reaches(jobId, 'mint_failed');
  world.heroku.script({ on: 'GET /oauth/authorizations', times: Infinity, do: 'hang_before' });
  await world.stage(jobId, { action: 'retry' });
  await world.reaches(jobId, 'mint_failed');

  const lines = grep(world, jobId);
  const failures = lines.filter(({ msg }) => msg === 'mint failed');
  expect(failures).toHaveLength(2);
  expect(failures[0]).toMatchObject({ error: 'HTTP403', http_status: '403', attempt: '1', level: 'error' });
  expect(failures[1]).toMatchObject({ error: 'Timeout', attempt: '3', credential: CREDENTIAL });
  expect(
    lines.filter(({ msg }) => msg === 'attempt failed').map((line) => [line['error'], line['attempt']]),
  ).toEqual([
    ['Timeout', '1'],
    ['Timeout', '2'],
  ]);
  inOrder(lines.map(told), [
    'verified → minting',
    'mint failed',
    'minting → mint_failed',
    'ada: retry',
    'mint_failed → minting',
  ]);
});

test("a row's failure names its consumer; what an operator was refused stands in the story, too", async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await world.create();
  world.heroku.script({
    on: 'PATCH /apps/:app/config-vars',
    where: ({ params }) => params['app'] === 'raxx-api-prod',
    times: Infinity,
    do: { status: 404, body: { id: 'not_found' } },
  });
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  await world.stage(jobId, { action: 'proceed_mint' });
  await world.reaches(jobId, 'distribute_partial');
  const refused = await world.stage(jobId, { action: 'proceed_revoke' });

  const lines = grep(world, jobId);
  expect(lines.find(({ msg }) => msg === 'push row failed')).toMatchObject({
    consumer_id: api,
    error: 'HTTP404',
    http_status: '404',
    code: 'vendor_target_missing',
  });
  inOrder(lines.map(told), [
    `push row failed ${api}`,
    'distributing → distribute_partial',
    'ada: proceed_revoke',
    'request refused',
  ]);
  expect(lines.at(-1)).toMatchObject({
    request_id: refused.headers.get('x-request-id'),
    code: String(refused.body.code),
  });
});
