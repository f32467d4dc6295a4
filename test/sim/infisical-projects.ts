// What an Infisical holds: projects, their environments, folders and secrets with every version. Law: what it stores it trims, as Infisical does.

export interface StoredSecret {
  readonly id: string;
  readonly key: string;
  /** Oldest first; the version counts from 1. */
  readonly versions: string[];
}

export interface StoredFolder {
  readonly environment: string;
  readonly path: string;
  readonly secrets: Map<string, StoredSecret>;
  /** From now on changes here become requests that wait for somebody. */
  approvals: boolean;
  /** Requests that wait. */
  readonly waiting: { readonly key: string; readonly value: string | null }[];
}

export interface InfisicalProject {
  readonly id: string;
  /** Makes the folder, and those above it. */
  folder(environment: string, path: string): StoredFolder;
  /** Null where the environment or the folder is not there. */
  find(environment: string, path: string): StoredFolder | null;
  removeFolder(environment: string, path: string): void;
  /** Names of the folders right below this one; null where it is not there. */
  below(environment: string, path: string): readonly string[] | null;
}

export function createProject(environments: readonly string[]): InfisicalProject {
  const folders = new Map<string, StoredFolder>();
  const keyOf = (environment: string, path: string) => `${environment} ${path}`;
  const add = (environment: string, path: string): StoredFolder => {
    const known = folders.get(keyOf(environment, path));
    if (known !== undefined) return known;
    const folder = { environment, path, secrets: new Map(), approvals: false, waiting: [] };
    folders.set(keyOf(environment, path), folder);
    return folder;
  };
  for (const environment of environments) add(environment, '/');
  return {
    id: crypto.randomUUID(),
    folder(environment, path) {
      if (!environments.includes(environment)) throw new TypeError(`no environment ${environment}`);
      const names = path.split('/').filter((name) => name !== '');
      for (const [depth] of names.entries()) add(environment, `/${names.slice(0, depth + 1).join('/')}`);
      return add(environment, path);
    },
    find: (environment, path) => folders.get(keyOf(environment, path)) ?? null,
    removeFolder: (environment, path) => void folders.delete(keyOf(environment, path)),
    below(environment, path) {
      if (!folders.has(keyOf(environment, path))) return null;
      const start = path === '/' ? '/' : `${path}/`;
      return [...folders.values()]
        .filter((folder) => folder.environment === environment && folder.path !== '/')
        .filter((folder) => folder.path.startsWith(start) && !folder.path.slice(start.length).includes('/'))
        .map((folder) => folder.path.slice(start.length));
    },
  };
}

/** As backend/src/server/routes stores it: without white space at its ends, but for one line break at the very end. */
export function trimmed(value: string): string {
  return value.endsWith('\n') ? `${value.trim()}\n` : value.trim();
}

/** The value now, or of a version; undefined where there is none. */
export function valueOf(secret: StoredSecret, version?: string): string | undefined {
  return version === undefined ? secret.versions.at(-1) : secret.versions[Number(version) - 1];
}

/** `${NAME}` replaced by that secret of the same folder, as a reader gets it who does not ask otherwise. */
export function expanded(folder: StoredFolder, value: string): string {
  return value.replaceAll(/\$\{([A-Za-z0-9_]+)\}/g, (whole, name: string) => {
    const named = folder.secrets.get(name);
    return named === undefined ? whole : (valueOf(named) ?? '');
  });
}
