// Where values lie, and Velvet's own identity at Infisical, out of the environment. Law: all that is missing is said at once.
import type { EnvReader } from './env-reader.ts';
import { Secret } from './secret.ts';

export interface FileVaultEnv {
  readonly kind: 'file';
  readonly dir: string;
  readonly key: Buffer;
  readonly folder: string;
}

export interface InfisicalEnv {
  /** Without a slash at its end. */
  readonly siteUrl: string;
  readonly clientId: string;
  readonly clientSecret: Secret;
  readonly projectId: string;
}

export interface InfisicalVaultEnv {
  readonly kind: 'infisical';
  readonly folder: string;
  readonly infisical: InfisicalEnv;
}

export type VaultEnv = FileVaultEnv | InfisicalVaultEnv;

/** What the manifest's rules must know of Velvet's own Infisical; nothing of it is secret. */
export interface InfisicalPlace {
  readonly host: string;
  /** Null where it is not set. */
  readonly projectId: string | null;
  readonly folder: string;
}

const cloud = 'https://app.infisical.com';
const folderDefault = '/velvet';
const identity = ['INFISICAL_CLIENT_ID', 'INFISICAL_CLIENT_SECRET', 'INFISICAL_PROJECT_ID'] as const;

/** Whether a vault is set up here at all, for commands that may need none. */
export function vaultIsSet(reader: EnvReader): boolean {
  if (reader.get('VELVET_VAULT') === 'infisical') return reader.get('INFISICAL_CLIENT_SECRET') !== undefined;
  // A dyno has no disk that a vault could lie on.
  return !reader.onDyno && reader.get('VELVET_FILE_VAULT_KEY') !== undefined;
}

export function readVault(reader: EnvReader): VaultEnv {
  const folder = readFolder(reader);
  const kind =
    reader.get('VELVET_VAULT') === undefined
      ? 'file'
      : reader.choice('VELVET_VAULT', ['file', 'infisical', 'ssm']);
  if (kind === 'infisical') {
    if (folder.includes('.'))
      reader.problem('VELVET_VAULT_FOLDER must have no dot in it: Infisical allows none in a folder.');
    return { kind, folder, infisical: readIdentity(reader) };
  }
  const dir = reader.get('VELVET_FILE_VAULT_DIR') ?? '.velvet/vault';
  return { kind: 'file', dir, key: readFileKey(reader, kind), folder };
}

/** Null where none of its variables is set; then rows that are written there have no authority. */
export function readInfisical(reader: EnvReader): InfisicalEnv | null {
  const asked = reader.get('VELVET_VAULT') === 'infisical' || identity.some((name) => reader.get(name));
  return asked ? readIdentity(reader) : null;
}

/** Reads over what is malformed: the families that use it say so. */
export function readInfisicalPlace(reader: EnvReader): InfisicalPlace {
  const site = URL.parse(reader.get('INFISICAL_SITE_URL') ?? cloud) ?? new URL(cloud);
  return {
    host: site.host,
    projectId: reader.get('INFISICAL_PROJECT_ID') ?? null,
    folder: reader.get('VELVET_VAULT_FOLDER') ?? folderDefault,
  };
}

function readFolder(reader: EnvReader): string {
  const folder = reader.get('VELVET_VAULT_FOLDER') ?? folderDefault;
  if (!/^(\/(?!\.{1,2}(\/|$))[A-Za-z0-9_.-]+)+$/.test(folder))
    reader.problem(
      'VELVET_VAULT_FOLDER must be a path like /velvet: a slash before each name, none at the end.',
    );
  return folder;
}

function readIdentity(reader: EnvReader): InfisicalEnv {
  const loopback = reader.get('VELVET_ALLOW_LOOPBACK') === '1';
  const plain = (name: (typeof identity)[number]): string => {
    const text = reader.get(name);
    if (text === undefined) reader.problem(missing(name));
    // It becomes part of a command that operators copy.
    else if (!/^[A-Za-z0-9_-]{1,64}$/.test(text))
      reader.problem(`${name} must be letters, digits, - and _ alone.`);
    return text ?? '';
  };
  const clientId = plain('INFISICAL_CLIENT_ID');
  const clientSecret = reader.secret('INFISICAL_CLIENT_SECRET');
  if (clientSecret === null) reader.problem(missing('INFISICAL_CLIENT_SECRET'));
  return {
    siteUrl: reader.baseUrl('INFISICAL_SITE_URL', { loopback }) ?? cloud,
    clientId,
    // After a problem a stand-in, as everywhere.
    clientSecret: clientSecret ?? new Secret('none'),
    projectId: plain('INFISICAL_PROJECT_ID'),
  };
}

const meanings = {
  INFISICAL_CLIENT_ID: "the client id of Velvet's machine identity",
  INFISICAL_CLIENT_SECRET: "the client secret of Velvet's machine identity",
  INFISICAL_PROJECT_ID: 'the id of the project that holds its folder',
} as const;

function missing(name: (typeof identity)[number]): string {
  return `${name} is not set: set it to ${meanings[name]}, at Infisical; the three belong together.`;
}

function readFileKey(reader: EnvReader, kind: 'file' | 'ssm'): Buffer {
  if (kind === 'ssm')
    reader.problem(
      'VELVET_VAULT must be file or infisical in this release: the ssm vault comes in a later one.',
    );
  else if (reader.onDyno)
    reader.problem(
      "VELVET_VAULT must not be file on a Heroku dyno: a dyno's file system is ephemeral, gone at each restart and seen by no other " +
        'dyno, and every value would be lost with it. Set it to infisical, or run the workers on a machine with a disk.',
    );
  else return reader.key('VELVET_FILE_VAULT_KEY');
  return Buffer.alloc(0);
}
