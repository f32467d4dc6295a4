// How Heroku's Platform API v3 writes its objects. Law: each has every property of the published hyper-schema, and no other but `description`.
import type { Answer } from './server.ts';
import type { Authorization, HerokuAccount } from './heroku-accounts.ts';
import type { Dyno, HerokuApp, Release } from './heroku-apps.ts';

/** An answer with Heroku's error body; clients branch on status and id, never on the message. */
export function herokuError(status: number, id: string, message: string): Answer {
  return {
    status,
    body: { id, message, url: `https://devcenter.heroku.com/articles/platform-api-reference#${id}` },
  };
}

/** With its live token, as Heroku's list and info really answer. */
export function authorizationJson(authorization: Authorization) {
  const { id, account, description, scope, tokenId, token, expiresInS, createdAt } = authorization;
  return {
    id,
    description,
    scope,
    access_token: { id: tokenId, token, expires_in: expiresInS },
    refresh_token: null,
    client: null,
    grant: null,
    user: { id: account.id, email: account.email, full_name: account.fullName },
    created_at: time(createdAt),
    updated_at: time(createdAt),
  };
}

export function accountJson({ id, email, fullName, createdAt, standing }: HerokuAccount) {
  const since = time(createdAt);
  return {
    id,
    email,
    name: fullName,
    allow_tracking: false,
    beta: false,
    country_of_residence: null,
    default_organization: null,
    default_team: null,
    delinquent_at: standing === 'delinquent' ? since : null,
    federated: false,
    identity_provider: null,
    last_login: since,
    sms_number: null,
    suspended_at: standing === 'suspended' ? since : null,
    two_factor_authentication: true,
    verified: true,
    created_at: since,
    updated_at: since,
  };
}

export function appJson({ id, name, account, createdAt, releases }: HerokuApp) {
  const stack = { id: '00000000-0000-4000-8000-000000000024', name: 'heroku-24' };
  const releasedAt = releases.at(-1)?.createdAt ?? createdAt;
  return {
    id,
    name,
    acm: true,
    archived_at: null,
    build_stack: stack,
    buildpack_provided_description: 'Node.js',
    git_url: `https://git.heroku.com/${name}.git`,
    internal_routing: null,
    maintenance: false,
    organization: null,
    owner: { id: account.id, email: account.email },
    region: { id: '00000000-0000-4000-8000-000000000001', name: 'us' },
    released_at: time(releasedAt),
    repo_size: null,
    slug_size: null,
    space: null,
    stack,
    team: null,
    web_url: `https://${name}.herokuapp.com/`,
    created_at: time(createdAt),
    updated_at: time(releasedAt),
  };
}

export function releaseJson({ id: appId, name, account }: HerokuApp, release: Release) {
  return {
    id: release.id,
    version: release.version,
    description: release.description,
    status: release.status,
    current: release.current,
    addon_plan_names: [],
    app: { id: appId, name },
    output_stream_url: null,
    slug: null,
    user: { id: account.id, email: account.email },
    created_at: time(release.createdAt),
    updated_at: time(release.updatedAt),
  };
}

export function dynoJson({ id: appId, name }: HerokuApp, dyno: Dyno) {
  return {
    id: dyno.id,
    name: dyno.name,
    type: dyno.type,
    state: dyno.state,
    release: dyno.release,
    app: { id: appId, name },
    attach_url: null,
    command: 'node server.js',
    size: 'Standard-1X',
    created_at: time(dyno.createdAt),
    updated_at: time(dyno.updatedAt),
  };
}

/** Heroku writes whole seconds. */
function time(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
