// /metrics: what all processes measured together, as Prometheus reads it, with few labels and no name of anybody's.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { metricsText } from '../../api/metrics-text.ts';
import { encodeKept, metricTable, parseKept, type MetricName } from '../../shared/lib/metrics.ts';
import { createMetrics, keptNumbers } from '../../shared/redis/metrics.ts';
import { credentialKeys } from '../../shared/redis/keys.ts';
import { buildWorld, CREDENTIAL, ENV, until, type World } from '../harness.ts';
import { startRedis, type RedisServer } from '../redis-server.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

type Samples = ReadonlyMap<string, number>;

/** Reads the text as a scraper does; throws where a line is none. */
function scraped(text: string): Samples {
  const samples = new Map<string, number>();
  const typed = new Set<string>();
  expect(text.endsWith('\n')).toBe(true);
  for (const line of text.trimEnd().split('\n')) {
    const [, name] = /^# TYPE (\w+) (?:counter|gauge|histogram)$/.exec(line) ?? [];
    if (name !== undefined) typed.add(name);
    if (/^# (HELP \w+ \S.*|TYPE \w+ \w+)$/.test(line)) continue;
    const [, series = '', value] =
      /^(\w+(?:\{\w+="[^"\\]*"(?:,\w+="[^"\\]*")*\})?) (-?\d+(?:\.\d+)?)$/.exec(line) ?? [];
    expect([line, value]).toEqual([line, expect.any(String)]);
    expect([line, samples.has(series)]).toEqual([line, false]);
    expect(typed).toContain(series.replace(/\{.*/, '').replace(/_(bucket|sum|count)$/, ''));
    samples.set(series, Number(value));
  }
  return samples;
}

async function scrape(world: World): Promise<Samples> {
  const answer = await world.api('GET', '/metrics');
  expect([answer.status, answer.headers.get('content-type')]).toEqual([
    200,
    'text/plain; version=0.0.4; charset=utf-8',
  ]);
  return scraped(answer.text);
}

const labelled = (samples: Samples, name: string) =>
  [...samples].filter(([series]) => series.startsWith(`${name}{`)).map(([series]) => series);

test('a rotation is in it: its statuses, its tasks by update method, its calls to vendors', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await world.toValidated();
  const flow = 'flow="operational"';
  expect((await scrape(world)).get(`velvet_jobs{${flow},status="validated"}`)).toBe(1);
  await world.stage(jobId, { action: 'proceed_revoke', ticket_id: 'T-1' });
  await world.reaches(jobId, 'done');

  const samples = await until(async () => {
    const now = await scrape(world);
    return now.get(`velvet_job_status_entered_total{${flow},status="done"}`) === 1 ? now : null;
  });
  for (const status of [
    'verifying',
    'verified',
    'minting',
    'minted',
    'distributing',
    'validating',
    'revoking',
  ])
    expect([status, samples.get(`velvet_job_status_seconds_count{${flow},status="${status}"}`)]).toEqual([
      status,
      expect.any(Number),
    ]);
  expect(labelled(samples, 'velvet_jobs')).toEqual([]);
  const pushed = 'task="push_row",update_method="HEROKU_CONFIG_PATCH",outcome="ok"';
  expect(samples.get(`velvet_task_seconds_count{${pushed}}`)).toBe(2);
  const minted = 'handler="heroku-oauth",verb="mint",outcome="ok"';
  expect(samples.get(`velvet_handler_seconds_count{${minted}}`)).toBe(1);
  expect(samples.get(`velvet_handler_seconds_bucket{${minted},le="+Inf"}`)).toBe(1);
  expect(samples.get('velvet_vendor_rate_limit_remaining{vendor="heroku"}')).toBeGreaterThan(4_000);
  expect(samples.get('velvet_outbox_tasks')).toBe(0);
  for (const queue of ['stage', 'distribute', 'healthcheck', 'notify'])
    expect(samples.get(`velvet_queue_tasks{queue="${queue}",state="waiting"}`)).toBe(0);
});

test('a vendor that refuses is seen by the code of its refusal, a task that failed as failed', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  await world.reaches(jobId, 'verified');
  world.heroku.script({
    on: 'POST /oauth/authorizations',
    do: { status: 422, body: { id: 'invalid_params' } },
  });
  await world.stage(jobId, { action: 'proceed_mint' });
  await world.reaches(jobId, 'mint_failed');
  const refused =
    'velvet_handler_seconds_count{handler="heroku-oauth",verb="mint",outcome="vendor_rejected"}';
  const failed = 'velvet_task_seconds_count{task="enqueue_mint",update_method="none",outcome="failed"}';
  // Each is told when it has ended, and the task ends after its call.
  const samples = await until(async () => {
    const now = await scrape(world);
    return now.get(refused) === undefined || now.get(failed) === undefined ? null : now;
  });
  expect(samples.get(refused)).toBe(1);
  expect(samples.get(failed)).toBe(1);
});

test('tasks that nobody takes are seen, and since when: on their queue, and on the outbox', async () => {
  await using world = await buildWorld(redis.url, { families: [] });
  const jobId = await world.create();
  await world.stage(jobId, { action: 'verify' });
  const waits = await scrape(world);
  expect(waits.get('velvet_queue_tasks{queue="stage",state="waiting"}')).toBe(1);
  await until(async () =>
    (await scrape(world)).get('velvet_queue_oldest_seconds{queue="stage"}') === 0 ? null : true,
  );

  const task = { effect: 'enqueue_verify', credential: CREDENTIAL, env: ENV, jobId, version: 2, kick: 0 };
  const keys = credentialKeys(CREDENTIAL, ENV);
  await world.redis.hset(keys.outbox, 'enqueue_verify.x', JSON.stringify(task));
  await world.redis.hset(keys.job(jobId), { status_since: String(world.deps.clock.now() - 90_000) });
  const late = await scrape(world);
  expect(late.get('velvet_outbox_tasks')).toBe(1);
  expect(late.get('velvet_outbox_lag_seconds')).toBeGreaterThanOrEqual(90);
});

test('a family that does not beat is down', async () => {
  await using world = await buildWorld(redis.url, { families: [] });
  expect((await scrape(world)).get('velvet_family_up{family="stage"}')).toBe(1);
  await world.redis.del('velvet:{system}:beat:stage');
  expect((await scrape(world)).get('velvet_family_up{family="stage"}')).toBe(0);
});

test('no credential, job, consumer, person or token is named, however many there are', async () => {
  await using world = await buildWorld(redis.url);
  const jobId = await world.toValidated();
  const answer = await world.api('GET', '/metrics');
  for (const name of [CREDENTIAL, jobId, 'raxx-console-prod', 'ada', world.firstToken, 'HK_VELVET_BOOTSTRAP'])
    expect(answer.text).not.toContain(name);
});

describe('numbers of several processes', () => {
  test('add up; what was said last counts; each is there whether or not it was ever seen', async () => {
    await using world = await buildWorld(redis.url, { families: [] });
    const [one, other] = [createMetrics(world.redis, 60_000), createMetrics(world.redis, 60_000)];
    const labels = { handler: 'heroku-oauth', verb: 'mint', outcome: 'ok' };
    for (const ms of [50, 101, 2_500, 99_000]) one.observe('handler', labels, ms);
    other.observe('handler', labels, 100);
    one.set('headroom', { vendor: 'heroku' }, 10);
    await one.close();
    other.set('headroom', { vendor: 'heroku' }, 7);
    other.count('entered', { flow: 'operational', status: 'done' });
    await other.close();
    await other.close();

    const samples = scraped(metricsText(await keptNumbers(world.redis), []));
    const at = (le: string) =>
      samples.get(
        `velvet_handler_seconds_bucket{handler="heroku-oauth",verb="mint",outcome="ok",le="${le}"}`,
      );
    // A value that is a bucket's upper end belongs to it.
    expect(['0.1', '0.5', '1', '2.5', '5', '10', '+Inf'].map(at)).toEqual([2, 3, 3, 4, 4, 4, 5]);
    const own = '{handler="heroku-oauth",verb="mint",outcome="ok"}';
    expect(samples.get(`velvet_handler_seconds_count${own}`)).toBe(5);
    expect(samples.get(`velvet_handler_seconds_sum${own}`)).toBe(101.751);
    expect(samples.get('velvet_vendor_rate_limit_remaining{vendor="heroku"}')).toBe(7);
    expect(samples.get('velvet_job_status_entered_total{flow="operational",status="done"}')).toBe(1);
  });

  test('a label is cut to a word, and what another release wrote is passed over', async () => {
    const kept = encodeKept({ metric: 'headroom', values: ['a "b"\n{c}'], part: 'value' });
    expect(parseKept(kept)).toEqual({ metric: 'headroom', values: ['a__b___c_'], part: 'value' });
    for (const field of [
      '',
      'headroom',
      'headroom value',
      'later x value',
      'handler a b value',
      '__proto__ a value',
    ])
      expect([field, parseKept(field)]).toEqual([field, null]);
    expect(scraped(metricsText([], [])).size).toBe(0);
    for (const metric of Object.keys(metricTable) as MetricName[])
      expect(metricsText([], [])).toContain(
        `# TYPE ${metricTable[metric].name} ${metricTable[metric].type}\n`,
      );
  });

  const entered = (world: World) =>
    keptNumbers(world.redis).then((all) => all.find(({ metric }) => metric === 'entered')?.value ?? null);
  const labels = { flow: 'operational', status: 'done' };

  test('what was counted while Redis was away is written when it is back, once', async () => {
    await using world = await buildWorld(redis.url, { families: [] });
    const away = world.redis.duplicate({ lazyConnect: true });
    const metrics = createMetrics(away, 5);
    metrics.count('entered', labels);
    await new Promise((resolve) => setTimeout(resolve, 30));
    metrics.count('entered', labels);
    await away.connect();
    expect(await until(() => entered(world))).toBe(2);
    metrics.count('entered', labels);
    await metrics.close();
    expect(await entered(world)).toBe(3);
    away.disconnect();
  });

  test('what a Redis that is full did not take is written when it has room', async () => {
    await using world = await buildWorld(redis.url, { families: [] });
    const metrics = createMetrics(world.redis, 5);
    await world.redis.config('SET', 'maxmemory', '1');
    metrics.count('entered', labels);
    metrics.set('headroom', { vendor: 'heroku' }, 9);
    await new Promise((resolve) => setTimeout(resolve, 30));
    metrics.set('headroom', { vendor: 'heroku' }, 8);
    expect(await entered(world)).toBeNull();
    await world.redis.config('SET', 'maxmemory', '0');
    expect(await until(() => entered(world))).toBe(1);
    await metrics.close();
    expect((await keptNumbers(world.redis)).find(({ metric }) => metric === 'headroom')?.value).toBe(8);
  });

  test('a Redis that is away is waited for by nobody', async () => {
    await using world = await buildWorld(redis.url, { families: [] });
    const away = world.redis.duplicate({ lazyConnect: true });
    const metrics = createMetrics(away, 5);
    metrics.count('entered', { flow: 'operational', status: 'done' });
    await metrics.close();
    away.disconnect();
  });
});
