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
