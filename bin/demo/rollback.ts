// A rotation that has to be taken back: it is distributed, one consumer breaks on the new value, and `abort` with `restore` puts everybody back on the old one.
import { fileVault } from '../../workers/vault/file.ts';
import { slots } from '../../workers/vault/contract.ts';
import { pause } from './client.ts';
import { healthOfApp, isLive, received, valuesOutside } from './outside.ts';
import { aligned, printTrail } from './report.ts';
import { streamWords, wrongInStream } from './rotation.ts';
import { checkStream } from './runbook.ts';
import type { RowView } from './screen.ts';
import type { Stage, Story } from './story.ts';
import { watch, type Watch } from './watch.ts';
import { created } from './walk.ts';

/** Answers 500 while it runs on any other token than the first. */
const BREAKING_APP = 'raxx-console-prod';
const BREAKING = 'heroku-config-console-prod';
const STEP_MS = 60_000;
/** Nothing is written back before the last lease and the vendor's late application are over. */
const BACK_MS = 150_000;

export const rollback: Story = {
  wishes: {
    simulated: ['--breaking-app', BREAKING_APP],
    haste: { settle_seconds: 3, healthcheck_after: 3 },
  },

  async tell(stage) {
    const { client, screen, credential, world } = stage;
    const jobId = await created(stage);
    screen.say(`job ${jobId} created`);
    const job = await watch(stage, { credential, jobId });
    try {
      const fresh = await broken(stage, job);
      await job.act({ action: 'abort', restore: true });
      screen.say(`${BREAKING} does not work with the new value: abort, and everything back to the old one`);
      const ended = await job.until(
        ({ cleanup }) => cleanup === 'done' || cleanup === 'needs_person',
        BACK_MS,
        'everybody to be back',
      );
      await job.end();
      const { trail } = job.seen;
      const rows = [...job.seen.rows.values()];
      printTrail(screen, { trail });
      const stream = await checkStream(client, credential, { jobId, trail });
      screen.say(streamWords(stream));
      const wrong = await wrongAfter(stage, { rows, fresh });
      const left = await inVault(stage);
      screen.say(
        `\nIn the vault, beside the current value: ${left.length === 0 ? 'nothing' : left.join(', ')}.`,
      );
      await untilTold(stage, jobId);
      return {
        result: {
          job_id: jobId,
          status: ended['status'],
          cleanup: ended['cleanup'],
          consumers: rows.length,
          back_on_old: rows.filter((row) => row.holds === 'old').map((row) => row.consumer_id),
          residual: ended['residual'],
          left_in_vault: left,
          stream,
        },
        wrong: [
          ...(ended['cleanup'] === 'done' ? [] : [`the cleanup ended ${String(ended['cleanup'])}`]),
          ...left.map((slot) => `${slot} is left in the vault`),
          ...wrong,
          ...wrongInStream(stream),
        ],
        witness: jobId,
        values: fresh,
        async morePlaces() {
          const { slack, mails } = await received(world.outside);
          // Nobody writes a mail about an abort; what came is searched with what Slack has.
          const texts = [
            ...slack.map(({ text }) => text),
            ...mails.map(({ raw, text }) => `${raw}\n${text}`),
          ];
          return { 'Slack messages and mails': Buffer.from(texts.join('\n')) };
        },
      };
    } finally {
      await job.over();
    }
  },
};

/** Up to the moment in which somebody sees that it went wrong. Answers with the new values that are about. */
async function broken({ screen, world }: Stage, job: Watch): Promise<readonly string[]> {
  const { outside } = world;
  await job.act({ action: 'verify' });
  await job.until(({ status }) => status === 'verified', STEP_MS, 'verified');
  await job.act({ action: 'proceed_mint' });
  await job.until(({ status }) => status === 'validating', STEP_MS, 'every consumer to be written');
  const failing = () => job.seen.rows.get(BREAKING)?.probe?.http_status === 500;
  await job.until(failing, STEP_MS, `${BREAKING} to fail`);
  const old = [outside.credential.token, outside.bootstrap_token];
  const fresh = (await valuesOutside(outside, world.updateKeys)).filter((value) => !old.includes(value));
  const holding = [...job.seen.rows.values()].filter((row) => row.holds === 'new').length;
  screen.say(
    `${holding} of ${job.seen.rows.size} consumers hold the new value; ${BREAKING} answers 500 with it`,
  );
  return [...new Set(fresh)];
}

async function wrongAfter(
  { screen, world }: Stage,
  { rows, fresh }: { readonly rows: readonly RowView[]; readonly fresh: readonly string[] },
): Promise<readonly string[]> {
  const { outside } = world;
  const { token } = outside.credential;
  const held = await valuesOutside(outside, world.updateKeys);
  const [oldLives, ...newLive] = await Promise.all([token, ...fresh].map((value) => isLive(outside, value)));
  const healths = await Promise.all(
    outside.apps.map(async ({ app }) => [app, await healthOfApp(outside, app)] as const),
  );
  screen.say('\nWhere everybody is after it:');
  for (const line of aligned(rows.map((row) => [row.consumer_id, `holds ${row.holds}`]))) screen.say(line);
  for (const line of aligned(healths.map(([app, status]) => [app, `answers ${status}`]))) screen.say(line);
  return [
    ...rows.filter((row) => row.holds !== 'old').map((row) => `${row.consumer_id} holds ${row.holds}`),
    ...healths.filter(([, status]) => status !== 200).map(([app, status]) => `${app} answers ${status}`),
    ...(oldLives === true ? [] : ['the old token does not work']),
    ...(fresh.length === 1 ? [] : [`${fresh.length} new values were seen, not one`]),
    ...(newLive.includes(true) ? ['the new token still works'] : []),
    ...(held.some((value) => fresh.includes(value)) ? ['an app still holds the new value'] : []),
  ];
}

/** Slots of the rotation. */
async function inVault({ world, credential }: Stage): Promise<readonly string[]> {
  const { APP_ENV = '', VELVET_FILE_VAULT_DIR = '', VELVET_FILE_VAULT_KEY = '' } = world.env;
  const key = Buffer.from(VELVET_FILE_VAULT_KEY, 'base64');
  const vault = fileVault({ dir: VELVET_FILE_VAULT_DIR, key, folder: '/velvet', env: APP_ENV });
  const prefixes = [slots.pendingPrefix(credential), slots.previousPrefix(credential)];
  return (await Promise.all(prefixes.map((prefix) => vault.list(prefix)))).flat();
}

async function untilTold({ screen, world }: Stage, jobId: string): Promise<void> {
  const told = async () => (await received(world.outside)).slack.some(({ text }) => text?.includes(jobId));
  for (let n = 0; n < 50 && !(await told()); n++) await pause(100);
  screen.say((await told()) ? '\nSlack: the operator was told.' : '\nSlack: no message was seen within 5 s.');
}
