// The shell functions of a page of docs/sop. Law: no value is an argument of a program, where `ps` would show it, and none is printed.

/** One function, and those that it calls. Values go through pipes, and through `@<(…)`, which curl reads as a file. */
interface ShellFunction {
  readonly needs?: readonly ShellName[];
  readonly lines: readonly string[];
}

export type ShellName = keyof typeof functions;

const functions = {
  json: {
    lines: [
      '# {"<name>": "<what comes in>"}',
      `json() { node -e 'process.stdout.write(JSON.stringify({ [process.argv[1]]: require("fs").readFileSync(0, "utf8") }))' "$1"; }`,
    ],
  },
  field: {
    lines: [
      '# One field of the JSON that comes in, by its path; nothing where there is none.',
      'field() {',
      `  node -e 'try { let v = JSON.parse(require("fs").readFileSync(0, "utf8")); for (const k of process.argv.slice(1)) v = v?.[k]; process.stdout.write(String(v ?? "")) } catch { process.stderr.write("what came in is not the JSON that was expected\\n"); process.exitCode = 1 }' "$@"`,
      '}',
    ],
  },
  same: {
    lines: ['same() { if [ "$1" = "$NEW" ]; then echo same; else echo different; fi; }'],
  },
  heroku_api: {
    lines: [
      "# Heroku's API: token, method, path; what comes after goes to curl.",
      'heroku_api() {',
      `  curl -sS --fail -X "$2" "$HEROKU_API_URL$3" -H @<(printf 'Authorization: Bearer %s\\n' "$1") -H 'Accept: application/vnd.heroku+json; version=3' "\${@:4}"`,
      '}',
    ],
  },
  works: {
    lines: [
      '# Whether Heroku takes a token: 200 it does, 401 it is dead.',
      'works() {',
      `  curl -sS -o /dev/null -w '%{http_code}\\n' "$HEROKU_API_URL/account" -H @<(printf 'Authorization: Bearer %s\\n' "$1") -H 'Accept: application/vnd.heroku+json; version=3'`,
      '}',
    ],
  },
  id_of: {
    lines: [
      '# The id of the authorization with this token, out of the list that comes in.',
      'id_of() {',
      `  { printf '%s\\n' "$1"; cat; } | node -e 'try { const [token, ...rest] = require("fs").readFileSync(0, "utf8").split("\\n"); process.stdout.write(JSON.parse(rest.join("\\n")).find((one) => one.access_token?.token === token)?.id ?? "") } catch { process.stderr.write("what came in is not the JSON that was expected\\n"); process.exitCode = 1 }'`,
      '}',
    ],
  },
  hmac: {
    lines: [
      `hmac() { node -e 'process.stdout.write(require("crypto").createHmac("sha256", require("fs").readFileSync(0)).update(process.argv[1]).digest("base64url"))' "$1"; }`,
    ],
  },
  prove: {
    needs: ['hmac'],
    lines: [
      '# Health endpoint, success status: asks with a challenge. `proven` is an answer made with the new value, `disproved` one made with',
      '# another; `unproven` answers no challenge. Asks again for 3 minutes, while a restart may be under way.',
      'prove() {',
      '  local nonce head status got how n',
      '  for n in {1..90}; do',
      '    nonce="by-hand-$RANDOM$RANDOM$RANDOM$RANDOM"',
      `    head="$(curl -sS -o /dev/null -D - -w 'status %{http_code}\\n' "$1" -H "Velvet-Challenge: $nonce" -H @<(printf 'Velvet-Probe-Key: %s\\n' "\${VELVET_PROBE_KEY:-}") | tr -d '\\r')"`,
      `    status="$(sed -n 's/^status //p' <<<"$head")"`,
      `    got="$(sed -n 's/^[Vv]elvet-[Pp]roof: *v1=\\([A-Za-z0-9_-]*\\).*/\\1/p' <<<"$head")"`,
      '    if [ -z "$got" ]; then how=unproven; elif [ "$got" = "$(printf %s "$NEW" | hmac "$nonce")" ]; then how=proven; else how=disproved; fi',
      '    if [ "$status" = "$2" ] && [ "$how" != disproved ]; then break; fi',
      '    sleep 2',
      '  done',
      '  echo "$status $how"',
      '}',
    ],
  },
  infisical_login: {
    needs: ['field'],
    lines: [
      '# Client id, client secret: an access token. Three refused logins lock the identity for 5 minutes, so look before you repeat one.',
      'infisical_login() {',
      `  printf '%s\\n%s' "$1" "$2" | node -e 'const [clientId, clientSecret] = require("fs").readFileSync(0, "utf8").split("\\n"); process.stdout.write(JSON.stringify({ clientId, clientSecret }))' |`,
      `    curl -sS --fail "$INFISICAL_SITE_URL/api/v1/auth/universal-auth/login" -H 'Content-Type: application/json' --data-binary @- | field accessToken`,
      '}',
    ],
  },
  infisical_put: {
    lines: [
      '# Access token, project, environment, folder, name: writes what comes in. A change that waits for an approval is not written; where',
      '# the answer is lost nobody knows. What came instead of an answer is not shown: it may quote the value.',
      'infisical_put() {',
      `  node -e 'const [projectId, environment, secretPath, secretKey] = process.argv.slice(1); process.stdout.write(JSON.stringify({ projectId, environment, secretPath, mode: "upsert", secrets: [{ secretKey, secretValue: require("fs").readFileSync(0, "utf8") }] }))' "\${@:2}" |`,
      `    curl -sS --fail -X PATCH "$INFISICAL_SITE_URL/api/v4/secrets/batch" -H @<(printf 'Authorization: Bearer %s\\n' "$1") -H 'Content-Type: application/json' --data-binary @- |`,
      `    node -e 'const text = require("fs").readFileSync(0, "utf8"); let answer = null; try { answer = JSON.parse(text) } catch (error) { if (!(error instanceof SyntaxError)) throw error } const said = answer?.secrets ? "written" : answer?.approval ? "not written: it waits for an approval" : "not known: no answer that can be understood came, so it may have been written; read it back before you write again"; process.stdout.write(said + "\\n"); if (said !== "written") process.exitCode = 1'`,
      '}',
    ],
  },
  infisical_get: {
    needs: ['field'],
    lines: [
      '# Access token, project, environment, folder, name: the value, for `same` alone.',
      'infisical_get() {',
      `  curl -sS --fail -G "$INFISICAL_SITE_URL/api/v4/secrets/$5" -H @<(printf 'Authorization: Bearer %s\\n' "$1") --data-urlencode "projectId=$2" --data-urlencode "environment=$3" --data-urlencode "secretPath=$4" -d viewSecretValue=true -d expandSecretReferences=false | field secret secretValue`,
      '}',
    ],
  },
} as const satisfies Record<
  string,
  { readonly needs?: readonly string[]; readonly lines: readonly string[] }
>;

/** The text of these functions and of those that they call, without those that are `defined` already, in the order of the table. */
export function shellFunctions(
  names: readonly ShellName[],
  defined: readonly ShellName[] = [],
): readonly string[] {
  const [wanted, there] = [withNeeds(names), withNeeds(defined)];
  return Object.entries(functions)
    .filter(([name]) => wanted.has(name) && !there.has(name))
    .flatMap(([, { lines }]) => lines);
}

function withNeeds(names: readonly ShellName[]): ReadonlySet<string> {
  const all = new Set<string>(names);
  for (const name of all)
    for (const more of (functions as Readonly<Record<string, ShellFunction>>)[name]?.needs ?? [])
      all.add(more);
  return all;
}

/** Which of the two vaults a block is for; one without is for both. */
export type VaultKind = 'infisical' | 'file';

/**
 * Commands as the page shows them; the word behind `bash` is for whoever follows the page by program. A block ends with each
 * `read`: of a block that is pasted whole, the next line would be taken for the value.
 */
export function block(lines: readonly string[], vault?: VaultKind): string {
  const fence = '```bash' + (vault === undefined ? '' : ` ${vault}-vault`);
  const blocks: string[][] = [[]];
  for (const line of lines) {
    blocks.at(-1)?.push(line);
    if (line.startsWith('read ')) blocks.push([]);
  }
  return blocks
    .filter((one) => one.length > 0)
    .map((one) => [fence, ...one, '```'].join('\n'))
    .join('\n\n');
}

/** A command with what it must print; `…` at the end stands for anything. */
export function printing(command: string, what: string): string {
  return `${command}   # prints ${what}`;
}

/** One word for the shell, whatever the text holds. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The variable of the page's shell that holds a named secret. */
export function variable(name: string): string {
  return name.replaceAll(/\W/g, '_').replace(/^\d/, '_$&');
}

/** Reads a value without showing it. */
export function readHidden(name: string, prompt: string): string {
  return `read -rsp ${quoted(`${prompt}: `)} ${name}; echo`;
}
