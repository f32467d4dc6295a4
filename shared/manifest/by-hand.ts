// The whole rotation of one credential by hand, from the manifest: for the day Velvet is down, and for what it must not rotate.
import { githubPlaceOf, herokuAppOf, infisicalFolderOf, type GithubPlace } from './addresses.ts';
import { credentialOf, rowsOf } from './load.ts';
import type { ActiveRow, Credential, Manifest, Subscriber } from './schema.ts';
import {
  bootstrapCredentials,
  destinations,
  issuers,
  type BootstrapName,
  type IssuerName,
  type UpdateMethod,
} from './vendors.ts';

type RowOf<M extends UpdateMethod> = Extract<ActiveRow, { readonly update_method: M }>;

/**
 * Numbered steps as markdown, consumer by consumer, inactive rows included and marked; `env` narrows them to one
 * environment. For a bootstrap credential its own procedure; for an unknown name a sentence that says so.
 */
export function manualProcedure(manifest: Manifest, name: string, env?: string): string {
  if (isBootstrap(name))
    return numbered(
      `Replace ${name} by hand. Velvet itself lives on it and can never rotate it.`,
      bootstrapCredentials[name],
    );
  const credential = credentialOf(manifest, name);
  if (credential === null)
    return `${name} is not in the manifest: find out who uses it before you replace it, and register them in manifests/subscription-manifest.yml.\n`;

  const rows = rowsOf(manifest, name).filter((row) => env === undefined || row.env === env);
  const inactive = credential.active
    ? ''
    : ' It is `active: false` in the manifest: Velvet does not rotate it.';
  return numbered(`Rotate ${name} by hand (${describeScope(credential, rows)}).${inactive}`, [
    ...prepare(credential, rows),
    ...rows.map((row) => writeStep(row)),
    ...finish(credential, rows),
  ]);
}

function numbered(title: string, steps: readonly string[]): string {
  return `${title}\n\n${steps.map((step, index) => `${index + 1}. ${step.replaceAll('\n', '\n   ')}`).join('\n')}\n`;
}

function isBootstrap(name: string): name is BootstrapName {
  return Object.hasOwn(bootstrapCredentials, name);
}

function isCarriedOut(issuer: string): issuer is IssuerName {
  return Object.hasOwn(issuers, issuer);
}

function describeScope(credential: Credential, rows: readonly Subscriber[]): string {
  const count = `${rows.length} ${rows.length === 1 ? 'consumer' : 'consumers'}`;
  return `${count}, ${credential.scope === 'shared' ? 'one token for all environments' : 'one token for each environment'}`;
}

function prepare(credential: Credential, rows: readonly Subscriber[]): string[] {
  const name = credential.token_name;
  const envs = [...new Set(rows.map((row) => row.env))];
  const steps = [
    `Open a ticket, \`ROT-YYYY-${name}\`. If Velvet can be reached, see that no rotation of ${name} is open there, and abort one that is: two rotations at once undo each other.`,
    ...mintSteps(credential),
  ];
  if (credential.scope === 'shared' || envs.length < 2) return steps;
  return [
    `Each environment has a token of its own (${envs.join(', ')}): do all steps for one, then for the next, each with the consumers marked with it.`,
    ...steps,
  ];
}

function mintSteps(credential: Credential): string[] {
  const name = credential.token_name;
  if (credential.issuer === 'heroku-oauth') {
    return [
      'Log in as the account that the token belongs to, and check it: `heroku auth:whoami`.',
      `Note the id of the old authorization: \`heroku authorizations\` lists them; Velvet's last job shows it as \`new_auth_id\`, and its own are described as \`velvet:<job>:<attempt>\`.`,
      `Make the new one; the value goes into the variable, not on the screen: \`NEW="$(heroku authorizations:create --description "${name} by hand" --short)"\`. If it was made elsewhere, read it in without showing it: \`read -rs NEW\`. Note its id too (\`heroku authorizations\`).`,
    ];
  }
  const how =
    'instructions' in credential && credential.instructions !== undefined ? [credential.instructions] : [];
  return [
    ...how,
    `Make a new token at the vendor (issuer ${credential.issuer}), note the id of the old one, and read the new value in without showing it: \`read -rs NEW\`. The old one stays as it is.`,
  ];
}

// --- One consumer --------------------------------------------------------------------------------------------------

function writeStep(row: Subscriber): string {
  const mark = row.active
    ? ''
    : ' — INACTIVE in the manifest, so Velvet leaves it out; write it if it holds a copy';
  const head = `**${row.consumer_id}** (${row.env}, wave ${row.wave})${mark}`;
  const own = row.self ? ['This is the app that Velvet runs in; the write restarts it. Keep it last.'] : [];
  return [
    head,
    ...own,
    ...(row.instructions === undefined ? [] : [row.instructions]),
    ...pushLines(row),
    ...proofLines(row),
  ].join('\n- ');
}

function pushLines(row: Subscriber): string[] {
  if (row.update_method === 'HEROKU_CONFIG_PATCH') return herokuLines(row);
  if (row.update_method === 'INFISICAL_WRITE') return infisicalLines(row);
  if (row.update_method === 'GITHUB_SECRET_PUT') return githubLines(row);
  if (row.update_method === 'OPERATOR_MANUAL') return [];
  const where = `${row.update_endpoint}${row.update_key === undefined ? '' : `, as \`${row.update_key}\``}`;
  return [`Write the new value (\`$NEW\`) with the vendor's own tool to ${where} (${row.update_method}).`];
}

function infisicalLines(row: RowOf<'INFISICAL_WRITE'>): string[] {
  const folder = infisicalFolderOf(row.update_endpoint);
  const { origin, host } = new URL(row.update_endpoint);
  const domain = host === destinations.INFISICAL_WRITE.hosts[0] ? '' : ` --domain ${origin}/api`;
  const at = `--path ${folder?.path ?? '<folder>'} --env ${folder?.environment ?? row.env} --projectId ${folder?.projectId ?? '"$INFISICAL_PROJECT_ID"'}${domain}`;
  return [
    `Write, logged in to Infisical (\`infisical login${domain}\`): \`infisical secrets set ${row.update_key}="$NEW" ${at} >/dev/null 2>&1; echo $?\` must print 0. The redirection is not optional: the command prints what it sets.`,
    `Read it back without showing it: \`[ "$(infisical secrets get ${row.update_key} ${at} --expand=false --plain --silent)" = "$NEW" ]; echo $?\` must print 0. If it does not, a change policy of that folder may hold the change until somebody approves it.`,
  ];
}

function herokuLines(row: RowOf<'HEROKU_CONFIG_PATCH'>): string[] {
  const app = herokuAppOf(row.update_endpoint) ?? '<app>';
  return [
    `Write: \`heroku config:set ${row.update_key}="$NEW" --app ${app} >/dev/null 2>&1; echo $?\` must print 0. The redirection is not optional: the command prints what it sets.`,
    `The release must be current, not failed (\`heroku releases --app ${app} -n 1\`), and each process up since then (\`heroku ps --app ${app}\`).`,
  ];
}

function githubLines(row: RowOf<'GITHUB_SECRET_PUT'>): string[] {
  const where = githubFlags(githubPlaceOf(row.update_endpoint));
  const kept =
    where.visibility === null
      ? []
      : [
          `Note first who may read it (\`gh secret list ${where.flags}\`; for SELECTED the repositories too, in the organisation's settings) and give the same: \`gh\` makes it private to the organisation where nothing is said.`,
        ];
  return [
    ...kept,
    `Write: \`printf %s "$NEW" | gh secret set ${row.update_key} ${where.flags}${where.visibility ?? ''}\`. The value comes from the pipe: as an argument it would be seen by everybody on the machine.`,
    `\`gh secret list ${where.flags}\` must show ${row.update_key} as updated just now: if it was not in the list before, the name is wrong. GitHub shows no value, and jobs that run keep the one they started with.`,
  ];
}

function githubFlags(place: GithubPlace | null): {
  readonly flags: string;
  readonly visibility: string | null;
} {
  if (place === null) return { flags: '--repo <owner>/<repo>', visibility: null };
  if (place.scope === 'organisation')
    return { flags: `--org ${place.org}`, visibility: ' --visibility <all|private|selected>' };
  const repo = `--repo ${place.owner}/${place.repo}`;
  return {
    flags: place.scope === 'environment' ? `${repo} --env ${quoted(place.environment)}` : repo,
    visibility: null,
  };
}

function proofLines(row: Subscriber): string[] {
  const endpoint = row.healthcheck_endpoint;
  if (endpoint === null)
    return [
      'There is no health endpoint: see for yourself that it works on the new value, and note in the ticket how.',
    ];
  const wait = row.healthcheck_after === 0 ? '' : `Wait ${row.healthcheck_after} s. `;
  return [
    `${wait}\`curl -sS -o /dev/null -w '%{http_code}\\n' ${quoted(endpoint)}\` must print ${row.healthcheck_success_status}. If not, put it right before you go on: the old token still works.`,
  ];
}

/** One word for the shell, whatever the address holds. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

// --- The end -------------------------------------------------------------------------------------------------------

function finish(credential: Credential, rows: readonly Subscriber[]): string[] {
  const name = credential.token_name;
  const command = isCarriedOut(credential.issuer)
    ? `: ${issuers[credential.issuer].revokeByHand.replace('<handle>', '<old id>')}`
    : ' at the vendor, by hand';
  const again = rows.some((row) => row.healthcheck_endpoint !== null)
    ? ' Then ask every health endpoint above once more: one that answers 401 now still runs on the old token.'
    : '';
  return [
    `Only when every consumer above runs on the new value: revoke the old token${command}. This cannot be undone.${again}`,
    `Give Velvet the new value, as soon as it runs: \`printf %s "$NEW" | npx velvet adopt ${name}\`. Until then its copy is the dead one.`,
    'Forget the value: `unset NEW`. Close the ticket.',
  ];
}
