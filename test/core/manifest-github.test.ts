// A row that is a GitHub Actions secret: what the loader takes, what it refuses with which words, and the write by hand.
import { describe, expect, test } from 'vitest';
import { githubPlaceOf } from '../../shared/manifest/addresses.ts';
import { activeRows, parseManifest } from '../../shared/manifest/load.ts';
import { sopPage } from '../../shared/manifest/sop/page.ts';
import { at, edited, good, problemsOf, strict } from './manifest-text.ts';

const endpoint = 'https://api.github.com/repos/acme/console/actions/secrets';
const github = edited(
  `HEROKU_CONFIG_PATCH
    update_endpoint: https://api.heroku.com/apps/second-app/config-vars
    update_key: API_KEY
    update_auth_token_name: HK_BOSS`,
  `GITHUB_SECRET_PUT
    update_endpoint: ${endpoint}
    update_key: HEROKU_API_KEY
    update_auth_token_name: GH_APP_OPS_BOT`,
);

describe('what is taken', () => {
  test('a row that this release carries out, with no wait before its health counts', () => {
    const rows = activeRows(parseManifest(github, 'm.yml', strict), 'HK_ONE', 'prod');
    expect(rows.map((row) => row.update_method)).toEqual(['HEROKU_CONFIG_PATCH', 'GITHUB_SECRET_PUT']);
    expect(rows[1]).toMatchObject({ update_key: 'HEROKU_API_KEY', healthcheck_after: 0 });
  });

  test.for([
    ['/repos/acme/console/actions/secrets', { scope: 'repository', owner: 'acme', repo: 'console' }],
    [
      '/repos/acme/.github/environments/eu%2Fprod%20one/secrets',
      { scope: 'environment', owner: 'acme', repo: '.github', environment: 'eu/prod one' },
    ],
    ['/orgs/acme-corp/actions/secrets', { scope: 'organisation', org: 'acme-corp' }],
  ] as const)('%s', ([path, place]) => {
    expect(githubPlaceOf(`https://api.github.com${path}`)).toEqual(place);
    expect(problemsOf(github.replace(endpoint, `https://api.github.com${path}`))).toEqual([]);
  });

  test.for(['lower_case', '_A', 'A1', 'GITHUBBER'])('the name %s', (name) => {
    expect(problemsOf(edited('HEROKU_API_KEY', name, github))).toEqual([]);
  });
});

describe('what is refused', () => {
  test.for([
    '/repos/acme/console',
    '/repos/acme/console/actions/secrets/HEROKU_API_KEY',
    '/repos/acme/console/actions/secrets/',
    '/repos/acme/console/dependabot/secrets',
    '/repos/acme/console/environments/secrets',
    '/repos/acme/console/environments/a%ZZ/secrets',
    '/repos/acme/a%2Fb/actions/secrets',
    '/orgs/-acme/actions/secrets',
    '/user/codespaces/secrets',
    '/repos/acme/console/actions/secrets?x=1',
  ])('the path %s', (path) => {
    expect(problemsOf(edited(endpoint, `https://api.github.com${path}`, github))).toEqual(
      at([23, 22, 'the path must be /repos/<owner>/<repo>/actions/secrets']),
    );
  });

  test('another host, and http', () => {
    expect(problemsOf(edited('https://api.github.com', 'https://github.com', github))).toEqual(
      at([23, 22, 'GITHUB_SECRET_PUT writes to api.github.com only, not to github.com']),
    );
    expect(problemsOf(edited('https://api.github.com', 'http://api.github.com', github))).toEqual(
      at([23, 22, 'only https is called']),
    );
  });

  test.for(['GITHUB_TOKEN', 'github_token', '1ST', 'A-B', 'A B'])('the name %s', (name) => {
    expect(problemsOf(edited('HEROKU_API_KEY', `"${name}"`, github))).toEqual(
      at([24, 17, 'begins neither with a digit nor with GITHUB_']),
    );
  });

  test('no authority, and one that is no App', () => {
    expect(problemsOf(edited('    update_auth_token_name: GH_APP_OPS_BOT\n', '', github))).toEqual(
      at([18, 5, '`update_auth_token_name` is missing; add it (The GitHub App']),
    );
    expect(problemsOf(edited('GH_APP_OPS_BOT', 'HK_VELVET_BOOTSTRAP', github))).toEqual(
      at([25, 29, 'HK_VELVET_BOOTSTRAP is no GitHub App']),
    );
  });
});

describe('by hand', () => {
  const page = (path: string) =>
    sopPage(
      parseManifest(github.replace(endpoint, `https://api.github.com${path}`), 'm.yml', strict),
      'HK_ONE',
    ) ?? '';

  test('the value goes through a pipe, and the list shows that it arrived', () => {
    const text = page('/repos/acme/console/actions/secrets');
    expect(text).toContain(
      'printf %s "$NEW" | gh secret set HEROKU_API_KEY --repo acme/console >/dev/null 2>&1; echo $?   # prints 0',
    );
    expect(text).toContain('gh secret list --repo acme/console --json name,updatedAt');
  });

  test('an environment is named, quoted for the shell', () => {
    expect(page("/repos/acme/console/environments/o'prod/secrets")).toContain(
      String.raw`gh secret set HEROKU_API_KEY --repo acme/console --env 'o'\''prod'`,
    );
  });

  test("an organisation's secret keeps its readers", () => {
    const text = page('/orgs/acme/actions/secrets');
    expect(text).toContain('gh secret list --org acme --json name,visibility');
    expect(text).toContain('--org acme --visibility "$VISIBILITY" ${REPOS:+--repos "$REPOS"}');
  });
});

test('the manifest of the other tests is as good as it was', () => {
  expect(problemsOf(good)).toEqual([]);
});
