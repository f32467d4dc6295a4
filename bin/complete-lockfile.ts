// Adds to package-lock.json the optional packages of other platforms that the registry at hand did not serve, pinned as their parents pin them.
// Without their entries `npm ci` calls the lockfile out of step, on every platform.
import { readFileSync, writeFileSync } from 'node:fs';

interface Entry {
  version?: string;
  optional?: boolean;
  dev?: boolean;
  os?: string[];
  cpu?: string[];
  optionalDependencies?: Record<string, string>;
}

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, Entry> };

const systems = [
  'aix',
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'win32',
];
const processors: readonly (readonly [part: RegExp, cpu: string])[] = [
  [/arm64|aarch64/, 'arm64'],
  [/armv7|arm-|arm$/, 'arm'],
  [/x64|x86_64/, 'x64'],
  [/ia32|i686/, 'ia32'],
  [/ppc64/, 'ppc64'],
  [/s390x/, 's390x'],
  [/riscv64/, 'riscv64'],
  [/loong64/, 'loong64'],
  [/mips64el/, 'mips64el'],
  [/wasm32/, 'wasm32'],
];

/** Where npm would have put the package: beside its parent where the top has another version, else at the top. */
function placeFor(parent: string, name: string, version: string): string {
  const top = `node_modules/${name}`;
  const other = lock.packages[top]?.version;
  return other === undefined || other === version ? top : `${parent}/node_modules/${name}`;
}

let added = 0;
for (const [parent, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (!/^\d/.test(version)) continue;
    const os = systems.find((system) => name.includes(system));
    const cpu = processors.find(([part]) => part.test(name))?.[1];
    const place = placeFor(parent, name, version);
    if (lock.packages[place] !== undefined || (os === undefined && cpu === undefined)) continue;
    lock.packages[place] = {
      version,
      ...(cpu === undefined ? {} : { cpu: [cpu] }),
      ...(entry.dev === true ? { dev: true } : {}),
      optional: true,
      ...(os === undefined ? {} : { os: [os] }),
    };
    added += 1;
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).toSorted(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`package-lock.json: ${added} entries added`);
