// The typed environment of each process family: the only reader of process.env. Law: a family gets only what it needs, and no problem's text holds a value.
import { envReader, unknownNames } from './env-reader.ts';
import type { EnvReader, EnvSource, RedisEnv } from './env-reader.ts';
import { readAlarm } from './env-alarm.ts';
import type { AlarmEnv } from './env-alarm.ts';
import { readInfisicalPlace, readVault, vaultIsSet } from './env-vault.ts';
import type { InfisicalPlace, VaultEnv } from './env-vault.ts';
import { readFreescout, readVendors } from './env-vendors.ts';
import type { FreescoutEnv, VendorsEnv } from './env-vendors.ts';
import { isPair } from './seal-keys.ts';
import type { Secret } from './secret.ts';

export type { VaultEnv } from './env-vault.ts';

export type AppEnv = 'prod' | 'staging' | 'development';

export interface CommonEnv {
  readonly appEnv: AppEnv;
  readonly redis: RedisEnv;
  readonly manifestPath: string;
  /** Whether http to a loopback address is let through; never with `prod`. */
  readonly allowLoopback: boolean;
  readonly allowVolatileRedis: boolean;
  /** The Heroku app that this process runs in, where Heroku names it. */
  readonly velvetApp: string | null;
  readonly infisicalPlace: InfisicalPlace;
}

/** What the families have that work with values. */
export interface ValueEnv {
  readonly vault: VaultEnv;
  readonly fingerprintKey: Buffer;
}

export interface LinkEnv {
  /** Where the console is, without a slash at its end; null where links cannot be made. */
  readonly publicUrl: string | null;
}

export interface WebEnv extends CommonEnv, LinkEnv {
  /** What typed values are sealed with; null where it is not set, which is well as long as nothing is minted by hand. */
  readonly sealKey: Buffer | null;
  readonly host: string;
  readonly port: number;
  /** Whether every request comes through Heroku's router, whose word on the client's address is then believed. */
  readonly behindRouter: boolean;
}

export interface StageEnv extends CommonEnv, LinkEnv, AlarmEnv, ValueEnv, VendorsEnv {
  /** What they are opened with; null as for web. */
  readonly sealKey: Buffer | null;
  /** Null where FREESCOUT_URL is not set: then tickets are not looked up. */
  readonly freescout: FreescoutEnv | null;
  /** The seed of the Ed25519 key that seals are signed with: 32 bytes. */
  readonly auditSigningKey: Buffer;
  /** How long audit events are kept before they leave for the log. */
  readonly auditDays: number;
  /** What is called each minute while the fleet is whole; null where nobody listens. */
  readonly heartbeatUrl: string | null;
}

export interface DistributeEnv extends CommonEnv, AlarmEnv, ValueEnv, VendorsEnv {}

export interface HealthcheckEnv extends CommonEnv, AlarmEnv, ValueEnv {
  readonly probeKey: Secret | null;
}

export interface NotifierEnv extends CommonEnv, LinkEnv, AlarmEnv {}

/** Every part may be missing: each command asks for its own with `requireParts`. */
export interface CliEnv extends VendorsEnv {
  readonly url: string | null;
  readonly token: Secret | null;
  readonly appEnv: AppEnv | null;
  readonly redis: RedisEnv | null;
  readonly manifestPath: string;
  readonly allowLoopback: boolean;
  readonly allowVolatileRedis: boolean;
  readonly vault: VaultEnv | null;
  readonly fingerprintKey: Buffer | null;
  readonly velvetApp: string | null;
  readonly infisicalPlace: InfisicalPlace;
}

/** The release step gets the common part, after every family's was read: a bad deploy stops there. */
export type ReleaseEnv = CommonEnv;

export interface EnvByFamily {
  readonly web: WebEnv;
  readonly stage: StageEnv;
  readonly distribute: DistributeEnv;
  readonly healthcheck: HealthcheckEnv;
  readonly notifier: NotifierEnv;
  readonly cli: CliEnv;
  readonly release: ReleaseEnv;
}

export type Family = keyof EnvByFamily;

/** A faulty environment; `problems` holds all of them, each saying the variable and what to set it to, none with a value. */
export class EnvError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`The environment needs mending:\n${problems.map((problem) => `- ${problem}`).join('\n')}`);
    this.name = 'EnvError';
    this.problems = problems;
  }
}

/** The frozen environment of one family. Throws `EnvError` with every problem at once; an empty variable counts as not set. */
export function readEnv<F extends Family>(family: F, source: EnvSource = process.env): EnvByFamily[F] {
  const reader = envReader(source);
  for (const problem of unknownNames(source)) reader.problem(problem);
  const env = families[family](reader);
  if (reader.problems.length > 0) throw new EnvError(reader.problems);
  return frozen(env);
}

/** The CLI's environment, once the parts that a command names are known to be there; else an `EnvError` that says what to set. */
export function requireParts<P extends CliPart>(env: CliEnv, ...parts: readonly P[]): CliEnvWith<P> {
  const missing = parts.filter((part) => env[part] === null);
  if (missing.length > 0)
    throw new EnvError(missing.map((part) => `${cliParts[part]}; this command needs it.`));
  return env as CliEnvWith<P>;
}

export type CliPart = keyof typeof cliParts;
export type CliEnvWith<P extends CliPart> = CliEnv & { readonly [K in P]: NonNullable<CliEnv[K]> };

const cliParts = {
  url: 'VELVET_URL is not set: set it to the address of Velvet, e.g. https://velvet.example.com',
  token: 'VELVET_TOKEN is not set: set it to your service token',
  appEnv: 'APP_ENV is not set: set it to prod, staging or development',
  redis: 'REDIS_URL is not set: set it to redis://<host>:<port> or, with TLS, rediss://<host>:<port>',
  vault:
    "VELVET_FILE_VAULT_KEY is not set: set it to the vault's key, on the machine that has the vault's folder (never a dyno); with VELVET_VAULT=infisical set INFISICAL_CLIENT_ID, INFISICAL_CLIENT_SECRET and INFISICAL_PROJECT_ID",
  fingerprintKey: 'VELVET_FINGERPRINT_KEY is not set: set it to the key that the workers have',
} as const;

const families: { readonly [F in Family]: (reader: EnvReader) => EnvByFamily[F] } = {
  web: (reader) => ({
    ...readCommon(reader),
    ...readLinks(reader),
    // A dyno is reached from outside by Heroku's router; elsewhere only what runs on the same machine is let in.
    host: reader.onDyno ? '0.0.0.0' : '127.0.0.1',
    port: reader.port('PORT', 3000),
    sealKey: readSealKey(reader, 'VELVET_SEAL_PUBLIC_KEY'),
    behindRouter: reader.onDyno,
  }),
  stage: (reader) => ({
    ...readCommon(reader),
    ...readLinks(reader),
    ...readAlarm(reader),
    ...readValues(reader),
    ...readVendors(reader),
    sealKey: readSealKey(reader, 'VELVET_SEAL_PRIVATE_KEY'),
    freescout: readFreescout(reader),
    auditSigningKey: reader.key('VELVET_AUDIT_SIGNING_KEY'),
    // The specification's default: a year, and the weeks in which somebody asks about it.
    auditDays: reader.days('VELVET_AUDIT_DAYS', 400),
    heartbeatUrl: reader.pageUrl('HEARTBEAT_URL', { loopback: reader.get('VELVET_ALLOW_LOOPBACK') === '1' }),
  }),
  distribute: (reader) => ({
    ...readCommon(reader),
    ...readAlarm(reader),
    ...readValues(reader),
    ...readVendors(reader),
  }),
  healthcheck: (reader) => ({
    ...readCommon(reader),
    ...readAlarm(reader),
    ...readValues(reader),
    probeKey: reader.secret('VELVET_PROBE_KEY'),
  }),
  notifier: (reader) => ({ ...readCommon(reader), ...readLinks(reader), ...readAlarm(reader) }),
  cli: (reader) => {
    const ifSet = <T>(name: string, read: () => T) => (reader.get(name) === undefined ? null : read());
    return {
      ...readPlace(reader),
      url: reader.baseUrl('VELVET_URL', { loopback: true }),
      token: reader.secret('VELVET_TOKEN'),
      appEnv: ifSet('APP_ENV', () => readAppEnv(reader)),
      redis: ifSet('REDIS_URL', () => reader.redis('REDIS_URL')),
      vault: vaultIsSet(reader) ? readVault(reader) : null,
      fingerprintKey: ifSet('VELVET_FINGERPRINT_KEY', () => reader.key('VELVET_FINGERPRINT_KEY')),
      ...readVendors(reader),
    };
  },
  release: (reader) => {
    const [web, stage] = [families.web(reader), families.stage(reader)];
    for (const family of ['distribute', 'healthcheck', 'notifier'] as const) families[family](reader);
    // Each of them runs with the half that it has; only here are both seen.
    if (
      reader.problems.length === 0 &&
      web.sealKey !== null &&
      stage.sealKey !== null &&
      !isPair(web.sealKey, stage.sealKey)
    )
      reader.problem(
        'VELVET_SEAL_PUBLIC_KEY must be the other half of VELVET_SEAL_PRIVATE_KEY; `npx velvet keygen` prints both.',
      );
    return readCommon(reader);
  },
};

function readCommon(reader: EnvReader): CommonEnv {
  return { ...readPlace(reader), appEnv: readAppEnv(reader), redis: reader.redis('REDIS_URL') };
}

function readAppEnv(reader: EnvReader): AppEnv {
  return reader.choice('APP_ENV', ['prod', 'staging', 'development']);
}

function readPlace(reader: EnvReader): Omit<CommonEnv, 'appEnv' | 'redis'> {
  return {
    manifestPath: reader.get('VELVET_MANIFEST') ?? 'manifests/subscription-manifest.yml',
    allowLoopback: readAllowance(reader, 'VELVET_ALLOW_LOOPBACK'),
    allowVolatileRedis: readAllowance(reader, 'VELVET_ALLOW_VOLATILE_REDIS'),
    velvetApp: reader.get('HEROKU_APP_NAME') ?? null,
    infisicalPlace: readInfisicalPlace(reader),
  };
}

function readAllowance(reader: EnvReader, name: string): boolean {
  const allowed = reader.flag(name);
  if (allowed && reader.get('APP_ENV') === 'prod')
    reader.problem(`${name} is not allowed with APP_ENV=prod: remove it.`);
  return allowed;
}

function readLinks(reader: EnvReader): LinkEnv {
  // A link is followed by a person's browser, so http on the own machine is harmless wherever the variable makes sense at all.
  return { publicUrl: reader.baseUrl('VELVET_PUBLIC_URL', { loopback: reader.get('APP_ENV') !== 'prod' }) };
}

function readSealKey(
  reader: EnvReader,
  name: 'VELVET_SEAL_PUBLIC_KEY' | 'VELVET_SEAL_PRIVATE_KEY',
): Buffer | null {
  return reader.get(name) === undefined ? null : reader.key(name);
}

function readValues(reader: EnvReader): ValueEnv {
  return { vault: readVault(reader), fingerprintKey: reader.key('VELVET_FINGERPRINT_KEY') };
}

function frozen<T extends object>(env: T): T {
  // Bytes cannot be frozen, and a Secret has nothing that could be changed.
  for (const part of [env, ...Object.values(env)]) if (!Buffer.isBuffer(part)) Object.freeze(part);
  return env;
}
