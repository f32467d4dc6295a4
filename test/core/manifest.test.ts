// The manifest's loader: each mistake with its place and a word of help, and all of them at once.
import { describe, expect, test } from 'vitest';
import { loadManifest, ManifestError, parseManifest } from '../../shared/manifest/load.ts';
import { bootstrapCredentials, issuers } from '../../shared/manifest/vendors.ts';
import { at, edited, good, problemsOf, strict } from './manifest-text.ts';

type Case = readonly [name: string, from: string, to: string, line: number, column: number, message: string];

const endpoint = 'https://api.heroku.com/apps/first-app/config-vars';

// oxfmt-ignore
const shapeCases: readonly Case[] = [
  ['an unknown key of the file', 'version: 2', 'version: 2\nowner: ops', 2, 1, '`owner` is not known here; the keys here are version, credentials, subscribers'],
  ['an unknown key of a credential', 'scope: shared', 'scop: shared', 6, 5, '`scop` is not known here; the keys here are issuer'],
  ['an unknown key of a row', 'wave: 2', 'waves: 2', 21, 5, '`waves` is not known here'],
  ['an unknown key within rotation', 'entropy: high', 'entropy: high\n    rotation: { every_days: 9, auto_until: verified, until: x }', 8, 54, '`until` is not known here; the keys here are every_days, at, auto_until'],
  ['another version', 'version: 2', 'version: 1', 1, 10, '`version` must be 2'],
  ['a missing version', 'version: 2\n', '', 1, 1, '`version` is missing'],
  ['a missing list', good.slice(good.indexOf('subscribers:')), '', 1, 1, '`subscribers` is missing; add it'],
  ['a list that is none', 'credentials:\n', 'credentials: x\nrest:\n', 2, 14, '`credentials` must be a list'],
  ['a missing key', '    consumer_id: first\n', '', 9, 5, '`consumer_id` is missing; add it (What the row is called'],
  ['a missing entropy', '    entropy: high\n', '', 3, 5, '`entropy` is missing'],
  ['a missing authority', '    issuer_auth_token_name: HK_BOSS\n', '', 3, 5, '`issuer_auth_token_name` is missing'],
  ['a missing method', '    update_method: HEROKU_CONFIG_PATCH\n', '', 9, 5, '`update_method` is missing; write one of HEROKU_CONFIG_PATCH, GITHUB_SECRET_PUT'],
  ['an unknown method', 'HEROKU_CONFIG_PATCH', 'HEROKU_PATCH', 12, 20, '`update_method` must be one of HEROKU_CONFIG_PATCH, GITHUB_SECRET_PUT'],
  ['an unknown issuer', 'issuer: heroku-oauth', 'issuer: heroku', 4, 13, '`issuer` must be one of heroku-oauth, aws-iam'],
  ['an empty value', 'env: prod', 'env:', 11, 9, '`env` must be prod or staging or development'],
  ['another environment', 'env: prod', 'env: production', 11, 10, '`env` must be prod or staging or development; mend it (The environment'],
  ['another scope', 'scope: shared', 'scope: all', 6, 12, '`scope` must be shared or per_env'],
  ['a wave of zero', 'wave: 2', 'wave: 0', 21, 11, '`wave` must be at least 1'],
  ['half a wave', 'wave: 2', 'wave: 1.5', 21, 11, '`wave` must be a whole number'],
  ['a wave in words', 'wave: 2', 'wave: two', 21, 11, '`wave` must be a whole number'],
  ['a long settle window', 'entropy: high', 'settle_seconds: 61\n    entropy: high', 7, 21, '`settle_seconds` must be at most 60'],
  ['a yes for a true', 'entropy: high', 'two_person: yes\n    entropy: high', 7, 17, '`two_person` must be true or false'],
  ['a time of day that is none', 'entropy: high', 'entropy: high\n    rotation: { every_days: 9, at: 25:00, auto_until: verified }', 8, 36, 'write a time of day'],
  ['a name with a colon', 'consumer_id: first', 'consumer_id: "a:b"', 10, 18, 'a name is 1 to 120 letters'],
  ['a name of 121 letters', 'consumer_id: first', `consumer_id: ${'a'.repeat(121)}`, 10, 18, 'a name is 1 to 120 letters'],
  ['a name that climbs', 'consumer_id: first', 'consumer_id: ..', 10, 18, 'does not begin with `.`'],
  ['a number for a name', 'consumer_id: first', 'consumer_id: 7', 10, 18, '`consumer_id` must be text'],
  ['a config var with a dash', 'update_key: API_KEY', 'update_key: API-KEY', 14, 17, 'a config var is letters'],
  ['an address that is none', endpoint, 'api.heroku.com', 13, 22, 'write a whole address, beginning with https://'],
  ['an address of another kind', 'https://first.example.com', 'ftp://first.example.com', 16, 27, 'write a whole address'],
  ['a redirect as success', 'update_key: API_KEY', 'healthcheck_success_status: 302\n    update_key: API_KEY', 14, 33, '`healthcheck_success_status` must be at most 299'],
  ['an unknown capability', '[update, healthcheck]', '[update, health]', 17, 28, 'an entry of `capabilities` must be update or healthcheck'],
  ['an unknown grade', 'update_key: API_KEY', 'proof: read_back\n    update_key: API_KEY', 14, 12, '`proof` must be possession'],
];

// oxfmt-ignore
const ruleCases: readonly Case[] = [
  ['http', 'https://first.', 'http://first.', 16, 27, 'only https is called'],
  ['http to a loopback address', 'https://first.example.com', 'http://127.0.0.1:9', 16, 27, 'VELVET_ALLOW_LOOPBACK=1'],
  ['http to the vendor', 'https://api.heroku.com', 'http://api.heroku.com', 13, 22, 'only https is called'],
  ['a password in an address', 'https://first.', 'https://me:pass@first.', 16, 27, 'no user or password'],
  ["another host than the vendor's", 'https://api.heroku.com', 'https://api.heroku.com.example.com', 13, 22, 'writes to api.heroku.com only, not to api.heroku.com.example.com'],
  ["another port of the vendor's host", 'https://api.heroku.com', 'https://api.heroku.com:8443', 13, 22, 'writes to api.heroku.com only'],
  ['a loopback host for the vendor', 'https://api.heroku.com', 'https://localhost', 13, 22, 'writes to api.heroku.com only'],
  ['another path', '/apps/first-app/config-vars', '/apps/first-app/dynos', 13, 22, 'the path must be /apps/<app>/config-vars'],
  ["a name that is no app's", '/apps/first-app/', '/apps/First_App/', 13, 22, 'the path must be /apps/<app>/config-vars'],
  ['a query behind the path', '/apps/first-app/config-vars', '/apps/first-app/config-vars?x=1', 13, 22, 'nothing behind it'],
  ['two rows of one id', 'consumer_id: second', 'consumer_id: first', 19, 18, 'HK_ONE has a row first for prod already'],
  ['no update', '[update]', '[]', 27, 19, '`update` is missing'],
  ['an endpoint without healthcheck', '[update, healthcheck]', '[update]', 17, 19, '`healthcheck` is missing'],
  ['healthcheck without an endpoint', '[update]', '[update, healthcheck]', 27, 19, '`healthcheck` needs a `healthcheck_endpoint`'],
  ['a capability twice', '[update]', '[update, update]', 27, 19, 'named twice'],
  ['a credential that is not declared', '- token_name: HK_ONE\n    consumer_id: first', '- token_name: HK_TWO\n    consumer_id: first', 9, 17, 'HK_TWO is not declared'],
  ['rows of two environments for a shared token', 'env: prod\n    wave: 2', 'env: staging\n    wave: 2', 20, 10, 'HK_ONE is shared, so all its rows must be of one env, and first is prod'],
  ['a credential that is its own authority', 'issuer_auth_token_name: HK_BOSS', 'issuer_auth_token_name: HK_ONE', 5, 29, 'cannot be its own authority'],
  ['a row written with the credential itself', 'update_auth_token_name: HK_BOSS', 'update_auth_token_name: HK_ONE', 15, 29, 'cannot be its own authority'],
  ['an issuer for later', 'issuer: heroku-oauth', 'issuer: aws-iam', 4, 13, 'this release cannot carry out the issuer aws-iam yet; leave the credential out, or set `active: false`'],
  ['a method for later', 'HEROKU_CONFIG_PATCH', 'SSM_PUT', 12, 20, 'this release cannot carry out SSM_PUT yet; leave the row out, or set `active: false`'],
  ['possession of something guessable', 'update_key: API_KEY', 'proof: possession\n    update_key: API_KEY', 14, 12, 'would let anyone test guesses'],
  ['possession without an endpoint', 'healthcheck_endpoint: null', 'healthcheck_endpoint: null\n    proof: possession', 27, 12, 'asked of a health endpoint, and there is none'],
  ['a mint without a first person', 'entropy: high', 'two_person: true\n    rotation: { every_days: 9, auto_until: validated }\n    entropy: high', 8, 44, '`two_person` would have no first person'],
  ["a slot's name", '- token_name: HK_ONE\n    issuer', '- token_name: HK_ONE__AUTH_ID\n    issuer', 3, 17, 'a vault slot'],
];

describe('mistakes in the shape', () => {
  test.for(shapeCases)('%s', ([, from, to, line, column, message]) => {
    const problems = problemsOf(edited(from, to));
    // What follows from a mistake (a row without its credential, say) may be named after it.
    const here = problems.filter((problem) => problem.line === line && problem.column === column);
    expect(here).toEqual(at([line, column, message]));
  });
});

describe('mistakes beyond the shape', () => {
  test.for(ruleCases)('%s', ([name, from, to, line, column, message]) => {
    const text =
      name === 'possession of something guessable' ? edited('entropy: high', 'entropy: low') : good;
    const here = problemsOf(edited(from, to, text)).filter((problem) => problem.line === line);
    expect(here).toEqual(at([line, column, message]));
  });

  test('a credential that is declared twice', () => {
    const twice = good.slice(good.indexOf('  - token_name'), good.indexOf('subscribers'));
    expect(problemsOf(edited('subscribers:', `${twice}subscribers:`))).toEqual(
      at([8, 17, 'HK_ONE is declared twice']),
    );
  });

  test.for(Object.keys(bootstrapCredentials))('%s, which Velvet lives on, as a credential', (name) => {
    const text = good.replaceAll('token_name: HK_ONE', `token_name: ${name}`);
    expect(problemsOf(text)).toEqual(at([3, 17, `${name} is one of Velvet's own bootstrap credentials`]));
    expect(problemsOf(edited('entropy: high', 'entropy: high\n    active: false', text))).toEqual(
      at([3, 17, 'can never be rotated']),
    );
  });

  test('an issuer that replaces the old token is refused with the reason', () => {
    const replaces = {
      ...issuers,
      'heroku-oauth': { ...issuers['heroku-oauth'], overlap: 'replaces' as const },
    };
    expect(problemsOf(good, { ...strict, issuers: replaces })).toEqual(
      at([4, 13, 'nothing could be proven before the old one is gone']),
    );
  });
});

describe('the app that Velvet runs in', () => {
  const own = { ...strict, velvetApp: 'first-app' };

  test('is no consumer without `self: true`', () => {
    expect(problemsOf(good, own)).toEqual(at([13, 22, 'first-app is the app that Velvet runs in']));
  });

  test('comes last', () => {
    const self = edited('update_key: API_KEY', 'self: true\n    wave: 2\n    update_key: API_KEY');
    expect(problemsOf(self, own)).toEqual(
      at([15, 11, 'it must come last, and second is in wave 2; write wave 3 or later']),
    );
    expect(problemsOf(edited('wave: 2\n    update_key', 'wave: 3\n    update_key', self), own)).toEqual([]);
  });

  test('keeps what Velvet lives on', () => {
    const text = edited(
      'update_key: API_KEY',
      'self: true\n    wave: 3\n    update_key: HK_VELVET_BOOTSTRAP',
    );
    expect(problemsOf(text, own)).toEqual(at([16, 17, 'HK_VELVET_BOOTSTRAP is what Velvet itself lives on']));
  });
});

describe('rows in Infisical', () => {
  const address = 'https://app.infisical.com/api/v4/secrets?secretPath=/apps/mail';
  const row = edited(
    `update_method: HEROKU_CONFIG_PATCH\n    update_endpoint: ${endpoint}`,
    `update_method: INFISICAL_WRITE\n    update_endpoint: ${address}`,
  );
  const to = (other: string) => edited(address, other, row);
  const host = 'https://app.infisical.com/api/v4/secrets';

  test('need no authority of their own: without one it is the machine identity of Velvet', () => {
    const text = edited('    update_auth_token_name: HK_BOSS\n', '', row);
    expect(problemsOf(text)).toEqual([]);
    expect(parseManifest(text, 'm.yml', strict).subscribers[0]).toMatchObject({
      update_auth_token_name: 'INFISICAL_CLIENT_SECRET',
      healthcheck_after: 0,
    });
  });

  test('may name environment and project, and a folder called like the beginning of ours', () => {
    expect(problemsOf(to(`${host}?secretPath=/a/b-c&environment=staging&projectId=p-1`))).toEqual([]);
    expect(problemsOf(to(`${host}?secretPath=/`))).toEqual([]);
    expect(problemsOf(to(`${host}?secretPath=/velvet-mail`))).toEqual([]);
  });

  test.for([
    ['another path', 'https://app.infisical.com/api/v3/secrets/raw?secretPath=/a', 'behind the host belongs'],
    ['no folder', host, 'behind the host belongs'],
    ['a folder that climbs', `${host}?secretPath=/a/../velvet`, 'behind the host belongs'],
    ['a slash at the end', `${host}?secretPath=/a/`, 'behind the host belongs'],
    ['a folder twice', `${host}?secretPath=/a&secretPath=/b`, 'each part once'],
    ['another part', `${host}?secretPath=/a&type=personal`, 'behind the host belongs'],
    ['another host', address.replace('app.', 'eu.'), 'writes to app.infisical.com only'],
    ["Velvet's own folder", `${host}?secretPath=/velvet`, "is Velvet's own folder"],
    ["what lies below Velvet's own folder", `${host}?secretPath=/velvet/a`, "is Velvet's own folder"],
  ] as const)('are refused with %s', ([, other, message]) => {
    expect(problemsOf(to(other))).toEqual(at([13, 22, message]));
  });

  test('go by where Velvet really is: its host, its folder, its project', () => {
    const infisicalPlace = { host: 'vault.example.com', projectId: 'p-1', folder: '/ops/velvet' };
    const own = { ...strict, infisicalPlace };
    const there = (rest: string) => to(`https://vault.example.com/api/v4/secrets?secretPath=${rest}`);
    expect(problemsOf(row, own)).toEqual(at([13, 22, 'writes to vault.example.com only']));
    expect(problemsOf(there('/velvet'), own)).toEqual([]);
    expect(problemsOf(there('/ops/velvet'), own)).toEqual(at([13, 22, "is Velvet's own folder"]));
    expect(problemsOf(there('/ops/velvet&projectId=p-2'), own)).toEqual([]);
  });

  test('have a key that is a name', () => {
    expect(problemsOf(edited('update_key: API_KEY', 'update_key: A B', row))).toEqual(
      at([14, 17, 'the name of a secret is letters']),
    );
  });
});

describe('the file itself', () => {
  test('each key that is there twice, beside other mistakes', () => {
    const text = edited('wave: 2', 'wave: 0', edited('env: prod', 'env: prod\n    env: prod'));
    expect(problemsOf(text)).toEqual(
      at([12, 5, 'this key is here twice'], [22, 11, '`wave` must be at least 1']),
    );
  });

  test('a syntax that cannot be read', () => {
    expect(problemsOf(edited('[update]', '[update')).slice(0, 1)).toEqual(
      at([28, 1, 'not readable as YAML']),
    );
    expect(problemsOf(edited('env: prod', 'env: *prod'))).toEqual(at([11, 10, 'an alias is not taken here']));
    expect(problemsOf(edited('env: prod', 'env: !where prod'))).toEqual(at([11, 10, 'not readable as YAML']));
  });

  test('an empty one', () => {
    expect(problemsOf('# nothing yet\n')).toEqual(at([1, 1, 'the manifest is empty']));
    expect(problemsOf('')).toEqual(at([1, 1, 'the manifest is empty']));
    expect(problemsOf('- 1\n')).toEqual(at([1, 1, 'the manifest must be a mapping of keys']));
  });

  test('one that is not there', () => {
    expect(() => loadManifest('/nowhere/m.yml', strict)).toThrow(
      /^\/nowhere\/m.yml:1:1: the manifest cannot be read \(ENOENT\); check the path/,
    );
  });

  test('an alias, since a row must be readable where it stands', () => {
    const text = edited('env: prod', 'env: &where prod');
    expect(problemsOf(edited('env: prod\n    wave', 'env: *where\n    wave', text))).toEqual(
      at([20, 10, 'an alias is not taken here']),
    );
    expect(problemsOf('&all [*all]')).toEqual(at([1, 7, 'an alias is not taken here']));
  });
});

test('all mistakes are reported at once, in the order of the file, one per line', () => {
  const text = [
    ['issuer: heroku-oauth', 'issuer: heroku'],
    ['scope: shared', 'scope: all'],
    ['HEROKU_CONFIG_PATCH', 'HEROKU'],
    ['env: prod\n    update', 'env: nowhere\n    update'],
    ['wave: 2', 'wave: 2\n    waves: 3'],
    ['apps/second-app', 'app/second-app'],
    ['[update]', '[healthcheck]'],
  ].reduce((text, [from = '', to = '']) => edited(from, to, text), good);

  const problems = problemsOf(text);
  expect(problems).toEqual(
    at(
      [4, 13, '`issuer` must be one of'],
      [6, 12, '`scope` must be'],
      [11, 10, '`env` must be'],
      [12, 20, '`update_method` must be one of'],
      [22, 5, '`waves` is not known here'],
      [24, 22, 'the path must be'],
      [28, 19, '`update` is missing'],
      [28, 19, '`healthcheck` needs'],
    ),
  );
  const lines = new ManifestError(problems).message.split('\n');
  expect(lines).toHaveLength(8);
  expect(lines[0]).toMatch(/^m\.yml:4:13: `issuer` must be one of/);
});

test('no message repeats a value: somebody may have pasted a secret', () => {
  const secret = 'HRKU-0b1f0c5e';
  for (const key of [
    'update_key: API_KEY',
    'env: prod',
    'capabilities: [update, healthcheck]',
    'issuer: heroku-oauth',
    `update_endpoint: ${endpoint}`,
  ]) {
    const text = edited(key, `${key.split(':', 1)[0]}: ${secret}`);
    expect(problemsOf(text)).not.toEqual([]);
    expect(JSON.stringify(problemsOf(text))).not.toContain(secret);
  }
});
