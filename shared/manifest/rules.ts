// What a manifest must keep beyond its shape: rules over whole entries, over a credential's rows, and over the file.
import type { OwnInfisical } from './infisical-rules.ts';
import type { Credential, Subscriber } from './schema.ts';
import { checkAddress, checkTarget } from './target-rules.ts';
import {
  bootstrapNames,
  issuers,
  laterIssuers,
  laterMethods,
  type IssuerFacts,
  type IssuerName,
} from './vendors.ts';

export interface RuleOptions {
  /** Whether http, and hosts other than the vendor's own, are let through on a loopback address. Tests and the demo. */
  readonly allowLoopback: boolean;
  /** The Heroku app that Velvet runs in, where it is known. */
  readonly velvetApp?: string | null;
  /** Velvet's own Infisical; the cloud's, with the default folder, unless given. */
  readonly infisicalPlace?: OwnInfisical;
  /** The issuers' facts; another table where the table itself is under test. */
  readonly issuers?: Readonly<Record<IssuerName, IssuerFacts>>;
}

export type Path = readonly (string | number)[];
/** A mistake at the value of `path`, or at its key. */
export type Report = (path: Path, message: string, at?: 'key' | 'value') => void;

/** An entry whose shape is right, and where it stands in the file's list. */
export interface Entry<T> {
  readonly index: number;
  readonly value: T;
}

export interface Entries {
  readonly credentials: readonly Entry<Credential>[];
  readonly rows: readonly Entry<Subscriber>[];
  /** Every declared name, faulty credentials' included. */
  readonly declared: ReadonlySet<string>;
}

/** Reports each broken rule at the value that breaks it. Entries with a wrong shape are not looked at. */
export function checkRules(entries: Entries, options: RuleOptions, report: Report): void {
  const known = new Map(entries.credentials.map(({ value }) => [value.token_name, value]));
  entries.credentials.forEach((entry) => checkCredential(entry, options, report));
  for (const entry of entries.rows) {
    checkRow(entry, options, report);
    checkRowAgainst(known.get(entry.value.token_name), entry, entries.declared, report);
  }
  checkUnique(entries, report);
  checkScopes(entries.rows, known, report);
  checkSelfIsLast(entries.rows, report);
}

// --- One credential ------------------------------------------------------------------------------------------------

function checkCredential({ index, value }: Entry<Credential>, options: RuleOptions, report: Report): void {
  const at = (key: string): Path => ['credentials', index, key];
  checkCredentialName(value.token_name, at('token_name'), report);
  if (value.issuer_auth_token_name === value.token_name) {
    report(
      at('issuer_auth_token_name'),
      `a credential cannot be its own authority: a dead ${value.token_name} could then never be replaced; name another token`,
    );
  }
  if (value.two_person && value.rotation?.auto_until === 'validated') {
    report(
      [...at('rotation'), 'auto_until'],
      '`auto_until: validated` mints by itself, so `two_person` would have no first person; write `verified`, or `two_person: false`',
    );
  }
  if (value.issuer === 'OPERATOR_MANUAL')
    checkAddress(value.verify.url, [...at('verify'), 'url'], options, report);
  if (!value.active) return;

  if (isLater(laterIssuers, value.issuer)) {
    report(
      at('issuer'),
      `this release cannot carry out the issuer ${value.issuer} yet; leave the credential out, or set \`active: false\` on it`,
    );
  } else if ((options.issuers ?? issuers)[value.issuer].overlap === 'replaces') {
    report(
      at('issuer'),
      `${value.issuer} ends the old token when it makes the new one, so nothing could be proven before the old one is gone; rotate it by hand, and set \`active: false\` here`,
    );
  }
}

function checkCredentialName(name: string, path: Path, report: Report): void {
  if (bootstrapNames.has(name)) {
    report(
      path,
      `${name} is one of Velvet's own bootstrap credentials and can never be rotated by it; leave it out; \`POST /tokens/${name}/rotate\` answers with the procedure by hand`,
    );
  }
  // `NAME__PENDING_…` and its like are slots of the credential NAME in the vault.
  if (/__PENDING_|__PREVIOUS_|__AUTH_ID$/.test(name)) {
    report(
      path,
      `\`${name}\` is what a vault slot of another credential is called; choose a name without __PENDING_, __PREVIOUS_ and __AUTH_ID`,
    );
  }
}

// --- One row -------------------------------------------------------------------------------------------------------

function checkRow({ index, value }: Entry<Subscriber>, options: RuleOptions, report: Report): void {
  const at = (key: string): Path => ['subscribers', index, key];
  const endpoint = value.healthcheck_endpoint;
  if (endpoint !== null) checkAddress(endpoint, at('healthcheck_endpoint'), options, report);
  checkCapabilities(value, at('capabilities'), report);
  if (value.proof === 'possession' && endpoint === null) {
    report(
      at('proof'),
      '`proof: possession` is asked of a health endpoint, and there is none; give the row its `healthcheck_endpoint`, or leave `proof` out',
    );
  }
  if ('update_auth_token_name' in value && value.update_auth_token_name === value.token_name) {
    report(
      at('update_auth_token_name'),
      `a credential cannot be its own authority: a dead ${value.token_name} could then not be written; name another token`,
    );
  }
  checkTarget(value, at, options, report);
}

function checkCapabilities(row: Subscriber, path: Path, report: Report): void {
  const { capabilities, healthcheck_endpoint: endpoint } = row;
  if (!capabilities.includes('update')) {
    report(
      path,
      '`update` is missing: a row that cannot be updated would be left on a revoked token; add it, or remove the row',
    );
  }
  if (endpoint !== null && !capabilities.includes('healthcheck')) {
    report(
      path,
      'there is a `healthcheck_endpoint`, but `healthcheck` is missing; add it, or set the endpoint to null',
    );
  }
  if (endpoint === null && capabilities.includes('healthcheck')) {
    report(path, '`healthcheck` needs a `healthcheck_endpoint`; give one, or take `healthcheck` out');
  }
  if (new Set(capabilities).size !== capabilities.length)
    report(path, 'a capability is named twice; name it once');
}

function checkRowAgainst(
  credential: Credential | undefined,
  { index, value }: Entry<Subscriber>,
  declared: ReadonlySet<string>,
  report: Report,
): void {
  const at = (key: string): Path => ['subscribers', index, key];
  if (!declared.has(value.token_name)) {
    report(
      at('token_name'),
      `${value.token_name} is not declared under \`credentials\`; declare it there, or mend the name`,
    );
  }
  if (value.proof === 'possession' && credential?.entropy === 'low') {
    report(
      at('proof'),
      `${value.token_name} has \`entropy: low\`: an endpoint that answers challenges would let anyone test guesses; leave \`proof\` out`,
    );
  }
  if (value.active && credential?.active !== false && isLater(laterMethods, value.update_method)) {
    report(
      at('update_method'),
      `this release cannot carry out ${value.update_method} yet; leave the row out, or set \`active: false\` on it`,
    );
  }
}

// --- Rows together -------------------------------------------------------------------------------------------------

function checkUnique({ credentials, rows }: Entries, report: Report): void {
  const names = new Set<string>();
  for (const { index, value } of credentials) {
    if (names.has(value.token_name))
      report(['credentials', index, 'token_name'], `${value.token_name} is declared twice; keep one`);
    names.add(value.token_name);
  }
  const ids = new Set<string>();
  for (const { index, value } of rows) {
    const id = `${value.token_name} ${value.env} ${value.consumer_id}`;
    if (ids.has(id)) {
      report(
        ['subscribers', index, 'consumer_id'],
        `${value.token_name} has a row ${value.consumer_id} for ${value.env} already; give each row its own id`,
      );
    }
    ids.add(id);
  }
}

function checkScopes(rows: Entries['rows'], known: ReadonlyMap<string, Credential>, report: Report): void {
  const first = new Map<string, Subscriber>();
  for (const { index, value } of rows) {
    if (known.get(value.token_name)?.scope !== 'shared') continue;
    const other = first.get(value.token_name) ?? value;
    first.set(value.token_name, other);
    if (value.env !== other.env) {
      report(
        ['subscribers', index, 'env'],
        `${value.token_name} is shared, so all its rows must be of one env, and ${other.consumer_id} is ${other.env}: a rotation there would leave this one on a revoked token; write ${other.env}, or \`scope: per_env\``,
      );
    }
  }
}

function checkSelfIsLast(rows: Entries['rows'], report: Report): void {
  for (const { index, value } of rows.filter((row) => row.value.self)) {
    const later = rows.find(
      (row) =>
        !row.value.self &&
        row.value.token_name === value.token_name &&
        row.value.env === value.env &&
        row.value.wave >= value.wave,
    );
    if (later === undefined) continue;
    report(
      ['subscribers', index, 'wave'],
      `writing this row restarts Velvet, so it must come last, and ${later.value.consumer_id} is in wave ${later.value.wave}; write wave ${later.value.wave + 1} or later`,
    );
  }
}

function isLater<T extends string>(words: readonly T[], word: string): word is T {
  return (words as readonly string[]).includes(word);
}
