// GitHub's objects as its API writes them, with every property that its published schema demands.
import type { GithubApp, Installation, InstallationToken } from './github-apps.ts';
import type { GithubOwner, GithubRepo, GithubSecret } from './github-places.ts';
import type { Answer } from './server.ts';

const API = 'https://api.github.com';
const DOCS = 'https://docs.github.com/rest';

export function githubError(status: number, message: string, more: object = {}): Answer {
  return { status, body: { message, documentation_url: DOCS, status: String(status), ...more } };
}

/** Whole seconds, as GitHub writes times. */
export function time(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

export function secretJson(secret: GithubSecret): Record<string, unknown> {
  return { name: secret.name, created_at: time(secret.createdAt), updated_at: time(secret.updatedAt) };
}

export function orgSecretJson(owner: GithubOwner, secret: GithubSecret): Record<string, unknown> {
  const { visibility } = secret;
  const url = `${API}/orgs/${owner.login}/actions/secrets/${secret.name}/repositories`;
  return {
    ...secretJson(secret),
    visibility,
    ...(visibility === 'selected' ? { selected_repositories_url: url } : {}),
  };
}

function userJson({ id, login }: GithubOwner): Record<string, unknown> {
  const url = `${API}/users/${login}`;
  const part = (name: string): string => `${url}/${name}`;
  return {
    login,
    id,
    node_id: `O_${id}`,
    avatar_url: `https://avatars.githubusercontent.com/u/${id}`,
    gravatar_id: '',
    url,
    html_url: `https://github.com/${login}`,
    followers_url: part('followers'),
    following_url: part('following{/other_user}'),
    gists_url: part('gists{/gist_id}'),
    starred_url: part('starred{/owner}{/repo}'),
    subscriptions_url: part('subscriptions'),
    organizations_url: part('orgs'),
    repos_url: part('repos'),
    events_url: part('events{/privacy}'),
    received_events_url: part('received_events'),
    type: 'Organization',
    site_admin: false,
  };
}

const repoLinks =
  'archive assignees blobs branches collaborators comments commits compare contents contributors deployments downloads events forks git_commits git_refs git_tags hooks issue_comment issue_events issues keys labels languages merges milestones notifications pulls releases stargazers statuses subscribers subscription tags teams trees'.split(
    ' ',
  );

/** The whole repository; the lists of organisations' secrets and the tokens' own take what they need of it. */
export function repoJson(repo: GithubRepo): Record<string, unknown> {
  const fullName = `${repo.owner.login}/${repo.name}`;
  const html = `https://github.com/${fullName}`;
  const counts =
    'forks forks_count open_issues open_issues_count size stargazers_count watchers watchers_count';
  return {
    id: repo.id,
    node_id: `R_${repo.id}`,
    name: repo.name,
    full_name: fullName,
    owner: userJson(repo.owner),
    private: true,
    fork: false,
    description: null,
    homepage: null,
    language: null,
    license: null,
    mirror_url: null,
    default_branch: 'main',
    archived: false,
    disabled: false,
    url: `${API}/repos/${fullName}`,
    html_url: html,
    clone_url: `${html}.git`,
    git_url: `git://github.com/${fullName}.git`,
    ssh_url: `git@github.com:${fullName}.git`,
    svn_url: html,
    created_at: '2024-01-01T00:00:00Z',
    updated_at: '2024-01-01T00:00:00Z',
    pushed_at: '2024-01-01T00:00:00Z',
    ...Object.fromEntries(repoLinks.map((link) => [`${link}_url`, `${API}/repos/${fullName}/${link}`])),
    ...Object.fromEntries(counts.split(' ').map((count) => [count, 0])),
    ...Object.fromEntries(
      ['issues', 'projects', 'wiki', 'pages', 'downloads', 'discussions'].map((one) => [`has_${one}`, false]),
    ),
  };
}

export function installationJson(installation: Installation): Record<string, unknown> {
  const { id, app, owner, repositories, permissions, suspended } = installation;
  return {
    id,
    ...appPart(app),
    target_id: owner.id,
    target_type: 'Organization',
    account: userJson(owner),
    repository_selection: repositories === null ? 'all' : 'selected',
    access_tokens_url: `${API}/app/installations/${id}/access_tokens`,
    repositories_url: `${API}/installation/repositories`,
    html_url: `https://github.com/organizations/${owner.login}/settings/installations/${id}`,
    permissions: { metadata: 'read', ...permissions },
    events: [],
    single_file_name: null,
    created_at: '2024-01-01T00:00:00Z',
    updated_at: '2024-01-01T00:00:00Z',
    suspended_by: null,
    suspended_at: suspended ? '2024-06-01T00:00:00Z' : null,
  };
}

function appPart({ id, clientId }: GithubApp): Record<string, unknown> {
  return { app_id: id, client_id: clientId, app_slug: `ops-bot-${id}` };
}

export function tokenJson({
  token,
  expiresAt,
  permissions,
  repositories,
}: InstallationToken): Record<string, unknown> {
  return {
    token,
    expires_at: time(expiresAt),
    permissions: { metadata: 'read', ...permissions },
    repository_selection: repositories === null ? 'all' : 'selected',
    ...(repositories === null ? {} : { repositories: repositories.map(repoJson) }),
  };
}
