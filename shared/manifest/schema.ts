// The shape of the manifest, field by field; the descriptions are what an editor shows and what a mistake is explained with.
import { z } from 'zod';
import { destinations, type IssuerName, type UpdateMethod } from './vendors.ts';

export type { UpdateMethod, WrittenMethod } from './vendors.ts';

const environments = ['prod', 'staging', 'development'] as const;

type DeepReadonly<T> = T extends readonly (infer E)[]
  ? readonly DeepReadonly<E>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;

// Names become parts of Redis keys, task ids and file names: no separators of any of them, and no leading dot.
const name = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}$/, {
  error: 'a name is 1 to 120 letters, digits, `_`, `.` or `-`, and does not begin with `.` or `-`',
});
const address = z.url({
  protocol: /^https?$/,
  error: ({ input }) => (input === undefined ? undefined : 'write a whole address, beginning with https://'),
});
const words = z.string().trim().min(1, { error: 'write at least a word, or leave the key out' });

const active = z.boolean().describe('true or false; false: known, but not rotated by Velvet').default(true);

// --- Credentials ---------------------------------------------------------------------------------------------------

const rotation = z
  .strictObject({
    every_days: z
      .int()
      .min(1)
      .max(3650)
      .describe('How many days after the last rotation the next one is due'),
    at: z
      .string()
      .regex(/^([01]\d|2[0-3]):[0-5]\d$/, { error: 'write a time of day in UTC, as "03:30"' })
      .describe('Time of day in UTC at which a due rotation begins, as "03:30"')
      .optional(),
    auto_until: z
      .enum(['verified', 'validated'])
      .describe('How far it runs by itself; the revoke always takes a person'),
  })
  .describe('Rotations that begin by themselves');

const credentialShape = {
  token_name: name.describe("The credential's name, as <VENDOR>_<FUNCTION>_<SCOPE>"),
  scope: z
    .enum(['shared', 'per_env'])
    .describe('shared: one token for all environments; per_env: one for each')
    .default('per_env'),
  entropy: z
    .enum(['high', 'low'])
    .describe('high: made by the vendor, at least 128 random bits; low: anything that a person can choose'),
  active,
  settle_seconds: z
    .int()
    .min(1)
    .max(60)
    .describe('Revocation: seconds in which every consumer must be locked out')
    .default(10),
  two_person: z
    .boolean()
    .describe('true: the revoke must come from another person than the mint')
    .default(false),
  rotation: rotation.optional(),
  drift_check: z.literal('daily').describe('daily: compare every copy with the vault once a day').optional(),
};

const authority = name.describe(
  'The token with which Velvet calls the issuer; never the one that is rotated',
);

const verify = z
  .strictObject({
    url: address.describe(
      'Where a GET with the token is answered 2xx while it works, and nothing else without one',
    ),
    header: z
      .string()
      .regex(/^[A-Za-z][A-Za-z0-9-]{0,63}$/, {
        error: 'write the name of a header alone: letters, digits and `-`',
      })
      .describe(
        'The header that carries the token: Authorization (as `Bearer <token>`), or another one (the token alone)',
      ),
    dead_status: z
      .int()
      .min(400)
      .max(499)
      .describe('The status that means "this token is dead"')
      .default(401),
  })
  .describe('How Velvet asks whether a token works, for a vendor that it has no code for');

const herokuOauth = z.strictObject({
  issuer: z.literal('heroku-oauth'),
  issuer_auth_token_name: authority,
  ...credentialShape,
});
const awsIam = z.strictObject({
  issuer: z.literal('aws-iam'),
  issuer_auth_token_name: authority,
  ...credentialShape,
});
const mintInstructions = words
  .describe('What an operator must know who makes a new token at the vendor: where, and with which rights')
  .optional();

const mintedByHand = z.strictObject({
  issuer: z.literal(['postmark', 'cloudflare']),
  issuer_auth_token_name: authority.optional(),
  instructions: mintInstructions,
  ...credentialShape,
});
const operatorManual = z.strictObject({
  issuer: z.literal('OPERATOR_MANUAL'),
  issuer_auth_token_name: authority.optional(),
  instructions: mintInstructions,
  verify,
  ...credentialShape,
});

export const credentialSchema = z.discriminatedUnion('issuer', [
  herokuOauth,
  awsIam,
  mintedByHand,
  operatorManual,
]);
/** The part that every credential has, for one whose issuer is not known. */
export const anyCredentialSchema = z.object(credentialShape);

// --- Rows ----------------------------------------------------------------------------------------------------------

function rowShape(healthcheckAfterSeconds: number) {
  return {
    token_name: name.describe('The credential whose copy this row is; declared under credentials'),
    consumer_id: name.describe('What the row is called; unique for its credential and environment'),
    env: z.enum(environments).describe('The environment whose Velvet writes this row'),
    wave: z
      .int()
      .min(1)
      .describe('A whole number from 1: a wave is written and healthy before the next begins')
      .default(1),
    active,
    self: z
      .boolean()
      .describe('true: this is the app that Velvet runs in; it must be in the last wave')
      .default(false),
    healthcheck_endpoint: address
      .nullable()
      .describe('Where the consumer says whether its token works (200, else 401); null: by hand'),
    healthcheck_success_status: z
      .int()
      .min(200)
      .max(299)
      .describe('The status that means "my token works"')
      .default(200),
    healthcheck_after: z
      .int()
      .min(0)
      .max(600)
      .describe('Seconds between a write that took effect and the probe that counts')
      .default(healthcheckAfterSeconds),
    probe: z
      .enum(['self_report', 'presents_token'])
      .describe('presents_token: the service accepts the token, so the probe sends it')
      .default('self_report'),
    proof: z
      .literal('possession')
      .describe('possession: nothing less than the answered challenge proves this row')
      .optional(),
    capabilities: z
      .array(z.enum(['update', 'healthcheck']))
      .describe('[update, healthcheck], or [update] where there is no endpoint'),
    instructions: words.describe('What an operator must know who does this row by hand').optional(),
  };
}

const updateAuthority = name.describe(
  'The token with which Velvet writes there; never the one that is rotated',
);

const herokuTarget = {
  update_method: z.literal('HEROKU_CONFIG_PATCH'),
  update_endpoint: address.describe('https://api.heroku.com/apps/<app>/config-vars'),
  update_key: z
    .string()
    .regex(/^\w+$/, { error: 'a config var is letters, digits and `_`' })
    .describe('The config var'),
  update_auth_token_name: updateAuthority,
};

const infisicalTarget = {
  update_method: z.literal('INFISICAL_WRITE'),
  update_endpoint: address.describe('https://app.infisical.com/api/v4/secrets?secretPath=/<folder>'),
  update_key: z
    .string()
    .regex(/^[\w.-]{1,200}$/, { error: 'the name of a secret is letters, digits, `_`, `.` and `-`' })
    .describe('The name of the secret'),
  update_auth_token_name: updateAuthority.default('INFISICAL_CLIENT_SECRET'),
};

const githubTarget = {
  update_method: z.literal('GITHUB_SECRET_PUT'),
  update_endpoint: address.describe(
    'https://api.github.com/repos/<owner>/<repo>/actions/secrets, …/repos/<owner>/<repo>/environments/<environment>/secrets or …/orgs/<org>/actions/secrets',
  ),
  update_key: z
    .string()
    .regex(/^(?!GITHUB_)[A-Z_]\w*$/i, {
      error: 'a secret is letters, digits and `_`, and begins neither with a digit nor with GITHUB_',
    })
    .describe("The secret's name"),
  update_auth_token_name: name.describe(
    'The GitHub App with which Velvet writes there, never the token that is rotated; its value is one line of JSON: {"client_id": "Iv23…", "private_key": "-----BEGIN RSA PRIVATE KEY-----\\n…"}',
  ),
};

const laterTarget = {
  update_method: z.literal('SSM_PUT'),
  update_endpoint: address.describe("The address of the vendor's API to write to"),
  update_key: words.describe('What the value is called there').optional(),
  update_auth_token_name: updateAuthority.optional(),
};

const byHandTarget = { update_method: z.literal('OPERATOR_MANUAL') };

const herokuRow = z.strictObject({
  ...rowShape(destinations.HEROKU_CONFIG_PATCH.healthcheckAfterSeconds),
  ...herokuTarget,
});
const infisicalRow = z.strictObject({
  ...rowShape(destinations.INFISICAL_WRITE.healthcheckAfterSeconds),
  ...infisicalTarget,
});
const githubRow = z.strictObject({
  ...rowShape(destinations.GITHUB_SECRET_PUT.healthcheckAfterSeconds),
  ...githubTarget,
});
const laterRow = z.strictObject({ ...rowShape(0), ...laterTarget });
const byHandRow = z.strictObject({
  ...rowShape(0),
  ...byHandTarget,
  instructions: words.describe('What the operator must do, step by step'),
});

export const subscriberSchema = z.discriminatedUnion('update_method', [
  herokuRow,
  githubRow,
  laterRow,
  infisicalRow,
  byHandRow,
]);
/** The part that every row has, for one whose update method is not known. */
export const anySubscriberSchema = z.object(rowShape(0));

// --- The whole -----------------------------------------------------------------------------------------------------

export const manifestSchema = z.strictObject({
  version: z.literal(2).describe("The version of this file's shape: 2"),
  credentials: z.array(credentialSchema).describe('The secrets that Velvet rotates'),
  subscribers: z.array(subscriberSchema).describe('One row for each place that holds a copy'),
});

export type Manifest = DeepReadonly<z.output<typeof manifestSchema>>;
export type Credential = Manifest['credentials'][number];
export type Subscriber = Manifest['subscribers'][number];
export type ManualVerify = DeepReadonly<z.output<typeof verify>>;

/** The target part of one row, discriminated on `update_method`: what a destination is told. */
const targetSchema = z.discriminatedUnion('update_method', [
  z.object(herokuTarget),
  z.object(githubTarget),
  z.object(infisicalTarget),
]);
export type Target = DeepReadonly<z.output<typeof targetSchema>>;

/** A credential or row that this release carries out; the loader lets no other be active. */
export type ActiveCredential = Extract<Credential, { readonly issuer: IssuerName }>;
export type ActiveRow = Extract<Subscriber, { readonly update_method: UpdateMethod }>;

/** The schema for editors (`# yaml-language-server`), draft 7 because that is what most of them read. */
export function manifestJsonSchema(): Record<string, unknown> {
  return {
    title: "Velvet's subscription manifest",
    ...z.toJSONSchema(manifestSchema, { target: 'draft-7', io: 'input' }),
  };
}
