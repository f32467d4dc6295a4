// What the place that a row is written to must keep: the vendor's own host, a path that names one place, and nothing that Velvet lives on.
import { faultOf, githubPlaceOf, herokuAppOf, isLoopback } from './addresses.ts';
import { checkInfisicalTarget } from './infisical-rules.ts';
import type { Path, Report, RuleOptions } from './rules.ts';
import type { ActiveRow, Subscriber } from './schema.ts';
import { bootstrapNames, destinations, type UpdateMethod, type WrittenMethod } from './vendors.ts';

type At = (key: string) => Path;
type RowOf<M extends UpdateMethod> = Extract<ActiveRow, { readonly update_method: M }>;

export function checkTarget(row: Subscriber, at: At, options: RuleOptions, report: Report): void {
  if (row.update_method === 'OPERATOR_MANUAL') return;
  if (!checkAddress(row.update_endpoint, at('update_endpoint'), options, report)) return;
  if (row.update_method === 'HEROKU_CONFIG_PATCH') checkHerokuTarget(row, at, options, report);
  if (row.update_method === 'GITHUB_SECRET_PUT') checkGithubTarget(row, at, options, report);
  if (row.update_method === 'INFISICAL_WRITE')
    checkInfisicalTarget(row.update_endpoint, options, (message) => report(at('update_endpoint'), message));
}

/** Reports an address that may not be called at all; true for one that may. */
export function checkAddress(address: string, path: Path, options: RuleOptions, report: Report): boolean {
  const fault = faultOf(new URL(address), options.allowLoopback);
  if (fault !== null) report(path, fault);
  return fault === null;
}

function checkHost(row: RowOf<WrittenMethod>, path: Path, options: RuleOptions, report: Report): void {
  const url = new URL(row.update_endpoint);
  const hosts: readonly string[] = destinations[row.update_method].hosts;
  if (hosts.includes(url.host) || (options.allowLoopback && isLoopback(url))) return;
  report(
    path,
    `${row.update_method} writes to ${hosts.join(' or ')} only, not to ${url.host}: the authority would be sent there; mend the host`,
  );
}

function checkHerokuTarget(
  row: RowOf<'HEROKU_CONFIG_PATCH'>,
  at: At,
  options: RuleOptions,
  report: Report,
): void {
  const path = at('update_endpoint');
  checkHost(row, path, options, report);
  const app = herokuAppOf(row.update_endpoint);
  if (app === null) {
    report(
      path,
      'the path must be /apps/<app>/config-vars, with the name or the id of an app and nothing behind it',
    );
    return;
  }
  const own = app === options.velvetApp;
  if (own && !row.self) {
    report(
      path,
      `${app} is the app that Velvet runs in, and this write restarts it; set \`self: true\` and the last wave, or remove the row`,
    );
  }
  if ((own || row.self) && bootstrapNames.has(row.update_key)) {
    report(
      at('update_key'),
      `${row.update_key} is what Velvet itself lives on and can never be written by it; \`POST /tokens/${row.update_key}/rotate\` answers with the procedure by hand`,
    );
  }
}

function checkGithubTarget(
  row: RowOf<'GITHUB_SECRET_PUT'>,
  at: At,
  options: RuleOptions,
  report: Report,
): void {
  const path = at('update_endpoint');
  checkHost(row, path, options, report);
  if (githubPlaceOf(row.update_endpoint) === null) {
    report(
      path,
      "the path must be /repos/<owner>/<repo>/actions/secrets, /repos/<owner>/<repo>/environments/<environment>/secrets or /orgs/<org>/actions/secrets, with nothing behind it; the secret's name is `update_key`",
    );
  }
  if (bootstrapNames.has(row.update_auth_token_name)) {
    report(
      at('update_auth_token_name'),
      `${row.update_auth_token_name} is no GitHub App: Actions secrets are written with an App's private key; name the authority that holds it`,
    );
  }
}
