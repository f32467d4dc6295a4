// npm start: the whole of Velvet in the foreground, on the Redis of REDIS_URL or on one of its own. Law: what it started ends with it, Redis last.
import { mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Manifest } from '../shared/manifest/schema.ts';
import { demandInstallation, rememberRedis, type Environment } from './cli/installation.ts';
import { createCrew, doubling, readProcfile, type Crew } from './cli/processes.ts';
import { answering, demandRedisServer, freePort, redisCommand, servesFolder } from './cli/redis.ts';
import { checkSetUp } from './cli/release-check.ts';
import { note, refuse, runCommand, wordsFor } from './cli/say.ts';
import { onReasonToStop } from './cli/signals.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const redisDir = join(root, '.velvet', 'redis');
/** Heroku gives 30 s from SIGTERM to SIGKILL, and Velvet's processes need 25 s at most. */
const GRACE_MS = 28_000;
const REDIS_GRACE_MS = 10_000;
/** An append-only file of some hundred megabytes is read in a few seconds. */
const REDIS_READY_MS = 60_000;

const processes = readProcfile(join(root, 'Procfile'));
const width = Math.max(
  ...['velvet', 'redis', ...processes.map(({ name }) => name)].map((name) => name.length),
);
const print = (name: string, text: string) => void process.stdout.write(`${name.padEnd(width)} | ${text}\n`);
const say = (text: string) => print('velvet', text);
const crewOptions = {
  cwd: root,
  onLine: print,
  onEvent: (name: string, text: string) => say(`${name} ${text}`),
};
const crew = createCrew(crewOptions);
const redisCrew = createCrew(crewOptions);

await runCommand(async () => {
  process.chdir(root);
  stopOnSignals([
    [crew, GRACE_MS],
    [redisCrew, REDIS_GRACE_MS],
  ]);
  const { env: before, made, lastRedisUrl } = demandInstallation(root);
  if (made.length > 0)
    say(`made ${made.join(', ')} for a development installation; they are kept in .velvet/start.env`);
  try {
    const env = before['REDIS_URL'] === undefined ? await withOwnRedis(before, lastRedisUrl) : before;
    const { problems, manifest } = checkSetUp(env);
    if (problems.length > 0 || manifest === null)
      refuse(`Velvet cannot start:\n${problems.map((problem) => `- ${problem}`).join('\n')}`);
    say(whatRuns(env, manifest));
    for (const { name, command } of processes) crew.start({ name, command, env, againAfterMs: doubling });
  } catch (error) {
    await redisCrew.stop(REDIS_GRACE_MS);
    throw error;
  }
});

async function withOwnRedis(env: Environment, lastUrl: string | null): Promise<Environment> {
  demandRedisServer();
  mkdirSync(redisDir, { recursive: true, mode: 0o700 });
  if (lastUrl !== null && (await servesFolder(lastUrl, realpathSync(redisDir))))
    refuse(
      `Another \`npm start\` runs on ${redisDir} (${lastUrl}). Stop that one first; two on one folder would ruin it.`,
    );
  const port = await freePort(lastUrl === null ? 0 : Number(new URL(lastUrl).port));
  const url = `redis://127.0.0.1:${port}`;
  redisCrew.start({ name: 'redis', command: redisCommand(port, redisDir), env: {}, againAfterMs: doubling });
  await answering(url, REDIS_READY_MS);
  rememberRedis(root, url);
  say(`REDIS_URL=${url} (a redis-server of its own, data in .velvet/redis)`);
  return { ...env, REDIS_URL: url };
}

function whatRuns(env: Environment, manifest: Manifest): string {
  const appEnv = env['APP_ENV'] ?? '';
  const here = manifest.subscribers.filter((row) => row.env === appEnv).length;
  const others = [...new Set(manifest.subscribers.map((row) => row.env))].filter((one) => one !== appEnv);
  const rows =
    here > 0
      ? `${here} rows of the manifest are registered for it`
      : `the manifest registers nothing for it (only for ${others.join(', ') || 'no environment'}), so its credentials answer not_registered`;
  return `runs as APP_ENV=${appEnv}; ${rows}. API: http://127.0.0.1:${env['PORT'] ?? '3000'}`;
}

/** Stops everything in the order given and ends this process, after the first signal; a second one kills at once. */
function stopOnSignals(crews: readonly (readonly [Crew, graceMs: number])[]): void {
  let stopping = false;
  const stop = async (why: string) => {
    const impatient = stopping;
    stopping = true;
    say(impatient ? 'killing what is left' : `${why}: stopping, which takes ${GRACE_MS / 1000} s at most`);
    for (const [one, graceMs] of crews) await one.stop(impatient ? 0 : graceMs);
    process.exit();
  };
  const stopFor = (why: string) => {
    stop(why).catch((error: unknown) => {
      note(wordsFor(error));
      process.exit(1);
    });
  };
  onReasonToStop(stopFor);
  // `npm start | head`: nobody reads on, so there is nobody to run for.
  process.stdout.on('error', () => {
    if (!stopping) stopFor('the output was closed');
  });
}
