// Reads single variables and gathers what is wrong with them. Law: a problem says the variable and what to set it to, never its value.
import { inspect } from 'node:util';
import { Secret } from './secret.ts';

export type EnvSource = Readonly<Record<string, string | undefined>>;

/** After a problem each verb answers with a stand-in of the right type; whoever reads must look at `problems` before using any. */
export interface EnvReader {
  readonly problems: readonly string[];
  /** Whether this is a Heroku dyno, which alone has DYNO. */
  readonly onDyno: boolean;
  /** An empty variable counts as not set: that is how an .env file leaves one out. */
  get(name: string): string | undefined;
  problem(text: string): void;
  choice<C extends string>(name: string, choices: readonly [C, ...C[]]): C;
  flag(name: string): boolean;
  secret(name: string): Secret | null;
  key(name: string): Buffer;
  port(name: string, fallback: number): number;
  /** A whole number of days, 1 to 36,500. */
  days(name: string, fallback: number): number;
  redis(name: string): RedisEnv;
  /** An address without a slash at its end. https; http where it is to a loopback address and `loopback` allows that. */
  baseUrl(name: string, options: { readonly loopback: boolean }): string | null;
  /** As `baseUrl`, of one page: whole, with path and query. */
  pageUrl(name: string, options: { readonly loopback: boolean }): string | null;
}

export interface RedisEnv {
  /** May hold a password: for the connection alone. The object prints without it. */
  readonly url: string;
  /** False on a Heroku dyno only, whose Key-Value Store has a self-signed certificate: encrypted, but the server is not authenticated. */
  readonly rejectUnauthorized: boolean;
}

export function envReader(source: EnvSource): EnvReader {
  const problems = new Set<string>();
  const get = (name: string) => (source[name] === '' ? undefined : source[name]);
  const problem = (text: string) => void problems.add(text);
  const onDyno = get('DYNO') !== undefined;

  return {
    get problems() {
      return [...problems];
    },
    onDyno,
    get,
    problem,
    choice(name, choices) {
      const found = choices.find((choice) => choice === get(name));
      if (found === undefined) problem(`${name} ${isOrMustBe(get(name))} ${listed(choices)}.`);
      return found ?? choices[0];
    },
    flag(name) {
      const text = get(name) ?? '0';
      if (text !== '0' && text !== '1') problem(`${name} must be 1, or left out.`);
      return text === '1';
    },
    secret(name) {
      const text = get(name);
      if (text !== undefined && text !== text.trim())
        problem(`${name} must be set without the white space around it.`);
      return text === undefined ? null : new Secret(text);
    },
    key(name) {
      const text = get(name);
      const key = Buffer.from(text ?? '', 'base64');
      if (!isKey(key, text))
        problem(`${name} ${isOrMustBe(text)} 32 random bytes in base64; \`npx velvet keygen\` prints one.`);
      return key;
    },
    port(name, fallback) {
      const text = get(name) ?? String(fallback);
      const port = Number(text);
      if (!/^\d{1,5}$/.test(text) || port > 65_535) problem(`${name} must be a port number, 0 to 65535.`);
      return port;
    },
    days(name, fallback) {
      const text = get(name) ?? String(fallback);
      const days = Number(text);
      if (!/^[1-9]\d{0,4}$/.test(text) || days > 36_500)
        problem(`${name} must be a whole number of days, 1 to 36500.`);
      return days;
    },
    redis(name) {
      const text = get(name);
      const url = text === undefined ? null : URL.parse(text);
      if (url === null || !/^rediss?:$/.test(url.protocol) || url.hostname === '')
        problem(`${name} ${isOrMustBe(text)} redis://<host>:<port> or, with TLS, rediss://<host>:<port>.`);
      return printsWithoutPassword({ url: text ?? '', rejectUnauthorized: !onDyno });
    },
    baseUrl(name, { loopback }) {
      const text = get(name);
      if (text === undefined) return null;
      const fault = baseUrlFault(URL.parse(text), loopback);
      if (fault !== null) problem(`${name} must be ${fault}.`);
      return text.replace(/\/+$/, '');
    },
    pageUrl(name, { loopback }) {
      const text = get(name);
      if (text === undefined) return null;
      const fault = pageUrlFault(URL.parse(text), loopback);
      if (fault !== null) problem(`${name} must be ${fault}.`);
      return text;
    },
  };
}

// Every VELVET_* name of the product, those that nothing reads yet included: one deployment's variables are seen by all its processes.
const known =
  `URL TOKEN MANIFEST ALLOW_LOOPBACK ALLOW_VOLATILE_REDIS AUDIT_DAYS PUBLIC_URL VAULT VAULT_FOLDER FILE_VAULT_DIR
  FILE_VAULT_KEY AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_ROLE_ARN FINGERPRINT_KEY SEAL_PUBLIC_KEY SEAL_PRIVATE_KEY
  AUDIT_SIGNING_KEY PROBE_KEY IMPERSONATION_KEY CA_CERT CA_KEY SESSION_KEY`
    .split(/\s+/)
    .map((name) => `VELVET_${name}`);

/** A problem for each VELVET_* variable that the product does not know. Those of another family are known, and nobody's problem. */
export function unknownNames(source: EnvSource): readonly string[] {
  return Object.keys(source)
    .filter((name) => name.startsWith('VELVET_') && !known.includes(name))
    .map((name) => {
      const meant = nearestKnown(name);
      return `${name} is unknown: remove it${meant === null ? '.' : `; did you mean ${meant}?`}`;
    });
}

function nearestKnown(name: string): string | null {
  const near = known
    .map((candidate) => ({ candidate, edits: editDistance(name, candidate) }))
    .toSorted((a, b) => a.edits - b.edits)[0];
  // 3: a swapped pair of letters and one more slip; beyond that a suggestion would be a guess.
  return near !== undefined && near.edits <= 3 ? near.candidate : null;
}

function isOrMustBe(text: string | undefined): string {
  return text === undefined ? 'is not set: set it to' : 'must be';
}

function listed(choices: readonly string[]): string {
  return `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`;
}

// Node reads over what is not base64; only what reads back the same was meant.
function isKey(key: Buffer, text: string | undefined): boolean {
  return key.length === 32 && key.toString('base64').replace('=', '') === text?.replace('=', '');
}

/** What an address must be instead, or null where it is fine. */
function baseUrlFault(url: URL | null, loopback: boolean): string | null {
  if (url === null || !isSafe(url, loopback)) return safeAddress(loopback);
  const bare = url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  return bare ? null : 'an address alone, without user, password, query or fragment';
}

function pageUrlFault(url: URL | null, loopback: boolean): string | null {
  if (url === null || !isSafe(url, loopback)) return safeAddress(loopback);
  const bare = url.username === '' && url.password === '' && url.hash === '';
  return bare ? null : 'an address without user, password or fragment';
}

function isSafe(url: URL, loopback: boolean): boolean {
  return url.protocol === 'https:' || (loopback && url.protocol === 'http:' && isLoopback(url.hostname));
}

function safeAddress(loopback: boolean): string {
  return `an https address${loopback ? ', or http to a loopback address' : ''}`;
}

export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

function printsWithoutPassword(redis: RedisEnv): RedisEnv {
  const shown = () => ({ ...redis, url: redis.url.replace(/\/\/.*@/s, '//[secret]@') });
  // Not enumerable, so that a copy by spread is plain data.
  return Object.defineProperties(redis, { toJSON: { value: shown }, [inspect.custom]: { value: shown } });
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (const [index, letter] of a.split('').entries()) {
    const next = [index + 1];
    for (let column = 1; column <= b.length; column += 1) {
      const change = (row[column - 1] ?? 0) + (letter === b[column - 1] ? 0 : 1);
      next.push(Math.min(change, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
