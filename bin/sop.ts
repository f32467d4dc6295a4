// npm run sop: writes docs/sop/<CREDENTIAL>.md for every credential of the manifest, and removes the page of one that is gone.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readEnv } from '../shared/lib/env.ts';
import { loadManifest } from '../shared/manifest/load.ts';
import { sopMark, sopNames, sopPage } from '../shared/manifest/sop/page.ts';
import { installationEnv } from './cli/installation.ts';
import { note, runCommand } from './cli/say.ts';

const given = process.argv[2];

await runCommand(() => {
  const { manifestPath, allowLoopback, velvetApp, infisicalPlace } = readEnv(
    'cli',
    installationEnv(process.cwd()),
  );
  const manifest = loadManifest(manifestPath, { allowLoopback, velvetApp, infisicalPlace });
  const folder = given ?? fileURLToPath(new URL('../docs/sop', import.meta.url));
  mkdirSync(folder, { recursive: true });
  const pages = new Map(sopNames(manifest).map((name) => [`${name}.md`, sopPage(manifest, name) ?? '']));
  for (const [file, text] of pages) writeFileSync(join(folder, file), text);
  const gone = readdirSync(folder).filter((file) => !pages.has(file) && isOurs(join(folder, file)));
  for (const file of gone) rmSync(join(folder, file));
  note(
    `${pages.size} pages from ${manifestPath} in ${folder}${gone.length === 0 ? '' : `; removed ${gone.join(', ')}`}`,
  );
});

/** A file that somebody wrote by hand is left alone. */
function isOurs(file: string): boolean {
  return file.endsWith('.md') && readFileSync(file, 'utf8').startsWith(sopMark);
}
