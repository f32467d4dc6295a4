// GitHub's repositories, environments and organisations, as far as they keep Actions secrets. Law: every scope has a key of its own, and a value is what its private key opens.
import sodium, { ready } from 'libsodium-wrappers';
import type { Clock } from '../../shared/lib/clock.ts';

export type Visibility = 'all' | 'private' | 'selected';

export interface GithubSecret {
  readonly name: string;
  /** What a workflow would see. */
  value: string;
  /** How often it came to hold another value. */
  changes: number;
  readonly createdAt: number;
  updatedAt: number;
  visibility: Visibility;
  selected: readonly number[];
}

export interface PutBody {
  readonly encrypted_value?: unknown;
  readonly key_id?: unknown;
  readonly visibility?: unknown;
  readonly selected_repository_ids?: unknown;
}

interface Pair {
  readonly publicKey: Uint8Array;
  readonly privateKey: Uint8Array;
}

/** Where secrets of one scope lie. */
export interface SecretStore {
  readonly keyId: string;
  /** Standard base64 of 32 bytes. */
  readonly key: string;
  readonly secrets: readonly GithubSecret[];
  find(name: string): GithubSecret | null;
  /** As if by a person, in the web interface. */
  set(name: string, value: string, audience?: Pick<GithubSecret, 'visibility' | 'selected'>): GithubSecret;
  put(name: string, body: PutBody): 'created' | 'updated' | 'refused';
  /** From now on another key, as GitHub may change it at any time. */
  rekey(): void;
  /** By name, as workflows see them. */
  values(): Readonly<Record<string, string>>;
}

export interface GithubOwner extends SecretStore {
  readonly id: number;
  readonly login: string;
}

export interface GithubRepo extends SecretStore {
  readonly id: number;
  owner: GithubOwner;
  name: string;
  readonly environments: Map<string, SecretStore>;
  /** `owner/name` in lower case, as it was called before. */
  readonly formerly: Set<string>;
}

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$/;
let lastKeyId = 3_380_189_982_652_154_000;

export async function createStore(clock: Clock): Promise<SecretStore> {
  await ready;
  const secrets: GithubSecret[] = [];
  let pair: Pair = sodium.crypto_box_keypair();
  let keyId = nextKeyId();
  const nowMs = (): number => Math.floor(clock.now() / 1000) * 1000;
  const find = (name: string): GithubSecret | null =>
    secrets.find((one) => one.name === name.toUpperCase()) ?? null;
  const set: SecretStore['set'] = (name, value, audience = { visibility: 'private', selected: [] }) => {
    const known = find(name);
    if (known !== null)
      return Object.assign(known, {
        value,
        ...audience,
        updatedAt: nowMs(),
        changes: known.changes + (known.value === value ? 0 : 1),
      });
    const made = { name: name.toUpperCase(), value, changes: 1, createdAt: nowMs(), updatedAt: nowMs() };
    secrets.push({ ...made, ...audience });
    return secrets.at(-1) as GithubSecret;
  };
  return {
    get keyId() {
      return keyId;
    },
    get key() {
      return Buffer.from(pair.publicKey).toString('base64');
    },
    secrets,
    find,
    set,
    put(name, body) {
      const value = body.key_id === keyId ? opened(body.encrypted_value, pair) : null;
      if (value === null) return 'refused';
      const before = find(name);
      set(name, value, audienceOf(body));
      return before === null ? 'created' : 'updated';
    },
    rekey() {
      pair = sodium.crypto_box_keypair();
      keyId = nextKeyId();
    },
    values: () => Object.fromEntries(secrets.map((one) => [one.name, one.value])),
  };
}

function nextKeyId(): string {
  lastKeyId += 4_096;
  return String(lastKeyId);
}

/** A PUT that says nothing of the chosen repositories leaves none of them: what the vendor's pages warn of. */
function audienceOf(body: PutBody): Pick<GithubSecret, 'visibility' | 'selected'> {
  const { visibility = 'private', selected_repository_ids: ids = [] } = body;
  return { visibility: visibility as Visibility, selected: ids as readonly number[] };
}

function opened(box: unknown, pair: Pair): string | null {
  if (typeof box !== 'string' || !base64.test(box)) return null;
  try {
    const bytes = sodium.crypto_box_seal_open(Buffer.from(box, 'base64'), pair.publicKey, pair.privateKey);
    return Buffer.from(bytes).toString('utf8');
  } catch {
    // Sealed to another key, or no box at all: GitHub refuses either.
    return null;
  }
}
