// npm run demo: one rotation from adoption to done, across real processes and simulated vendors, then Velvet goes on serving. `--once` ends instead, `--scenario runbook` adds what the runbook tells of.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../shared/lib/clock.ts';
import { note, refuse, runCommand } from './cli/say.ts';
import { onReasonToStop } from './cli/signals.ts';
import { createClient, pause, type Client } from './demo/client.ts';
import { valuesOutside } from './demo/outside.ts';
import { printByHand, printProofs, printTrail } from './demo/report.ts';
import { createScreen } from './demo/screen.ts';
import { filesBelow, redisDump, search, type Search } from './demo/secrets.ts';
import {
  createCrews,
  freshPlace,
  log,
  openWorld,
  startVelvet,
  velvet,
  type World,
} from './demo/stage-set.ts';
import { checkStream, runbook, type StreamCheck } from './demo/runbook.ts';
import { walk, type Walk } from './demo/walk.ts';

/** From SIGTERM until Velvet's processes must be gone; they need 25 s at most. */
const GRACE_MS = 28_000;
const ENV_FILE = '.velvet/demo.env';

const begunAt = systemClock.monotonic();
const root = fileURLToPath(new URL('..', import.meta.url));
const { values: asked } = parseArgs({
  options: { once: { type: 'boolean', default: false }, scenario: { type: 'string' } },
});
const { once } = asked;
if (asked.scenario !== undefined && asked.scenario !== 'runbook')
  refuse(`There is no scenario ${asked.scenario}; there is: runbook.`);
/** The consumer that fails in the runbook's scenario. */
const FAILING_APP = 'raxx-api-prod';
const place = freshPlace(root);
const screen = createScreen(process.stdout);
const crews = createCrews(place, screen);
const stop = new AbortController();
const ticketId = `ROT-${new Date(systemClock.now()).getUTCFullYear()}-HK_PLATFORM_FULL`;

onReasonToStop((why) => stop.abort(new Error(`stopped: ${why}`)));
const stopped = new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve()));

interface Outcome {
  readonly walked: Walk | null;
  readonly seconds: number;
  readonly found: Search | null;
  readonly stream: StreamCheck | null;
}

await runCommand(async () => {
  const outcome = { walked: null, seconds: 0, found: null, stream: null } as {
    -readonly [K in keyof Outcome]: Outcome[K];
  };
  let failed = true;
  try {
    const { world, client, token, second } = await standUp();
    const credential = world.outside.credential.name;
    outcome.walked = await walk({
      client,
      screen,
      credential,
      ticketId,
      signal: stop.signal,
      scenario:
        second && runbook({ screen, credential, second, webPid: () => crews.inner.pids().get('web') }),
    });
    outcome.seconds = secondsSinceStart();
    printTrail(screen, outcome.walked);
    printProofs(screen, outcome.walked.rows);
    outcome.stream = await checkStream(client, credential, outcome.walked);
    screen.say(streamWords(outcome.stream));
    await untilTold(outcome.walked);
    // Everything that is ever logged, the farewells included, is searched where nothing goes on afterwards.
    if (once) await crews.inner.stop(GRACE_MS);
    outcome.found = await searchEverywhere({ world, client, token, walked: outcome.walked });
    screen.say(`\n${wordsOf(outcome.found)}`);
    const { lost, doubled } = outcome.stream;
    failed = outcome.walked.status !== 'done' || outcome.found.hits + lost + doubled > 0;
    if (!once) await serve(world, failed);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    screen.say('stopped before the rotation had ended');
  } finally {
    if (!once || failed) screen.say('stopping');
    await crews.inner.stop(GRACE_MS);
    await crews.outer.stop(GRACE_MS);
    // Whoever stopped it has seen enough; a failure is to be looked into.
    if (failed && !stop.signal.aborted) screen.say(`the logs are in ${place.logDir}`);
    else rmSync(place.folder, { recursive: true, force: true });
    if (once) process.stdout.write(`${JSON.stringify(resultOf(outcome))}\n`);
    process.exitCode = failed ? 1 : 0;
  }
});

async function standUp(): Promise<{
  readonly world: World;
  readonly client: Client;
  readonly token: string;
  /** Of another person; in the runbook's scenario alone. */
  readonly second: Client | null;
}> {
  screen.say('starting Redis and the simulated vendors …');
  const inRunbook = asked.scenario === 'runbook';
  const world = await openWorld(place, crews, inRunbook ? ['--missing-app', FAILING_APP] : []);
  const { outside } = world;
  screen.say(`adopting the first value of ${outside.credential.name} …`);
  const adopted = await velvet(
    place,
    world.env,
    ['adopt', outside.credential.name],
    outside.credential.token,
  );
  log(place, 'velvet', adopted);
  log(place, 'velvet', await velvet(place, world.env, ['adopt', 'GH_APP_OPS_BOT'], outside.github_authority));
  startVelvet(place, crews, world);
  const wanted = [
    '--owner',
    'demo-operator',
    '--scopes',
    'rotate,admin',
    '--slack-user',
    outside.operator_slack_user,
  ];
  const token = await velvet(place, world.env, ['token', 'create', ...wanted]);
  writePrivately(join(root, ENV_FILE), `VELVET_URL=${world.url}\nVELVET_TOKEN=${token}\n`);
  const client = createClient(world.url, token, stop.signal);
  await untilHealthy(client);
  const another = ['--owner', 'demo-second-operator', '--scopes', 'rotate'];
  const second = inRunbook
    ? createClient(world.url, await velvet(place, world.env, ['token', 'create', ...another]), stop.signal)
    : null;
  const pids = [...crews.inner.pids()].map(([name, pid]) => `${name} ${pid}`).join(' · ');
  screen.say(`Velvet runs on ${world.url}: ${pids}`);
  screen.say(
    '(kill any of them with `kill -9 <pid>`: it is started again after 1 s, and the rotation ends all the same)',
  );
  return { world, client, token, second };
}

/** Web's own 503 is repeated by the client, so that this ends with the first answer that is another, or with the last one. */
async function untilHealthy(client: Client): Promise<void> {
  const health = await client.ask('GET', '/healthz');
  if (health.status !== 200)
    refuse(`Velvet is not well: ${JSON.stringify(health.body)}; see ${place.logDir}`);
}

/** The message is part of what is searched; a rotation does not depend on it, so neither does the demo. */
async function untilTold({ jobId }: Walk): Promise<void> {
  const end = systemClock.monotonic() + 5_000;
  const told = () =>
    logText('notifier')
      .split('\n')
      .some((line) => line.includes('operator told') && line.includes(jobId));
  while (!told() && systemClock.monotonic() < end) await pause(100);
  screen.say(told() ? '\nSlack: the operator was told.' : '\nSlack: no message was seen within 5 s.');
}

function logText(name: string): string {
  try {
    return readFileSync(join(place.logDir, `${name}.log`), 'utf8');
  } catch {
    // It has said nothing yet.
    return '';
  }
}

interface ToSearch {
  readonly world: World;
  readonly client: Client;
  readonly token: string;
  readonly walked: Walk;
}

async function searchEverywhere({ world, client, token, walked }: ToSearch): Promise<Search> {
  const { outside } = world;
  const atVendor = await valuesOutside(outside, world.updateKeys);
  const minted = atVendor.filter(
    (value) => value !== outside.credential.token && value !== outside.bootstrap_token,
  );
  if (minted.length === 0)
    refuse('the new token is not to be found at the vendor, so it could not be searched for');
  const places = {
    'Redis, every key': await redisDump(world.redisUrl),
    "Redis's append-only files": filesBelow(place.redisDir),
    'logs of all processes': filesBelow(place.logDir),
    'HTTP answers': Buffer.from(client.received()),
    'SSE streams': Buffer.from(client.streamed()),
    'what the demo printed': Buffer.from(screen.written()),
  };
  const values = [outside.credential.token, outside.bootstrap_token, ...minted, ...world.ownSecrets, token];
  return search(places, values, walked.jobId);
}

function streamWords({ events, lost, doubled }: StreamCheck): string {
  return `\nThe stream told ${events - lost} of the ${events} events in the audit trail, ${doubled} of them twice.`;
}

function wordsOf({ hits, where }: Search): string {
  return hits === 0
    ? 'No value was found in Redis, its files, any log, any answer or any stream.'
    : `VALUES WERE FOUND: ${where.join('; ')}`;
}

async function serve(world: World, failed: boolean): Promise<void> {
  if (failed) return;
  printByHand(screen, world.outside.credential.name, ticketId, ENV_FILE);
  await stopped;
}

function resultOf({ walked, seconds, found, stream }: Outcome): Record<string, unknown> {
  return {
    job_id: walked?.jobId ?? null,
    status: walked?.status ?? 'not_finished',
    consumers: walked?.rows.length ?? 0,
    waves: new Set(walked?.rows.map((row) => row.wave)).size,
    retried: walked?.retried ?? [],
    confirmed_by_hand: walked?.confirmed ?? [],
    stream,
    seconds: walked === null ? secondsSinceStart() : seconds,
    secret_hits: found?.hits ?? null,
  };
}

function secondsSinceStart(): number {
  return Math.round((systemClock.monotonic() - begunAt) / 100) / 10;
}

function writePrivately(file: string, text: string): void {
  rmSync(file, { force: true });
  writeFileSync(file, text, { flag: 'wx', mode: 0o600 });
  note(`wrote ${ENV_FILE}: VELVET_URL and VELVET_TOKEN, an admin's, readable by you alone`);
}
