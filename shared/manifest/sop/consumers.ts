// How each kind of consumer gets the new value by hand, and how one sees that it runs on it. Law: every update_method of the manifest's schema is here; tsc demands it.
import { githubPlaceOf, herokuAppOf, infisicalFolderOf, type GithubPlace } from '../addresses.ts';
import type { Subscriber } from '../schema.ts';
import { block, printing, quoted, readHidden, variable, type ShellName } from './shell.ts';

export interface ConsumerProcedure {
  readonly functions: readonly ShellName[];
  /** Settings and values that the page reads at its beginning; the same line twice is read once. */
  readonly settings: readonly string[];
  /** In words, for the table of who holds a copy. */
  readonly place: string;
  readonly write: readonly string[];
}

type Method = Subscriber['update_method'];
type RowOf<M extends Method> = Extract<Subscriber, { readonly update_method: M }>;

const procedures: { readonly [M in Method]: (row: RowOf<M>) => ConsumerProcedure } = {
  HEROKU_CONFIG_PATCH: heroku,
  INFISICAL_WRITE: infisical,
  GITHUB_SECRET_PUT: github,
  SSM_PUT: ssm,
  OPERATOR_MANUAL: () => ({
    functions: [],
    settings: [],
    place: 'by hand',
    write: [
      'There is no command for this one: the instructions above are all that there is. `$NEW` holds the value.',
    ],
  }),
};

export function consumerProcedure(row: Subscriber): ConsumerProcedure {
  const procedure = procedures[row.update_method] as (row: Subscriber) => ConsumerProcedure;
  return procedure(row);
}

/** How one sees that the consumer runs on the new value. */
export function proofParts(row: Subscriber): readonly string[] {
  const { healthcheck_endpoint: endpoint, healthcheck_success_status: status } = row;
  if (endpoint === null)
    return [
      'There is no health endpoint: see for yourself that it works on the new value, and write into the ticket how.',
    ];
  const wait =
    row.healthcheck_after === 0
      ? 'its success counts once you have seen that it was restarted since the write'
      : `wait until everything there was restarted, and ${row.healthcheck_after} s more, since old and new processes overlap; a success after that counts`;
  return [
    block([printing(proveCommand(row), `${status} proven`)]),
    `\`${status} unproven\`: it answers no challenge; ${wait}. \`disproved\`: it runs on another value; restart it and ask again. Another status: put that right before you go on; the old token still works.`,
  ];
}

export function proveCommand(row: Subscriber): string {
  return `prove ${quoted(row.healthcheck_endpoint ?? '')} ${row.healthcheck_success_status}`;
}

function heroku(row: RowOf<'HEROKU_CONFIG_PATCH'>): ConsumerProcedure {
  const app = herokuAppOf(row.update_endpoint) ?? '<app>';
  const authority = variable(row.update_auth_token_name);
  const api = `heroku_api "$${authority}"`;
  return {
    functions: ['json', 'field', 'heroku_api'],
    settings: [
      'HEROKU_API_URL="${HEROKU_API_URL:-https://api.heroku.com}"',
      readHidden(
        authority,
        `Value of ${row.update_auth_token_name}, or another token of that account with the scope global`,
      ),
    ],
    place: `config var \`${row.update_key}\` of the Heroku app \`${app}\``,
    write: [
      'The answer repeats every config var of the app, so it is thrown away. The write makes a release, which restarts the app.',
      block([
        printing(
          `printf %s "$NEW" | json ${row.update_key} | ${api} PATCH /apps/${app}/config-vars -H 'Content-Type: application/json' --data-binary @- >/dev/null 2>&1; echo $?`,
          '0',
        ),
        printing(
          `${api} GET /apps/${app}/releases -H 'Range: version ..; order=desc,max=1' | field 0 status; echo`,
          'succeeded',
        ),
      ]),
      `\`pending\`: its release phase runs; ask again. \`failed\`: the app keeps the old value; \`heroku releases --app ${app}\` says why. \`heroku ps --app ${app}\` shows whether each process is up since the release. With Heroku's own command the write is \`heroku config:set ${row.update_key}="$NEW" --app ${app} >/dev/null 2>&1; echo $?\`: the redirection is not optional, for the command prints what it sets, and whoever may list the processes of your machine sees its arguments.`,
    ],
  };
}

function infisical(row: RowOf<'INFISICAL_WRITE'>): ConsumerProcedure {
  const folder = infisicalFolderOf(row.update_endpoint);
  const { login, token } = infisicalIdentity(row.update_auth_token_name);
  const path = folder?.path ?? '<folder>';
  const project = folder?.projectId ?? '$INFISICAL_PROJECT_ID';
  const place = `"$${token}" "${project}" ${folder?.environment ?? row.env} ${path} ${row.update_key}`;
  return {
    functions: ['same', 'infisical_login', 'infisical_put', 'infisical_get'],
    settings: [
      `INFISICAL_SITE_URL="\${INFISICAL_SITE_URL:-${new URL(row.update_endpoint).origin}}"`,
      ...projectSetting(folder?.projectId ?? null),
      ...login,
    ],
    place: `secret \`${row.update_key}\` in the Infisical folder \`${path}\``,
    write: [
      block([
        printing(`printf %s "$NEW" | infisical_put ${place}`, 'written'),
        printing(`same "$(infisical_get ${place})"`, 'same'),
      ]),
      'An approval that is waited for: a change policy is on for that folder; have the change approved, then ask for `same` again. In the dashboard the same is: the project → the environment → the folder → the secret. What reads the secret may have to be restarted or synchronised.',
    ],
  };
}

/** The project, where no address names it. */
export function projectSetting(known: string | null): readonly string[] {
  return known === null ? [': "${INFISICAL_PROJECT_ID:?set it to the id of the Infisical project}"'] : [];
}

/** How to log in as this authority, and the variable that then holds the access token. */
export function infisicalIdentity(authority: string): {
  readonly login: readonly string[];
  readonly token: string;
} {
  if (authority === 'INFISICAL_CLIENT_SECRET') {
    return {
      token: 'INFISICAL_ACCESS',
      login: [
        "read -rp 'Client id of the machine identity (INFISICAL_CLIENT_ID): ' INFISICAL_CLIENT_ID",
        readHidden('INFISICAL_CLIENT_SECRET', 'Its client secret (INFISICAL_CLIENT_SECRET)'),
        'INFISICAL_ACCESS="$(infisical_login "$INFISICAL_CLIENT_ID" "$INFISICAL_CLIENT_SECRET")"',
      ],
    };
  }
  const name = variable(authority);
  return {
    token: `${name}_ACCESS`,
    login: [
      readHidden(name, `Value of ${authority}, <client id>:<client secret>`),
      `${name}_ACCESS="$(infisical_login "\${${name}%%:*}" "\${${name}#*:}")"`,
    ],
  };
}

function github(row: RowOf<'GITHUB_SECRET_PUT'>): ConsumerProcedure {
  const place = githubPlaceOf(row.update_endpoint);
  const flags = githubFlags(place);
  const readers =
    place?.scope === 'organisation'
      ? [
          'Give it the readers that it has: `gh` makes it private to the organisation where nothing is said. For `selected`, name the repositories, too (they stand in the settings of the organisation).',
          block([
            `gh secret list ${flags} --json name,visibility --jq '.[] | select(.name == "${row.update_key}") | .visibility'`,
            "read -rp 'Visibility (all, private, selected): ' VISIBILITY",
            "read -rp 'Repositories, for selected, separated by commas: ' REPOS",
          ]),
        ]
      : [];
  const visible =
    place?.scope === 'organisation' ? ' --visibility "$VISIBILITY" ${REPOS:+--repos "$REPOS"}' : '';
  return {
    functions: [],
    settings: [],
    place: `GitHub Actions secret \`${row.update_key}\` of \`${placeName(place)}\``,
    write: [
      'As somebody who may administer it (`gh auth status`); `gh` seals the value for GitHub. It comes through the pipe: as an argument everybody on the machine could see it.',
      ...readers,
      block([
        printing(
          `printf %s "$NEW" | gh secret set ${row.update_key} ${flags}${visible} >/dev/null 2>&1; echo $?`,
          '0',
        ),
        printing(
          `gh secret list ${flags} --json name,updatedAt --jq '.[] | select(.name == "${row.update_key}") | .updatedAt'`,
          'the time of this write…',
        ),
      ]),
      'GitHub shows no value. Nothing printed: the name is wrong. Jobs that run keep the value that they started with; start one that uses it and see it succeed.',
    ],
  };
}

function githubFlags(place: GithubPlace | null): string {
  if (place === null) return '--repo <owner>/<repo>';
  if (place.scope === 'organisation') return `--org ${place.org}`;
  const repo = `--repo ${place.owner}/${place.repo}`;
  return place.scope === 'environment' ? `${repo} --env ${quoted(place.environment)}` : repo;
}

function placeName(place: GithubPlace | null): string {
  if (place === null) return '?';
  if (place.scope === 'organisation') return place.org;
  const repo = `${place.owner}/${place.repo}`;
  return place.scope === 'environment' ? `${repo}, environment ${place.environment}` : repo;
}

function ssm(row: RowOf<'SSM_PUT'>): ConsumerProcedure {
  const name = row.update_key === undefined ? '"$PARAMETER"' : quoted(row.update_key);
  return {
    functions: ['same'],
    settings:
      row.update_key === undefined ? ["read -rp 'Name of the parameter, with its path: ' PARAMETER"] : [],
    place:
      row.update_key === undefined
        ? 'a parameter in AWS Parameter Store'
        : `parameter \`${row.update_key}\` in AWS Parameter Store`,
    write: [
      'As a role with `ssm:PutParameter` there, in the right region. Where the parameter is under a key of your own, add `--key-id <key>` each time: without it the value moves under the default key.',
      block([
        printing(
          `printf %s "$NEW" | aws ssm put-parameter --name ${name} --type SecureString --overwrite --value file:///dev/stdin >/dev/null; echo $?`,
          '0',
        ),
        printing(
          `same "$(aws ssm get-parameter --name ${name} --with-decryption --query Parameter.Value --output text)"`,
          'same',
        ),
      ]),
      'Earlier versions stay readable in the history of the parameter. What reads it may have to be restarted.',
    ],
  };
}
