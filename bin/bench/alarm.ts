// The alarm: from the commit of `rev_leaked` to the provider's acceptance, per channel; idle, with 10,000 distribute tasks queued, and 200 at once against Slack's own limits. Real processes of every family, the product's own times.
import { randomUUID } from 'node:crypto';
import { systemClock } from '../../shared/lib/clock.ts';
import { createRelay } from '../../shared/queue/enqueue.ts';
import { createClaims } from '../../shared/redis/claim.ts';
import { workerFamilies } from '../../shared/redis/system-store.ts';
import type { JobRef } from '../../shared/rotation/effects.ts';
import { times } from '../../shared/times.ts';
import { buildWorld, CREDENTIAL, ENV, until, type World } from '../../test/harness.ts';
import { slackLimits, startSlack, type SlackSim } from '../../test/sim/slack.ts';
import { startSmtp, type SmtpSim } from '../../test/sim/smtp.ts';
import { createValues } from '../../workers/vault/values.ts';
import { startFleet, type Fleet } from './fleet.ts';
import { createLeaks, type Leaks } from './leaks.ts';
import { percentile, type Report } from './measure.ts';
import { toTheMint } from './minting-job.ts';
import { pause, type Place } from './place.ts';

const TOKEN = 'xoxb-bench';
const ALERTS = 'C0ALERT';
const OPERATOR = 'U0OPERATOR';
/** Unmeasured. */
const WARM = 3;
const IDLE = 50;
const LEAKS = 200;
const QUEUED = 10_000;
/** Slow enough that the queue is still long at the end: 25 at once, two seconds each. */
const VENDOR_MS = 2_000;
/** Beyond the pace of the message before: idle means that nobody waits for it. */
const REST_MS = 1_050;
const JITTER_MS = 500;
const TOLD_MS = 60_000;
const BACKLOG_MS = 120_000;

const channels = ['slack', 'dm', 'mail'] as const;
type ChannelName = (typeof channels)[number];
type Latencies = Readonly<Record<ChannelName, readonly number[]>>;

interface Scene {
  readonly place: Place;
  readonly world: World;
  readonly leaks: Leaks;
  readonly slack: SlackSim;
  readonly smtp: SmtpSim;
  readonly fleet: Fleet;
}

export async function alarm(place: Place, report: Report): Promise<void> {
  await inScene(place, async (scene) => {
    await oneByOne(scene, WARM);
    tell(report, 'idle', await oneByOne(scene, IDLE), 1_000);
  });
  await inScene(place, async (scene) => {
    await backlog(scene);
    await oneByOne(scene, WARM);
    const before = await queued(scene);
    tell(report, `${QUEUED.toLocaleString('en')} queued`, await oneByOne(scene, LEAKS), 5_000);
    const between = await queued(scene);
    const burst = await atOnce(scene);
    for (const name of channels)
      report(
        {
          bench: 'alarm',
          metric: `${LEAKS} at once, ${name}, the last was named after`,
          value: Math.max(...burst[name]),
          unit: 'ms',
        },
        { of: 'value', bound: 'at most', is: 30_000 },
      );
    const depths = {
      'before the 200': before,
      'after them': between,
      'after the burst': await queued(scene),
    };
    for (const [when, value] of Object.entries(depths))
      report({ bench: 'alarm', metric: `distribute tasks queued ${when}`, value, unit: 'tasks' });
  });
}

function tell(report: Report, how: string, latencies: Latencies, bound: number): void {
  for (const name of channels) {
    const all = latencies[name];
    const figure = (p: string, value: number) => ({
      bench: 'alarm',
      metric: `${how}, ${all.length} leaks, ${name}, ${p}`,
      value,
      unit: 'ms',
    });
    report(figure('p50', percentile(all, 50)));
    report(figure('p99', percentile(all, 99)), { of: 'value', bound: 'at most', is: bound });
    report(figure('max', Math.max(...all)));
  }
}

/** A world with a Slack and a mail server that behave as the real ones, and one process of every family. */
async function inScene(place: Place, does: (scene: Scene) => Promise<void>): Promise<void> {
  await place.emptied();
  await using slack = await startSlack({ token: TOKEN, users: [OPERATOR], channels: [ALERTS, 'C0OPS'], ...slackLimits }); // prettier-ignore
  await using smtp = await startSmtp();
  await using world = await buildWorld(place.redisUrl, {
    times,
    families: [],
    apps: [{ name: 'bench-app' }],
  });
  await using fleet = await startFleet(workerFamilies, {
    ...world.environment,
    SL_BOT_NOTIFY: TOKEN,
    SLACK_API_URL: slack.apiUrl.replace(/\/$/, ''),
    SLACK_OPERATOR_CHANNEL: 'C0OPS',
    SLACK_ALERT_CHANNEL: ALERTS,
    SMTP_URL: `smtp://${smtp.host}:${smtp.port}?from=velvet@example.com`,
    OPS_ALERT_EMAIL: 'ops@example.com',
  });
  const leaks = createLeaks(world, OPERATOR);
  await does({ place, world, leaks, slack, smtp, fleet });
}

/** When each provider first took a message about the job; null where it has none. */
function takenAt({ slack, smtp }: Scene, { jobId }: JobRef): Readonly<Record<ChannelName, number | null>> {
  const posted = (channel: string) =>
    slack.messages.find((one) => one.channel === channel && one.text?.includes(jobId))?.at ?? null;
  const mailed = smtp.mails.find(({ text }) => text.includes(jobId))?.at ?? null;
  return { slack: posted(ALERTS), dm: posted(slack.dm(OPERATOR)), mail: mailed };
}

async function latenciesOf(scene: Scene, ref: JobRef): Promise<Readonly<Record<ChannelName, number>>> {
  const raisedAt = await scene.leaks.raisedAt(ref);
  const taken = await until(
    async () => {
      const { slack, dm, mail } = takenAt(scene, ref);
      if (slack !== null && dm !== null && mail !== null) return { slack, dm, mail };
      // Seldom: the providers are in this process.
      await pause(20);
      return null;
    },
    TOLD_MS,
    scene.fleet.said,
  );
  return { slack: taken.slack - raisedAt, dm: taken.dm - raisedAt, mail: taken.mail - raisedAt };
}

/** One leak after another, each once the one before was told everywhere and is over. */
async function oneByOne(scene: Scene, count: number): Promise<Latencies> {
  const { leaks } = scene;
  const all = [];
  for (let n = 0; n < count; n++) {
    const [ref] = await leaks.open(1);
    if (ref === undefined) throw new Error('no leak was opened');
    await leaks.flag(ref);
    all.push(await latenciesOf(scene, ref));
    await leaks.resolve(ref);
    // Not in step with anybody's poll.
    await pause(REST_MS + Math.random() * JITTER_MS);
  }
  return byChannel(all);
}

async function atOnce(scene: Scene): Promise<Latencies> {
  const refs = await scene.leaks.open(LEAKS);
  await Promise.all(refs.map((ref) => scene.leaks.flag(ref)));
  return byChannel(await Promise.all(refs.map((ref) => latenciesOf(scene, ref))));
}

function byChannel(all: readonly Readonly<Record<ChannelName, number>>[]): Latencies {
  const of = (name: ChannelName) => all.map((one) => one[name]);
  return { slack: of('slack'), dm: of('dm'), mail: of('mail') };
}

/** A rotation with so many consumers, minted, at a vendor that takes its time over each. */
async function backlog(scene: Scene): Promise<void> {
  const { world, place } = scene;
  const { store, vault, deps } = world;
  world.heroku.script({ on: '*', times: Infinity, do: { delay_ms: VENDOR_MS } });
  const fingerprintKey = Buffer.from(world.environment['VELVET_FINGERPRINT_KEY'] ?? '', 'base64');
  const ref = { credential: CREDENTIAL, env: ENV, jobId: randomUUID() };
  const minted = await toTheMint(
    {
      store,
      relay: createRelay(deps.queues, store, () => undefined),
      clock: systemClock,
      times,
      claims: createClaims(world.redis, systemClock, times.leaseMs),
      transitions: deps.transitions,
      vault,
      fingerprintKey,
      values: createValues(vault, fingerprintKey),
    },
    ref,
    { rows: QUEUED, authority: 'HK_VELVET_BOOTSTRAP' },
  );
  await minted();
  await until(
    async () => {
      await pause(200);
      return (await queued(scene)) > QUEUED * 0.95 || null;
    },
    BACKLOG_MS,
    () => `${QUEUED} tasks at ${place.redisUrl}: ${scene.fleet.said()}`,
  );
}

async function queued({ world }: Scene): Promise<number> {
  const { waiting = 0, delayed = 0, active = 0 } = await world.deps.queues.distribute.getJobCounts('waiting', 'delayed', 'active'); // prettier-ignore
  return waiting + delayed + active;
}
