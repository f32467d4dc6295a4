// velvet token create: a service token, straight into Redis, for whoever holds REDIS_URL. The first one has to come from somewhere.
import { isoTime, systemClock } from '../../shared/lib/clock.ts';
import { requireParts, type CliEnv } from '../../shared/lib/env.ts';
import { createSystemStore } from '../../shared/redis/system-store.ts';
import { loadManifest } from '../../shared/manifest/load.ts';
import { namingNothing } from '../../api/auth.ts';
import { newTokenBody } from '../../api/schemas.ts';
import { withRedis } from './redis.ts';
import { note, refuse } from './say.ts';

export interface TokenOptions {
  readonly owner: string;
  readonly scopes: string;
  readonly credentials?: string;
  readonly expiresIn: string;
  readonly name?: string;
  readonly slackUser?: string;
}

const optionOf: Readonly<Record<string, string>> = {
  owner: '--owner',
  scopes: '--scopes',
  credentials: '--credentials',
  expires_in: '--expires-in',
  name: '--name',
  slack_user_id: '--slack-user',
};

/** Prints the token, this once, alone on stdout; what else there is to say goes to stderr. Refuses what the API would refuse. */
export async function createServiceToken(env: CliEnv, options: TokenOptions): Promise<void> {
  const parsed = newTokenBody.safeParse({
    name: options.name ?? options.owner,
    owner: options.owner,
    scopes: listOf(options.scopes),
    expires_in: secondsOf(options.expiresIn),
    ...(options.credentials === undefined ? {} : { credentials: listOf(options.credentials) }),
    ...(options.slackUser === undefined ? {} : { slack_user_id: options.slackUser }),
  });
  if (!parsed.success) {
    const faults = parsed.error.issues.map(
      (issue) => `${optionOf[String(issue.path[0])] ?? 'an option'}: ${issue.message}`,
    );
    refuse(
      `Nothing was made. Mend ${faults.join('; ')}. \`npx velvet token create --help\` shows an example.`,
    );
  }
  const { data } = parsed;
  if (data.credentials !== undefined) demandNamed(env, data.credentials);
  const now = systemClock.now();
  const made = await withRedis(requireParts(env, 'redis'), (redis) =>
    createSystemStore(redis).createToken({
      name: data.name,
      owner: data.owner,
      scopes: [...new Set(data.scopes)],
      credentials: data.credentials ?? null,
      slack_user_id: data.slack_user_id ?? null,
      created_at: now,
      expires_at: now + data.expires_in * 1000,
    }),
  );
  const { record } = made;
  note(
    `Token ${record.id} of ${record.owner}: ${record.scopes.join(', ')}, for ${record.credentials?.join(', ') ?? 'every credential'}, until ${isoTime(record.expires_at)}. It is shown this once.`,
  );
  process.stdout.write(`${made.token}\n`);
}

/** A pattern that names nothing makes a token that may do nothing, or not what its owner thinks. */
function demandNamed(env: CliEnv, patterns: readonly string[]): void {
  const { manifestPath, allowLoopback, velvetApp, infisicalPlace } = env;
  const manifest = loadManifest(manifestPath, { allowLoopback, velvetApp, infisicalPlace });
  const nothing = namingNothing(patterns, manifest);
  if (nothing.length === 0) return;
  const names = manifest.credentials.map(({ token_name }) => token_name);
  refuse(
    `Nothing was made. --credentials: ${nothing.join(', ')} names no credential of ${manifestPath}; it has ${names.join(', ')}.`,
  );
}

function listOf(text: string): readonly string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 };

function secondsOf(text: string): number {
  const [, count, unit] = /^(\d+)([smhdw])$/.exec(text) ?? [];
  const seconds = Number(count) * (unitSeconds[unit ?? ''] ?? Number.NaN);
  if (Number.isSafeInteger(seconds)) return seconds;
  return refuse('--expires-in is a number with a unit: 12h, 30d, 8w; a year (365d) at most.');
}
