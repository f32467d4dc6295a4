// How a token is verified, made and revoked at each vendor by hand. Law: every issuer that the manifest's schema knows is here; tsc demands it.
import { herokuAppOf } from '../addresses.ts';
import type { Credential, Subscriber } from '../schema.ts';
import { block, printing, quoted, readHidden, variable, type ShellName } from './shell.ts';

export interface IssuerProcedure {
  readonly functions: readonly ShellName[];
  /** Settings and values that the page reads at its beginning. */
  readonly settings: readonly string[];
  /** Each ends with `$OLD` set, empty where nobody has it; each part a paragraph or a block. */
  readonly verify: readonly string[];
  /** Ends with `$NEW` set, and with `$NEW_ID` where the vendor names its tokens. */
  readonly mint: readonly string[];
  readonly revoke: readonly string[];
  /** Whether the vendor names its tokens, so that there is an id to write down. */
  readonly named: boolean;
  /** What to type when the steps of `revoke` are not at hand. */
  readonly inShort: string;
}

type Issuer = Credential['issuer'];
type CredentialOf<I extends Issuer> = Credential & { readonly issuer: I };

const procedures: {
  readonly [I in Issuer]: (credential: CredentialOf<I>, rows: readonly Subscriber[]) => IssuerProcedure;
} = {
  'heroku-oauth': heroku,
  'aws-iam': awsIam,
  postmark,
  cloudflare,
  OPERATOR_MANUAL: unknownVendor,
};

export function issuerProcedure(credential: Credential, rows: readonly Subscriber[]): IssuerProcedure {
  const procedure = procedures[credential.issuer] as (
    c: Credential,
    r: readonly Subscriber[],
  ) => IssuerProcedure;
  return procedure(credential, rows);
}

const typed = (name: string, what: string) => [readHidden('OLD', `Present value of ${name} (${what})`)];

// --- Heroku --------------------------------------------------------------------------------------------------------

function heroku(credential: CredentialOf<'heroku-oauth'>, rows: readonly Subscriber[]): IssuerProcedure {
  const name = credential.token_name;
  const authority = variable(credential.issuer_auth_token_name);
  const api = `heroku_api "$${authority}"`;
  return {
    functions: ['field', 'heroku_api', 'works', 'id_of'],
    settings: [
      'HEROKU_API_URL="${HEROKU_API_URL:-https://api.heroku.com}"',
      readHidden(
        authority,
        `Value of ${credential.issuer_auth_token_name}, or another token of that account with the scope global`,
      ),
    ],
    verify: [
      'What the consumers run on is what has to go in the end, so it is taken from the first of them. `works` prints 200 where it lives. 401: it is dead; go on, there is nothing to go back to, and step 6 has nothing left to revoke. Anything else is no answer about the token: find out what stands in between.',
      block([...herokuOld(name, rows), printing('works "$OLD"', '200')]),
      'The id of the old authorization, which is not secret. Note it in the ticket.',
      block([
        printing(
          `OLD_ID="$(${api} GET /oauth/authorizations -H 'Range: id ..; max=1000' | id_of "$OLD")"; echo "$OLD_ID"`,
          'an id…',
        ),
      ]),
      `Nothing printed: the token belongs to another account than ${credential.issuer_auth_token_name}, or the list does not show it. Velvet's last job of ${name} has it as \`new_auth_id\`, the vault as \`${name}__AUTH_ID\`; then \`read -rp 'Id of the old authorization: ' OLD_ID\`. Do not guess: step 6 revokes it.`,
    ],
    mint: [
      'The answer holds the value, so it goes into a variable and not on the screen.',
      block([
        `ANSWER="$(printf %s '${JSON.stringify({ description: `${name} by hand`, scope: ['global'], expires_in: null })}' | ${api} POST /oauth/authorizations -H 'Content-Type: application/json' --data-binary @-)"`,
        'NEW="$(printf %s "$ANSWER" | field access_token token)"; NEW_ID="$(printf %s "$ANSWER" | field id)"; unset ANSWER',
        printing('echo "$NEW_ID"', 'an id…'),
        printing('works "$NEW"', '200'),
      ]),
      "Note the new id in the ticket. With Heroku's own command, logged in as that account (`heroku auth:whoami`), the same is " +
        `\`NEW="$(heroku authorizations:create --description "${name} by hand" --short)"\`, and \`heroku authorizations\` shows the id.`,
    ],
    revoke: [
      block([
        printing(`${api} DELETE "/oauth/authorizations/\${OLD_ID:?}" >/dev/null 2>&1; echo $?`, '0'),
        printing('works "$OLD"', '401'),
      ]),
      "With Heroku's own command: `heroku authorizations:revoke <old id> >/dev/null 2>&1`.",
    ],
    named: true,
    inShort: 'heroku authorizations:revoke <old id>',
  };
}

function herokuOld(name: string, rows: readonly Subscriber[]): readonly string[] {
  const row = rows.find((one) => one.active && one.update_method === 'HEROKU_CONFIG_PATCH');
  if (row?.update_method !== 'HEROKU_CONFIG_PATCH') return typed(name, 'from the vault');
  const token = `"$${variable(row.update_auth_token_name)}"`;
  return [
    `OLD="$(heroku_api ${token} GET /apps/${herokuAppOf(row.update_endpoint) ?? '<app>'}/config-vars | field ${row.update_key})"`,
  ];
}

// --- Vendors whose tokens are made by hand --------------------------------------------------------------------------

function postmark(credential: Credential): IssuerProcedure {
  const ask = (which: string) =>
    `curl -sS -o /dev/null -w '%{http_code}\\n' "$POSTMARK_API_URL/server" -H @<(printf 'X-Postmark-Server-Token: %s\\n' "$${which}") -H 'Accept: application/json'`;
  return {
    functions: [],
    settings: ['POSTMARK_API_URL="${POSTMARK_API_URL:-https://api.postmarkapp.com}"'],
    verify: [
      '200: it lives. 401: it is dead; go on, there is nothing to go back to. Postmark names its tokens by nothing but their value, so there is no id to note.',
      block([...typed(credential.token_name, 'from the vault'), printing(ask('OLD'), '200')]),
    ],
    mint: [
      "Postmark makes server tokens in its dashboard alone: Servers → the server → API Tokens → Generate another token. A server holds three at most; where there are three, find out who uses each before you delete one. Read the new one in without showing it. A new token may need half a minute; a token of another server answers 200, too, so look at the server's name.",
      block([readHidden('NEW', 'The new token'), printing(ask('NEW'), '200')]),
    ],
    revoke: [
      'Postmark has no API for it: Servers → the server → API Tokens → delete the old token. Then',
      block([printing(ask('OLD'), '401')]),
    ],
    named: false,
    inShort: "delete the old token in Postmark's dashboard (Servers → API Tokens)",
  };
}

function cloudflare(credential: Credential): IssuerProcedure {
  const ask = (which: string, ...path: readonly string[]) =>
    `curl -sS "$CLOUDFLARE_API_URL$VERIFY_PATH" -H @<(printf 'Authorization: Bearer %s\\n' "$${which}") | field ${path.join(' ')}`;
  return {
    functions: ['field'],
    settings: [
      'CLOUDFLARE_API_URL="${CLOUDFLARE_API_URL:-https://api.cloudflare.com/client/v4}"',
      '# A token that an account owns, not a user: /accounts/<account id>/tokens/verify. At the other address a good token looks dead.',
      'VERIFY_PATH="${VERIFY_PATH:-/user/tokens/verify}"',
    ],
    verify: [
      '`active`: it lives. Nothing, `disabled` or `expired`: it is of no use any more; go on, there is nothing to go back to. The id is not secret; note it.',
      block([
        ...typed(credential.token_name, 'from the vault'),
        printing(`${ask('OLD', 'result', 'status')}; echo`, 'active'),
        printing(`OLD_ID="$(${ask('OLD', 'result', 'id')})"; echo "$OLD_ID"`, 'an id…'),
      ]),
    ],
    mint: [
      'In the dashboard: My Profile (or Manage Account) → API Tokens → Create Token, with the permissions and zones of the old one. Do not use Roll: it kills the old value at once, and every consumer with it. The value is shown once; read it in without showing it again. Its id must be another one than the old.',
      block([
        readHidden('NEW', 'The new token'),
        printing(`${ask('NEW', 'result', 'status')}; echo`, 'active'),
        printing(
          `NEW_ID="$(${ask('NEW', 'result', 'id')})"; [ "$NEW_ID" != "$OLD_ID" ] && echo "$NEW_ID"`,
          'an id…',
        ),
      ]),
    ],
    revoke: [
      'In the dashboard: API Tokens → the token with the old id → Delete. Then its status is empty.',
      block([ask('OLD', 'result', 'status') + '; echo']),
    ],
    named: true,
    inShort: "delete the token with the old id in Cloudflare's dashboard (API Tokens)",
  };
}

function awsIam(credential: Credential): IssuerProcedure {
  const asKey = (id: string, secret: string) =>
    `AWS_ACCESS_KEY_ID="$${id}" AWS_SECRET_ACCESS_KEY="$${secret}" aws sts get-caller-identity >/dev/null; echo $?`;
  return {
    functions: ['field'],
    settings: ["read -rp 'IAM user that the key belongs to: ' AWS_USER"],
    verify: [
      `An access key is a pair: an id, which is not secret, and the secret. ${credential.token_name} names the pair, and both parts go in together everywhere. A user has two keys at most, inactive ones included: with two there, find out who uses each before you delete one.`,
      block([
        "read -rp 'Id of the old key: ' OLD_ID",
        readHidden('OLD', 'Secret of the old key'),
        printing(asKey('OLD_ID', 'OLD'), '0'),
        'aws iam list-access-keys --user-name "$AWS_USER"',
      ]),
    ],
    mint: [
      'The secret is shown once, so the answer goes into a variable. A new key may need some seconds before it works everywhere.',
      block([
        'ANSWER="$(aws iam create-access-key --user-name "$AWS_USER" --output json)"',
        'NEW="$(printf %s "$ANSWER" | field AccessKey SecretAccessKey)"; NEW_ID="$(printf %s "$ANSWER" | field AccessKey AccessKeyId)"; unset ANSWER',
        printing('echo "$NEW_ID"', 'an id…'),
        printing(asKey('NEW_ID', 'NEW'), '0'),
      ]),
      'Wherever a step below writes `$NEW`, write `$NEW_ID` beside it to the place that holds the id.',
    ],
    revoke: [
      'First switch it off, which can be undone.',
      block([
        'aws iam update-access-key --user-name "$AWS_USER" --access-key-id "${OLD_ID:?}" --status Inactive',
        'aws iam get-access-key-last-used --access-key-id "$OLD_ID"',
      ]),
      'See that everything works, and that nothing used the old one since. Where something does not, `--status Active` brings the key back. Only then delete it, which cannot be undone; wait a day where you can.',
      block(['aws iam delete-access-key --user-name "$AWS_USER" --access-key-id "$OLD_ID"']),
    ],
    named: true,
    inShort: 'aws iam delete-access-key --user-name <user> --access-key-id <old id>',
  };
}

function unknownVendor(credential: CredentialOf<'OPERATOR_MANUAL'>): IssuerProcedure {
  const { url, header, dead_status: dead } = credential.verify;
  const scheme = header.toLowerCase() === 'authorization' ? 'Bearer ' : '';
  const ask = (which: string) =>
    `curl -sS -o /dev/null -w '%{http_code}\\n' ${quoted(url)} -H @<(printf '%s: ${scheme}%s\\n' ${quoted(header)} "$${which}")`;
  return {
    functions: [],
    settings: [],
    verify: [
      `${dead}: it is dead; go on, there is nothing to go back to. A success: it lives. Anything else is no answer about the token.`,
      block([...typed(credential.token_name, 'from the vault'), ask('OLD')]),
    ],
    mint: [
      'Make a second one at the vendor, beside the old one, which stays as it is, and read it in without showing it. Note the ids of both, where the vendor has such.',
      block([readHidden('NEW', 'The new token'), ask('NEW')]),
    ],
    revoke: ['Revoke the old one at the vendor. Then', block([printing(ask('OLD'), String(dead))])],
    named: false,
    inShort: 'revoke the old token at the vendor',
  };
}
