// What the address of an `INFISICAL_WRITE` row must keep: Velvet's own Infisical, and never Velvet's own folder in it.
import { infisicalFolderOf, infisicalForm, isLoopback, isWithin } from './addresses.ts';
import { destinations } from './vendors.ts';

export interface OwnInfisical {
  readonly host: string;
  /** Null where it is not known. */
  readonly projectId: string | null;
  readonly folder: string;
}

interface Options {
  readonly allowLoopback: boolean;
  readonly infisicalPlace?: OwnInfisical;
}

/** Says each broken rule of an address that may be called. */
export function checkInfisicalTarget(
  endpoint: string,
  { allowLoopback, infisicalPlace }: Options,
  say: (message: string) => void,
): void {
  const [cloud] = destinations.INFISICAL_WRITE.hosts;
  const own = infisicalPlace ?? { host: cloud, projectId: null, folder: '/velvet' };
  const url = new URL(endpoint);
  if (url.host !== own.host && !(allowLoopback && isLoopback(url))) {
    say(
      `INFISICAL_WRITE writes to ${own.host} only, not to ${url.host}; mend the host, or set INFISICAL_SITE_URL (for every process) if that one is yours`,
    );
  }
  const folder = infisicalFolderOf(endpoint);
  if (folder === null) {
    say(
      `behind the host belongs ${infisicalForm}, each part once, the folder's names of letters, digits, - and _, without a slash at its end`,
    );
    return;
  }
  const sameProject =
    folder.projectId === null || own.projectId === null || folder.projectId === own.projectId;
  if (sameProject && isWithin(folder.path, own.folder)) {
    say(
      `${folder.path} is Velvet's own folder, where it keeps what no application may read; name the folder that the application reads`,
    );
  }
}
