// npm run demo: one scenario across real processes and simulated vendors, then Velvet goes on serving; `--once` ends instead. Without `--scenario` it is one rotation from adoption to done.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../shared/lib/clock.ts';
import { note, refuse, runCommand } from './cli/say.ts';
import { onReasonToStop } from './cli/signals.ts';
import { createClient, type Client } from './demo/client.ts';
import { leak } from './demo/leak.ts';
import { valuesOutside } from './demo/outside.ts';
import { printByHand } from './demo/report.ts';
import { rollback } from './demo/rollback.ts';
import { rotation } from './demo/rotation.ts';
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
import type { Story, Told } from './demo/story.ts';

/** From SIGTERM until Velvet's processes must be gone; they need 25 s at most. */
const GRACE_MS = 28_000;
const ENV_FILE = '.velvet/demo.env';

const scenarios: Readonly<Record<string, Story>> = {
  rotation: rotation({ asRunbook: false }),
  runbook: rotation({ asRunbook: true }),
  leak,
  rollback,
};

const begunAt = systemClock.monotonic();
const root = fileURLToPath(new URL('..', import.meta.url));
const { values: asked } = parseArgs({
  options: {
    once: { type: 'boolean', default: false },
    scenario: { type: 'string', default: 'rotation' },
  },
});
const { once } = asked;
const story =
  (Object.hasOwn(scenarios, asked.scenario) ? scenarios[asked.scenario] : undefined) ??
  refuse(`There is no scenario ${asked.scenario}; there are: ${Object.keys(scenarios).join(', ')}.`);
const place = freshPlace(root);
const screen = createScreen(process.stdout);
const crews = createCrews(place, screen);
const stop = new AbortController();
const ticketId = `ROT-${new Date(systemClock.now()).getUTCFullYear()}-HK_PLATFORM_FULL`;

onReasonToStop((why) => stop.abort(new Error(`stopped: ${why}`)));
const stopped = new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve()));

interface Outcome {
  readonly told: Told | null;
  readonly seconds: number;
  readonly found: Search | null;
}

await runCommand(async () => {
  const outcome = { told: null, seconds: 0, found: null } as {
    -readonly [K in keyof Outcome]: Outcome[K];
  };
  let failed = true;
  try {
    const { world, client, token } = await standUp();
    outcome.told = await story.tell({
      world,
      client,
      screen,
      signal: stop.signal,
      credential: world.outside.credential.name,
      ticketId,
      second: () => secondPerson(world),
      pids: () => crews.inner.pids(),
      logText,
    });
    outcome.seconds = secondsSinceStart();
    // Everything that is ever logged, the farewells included, is searched where nothing goes on afterwards.
    if (once) await crews.inner.stop(GRACE_MS);
    outcome.found = await searchEverywhere({ world, client, token, told: outcome.told });
    screen.say(`\n${wordsOf(outcome.found)}`);
    for (const line of outcome.told.wrong) screen.say(`NOT AS IT SHOULD BE: ${line}`);
    failed = outcome.told.wrong.length + outcome.found.hits > 0;
    if (!once) await serve(world, failed);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    screen.say('stopped before the scenario had ended');
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
}> {
  screen.say('starting Redis and the simulated vendors …');
  const world = await openWorld(place, crews, story.wishes);
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
  const pids = [...crews.inner.pids()].map(([name, pid]) => `${name} ${pid}`).join(' · ');
  screen.say(`Velvet runs on ${world.url}: ${pids}`);
  screen.say('(kill any of them with `kill -9 <pid>`: it is started again after 1 s, and all ends the same)');
  return { world, client, token };
}

async function secondPerson({ env, url }: World): Promise<Client> {
  const wanted = ['--owner', 'demo-second-operator', '--scopes', 'rotate'];
  return createClient(url, await velvet(place, env, ['token', 'create', ...wanted]), stop.signal);
}

/** Web's own 503 is repeated by the client, so that this ends with the first answer that is another, or with the last one. */
async function untilHealthy(client: Client): Promise<void> {
  const health = await client.ask('GET', '/healthz');
  if (health.status !== 200)
    refuse(`Velvet is not well: ${JSON.stringify(health.body)}; see ${place.logDir}`);
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
  readonly told: Told;
}

async function searchEverywhere({ world, client, token, told }: ToSearch): Promise<Search> {
  const { outside } = world;
  const known = [outside.credential.token, outside.bootstrap_token];
  const values = [...(await valuesOutside(outside, world.updateKeys)), ...told.values];
  if (values.every((value) => known.includes(value)))
    refuse('the new token is not to be found at the vendor, so it could not be searched for');
  const places = {
    'Redis, every key': await redisDump(world.redisUrl),
    "Redis's append-only files": filesBelow(place.redisDir),
    'logs of all processes': filesBelow(place.logDir),
    'HTTP answers': Buffer.from(client.received()),
    'SSE streams': Buffer.from(client.streamed()),
    'what the demo printed': Buffer.from(screen.written()),
    ...(await told.morePlaces()),
  };
  return search(places, [...known, ...values, ...world.ownSecrets, token], told.witness);
}

function wordsOf({ hits, where }: Search): string {
  return hits === 0
    ? 'No value was found in Redis, its files, any log, any answer, any stream or any message.'
    : `VALUES WERE FOUND: ${where.join('; ')}`;
}

async function serve(world: World, failed: boolean): Promise<void> {
  if (failed) return;
  printByHand(screen, world.outside.credential.name, ticketId, ENV_FILE);
  await stopped;
}

function resultOf({ told, seconds, found }: Outcome): Record<string, unknown> {
  return {
    scenario: asked.scenario,
    ...(told?.result ?? { job_id: null, status: 'not_finished' }),
    seconds: told === null ? secondsSinceStart() : seconds,
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
