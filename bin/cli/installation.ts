// The environment of this checkout: what is set, else .env, else — in development alone — what `npm start` made once.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseEnv } from 'node:util';
import { newKeys } from './keygen.ts';

export type Environment = Readonly<Record<string, string>>;

/** Beside the embedded Redis and the vault that it belongs to, and as private as they are. */
const madeFile = '.velvet/start.env';

/** For a command: reads, makes nothing. The Redis of a running `npm start` is found by it too. */
export function installationEnv(folder: string): Environment {
  const given = givenEnv(folder);
  return isDevelopment(given) ? { ...readIfThere(join(folder, madeFile)), ...given } : given;
}

const sealPair = ['VELVET_SEAL_PUBLIC_KEY', 'VELVET_SEAL_PRIVATE_KEY'] as const;

export interface Installation {
  readonly env: Environment;
  /** The keys that were made just now; where the list is not empty, this is a new installation. */
  readonly made: readonly string[];
  /** Where the embedded Redis was last time. */
  readonly lastRedisUrl: string | null;
}

/** For `npm start`: what is missing is made once and kept. Only for development; elsewhere a missing key is a mistake to be told. */
export function demandInstallation(folder: string): Installation {
  const given = givenEnv(folder);
  if (!isDevelopment(given)) return { env: given, made: [], lastRedisUrl: null };
  const file = join(folder, madeFile);
  const { REDIS_URL: lastRedisUrl = null, ...before } = readIfThere(file);
  const wanted = { APP_ENV: 'development', ...newKeys() };
  const isThere = (name: string) => before[name] !== undefined || given[name] !== undefined;
  // Half of a pair that was made fits no half that was given.
  const hasHalf = sealPair.some(isThere);
  const made = Object.fromEntries(
    Object.entries(wanted).filter(
      ([name]) => !isThere(name) && !(hasHalf && sealPair.some((half) => half === name)),
    ),
  );
  const kept = { ...made, ...before };
  if (Object.keys(made).length > 0) write(file, kept, lastRedisUrl);
  const keys = Object.keys(made).filter((name) => name !== 'APP_ENV');
  return { env: { ...kept, ...given }, made: keys, lastRedisUrl };
}

/** So that commands find the embedded Redis, and the next start takes the same port. */
export function rememberRedis(folder: string, url: string): void {
  const file = join(folder, madeFile);
  const { REDIS_URL: _, ...kept } = readIfThere(file);
  write(file, kept, url);
}

function givenEnv(folder: string): Environment {
  return { ...readIfThere(join(folder, '.env')), ...filled(process.env) };
}

function isDevelopment(env: Environment): boolean {
  return env['APP_ENV'] === undefined || env['APP_ENV'] === 'development';
}

function readIfThere(file: string): Environment {
  return existsSync(file) ? filled(parseEnv(readFileSync(file, 'utf8'))) : {};
}

/** An empty variable counts as not set, as it does for every process of Velvet. */
function filled(source: NodeJS.Dict<string>): Environment {
  const entries = Object.entries(source).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== '',
  );
  return Object.fromEntries(entries);
}

function write(file: string, env: Environment, redisUrl: string | null): void {
  const lines = Object.entries({ ...env, ...(redisUrl === null ? {} : { REDIS_URL: redisUrl }) });
  const text = [
    '# Made by `npm start` for the development installation in this folder; what is set elsewhere, or in .env, wins.',
    ...lines.map(([name, value]) => `${name}=${value}`),
    '',
  ].join('\n');
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const half = `${file}.${process.pid}`;
  writeFileSync(half, text, { mode: 0o600, flag: 'wx' });
  renameSync(half, file);
}
