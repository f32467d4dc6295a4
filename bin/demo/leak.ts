// A leaked token, from the one request that starts the emergency to the rotation that replaces it: one consumer answers from a cache, everybody is told, the operator restarts it and asks again.
import { systemClock } from '../../shared/lib/clock.ts';
import { refuse } from '../cli/say.ts';
import { pause } from './client.ts';
import { healthOfApp, isLive, received, restart, type Received } from './outside.ts';
import { aligned } from './report.ts';
import { streamWords, wrongInStream } from './rotation.ts';
import { checkStream } from './runbook.ts';
import type { RowView } from './screen.ts';
import type { Stage, Story, Told } from './story.ts';
import { accepted, watch, type JobBody, type Watch } from './watch.ts';
import { walk } from './walk.ts';

/** Its health endpoint answers from a cache, until it is restarted. */
const CACHING_APP = 'raxx-console-prod';
const CACHING = 'heroku-config-console-prod';
const TICKET = 'SEV-2026-HK_PLATFORM_FULL';
const REVOKED_MS = 30_000;
/** The specification's bound, for each channel. */
const TOLD_MS = 30_000;
const RESTARTED_MS = 15_000;
/** The three that the demo's fleet has. */
const CHANNELS = ['slack', 'dm', 'mail'] as const;

export const leak: Story = {
  wishes: {
    simulated: ['--caching-app', CACHING_APP],
    haste: { settle_seconds: 3, healthcheck_after: 3 },
  },

  async tell(stage) {
    const { screen, world, credential } = stage;
    const emergency = await endured(stage);
    screen.say(`\nThe token is dead everywhere. What replaces it: a rotation that expects it to be dead.`);
    const walked = await walk({ ...stage, scenario: null, replaces: emergency.jobId });
    const stream = await checkStream(stage.client, credential, walked);
    screen.say(streamWords(stream));
    const dead = !(await isLive(world.outside, world.outside.credential.token));
    return {
      result: {
        ...emergency.result,
        replacement: { job_id: walked.jobId, status: walked.status, consumers: walked.rows.length, stream },
      },
      wrong: [
        ...emergency.wrong,
        ...wrongInStream(stream),
        ...(dead ? [] : ['the leaked token still works']),
        ...(walked.status === 'done' ? [] : [`the replacement ended ${walked.status}`]),
      ],
      witness: emergency.jobId,
      values: [],
      async morePlaces() {
        const { slack, mails } = await received(world.outside);
        return {
          'Slack messages': Buffer.from(slack.map(({ text }) => text).join('\n')),
          mails: Buffer.from(mails.map(({ raw, subject, text }) => `${raw}\n${subject}\n${text}`).join('\n')),
        };
      },
    };
  },
};

async function endured(stage: Stage): Promise<Pick<Told, 'result' | 'wrong'> & { readonly jobId: string }> {
  const { client, screen, credential } = stage;
  const request = {
    flow_type: 'revocation',
    idempotency_key: crypto.randomUUID(),
    ticket_id: TICKET,
    confirm: credential,
    reason: 'the token was found in a public repository',
  };
  const created = accepted(await client.ask('POST', `/tokens/${credential}/rotate`, request));
  const jobId = String(created.body['job_id']);
  screen.say(`one request: emergency ${jobId} is ${String(created.body['status'])}`);
  const job = await watch(stage, { credential, jobId });
  try {
    const leaked = await job.until(({ status }) => status === 'rev_leaked', REVOKED_MS, 'the leak');
    const receipts = await toldOn(stage, job);
    await mended(stage, job);
    await job.act({ action: 'retry' });
    const done = await job.until(
      ({ status }) => status === 'rev_done',
      REVOKED_MS,
      'the end of the emergency',
    );
    await job.end();
    const stream = await checkStream(client, credential, { jobId, trail: job.seen.trail });
    screen.say(streamWords(stream));
    printLockout(stage, job, done);
    return {
      jobId,
      result: {
        job_id: jobId,
        status: done['status'],
        leaked: leaked['leaking'],
        receipts,
        time_to_lockout_ms: done['time_to_lockout_ms'],
        weakly_proven: done['weakly_proven'],
        stream,
      },
      wrong: [
        ...(String(leaked['leaking']) === CACHING
          ? []
          : [`leaking: ${String(leaked['leaking'])}, not ${CACHING}`]),
        ...CHANNELS.flatMap((name) => wrongOn(name, receipts[name])),
        ...(typeof done['time_to_lockout_ms'] === 'number' ? [] : ['no time to lock-out is known']),
        ...wrongInStream(stream),
      ],
    };
  } finally {
    await job.over();
  }
}

type ChannelName = (typeof CHANNELS)[number];

interface Receipt {
  readonly status: string;
  /** From the flag to the acceptance, as Velvet wrote it down. */
  readonly latency_ms: number | null;
  /** From the flag until the provider had it, by the provider's own clock. */
  readonly at_provider_ms: number | null;
}

type Receipts = Readonly<Record<ChannelName, Receipt>>;

interface AlarmView {
  readonly raised_at: string;
  readonly channels: Readonly<Record<string, { readonly status: string; readonly latency_ms: number | null; readonly error: unknown }>>; // prettier-ignore
}

/** Waits for every channel's receipt, and holds each against what its provider has. */
async function toldOn({ screen, world }: Stage, job: Watch): Promise<Receipts> {
  const alarmOf = (body: JobBody) => body['alarm'] as AlarmView | null;
  const body = await job.until(
    (now) => CHANNELS.every((name) => alarmOf(now)?.channels[name]?.status === 'delivered'),
    TOLD_MS,
    'a receipt from each channel of the alarm',
  );
  const alarm = alarmOf(body) ?? refuse('the job shows no alarm');
  const raisedAt = Date.parse(alarm.raised_at);
  const messages = await received(world.outside);
  const receipts = Object.fromEntries(
    CHANNELS.map((name): readonly [string, Receipt] => {
      const at = firstAt(messages, name, { job: job.jobId, world });
      const { status = 'missing', latency_ms = null } = alarm.channels[name] ?? {};
      return [name, { status, latency_ms, at_provider_ms: at === null ? null : at - raisedAt }];
    }),
  ) as Receipts;
  screen.say(`\nThe alarm, raised at ${alarm.raised_at}:`);
  const lines = CHANNELS.map((name) => {
    const { status, latency_ms, at_provider_ms } = receipts[name];
    return [name, whereOf(world.outside, name), status, `${latency_ms} ms`, `${at_provider_ms} ms`];
  });
  const head = ['channel', 'to', 'receipt', 'accepted after', "at the provider's after"];
  for (const line of aligned([head, ...lines])) screen.say(line);
  return receipts;
}

function whereOf(outside: Stage['world']['outside'], name: ChannelName): string {
  return { slack: outside.alert_channel, dm: outside.operator_slack_user, mail: 'OPS_ALERT_EMAIL' }[name];
}

/** When the provider took the first message about the job. */
function firstAt(
  { slack, mails }: Received,
  name: ChannelName,
  { job, world }: { readonly job: string; readonly world: Stage['world'] },
): number | null {
  const { alert_channel, operator_slack_user } = world.outside;
  const ofJob = {
    slack: slack.filter(({ channel, text }) => channel === alert_channel && text?.includes(job)),
    dm: slack.filter(({ user, text }) => user === operator_slack_user && text?.includes(job)),
    mail: mails.filter(({ text }) => text.includes(job)),
  }[name];
  return ofJob[0]?.at ?? null;
}

function wrongOn(name: ChannelName, { status, latency_ms, at_provider_ms }: Receipt): readonly string[] {
  const inTime = [latency_ms, at_provider_ms].every((ms) => ms !== null && ms <= TOLD_MS);
  return status === 'delivered' && inTime ? [] : [`${name}: ${status} after ${latency_ms} ms`];
}

/** What the operator does about it: the restart, and a look at the place that nobody can ask. */
async function mended({ screen, world }: Stage, job: Watch): Promise<void> {
  await restart(world.outside, CACHING_APP);
  screen.say(`\nthe operator restarts ${CACHING_APP}, as the alarm says`);
  const end = systemClock.monotonic() + RESTARTED_MS;
  while ((await healthOfApp(world.outside, CACHING_APP)) !== 401) {
    if (systemClock.monotonic() > end) refuse(`${CACHING_APP} was restarted and does not answer 401`);
    await pause(100);
  }
  const byHand = [...job.seen.rows.values()].filter((row) => row.validate_status === 'manual_required');
  for (const { consumer_id } of byHand) {
    const note = 'a run of the workflow after the revoke failed to log in';
    await job.act({ action: 'confirm_consumer', consumer_id, note });
    screen.say(`${consumer_id} is confirmed by hand: ${note}`);
  }
}

function printLockout({ screen }: Stage, { seen }: Watch, done: JobBody): void {
  screen.say('\nFrom the vendor’s confirmation to the first 401 of each consumer:');
  const lines = [...seen.rows.values()].map((row) => [row.consumer_id, lockedOutAfter(row), row.note ?? '']);
  for (const line of aligned(lines)) screen.say(line);
  screen.say(`  all of them: ${String(done['time_to_lockout_ms'])} ms`);
}

function lockedOutAfter({ lockout, validate_status }: RowView): string {
  const ms = lockout?.time_to_lockout_ms ?? null;
  return ms === null
    ? `${validate_status}, by a person's word`
    : `${ms} ms${lockout?.weak === true ? ' (weak)' : ''}`;
}
