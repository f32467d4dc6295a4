// Breaks one law at a time in a copy of the tree, and demands that the named schedules notice. `npm run test:mutants [name part]`
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { emergencyMutants } from './mutants-emergency.ts';
import { mutants, type Mutant } from './mutants-list.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

function copyOfTheTree(): string {
  const dir = mkdtempSync(join(tmpdir(), 'velvet-mutant-'));
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  });
  for (const file of listed.split('\n').filter((name) => /\.(ts|lua|json|yml)$/.test(name)))
    cpSync(join(root, file), join(dir, file));
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
  return dir;
}

/** The schedule that noticed, or null; throws where the mutant cannot be made. */
function killerOf(dir: string, { file, find, replace, name, killedBy }: Mutant): string | null {
  const path = join(dir, file);
  const text = readFileSync(path, 'utf8');
  if (text.split(find).length !== 2) throw new Error(`${name}: ${file} no longer has its line exactly once`);
  writeFileSync(
    path,
    text.replace(find, () => replace),
  );
  try {
    const { stage, fault } = killedBy;
    const run = spawnSync(process.execPath, ['test/flows/run-stage.ts', stage, fault], {
      cwd: dir,
      encoding: 'utf8',
    });
    const told = run.stdout.split('\n').find((line) => line.startsWith('KILLED '));
    if (told !== undefined) return told.slice('KILLED '.length);
    if (run.status === 0) return null;
    throw new Error(`${name}: the stage did not run: ${run.stderr.slice(0, 2_000)}`);
  } finally {
    writeFileSync(path, text);
  }
}

const part = process.argv[2] ?? '';
const all = [...mutants, ...emergencyMutants];
const chosen = all.filter(({ name }) => name.includes(part));
const dir = copyOfTheTree();
let survivors = 0;
try {
  for (const mutant of chosen) {
    const killer = killerOf(dir, mutant);
    if (killer === null) survivors += 1;
    const { stage } = mutant.killedBy;
    console.log(
      `${killer === null ? 'SURVIVED' : 'killed'}  ${mutant.name}\n          ${stage}: ${killer ?? 'nothing noticed'}`,
    );
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}
console.log(`${chosen.length - survivors} of ${chosen.length} mutants killed`);
if (survivors > 0 || chosen.length === 0) process.exitCode = 1;
