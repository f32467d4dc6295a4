// Which addresses may be called at all, and what a vendor's own names.

/** What forbids calling this address, and what to do; null where nothing does. https (http on a loopback address, where allowed), and no credential in it. */
export function faultOf(url: URL, allowLoopback: boolean): string | null {
  if (url.username !== '' || url.password !== '') {
    return 'an address must hold no user or password: it is shown and logged; take that part out, and treat it as leaked';
  }
  if (url.protocol === 'https:' || (allowLoopback && isLoopback(url))) return null;
  return isLoopback(url)
    ? 'http to a loopback address is let through with VELVET_ALLOW_LOOPBACK=1 only; set that, or write https'
    : 'only https is called: over http anyone in between could read or answer; write https';
}

export function isLoopback(url: URL): boolean {
  return ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);
}

const herokuApp = /^[a-z][a-z0-9-]{1,28}[a-z0-9]$|^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The app of a Heroku row's address, by name or id; null where the path is not the one of an app's config vars. */
export function herokuAppOf(endpoint: string): string | null {
  const url = new URL(endpoint);
  const app = /^\/apps\/([^/]+)\/config-vars$/.exec(url.pathname)?.[1];
  return app !== undefined && herokuApp.test(app) && url.search === '' && url.hash === '' ? app : null;
}

/** Where in Infisical a row's value lies. Null: the project that the process is given, the environment of the row. */
export interface InfisicalFolder {
  readonly projectId: string | null;
  readonly environment: string | null;
  /** Begins with a slash, and ends with none unless it is the root. */
  readonly path: string;
}

/** What an `INFISICAL_WRITE` address must look like behind its host. */
export const infisicalForm = '/api/v4/secrets?secretPath=/<folder>[&environment=<slug>][&projectId=<id>]';

const infisicalParts = ['secretPath', 'environment', 'projectId'];

/** The folder of an Infisical row's address; null where it is not one in `infisicalForm`, each part once and in plain letters. */
export function infisicalFolderOf(endpoint: string): InfisicalFolder | null {
  const url = new URL(endpoint);
  const { searchParams: parts } = url;
  const names = [...parts.keys()];
  const path = parts.get('secretPath');
  const environment = parts.get('environment');
  const projectId = parts.get('projectId');
  const plain =
    url.pathname === '/api/v4/secrets' &&
    url.hash === '' &&
    names.every((name) => infisicalParts.includes(name)) &&
    new Set(names).size === names.length &&
    (environment === null || /^[a-z0-9][a-z0-9_-]{0,63}$/i.test(environment)) &&
    (projectId === null || /^[A-Za-z0-9_-]{1,64}$/.test(projectId));
  if (!plain || path === null || !/^\/$|^(\/[A-Za-z0-9_-]+)+$/.test(path)) return null;
  return { projectId, environment, path };
}

/** Whether a folder is this one or lies below it. */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

/** Where a GitHub Actions secret lies. Each scope has a public key of its own. */
export type GithubPlace =
  | { readonly scope: 'repository'; readonly owner: string; readonly repo: string }
  | {
      readonly scope: 'environment';
      readonly owner: string;
      readonly repo: string;
      /** As GitHub shows it, not as an address spells it. */
      readonly environment: string;
    }
  | { readonly scope: 'organisation'; readonly org: string };

const githubAccount = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/;
const githubRepo = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/;

/** The place of a GitHub row's address; null where the path is none of the three that hold Actions secrets. */
export function githubPlaceOf(endpoint: string): GithubPlace | null {
  const url = new URL(endpoint);
  if (url.search !== '' || url.hash !== '') return null;
  const org = /^\/orgs\/([^/]+)\/actions\/secrets$/.exec(url.pathname)?.[1];
  if (org !== undefined) return githubAccount.test(org) ? { scope: 'organisation', org } : null;
  const [, owner = '', repo = '', rest = ''] = /^\/repos\/([^/]+)\/([^/]+)\/(.+)$/.exec(url.pathname) ?? [];
  if (!githubAccount.test(owner) || !githubRepo.test(repo)) return null;
  if (rest === 'actions/secrets') return { scope: 'repository', owner, repo };
  const environment = decoded(/^environments\/([^/]+)\/secrets$/.exec(rest)?.[1] ?? '');
  return environment === '' ? null : { scope: 'environment', owner, repo, environment };
}

/** Empty where the escapes are not those of any text. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (error instanceof URIError) return '';
    throw error;
  }
}
