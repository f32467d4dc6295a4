// docs/sop/<CREDENTIAL>.md out of the manifest: the whole rotation by hand, for the day Velvet is down. Law: each command can be pasted as it stands.
import { credentialOf, rowsOf } from '../load.ts';
import type { Credential, Manifest, Subscriber } from '../schema.ts';
import { bootstrapCredentials, type BootstrapName } from '../vendors.ts';
import {
  consumerProcedure,
  infisicalIdentity,
  projectSetting,
  proofParts,
  proveCommand,
} from './consumers.ts';
import { issuerProcedure, type IssuerProcedure } from './issuers.ts';
import { block, printing, shellFunctions, variable, type ShellName } from './shell.ts';

/** Where a page is, in the repository and, with a slash in front, on the web process. */
export function sopPath(name: string): string {
  return `docs/sop/${name}.md`;
}

/** Every name that has a page: the credentials of the manifest, inactive ones included, and what Velvet itself lives on. */
export function sopNames(manifest: Manifest): readonly string[] {
  return [...manifest.credentials.map((one) => one.token_name), ...Object.keys(bootstrapCredentials)];
}

export const sopMark =
  '<!-- Generated from the manifest by `npm run sop`. Do not edit: change the manifest. -->';

/** The page of one name; null for a name that has none. */
export function sopPage(manifest: Manifest, name: string): string | null {
  if (isBootstrap(name)) return bootstrapPage(name);
  const credential = credentialOf(manifest, name);
  return credential === null ? null : credentialPage(credential, rowsOf(manifest, name));
}

export function isBootstrap(name: string): name is BootstrapName {
  return Object.hasOwn(bootstrapCredentials, name);
}

function bootstrapPage(name: BootstrapName): string {
  return pageOf(`Replace ${name} by hand`, [
    'Velvet itself lives on it and can never rotate it: the rotation would cut off the hand that makes it.',
    bootstrapCredentials[name].map((step, index) => `${index + 1}. ${step}`).join('\n'),
  ]);
}

function pageOf(title: string, parts: readonly string[]): string {
  return `${[sopMark, `# ${title}`, ...parts].join('\n\n')}\n`;
}

interface Section {
  readonly title: string;
  readonly parts: readonly string[];
}

function credentialPage(credential: Credential, rows: readonly Subscriber[]): string {
  const name = credential.token_name;
  const issuer = issuerProcedure(credential, rows);
  const start = startOf(credential, rows, issuer);
  const sections: readonly Section[] = [
    before(name, rows, start),
    { title: 'Verify the present token', parts: issuer.verify },
    { title: 'Make the new token', parts: [...mintInstructions(credential), ...issuer.mint] },
    { title: 'Put it into the vault', parts: intoVault(name, start) },
    { title: 'Write it to each consumer, and prove it', parts: consumers(rows) },
    { title: 'Revoke the old token', parts: revoke(issuer, rows) },
    { title: 'Write its id down', parts: writeHandle(name, issuer) },
    { title: 'Record it', parts: record(name, rows) },
  ];
  return pageOf(`Rotate ${name} by hand`, [
    introduction(credential, rows),
    ...sections.flatMap(({ title, parts }, index) => [`## ${index + 1}. ${title}`, ...parts]),
    '## If it goes wrong',
    goingBack(issuer),
  ]);
}

function introduction(credential: Credential, rows: readonly Subscriber[]): string {
  const inactive = credential.active
    ? ''
    : ' It is `active: false` in the manifest, so Velvet never rotates it: this page is the only way.';
  const each = envsOf(rows);
  const environments =
    credential.scope === 'per_env' && each.length > 1
      ? ` Each environment has a token of its own (${each.join(', ')}): go through the whole page for one, with the consumers marked with it, and then for the next.`
      : '';
  return `For the day Velvet is down, or must not do it. The old token stays as it is until every consumer is proven on the new one; up to step 6 all of it can be undone.${inactive}${environments}`;
}

function envsOf(rows: readonly Subscriber[]): readonly string[] {
  return [...new Set(rows.map((row) => row.env))];
}

// --- The steps -----------------------------------------------------------------------------------------------------

function before(name: string, rows: readonly Subscriber[], start: Start): Section {
  return {
    title: 'Before you begin',
    parts: [
      `Open a ticket, \`ROT-YYYY-${name}\`, and write into it what you do. If Velvet can be reached, see that no rotation of ${name} is open there, and abort one that is: two at once undo each other.`,
      tableOf(rows),
      'Do all of it in one `bash`, which keeps the values in variables: nothing below shows one or leaves one in the history, and no program gets one as an argument. You need `curl` and `node` there, nothing of Velvet. Each block is pasted as it stands; what a line must print stands behind it. If it prints anything else, stop and read on below it.',
      block(['set +o history', ...shellFunctions(start.functions), ...start.settings]),
    ],
  };
}

function tableOf(rows: readonly Subscriber[]): string {
  if (rows.length === 0)
    return 'The manifest registers no consumer. Find out who holds a copy before you replace it: whoever is forgotten is left on a dead token.';
  return [
    '| wave | consumer | environment | where the copy is | |',
    '|---|---|---|---|---|',
    ...rows.map(
      (row) =>
        `| ${row.wave} | ${row.consumer_id} | ${row.env} | ${consumerProcedure(row).place} | ${row.active ? '' : 'INACTIVE'} |`,
    ),
  ].join('\n');
}

/** What the page's shell has from its first step on. */
interface Start {
  readonly functions: readonly ShellName[];
  readonly settings: readonly string[];
}

function startOf(credential: Credential, rows: readonly Subscriber[], issuer: IssuerProcedure): Start {
  const own = rows.map(consumerProcedure);
  const [env = 'prod', ...others] = envsOf(rows);
  const environment =
    credential.scope === 'per_env' && others.length > 0
      ? "read -rp 'Environment: ' ENVIRONMENT"
      : `ENVIRONMENT=${env}`;
  const settings = [environment, ...issuer.settings, ...own.flatMap((one) => one.settings)];
  return {
    functions: [
      ...issuer.functions,
      ...own.flatMap((one) => one.functions),
      ...(rows.some((row) => row.healthcheck_endpoint !== null) ? (['prove'] as const) : []),
    ],
    settings: [...new Set(settings)],
  };
}

const infisicalVault = infisicalIdentity('INFISICAL_CLIENT_SECRET');
const folder = '"${VELVET_VAULT_FOLDER:-/velvet}"';
const slot = (name: string) =>
  `"$${infisicalVault.token}" "$INFISICAL_PROJECT_ID" "$ENVIRONMENT" ${folder} ${name}`;

/** What the manifest says of the making of a token, where it may say so. */
function mintInstructions(credential: Credential): readonly string[] {
  const text = 'instructions' in credential ? credential.instructions : undefined;
  return typeof text === 'string' ? [text] : [];
}

function intoVault(name: string, { functions, settings }: Start): readonly string[] {
  const needed = [
    'INFISICAL_SITE_URL="${INFISICAL_SITE_URL:-https://app.infisical.com}"',
    ...projectSetting(null),
    ...infisicalVault.login,
  ].filter((line) => !settings.includes(line));
  return [
    `So that it is not lost with your shell. **Where the vault is Infisical** (\`VELVET_VAULT=infisical\`), as Velvet's machine identity or another that may write there; Infisical keeps the earlier version:`,
    block(
      [
        ...shellFunctions(['same', 'infisical_login', 'infisical_put', 'infisical_get'], functions),
        ...needed,
        printing(`printf %s "$NEW" | infisical_put ${slot(name)}`, 'written'),
        printing(`same "$(infisical_get ${slot(name)})"`, 'same'),
      ],
      'infisical',
    ),
    `**Where the vault is Velvet's own folder of encrypted files**, in the folder of the installation, whose \`.env\` names Redis and holds the keys. It asks the issuer for the token's id and writes that down, too:`,
    block([printing(`printf %s "$NEW" | npx velvet adopt ${name}`, `adopted ${name}…`)], 'file'),
    `It needs Redis, and is refused while a job of ${name} is open (\`claimed\`). Then put the value into your team's password manager instead, go on, and come back to this block when Velvet runs again and that job is aborted.`,
  ];
}

function consumers(rows: readonly Subscriber[]): readonly string[] {
  if (rows.length === 0) return ['None is registered. Write it to whoever you found.'];
  const waves = new Set(rows.map((row) => row.wave)).size;
  const order =
    waves > 1
      ? 'In this order. A wave begins when every consumer of the one before is proven: what breaks then has broken where it costs least.'
      : 'In this order.';
  const mark = rows.some((row) => !row.active)
    ? ' An INACTIVE one is left out by Velvet; write it if it holds a copy.'
    : '';
  return [order + mark, ...rows.flatMap(consumer)];
}

function consumer(row: Subscriber): readonly string[] {
  return [
    `### Wave ${row.wave}: ${row.consumer_id} (${row.env})${row.active ? '' : ', INACTIVE'}`,
    ...(row.self ? ['This is the app that Velvet runs in; the write restarts it. Keep it last.'] : []),
    ...(row.instructions === undefined ? [] : [row.instructions]),
    ...consumerProcedure(row).write,
    ...proofParts(row),
  ];
}

function revoke(issuer: IssuerProcedure, rows: readonly Subscriber[]): readonly string[] {
  const asked = rows.filter((row) => row.active && row.healthcheck_endpoint !== null);
  const again =
    asked.length === 0
      ? ['See once more that everything works.']
      : [
          `Ask every consumer${envsOf(rows).length > 1 ? ' of this environment' : ''} once more. One that answers 401 now ran on the old token after all: write it again and restart it.`,
          block(asked.map((row) => printing(proveCommand(row), `${row.healthcheck_success_status} proven`))),
        ];
  return [
    '**This cannot be undone.** Only when every consumer above runs on the new value, and no job of Velvet is open that would put the old one back.',
    ...issuer.revoke,
    ...again,
  ];
}

function writeHandle(name: string, issuer: IssuerProcedure): readonly string[] {
  if (!issuer.named)
    return [
      `This vendor names its tokens by nothing but their value: there is none. Empty \`${name}__AUTH_ID\` in the vault if it is there.`,
    ];
  return [
    'It is not secret. With it Velvet can revoke the token the next time. In Infisical:',
    block(
      [printing(`printf %s "$NEW_ID" | infisical_put ${slot(`${name}__AUTH_ID`)}`, 'written')],
      'infisical',
    ),
    `In the vault of encrypted files \`npx velvet adopt\` did it in step 4; it said \`Its handle is …\`.`,
  ];
}

function record(name: string, rows: readonly Subscriber[]): readonly string[] {
  const secrets = [
    'OLD',
    'NEW',
    'ANSWER',
    ...rows.flatMap((row) =>
      'update_auth_token_name' in row && row.update_auth_token_name !== undefined
        ? [variable(row.update_auth_token_name)]
        : [],
    ),
    infisicalVault.token,
  ];
  return [
    `In the ticket: who, when, the ids of both tokens, for each consumer how it was proven, and what was otherwise than on this page. When Velvet runs again, and no job of ${name} is open, its own audit trail learns of it by the same \`npx velvet adopt ${name}\` as in step 4 (with Infisical, too): until then \`GET /tokens\` shows the earlier rotation as the last one.`,
    'Forget the values:',
    block([`unset ${[...new Set(secrets)].join(' ')}`, 'set -o history']),
  ];
}

function goingBack(issuer: IssuerProcedure): string {
  return [
    'Before step 6, a consumer that cannot be brought up on the new value:',
    '',
    '1. `SAVED="$NEW"; NEW="$OLD"`, and write it back to each consumer that has the new one, with the block of step 5; prove each, as there.',
    '2. Put the old value back into the vault, with the block of step 4.',
    `3. Then, and only then, revoke the new token, as in step 6, but ${issuer.named ? 'with `$NEW_ID` in place of `$OLD_ID`' : 'the new one'}; asked with \`$SAVED\` in place of \`$OLD\` it must be dead. \`unset SAVED\`.`,
    '',
    'After step 6 there is no way back: what still runs on the old token is locked out, and gets the new one by step 5.',
  ].join('\n');
}
