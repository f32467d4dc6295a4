// One visit to one place: the App's installation there, and a token that can do nothing but what the visit is for. Law: the token is given back however the visit ends.
import { z } from 'zod';
import { Secret } from '../../../shared/lib/secret.ts';
import type { GithubPlace } from '../../../shared/manifest/addresses.ts';
import type { VendorCall } from '../contract.ts';
import type { VendorResponse } from '../http.ts';
import { movedStatuses, parseAnswer } from './api.ts';
import type { GithubApi } from './api.ts';
import { signedByApp } from './app.ts';

export interface Visit {
  readonly place: GithubPlace;
  readonly authority: Secret;
  readonly may: 'read' | 'write';
}

export interface Session {
  readonly token: Secret;
  /** Where the place is now, as `/repos/<owner>/<repo>` or `/orgs/<org>`. */
  readonly root: string;
  /** `<owner>/<repo>` where the repository is no longer where the manifest says. */
  readonly movedTo: string | null;
  /** What the token may do, in words. */
  readonly needs: string;
}

const installationShape = z.looseObject({ id: z.int().positive() });
const tokenShape = z.looseObject({
  // Any length and any characters: GitHub's newer ones have about 520, dots among them.
  token: z.string().min(1),
  repositories: z.array(z.looseObject({ id: z.int(), full_name: z.string() })).nullish(),
});

/** The permission of an App that each scope goes by. */
const permissions = {
  repository: 'secrets',
  environment: 'environments',
  organisation: 'organization_secrets',
} as const satisfies Record<GithubPlace['scope'], string>;

/** A token that could not be given back ends by itself within the hour; waiting longer for it helps nobody. */
const REVOKE_MS = 3_000;

/** Runs `use` with a token narrowed to this one place and permission, and revokes the token afterwards; that this failed is no failure. */
export async function inSession<T>(
  api: GithubApi,
  call: VendorCall,
  visit: Visit,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await open(api, call, visit);
  try {
    return await use(session);
  } finally {
    const { token, needs } = session;
    const path = '/installation/token';
    await api
      .ask(call, token, { method: 'DELETE', path, needs, session: true, timeoutMs: REVOKE_MS })
      .catch(() => undefined);
  }
}

async function open(api: GithubApi, call: VendorCall, visit: Visit): Promise<Session> {
  const { place, authority, may } = visit;
  const permission = permissions[place.scope];
  const needs = `${permission}: ${may}`;
  const jwt = await signedByApp(authority, api.deps.clock.now());
  const at = await findInstallation(api, call, { jwt, place, needs });
  const json = { ...at.narrowed, permissions: { [permission]: may } };
  const response = await api.ask(call, jwt, {
    method: 'POST',
    path: `/app/installations/${at.installation}/access_tokens`,
    json,
    needs,
    session: true,
    answers: [422],
  });
  if (response.status === 422)
    throw response.error(
      'vendor_forbidden',
      `answered 422: the App's installation there does not have "${needs}", or not this repository`,
    );
  const { token, repositories } = parseAnswer(response, tokenShape);
  if (at.movedId === null) return { token: new Secret(token), root: rootOf(place), movedTo: null, needs };
  const movedTo = repositories?.find((one) => one.id === at.movedId)?.full_name;
  if (movedTo === undefined || !/^[\w-]+\/[\w.-]+$/.test(movedTo))
    throw response.notUnderstood('does not say what the repository is called now');
  return { token: new Secret(token), root: `/repos/${movedTo}`, movedTo, needs };
}

interface Found {
  readonly installation: number;
  /** What else narrows the token. */
  readonly narrowed: Readonly<Record<string, unknown>>;
  /** The repository's own number, where its name has become another's way to it. */
  readonly movedId: number | null;
}

interface Lookup {
  readonly jwt: Secret;
  readonly place: GithubPlace;
  readonly needs: string;
}

async function findInstallation(api: GithubApi, call: VendorCall, lookup: Lookup): Promise<Found> {
  const { jwt, place, needs } = lookup;
  const ask = (root: string, answers: readonly number[]): Promise<VendorResponse> =>
    api.ask(call, jwt, { method: 'GET', path: `${root}/installation`, needs, answers });

  const first = await ask(rootOf(place), movedStatuses);
  if (!movedStatuses.includes(first.status)) {
    const { id: installation } = parseAnswer(first, installationShape);
    const narrowed = place.scope === 'organisation' ? {} : { repositories: [place.repo] };
    return { installation, narrowed, movedId: null };
  }
  const movedId = movedRepository(first);
  if (movedId === null)
    throw first.error(
      'vendor_target_missing',
      'it has moved, and GitHub does not say where: mend the address in the manifest',
    );
  const { id: installation } = parseAnswer(await ask(`/repositories/${movedId}`, []), installationShape);
  return { installation, narrowed: { repository_ids: [movedId] }, movedId };
}

/** The number alone is taken from a redirect: the next request goes to the configured host, whatever the redirect says. */
function movedRepository(response: VendorResponse): number | null {
  const location = response.headers['location'] ?? '';
  const id = Number(/\/repositories\/(\d{1,15})\/installation$/.exec(location)?.[1]);
  return Number.isSafeInteger(id) && id > 0 ? id : null;
}

function rootOf(place: GithubPlace): string {
  return place.scope === 'organisation' ? `/orgs/${place.org}` : `/repos/${place.owner}/${place.repo}`;
}
