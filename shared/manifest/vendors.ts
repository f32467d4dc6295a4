// What the loader, the API and the stages must know of each vendor. Law: data without code; handlers take their facts from here.

export interface IssuerFacts {
  readonly vendor: string;
  readonly mint: 'api' | 'operator';
  readonly revoke: 'api' | 'operator';
  /** How tokens of a lost mint answer are found again. */
  readonly findLeftovers: 'label' | 'snapshot' | 'none';
  /** `replaces`: a new token ends the old one at once, so the order "prove, then revoke" cannot be kept. */
  readonly overlap: 'both_live' | 'replaces';
  /** Whether the vendor can be asked if a token is gone. */
  readonly provesGone: boolean;
  /** How an operator revokes, in words or as a command in backticks; `<handle>` stands for the token's id. */
  readonly revokeByHand: string;
}

export interface DestinationFacts {
  readonly vendor: string;
  /** `operator`: a place without an API. Nothing is sent there and nothing is read there; its rows wait for a person. */
  readonly write: 'api' | 'operator';
  /** The hosts that `update_endpoint` may name: an authority is never sent anywhere else. */
  readonly hosts: readonly string[];
  readonly readBack: 'value' | 'timestamp' | 'none';
  /** Whether a push makes the place where it does not exist yet. */
  readonly creates: boolean;
  /** Default of `healthcheck_after`. */
  readonly healthcheckAfterSeconds: number;
}

export const issuers = {
  'heroku-oauth': {
    vendor: 'heroku',
    mint: 'api',
    revoke: 'api',
    findLeftovers: 'label',
    overlap: 'both_live',
    provesGone: true,
    revokeByHand: '`heroku authorizations:revoke <handle>`',
  },
  OPERATOR_MANUAL: {
    vendor: 'operator',
    mint: 'operator',
    revoke: 'operator',
    findLeftovers: 'none',
    overlap: 'both_live',
    // The token itself is asked, at the address that the manifest gives.
    provesGone: true,
    revokeByHand: 'delete it at the vendor, where its tokens are listed',
  },
} as const satisfies Record<string, IssuerFacts>;

export const destinations = {
  HEROKU_CONFIG_PATCH: {
    vendor: 'heroku',
    write: 'api',
    hosts: ['api.heroku.com'],
    readBack: 'value',
    creates: true,
    // Old and new dynos overlap while Heroku's router drains the old ones.
    healthcheckAfterSeconds: 30,
  },
  INFISICAL_WRITE: {
    vendor: 'infisical',
    write: 'api',
    // Or the self-hosted one that INFISICAL_SITE_URL names; always that one alone.
    hosts: ['app.infisical.com'],
    readBack: 'value',
    creates: true,
    healthcheckAfterSeconds: 0,
  },
  GITHUB_SECRET_PUT: {
    vendor: 'github',
    write: 'api',
    hosts: ['api.github.com'],
    // GitHub never shows a secret's value, only when it was last written.
    readBack: 'timestamp',
    creates: true,
    healthcheckAfterSeconds: 0,
  },
  OPERATOR_MANUAL: {
    vendor: 'operator',
    write: 'operator',
    hosts: [],
    readBack: 'none',
    creates: false,
    healthcheckAfterSeconds: 0,
  },
} as const satisfies Record<string, DestinationFacts>;

/** An issuer that this release carries out. */
export type IssuerName = keyof typeof issuers;
/** An update method that this release carries out. */
export type UpdateMethod = keyof typeof destinations;
/** One that Velvet writes by itself. */
export type WrittenMethod = {
  [M in UpdateMethod]: (typeof destinations)[M]['write'] extends 'api' ? M : never;
}[UpdateMethod];

/** Whether a person writes there: nothing is sent to such a place, and nothing is read there. A method that is not known is nobody's. */
export function isWrittenByHand(method: string): boolean {
  const facts: Readonly<Record<string, DestinationFacts>> = destinations;
  return facts[method]?.write === 'operator';
}

/** Known words that this release cannot carry out yet: a manifest may hold them with `active: false` only. */
export const laterIssuers = ['aws-iam', 'postmark', 'cloudflare'] as const;
export const laterMethods = ['SSM_PUT'] as const;

const quiet = 'The `>/dev/null 2>&1` is not optional: the command prints what it sets.';
const bothApps = 'Do it on both apps, <app> being velvet-prod and then velvet-staging';
const deepHealth =
  'Check both apps: `/healthz?deep=1`, asked with a service token, answers 200 on each. If one does not, stop and mend what it names first: the old one still works, nothing is lost yet.';
const infisical = [
  'Open a ticket.',
  'In Infisical, open the machine identity that Velvet logs in with and add a new client secret. The old one keeps working until it is revoked. Read it without showing it: `read -rs NEW`.',
];
const aws = [
  'Open a ticket.',
  "Make a second access key for Velvet's own IAM user: `aws iam create-access-key --user-name <user>`. Its two parts go in together. Read each without showing it: `read -r NEW_ID`, `read -rs NEW_SECRET`.",
  `${bothApps}: \`heroku config:set VELVET_AWS_ACCESS_KEY_ID="$NEW_ID" VELVET_AWS_SECRET_ACCESS_KEY="$NEW_SECRET" --app <app> >/dev/null 2>&1\`. ${quiet}`,
  deepHealth,
  'Switch the old key off: `aws iam update-access-key --user-name <user> --access-key-id <old id> --status Inactive`; check once more, then delete it: `aws iam delete-access-key --user-name <user> --access-key-id <old id>`.',
  'Forget the value: `unset NEW_ID NEW_SECRET`. Close the ticket.',
];

/**
 * The credentials that Velvet itself lives on, by the environment variable that holds them. Rotating one through Velvet
 * would be circular; each has its procedure, one step an entry.
 */
export const bootstrapCredentials = {
  HK_VELVET_BOOTSTRAP: [
    "Open a ticket. Log in as the account that the authorization belongs to (`heroku auth:whoami`) and note the old one's id: `heroku authorizations` lists them, `HK_VELVET_BOOTSTRAP__AUTH_ID` in Infisical holds it.",
    'Make the new one; the value goes into the variable, not on the screen: `NEW="$(heroku authorizations:create --description "velvet bootstrap" --short)"`. Note its id: `heroku authorizations`.',
    `${bothApps}: \`heroku config:set HK_VELVET_BOOTSTRAP="$NEW" --app <app> >/dev/null 2>&1\`. ${quiet}`,
    deepHealth,
    'Revoke the old one: `heroku authorizations:revoke <old id>`.',
    "Write the new authorization's id to `HK_VELVET_BOOTSTRAP__AUTH_ID` in Infisical, so that the next rotation finds it.",
    'Forget the value: `unset NEW`. Close the ticket.',
  ],
  INFISICAL_CLIENT_ID: [
    'Open a ticket. The client id names the machine identity; it changes only together with its secret, when Velvet gets another identity.',
    "In Infisical, make the new machine identity, give it the same access to Velvet's folder and a client secret. Read both: `read -r NEW_ID`, `read -rs NEW_SECRET`.",
    `${bothApps}: \`heroku config:set INFISICAL_CLIENT_ID="$NEW_ID" INFISICAL_CLIENT_SECRET="$NEW_SECRET" --app <app> >/dev/null 2>&1\`. ${quiet}`,
    deepHealth,
    "In Infisical, revoke the old identity's client secret, then delete the old identity.",
    'Forget the value: `unset NEW_ID NEW_SECRET`. Close the ticket.',
  ],
  INFISICAL_CLIENT_SECRET: [
    ...infisical,
    `${bothApps}: \`heroku config:set INFISICAL_CLIENT_SECRET="$NEW" --app <app> >/dev/null 2>&1\`. ${quiet}`,
    deepHealth,
    'In Infisical, revoke the old client secret.',
    'Forget the value: `unset NEW`. Close the ticket.',
  ],
  VELVET_AWS_ACCESS_KEY_ID: aws,
  VELVET_AWS_SECRET_ACCESS_KEY: aws,
} as const satisfies Record<string, readonly string[]>;

export type BootstrapName = keyof typeof bootstrapCredentials;

/** Whether Velvet itself lives on this credential, so that it can never rotate it. */
export const bootstrapNames: ReadonlySet<string> = new Set(Object.keys(bootstrapCredentials));
